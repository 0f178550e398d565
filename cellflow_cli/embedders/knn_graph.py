"""Graph network on the k-nearest-neighbour graph of the population, pooled to one vector."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cellflow_cli.catalog import Entry
from cellflow_cli.embedders._context import PooledContext
from cellflow_cli.errors import ConfigError
from cellflow_cli.types import ModelShape, PopulationBatch


@dataclass(frozen=True, kw_only=True)
class KnnGraphConfig:
    """Graph, layers and pooling."""

    k: int = field(default=10, metadata={"help": "Neighbours per cell in a full subsample; 0: no edges."})
    reference_cells: int = field(default=256, metadata={"help": "Cells per subsample that is embedded."})
    width: int = field(default=32, metadata={"help": "Units per graph layer."})
    n_layers: int = field(default=2, metadata={"help": "Graph layers, a nonlinearity after each."})
    embedding: int = field(default=8, metadata={"help": "Width of the population embedding."})

    def __post_init__(self) -> None:
        if min(self.reference_cells, self.width, self.n_layers, self.embedding) < 1 or self.k < 0:
            raise ConfigError("Expected sizes of at least 1 and k of at least 0 in method.embedder.")
        if self.embedding < 2:
            raise ConfigError(
                f"Expected method.embedder.embedding of at least 2, found {self.embedding}: the layer norm "
                "makes a single number the same for every population."
            )
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
    read the plain mean and spread of every feature.

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
        from torch_geometric.nn import DenseGCNConv

        self.k = config.k
        self.reference_cells = config.reference_cells
        self.width = config.embedding
        widths = [shape.n_features + shape.n_node_features] + [config.width] * config.n_layers
        self.layers = nn.ModuleList(DenseGCNConv(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.out = nn.Sequential(nn.Linear(2 * sum(widths), config.embedding), nn.LayerNorm(config.embedding))

    def forward(self, population: PopulationBatch) -> PooledContext:
        """Embeddings of b subsamples of `reference_cells` cells (padding allowed), shape [b, e]."""
        cells, mask, node_features, _ = population
        adjacency = knn_adjacency(cells, mask, self.k, self.reference_cells)
        h = torch.cat([cells, node_features], dim=-1)
        seen = [h]
        for layer in self.layers:
            h = nn.functional.silu(layer(h, adjacency, mask))
            seen.append(h)
        return PooledContext(self.out(_mean_and_spread(torch.cat(seen, dim=-1), mask)))


def knn_adjacency(
    cells: Float[Tensor, "b m d"], mask: Bool[Tensor, "b m"], k: int, reference_cells: int
) -> Float[Tensor, "b m m"]:
    """Who is whose neighbour: entry (i, j) is one where j is among the nearest k of i, not i itself.

    Distances are Euclidean. A population of n < `reference_cells` cells gets k n / reference_cells
    neighbours (at least one), so that a neighbourhood spans the same share of the population.

    Args:
        cells: Shape [b, m, d]; padding where `mask` is False neither has nor is a neighbour.
        mask: Shape [b, m].
        k: Neighbours in a population of `reference_cells` cells; 0 for none.
        reference_cells: The size that `k` refers to.
    """
    b, m, _ = cells.shape
    adjacency = cells.new_zeros(b, m, m)
    if k == 0 or m < 2:
        return adjacency
    n = mask.sum(-1)
    scaled = torch.round(k * n / reference_cells).long().clamp(min=1)
    wanted = torch.minimum(scaled, (n - 1).clamp(min=0)).clamp(max=k)
    with torch.no_grad():
        distance = torch.cdist(cells, cells)
        distance = distance.masked_fill(~mask.unsqueeze(1), torch.inf)
        distance.diagonal(dim1=-2, dim2=-1).fill_(torch.inf)
        nearest = distance.topk(min(k, m - 1), dim=-1, largest=False).indices
        taken = torch.arange(nearest.shape[-1], device=cells.device) < wanted[:, None, None]
        taken = (taken & mask.unsqueeze(-1)).to(cells.dtype)
        return adjacency.scatter_(-1, nearest, taken.expand_as(nearest).contiguous())


def _mean_and_spread(h: Float[Tensor, "b m f"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, "b g"]:
    weight = mask.unsqueeze(-1).to(h.dtype)
    n = weight.sum(1).clamp(min=1)
    mean = (h * weight).sum(1) / n
    variance = ((h - mean.unsqueeze(1)).square() * weight).sum(1) / n
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)


EMBEDDER = Entry(KnnGraphConfig, KnnGraph)
