"""The control cells as they are: no effect at all."""

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.degenerate._truth import Truth


def copied_controls(truth: Truth, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Control cells, as many as are measured or as there are, shape [n, d]."""
    return truth.control[: len(truth.measured)]


ENTRY = copied_controls
