"""Cells encoded by their neighbourhood: graph convolutions on a k-nearest-neighbour graph."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cellflow_cli.types import PopulationBatch


class GraphEncoder(nn.Module):
    """Each cell as [h_0, ..., h_L]: itself, then what L graph convolutions made of its neighbourhood.

    h_0 = [cell, node features];  h_l = silu(GCN_l(h_{l-1}))

    Keeping h_0 lets what follows read the plain features.

    Args:
        n_in: Width of cells and node features.
        width: Units per layer.
        n_layers: L.
        k: Neighbours per cell in a population of `reference_cells` cells; 0: no edges.
        reference_cells: The size that `k` refers to.

    Source: graph convolution of Kipf and Welling (2017), equation 2. Differs: a nonlinearity
    between all layers.
    """

    def __init__(self, n_in: int, width: int, n_layers: int, k: int, reference_cells: int) -> None:
        super().__init__()
        from torch_geometric.nn import DenseGCNConv

        self.k, self.reference_cells = k, reference_cells
        self.width = n_in + width * n_layers
        self.layers = nn.ModuleList(DenseGCNConv(width if i else n_in, width) for i in range(n_layers))

    def forward(self, population: PopulationBatch) -> Float[Tensor, "b m w"]:
        """Encoded cells, shape [b, m, width]; padding is encoded too and has to be masked."""
        cells, mask, node_features, _ = population
        adjacency = knn_adjacency(cells, mask, self.k, self.reference_cells)
        h = torch.cat([cells, node_features], dim=-1)
        seen = [h]
        for layer in self.layers:
            h = nn.functional.silu(layer(h, adjacency, mask))
            seen.append(h)
        return torch.cat(seen, dim=-1)


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
