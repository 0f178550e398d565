"""Source and target cells paired by exact optimal transport with squared Euclidean cost."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.catalog import Entry
from cellflow_cli.ot.cost import squared_euclidean
from cellflow_cli.ot.exact import assignment, exact_plan


@dataclass(frozen=True, kw_only=True)
class ExactOTConfig:
    """Nothing to choose."""


class ExactOT:
    """The plan of least total squared distance between two equally weighted sets of cells.

    min_P sum_ij P_ij |x0_i - x1_j|^2  with marginals 1/n and 1/m

    A shift of either set leaves the plan as it is, so sets need not be centred first.

    Args:
        config: Nothing to choose.

    Source: Tong et al. (2024), Improving and generalizing flow-based generative models with
    minibatch optimal transport, arXiv 2302.00482, section 3.2.2.
    """

    def __init__(self, config: ExactOTConfig | None = None) -> None:
        self.config = config or ExactOTConfig()

    def plan(self, x0: Float[Tensor, "n d"], x1: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """The optimal plan, float64 on the CPU, shape [n, m], summing to one.

        Raises:
            NumericalError: If the solver stops early.
        """
        return exact_plan(squared_euclidean(x0, x1))

    def sample(
        self, x0: Float[Tensor, "n d"], x1: Float[Tensor, "m d"], rng: torch.Generator
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Row indices (source, target) of n pairs, each shape [n].

        Sets of one size are matched one to one; otherwise each source cell draws its partner
        from its row of the plan.
        """
        if len(x0) == len(x1):
            return torch.arange(len(x0)), assignment(squared_euclidean(x0, x1))
        rows = self.plan(x0, x1)
        return torch.arange(len(x0)), torch.multinomial(rows, 1, generator=rng).squeeze(-1)


ENTRY = Entry(ExactOTConfig, ExactOT)
