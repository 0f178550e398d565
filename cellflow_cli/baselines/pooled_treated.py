"""Treated cells of the training part, drawn at random: the control cells are not looked at."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.baselines._trained import need_cells, trained
from cellflow_cli.catalog import Entry


@dataclass(frozen=True, kw_only=True)
class PooledTreatedConfig:
    """Nothing to set."""


class PooledTreated:
    """The average treated population: equally many cells of each training population.

    Where more cells are needed than were kept, all kept ones come equally often, up to one.
    """

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """As many treated cells as there are control cells, in random order, shape [n, d].

        Raises:
            MetricError: If no training population had this treatment at this dose, or the summaries
                hold no cells.
        """
        training, n = trained(summaries, request.condition), len(request.control)
        need_cells(summaries)
        order = torch.randperm(len(training.treated), generator=rng).tolist()
        drawn = []
        for rank, i in enumerate(order):
            share = n // len(order) + (rank < n % len(order))
            drawn.append(_draw(summaries.cells_of(training.treated[i]), share, rng))
        return torch.cat(drawn)[torch.randperm(n, generator=rng)].to(request.control)


def _draw(cells: Float[Tensor, "k d"], n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """N of the cells, each as often as any other, up to one."""
    rounds = -(-n // len(cells))
    rows = torch.cat([torch.randperm(len(cells), generator=rng) for _ in range(max(1, rounds))])
    return cells[rows[:n]]


def build(config: PooledTreatedConfig) -> PooledTreated:
    """The baseline that `config` describes."""
    return PooledTreated()


ENTRY = Entry(PooledTreatedConfig, build)
