"""The measured cells, moved once more by their mean change against the control."""

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.degenerate._truth import Truth


def doubled_effect(truth: Truth, rng: torch.Generator) -> Float[Tensor, "n d"]:
    r"""Twice the mean effect, shape [n, d].

    x + (mean x1 - mean x0)   for every measured cell x
    """
    change = truth.measured.double().mean(0) - truth.control.double().mean(0)
    return truth.measured + change.to(truth.measured)


ENTRY = doubled_effect
