"""Deep Set: mean and spread over the cells of a learned function of each cell."""

from dataclasses import dataclass, field

import torch
from torch import nn

from cellflow_cli.catalog import Entry
from cellflow_cli.embedders._context import PooledContext, check_cells, check_width, mean_and_spread, thinned
from cellflow_cli.embedders._embedder import MAX_SUBSAMPLES, ContextNeeds, Embedder
from cellflow_cli.errors import ConfigError
from cellflow_cli.types import ModelShape, PopulationBatch


@dataclass(frozen=True, kw_only=True)
class MeanConfig:
    """Sizes."""

    reference_cells: int = field(default=256, metadata={"help": "Cells per subsample that is embedded."})
    min_cells: int | None = field(
        default=None,
        metadata={"help": "Minimum subsample size, drawn up to `reference_cells` per step; left out: all."},
    )
    width: int = field(default=64, metadata={"help": "Units per layer."})
    embedding: int = field(
        default=32, metadata={"help": "Width of the population embedding; 0: mean and spread as they are."}
    )

    def __post_init__(self) -> None:
        check_cells(1 if self.min_cells is None else self.min_cells, self.reference_cells)
        if self.width < 1:
            raise ConfigError(f"Expected method.embedder.width of at least 1, found {self.width}.")
        check_width(self.embedding, or_none=True)


class Mean(nn.Module):
    """phi(p0) = LayerNorm(g([mean h, std h])), h = [cell, f(cell)], f and g small networks.

    With an `embedding` of 0 mean and spread are the context as they are: an average over the cells, which
    for a mixture of populations is (but for the spread) the mean of theirs.

    Args:
        config: Sizes.
        shape: Gives the width of cells and node features.

    Source: Zaheer et al. (2017), Deep Sets, theorem 2. Differs: the spread stands beside the mean.
    """

    def __init__(self, config: MeanConfig, shape: ModelShape) -> None:
        super().__init__()
        n_in = shape.n_features + shape.n_node_features
        n_cells = config.reference_cells
        self.needs = ContextNeeds(cells=n_cells, max_cells=MAX_SUBSAMPLES * n_cells)
        self.min_cells = config.min_cells or n_cells
        self.width = config.embedding or 2 * (n_in + config.width)
        self.cell = nn.Sequential(
            nn.Linear(n_in, config.width), nn.SiLU(), nn.Linear(config.width, config.width), nn.SiLU(),
            nn.Linear(config.width, config.width),
        )  # fmt: skip
        self.out = nn.Sequential(
            nn.Linear(2 * (n_in + config.width), config.width), nn.SiLU(),
            nn.Linear(config.width, config.embedding), nn.LayerNorm(config.embedding),
        ) if config.embedding else nn.Identity()  # fmt: skip

    def forward(self, population: PopulationBatch) -> PooledContext:
        """Embeddings of b subsamples, in training of a random number of their cells, shape [b, e]."""
        population = thinned(population, self.min_cells) if self.training else population
        h = torch.cat([population.cells, population.node_features], dim=-1)
        return PooledContext(self.out(mean_and_spread(torch.cat([h, self.cell(h)], dim=-1), population.mask)))


ENTRY: Entry[Embedder] = Entry(MeanConfig, Mean)
