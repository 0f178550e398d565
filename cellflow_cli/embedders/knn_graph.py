"""Graph network on the k-nearest-neighbour graph of the population, pooled to one vector."""

from dataclasses import dataclass, field

from torch import nn

from cellflow_cli.catalog import Entry
from cellflow_cli.embedders._context import PooledContext, check_cells, check_width, mean_and_spread, thinned
from cellflow_cli.embedders._embedder import MAX_SUBSAMPLES, ContextNeeds, Embedder
from cellflow_cli.embedders._graph import GraphEncoder
from cellflow_cli.errors import ConfigError
from cellflow_cli.types import ModelShape, PopulationBatch


@dataclass(frozen=True, kw_only=True)
class KnnGraphConfig:
    """Graph, layers and pooling."""

    k: int = field(default=10, metadata={"help": "Neighbours per cell in a full subsample; 0: no edges."})
    reference_cells: int = field(default=256, metadata={"help": "Cells per subsample that is embedded."})
    min_cells: int | None = field(
        default=None,
        metadata={"help": "Minimum subsample size, drawn up to `reference_cells` per step; left out: all."},
    )
    width: int = field(default=32, metadata={"help": "Units per graph layer."})
    n_layers: int = field(default=2, metadata={"help": "Graph layers, a nonlinearity after each."})
    embedding: int = field(
        default=8, metadata={"help": "Width of the population embedding; 0: mean and spread as they are."}
    )

    def __post_init__(self) -> None:
        check_cells(1 if self.min_cells is None else self.min_cells, self.reference_cells)
        if min(self.reference_cells, self.width, self.n_layers) < 1 or self.k < 0:
            raise ConfigError("Expected sizes of at least 1 and k of at least 0 in method.embedder.")
        check_width(self.embedding, or_none=True)
        if self.k >= self.reference_cells:
            raise ConfigError(
                f"Expected fewer neighbours than cells in a subsample, found method.embedder.k = {self.k} "
                f"and method.embedder.reference_cells = {self.reference_cells}. Lower k, or raise "
                "reference_cells if every control population has more cells."
            )


class KnnGraph(nn.Module):
    """Population embedding phi(p0): kNN graph, graph convolutions, mean and spread pooling.

    h_0 = [cell, node features];  h_l = silu(GCN_l(h_{l-1}));
    phi = LayerNorm(W [mean h, std h]),  h = [h_0, ..., h_L]

    Mean and standard deviation are over the cells of the population; keeping h_0 lets the network
    read the plain mean and spread of every feature. With an `embedding` of 0 mean and spread are the
    context as they are, without W and the norm.

    Args:
        config: Sizes.
        shape: Gives the width of cells and node features.

    Source: Atanackovic et al. (2025), Meta Flow Matching, arXiv 2408.14608, section 4; graph
    convolution of Kipf and Welling (2017). Differs: a nonlinearity between all layers, spread
    beside the mean, LayerNorm for L2 normalisation (which divides by a norm that can be zero),
    and subsamples of one size, so that the graph means the same for any number of cells.
    """

    def __init__(self, config: KnnGraphConfig, shape: ModelShape) -> None:
        super().__init__()
        n_in = shape.n_features + shape.n_node_features
        n_cells = config.reference_cells
        self.needs = ContextNeeds(cells=n_cells, max_cells=MAX_SUBSAMPLES * n_cells)
        self.min_cells = config.min_cells or n_cells
        self.encoder = GraphEncoder(n_in, config.width, config.n_layers, config.k, config.reference_cells)
        n_pooled = 2 * self.encoder.width
        self.width = config.embedding or n_pooled
        self.out = (
            nn.Sequential(nn.Linear(n_pooled, config.embedding), nn.LayerNorm(config.embedding))
            if config.embedding
            else nn.Identity()
        )

    def forward(self, population: PopulationBatch) -> PooledContext:
        """Embeddings of b subsamples, in training of a random number of their cells, shape [b, e]."""
        population = thinned(population, self.min_cells) if self.training else population
        return PooledContext(self.out(mean_and_spread(self.encoder(population), population.mask)))


ENTRY: Entry[Embedder] = Entry(KnnGraphConfig, KnnGraph)
