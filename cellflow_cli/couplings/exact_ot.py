"""Source and target cells paired by exact optimal transport with squared Euclidean cost."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.catalog import Entry
from cellflow_cli.errors import NumericalError


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
        import ot

        cost = _cost(x0, x1)
        uniform = (np.full(len(x0), 1 / len(x0)), np.full(len(x1), 1 / len(x1)))
        plan, log = ot.emd(*uniform, cost, numItermax=10_000_000, log=True)
        if log["warning"] is not None:
            raise NumericalError(f"Expected an optimal plan of {cost.shape} cells: {log['warning']}")
        return torch.from_numpy(plan)

    def sample(
        self, x0: Float[Tensor, "n d"], x1: Float[Tensor, "m d"], rng: torch.Generator
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Row indices (source, target) of n pairs, each shape [n].

        Sets of one size are matched one to one; otherwise each source cell draws its partner
        from its row of the plan.
        """
        if len(x0) == len(x1):
            from scipy.optimize import linear_sum_assignment

            i, j = linear_sum_assignment(_cost(x0, x1))
            return torch.from_numpy(i), torch.from_numpy(j)
        rows = self.plan(x0, x1)
        return torch.arange(len(x0)), torch.multinomial(rows, 1, generator=rng).squeeze(-1)


def _cost(x0: Tensor, x1: Tensor) -> np.ndarray:
    x0, x1 = x0.detach().double(), x1.detach().double()
    return torch.cdist(x0, x1).square().cpu().numpy()


ENTRY = Entry(ExactOTConfig, ExactOT)
