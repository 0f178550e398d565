"""Source and target cells paired at random."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.catalog import Entry


@dataclass(frozen=True, kw_only=True)
class IndependentConfig:
    """Nothing to choose."""


class Independent:
    """The product of the two distributions: any source cell goes with any target cell.

    Args:
        config: Nothing to choose.
    """

    def __init__(self, config: IndependentConfig | None = None) -> None:
        self.config = config or IndependentConfig()

    def plan(self, x0: Float[Tensor, "n d"], x1: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """The coupling matrix, 1 / (n m) everywhere, shape [n, m]."""
        n, m = len(x0), len(x1)
        return x0.new_full((n, m), 1 / (n * m))

    def sample(
        self, x0: Float[Tensor, "n d"], x1: Float[Tensor, "m d"], rng: torch.Generator
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Row indices (source, target) of n pairs: every source cell once, each shape [n]."""
        n, m = len(x0), len(x1)
        j = torch.randperm(n, generator=rng) if n == m else torch.randint(m, (n,), generator=rng)
        return torch.arange(n), j


ENTRY = Entry(IndependentConfig, Independent)
