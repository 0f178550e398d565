"""What a degenerate predictor is made from."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """Cells of one population, features of the flow unscaled.

    A file of this room holds a function of it, called as `function(truth, rng) -> cells`, cells of
    shape [n, d], and ends with `PREDICTOR = function`. As it is made from measured cells it is no
    prediction: it tells what a metric fails to see.

    Attributes:
        measured: Measured treated cells that are not among those the rows are compared with, shape [n, d].
        control: Control cells of the sample, shape [k, d].
    """

    measured: Float[Tensor, "n d"]
    control: Float[Tensor, "k d"]
