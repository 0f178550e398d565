"""Every control cell moves as the nearest training control cell under exact OT pairing."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.baselines._trained import need_cells, trained, unit
from cellflow_cli.catalog import Entry
from cellflow_cli.couplings.exact_ot import ExactOT
from cellflow_cli.errors import MetricError, NumericalError
from cellflow_cli.types import Condition

# Distances per block: 32 MB.
_ENTRIES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class OtNeighbourConfig:
    """Nothing to set."""


class _Paired(NamedTuple):
    """Training control cells under one condition, s of them, and where they went.

    Attributes:
        cells: Minus the mean of their own sample, over the training spread, shape [s, d].
        displacement: In the units of the features, shape [s, d].
    """

    cells: Float64[Tensor, "s d"]
    displacement: Float64[Tensor, "s d"]


class OtNeighbour:
    r"""A displacement per cell: that of the training control cell in the most similar place.

    x + y_pi(i) - x_i,  i = argmin_i |(x_i - m_i) - (x - m)| / s

    Here pi is the exact optimal pairing of the kept control and treated cells of a training sample,
    m_i and m are the control means of the samples of x_i and of x, and s is the training spread,
    by which cells are divided before pairing, too. The pairing of a condition is kept for the next
    sample.
    """

    def __init__(self) -> None:
        self._summaries: Summaries | None = None
        self._paired: dict[Condition, _Paired] = {}

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Control cells, each plus a displacement, shape [n, d].

        Raises:
            MetricError: If no training population had this treatment at this dose, or the summaries
                hold no cells.
        """
        if summaries is not self._summaries:
            self._summaries, self._paired = summaries, {}
        if request.condition not in self._paired:
            self._paired[request.condition] = _paired(summaries, request.condition)
        paired = self._paired[request.condition]
        cells = (request.control.detach().double().cpu() - request.mean) / unit(summaries)
        return request.control + paired.displacement[_nearest(cells, paired.cells)].to(request.control)


def _paired(summaries: Summaries, condition: Condition) -> _Paired:
    training, scale = trained(summaries, condition), unit(summaries)
    need_cells(summaries)
    cells, displacement = [], []
    for i, j, mean in zip(training.control, training.treated, training.mean, strict=True):
        x0, x1 = summaries.cells_of(i).double(), summaries.cells_of(j).double()
        cells.append((x0 - mean) / scale)
        displacement.append(x1[_partners(x0 / scale, x1 / scale)] - x0)
    return _Paired(torch.cat(cells), torch.cat(displacement))


def _partners(x0: Float64[Tensor, "n d"], x1: Float64[Tensor, "m d"]) -> Tensor:
    """For each source cell its target cell under the optimal plan, shape [n].

    Sets of one size, the usual case, are matched one to one; otherwise a cell whose mass is split
    draws its partner, always the same one.

    Raises:
        MetricError: If the solver stops early.
    """
    try:
        return ExactOT().sample(x0, x1, torch.Generator().manual_seed(0))[1]
    except NumericalError as error:
        raise MetricError(f"{error} The training cells were not paired.") from error


def _nearest(cells: Float64[Tensor, "n d"], others: Float64[Tensor, "s d"]) -> Tensor:
    """Row of `others` nearest to each cell, in blocks, shape [n]."""
    rows = max(1, _ENTRIES // len(others))
    return torch.cat([torch.cdist(block, others).argmin(1) for block in cells.split(rows)])


def build(config: OtNeighbourConfig) -> OtNeighbour:
    """The baseline that `config` describes."""
    return OtNeighbour()


ENTRY = Entry(OtNeighbourConfig, build)
