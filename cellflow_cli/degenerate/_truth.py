"""What a degenerate predictor is made from, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """Cells of one population, features of the flow unscaled.

    Attributes:
        measured: Measured treated cells that are not among those predictors are compared with, shape [n, d].
        control: Control cells of the sample, shape [k, d].
    """

    measured: Float[Tensor, "n d"]
    control: Float[Tensor, "k d"]


class DegeneratePredictor(Protocol):
    """Entry of this room: cells that show what a metric fails to see.

    As they are made from measured cells they are no prediction.
    """

    def __call__(self, truth: Truth, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Cells, features of the flow, shape [n, d]."""
        ...
