"""A prediction of log1p expression, and one of markers that may be negative."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.conftest import SPEC, make_prediction, make_truth


@pytest.fixture(scope="session")
def log1p():
    """(prediction, truth) on components of log1p values."""
    truth = make_truth()
    truth.X = np.log1p(np.exp(np.clip(truth.X, -3, 3))).astype(np.float32)
    spec = replace(SPEC, features="pca:3", expression="log1p")
    return make_prediction(truth, spec, moved=lambda cells, *_: cells + 0.5), truth


@pytest.fixture(scope="session")
def markers():
    """(prediction, truth) on markers."""
    truth = make_truth()
    return make_prediction(truth), truth
