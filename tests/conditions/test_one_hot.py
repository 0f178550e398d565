"""Treatments as one-hot vectors."""

import torch

from cellflow_cli.conditions.one_hot import OneHot, OneHotConfig
from cellflow_cli.types import Condition


def test_treatment_then_covariates_and_no_dose(shape):
    encoder = OneHot(OneHotConfig(), shape)
    conditions = [Condition("drugA", 0.1), Condition("drugA", 10.0), Condition("drugB")]
    covariates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert encoder.width == 4
    assert encoder(shape.encode(conditions, covariates)).tolist() == [
        [1, 0, 1, 0],
        [1, 0, 1, 0],
        [0, 1, 0, 1],
    ]
