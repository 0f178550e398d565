"""Graph convolution on our dense neighbour matrix against torch-geometric's on a list of edges."""

import pytest
import torch

from cellflow_cli.embedders._graph import knn_adjacency
from cellflow_cli.embedders.knn_graph import KnnGraph, KnnGraphConfig
from cellflow_cli.types import ModelShape, PopulationBatch


@pytest.mark.parametrize("k", [0, 1, 6])
def test_one_layer(k, rng):
    from torch_geometric.nn import DenseGCNConv, GCNConv

    cells = torch.randn(25, 4, generator=rng, dtype=torch.float64)
    mask = torch.ones(1, 25, dtype=torch.bool)
    adjacency = knn_adjacency(cells[None], mask, k, 25)
    dense, sparse = DenseGCNConv(4, 7).double(), GCNConv(4, 7).double()
    sparse.load_state_dict({name: value + 0.1 for name, value in dense.state_dict().items()})
    dense.load_state_dict(sparse.state_dict())
    to, neighbour = adjacency[0].nonzero(as_tuple=True)  # messages flow from a neighbour to a cell
    expected = sparse(cells, torch.stack([neighbour, to]))
    assert torch.allclose(dense(cells[None], adjacency, mask)[0], expected, atol=1e-12)


def test_the_whole_network_hears_the_graph_as_torch_geometric_does(rng):
    """The embedder's layers, run by GCNConv on edges, pooled by hand."""
    from torch_geometric.nn import GCNConv

    config = KnnGraphConfig(k=5, reference_cells=30, width=6, n_layers=2, embedding=4)
    embedder = KnnGraph(config, ModelShape(n_features=3, treatments=("a",))).double()
    cells = torch.randn(30, 3, generator=rng, dtype=torch.float64)
    mask = torch.ones(1, 30, dtype=torch.bool)
    to, neighbour = knn_adjacency(cells[None], mask, 5, 30)[0].nonzero(as_tuple=True)
    h, seen = cells, [cells]
    for layer in embedder.encoder.layers:
        conv = GCNConv(h.shape[1], 6).double()
        conv.load_state_dict(layer.state_dict())
        h = torch.nn.functional.silu(conv(h, torch.stack([neighbour, to])))
        seen.append(h)
    features = torch.cat(seen, dim=-1)
    pooled = torch.cat([features.mean(0), features.std(0, correction=0)])
    batch = PopulationBatch(cells[None], mask, torch.zeros(1, 30, 0).double(), torch.tensor([-1]))
    # the embedder keeps its roots away from zero by 1e-6 under them
    assert torch.allclose(embedder(batch).vector[0], embedder.out(pooled), atol=1e-4)
