"""The neighbourhood graph against brute force, and an embedding that stays put as cells are added."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cellflow_cli.embedders import cover
from cellflow_cli.embedders._graph import knn_adjacency
from cellflow_cli.embedders.knn_graph import KnnGraph, KnnGraphConfig
from cellflow_cli.errors import ConfigError
from cellflow_cli.rng import scoped, stream
from cellflow_cli.types import ModelShape, Population


def brute_force(cells: np.ndarray, k: int) -> np.ndarray:
    """Entry (i, j) is one where j is among the k cells nearest to i, itself aside."""
    adjacency = np.zeros((len(cells), len(cells)))
    for i, cell in enumerate(cells):
        distance = np.sqrt(((cells - cell) ** 2).sum(1))
        distance[i] = np.inf
        adjacency[i, np.argsort(distance)[:k]] = 1
    return adjacency


def padded(cells, n_padding, rng):
    """Cells with padded rows strewn among them, the mask, and where the cells are."""
    n, d = cells.shape
    at = torch.randperm(n + n_padding, generator=rng)[:n].sort().values
    wide = torch.zeros(n + n_padding, d, dtype=cells.dtype)
    mask = torch.zeros(n + n_padding, dtype=torch.bool)
    wide[at], mask[at] = cells, True
    return wide, mask, at


@pytest.mark.parametrize("k", [1, 5, 19])
def test_neighbours_are_those_of_brute_force(k, rng, dtype):
    cells = torch.randn(2, 20, 3, generator=rng, dtype=dtype)
    found = knn_adjacency(cells, torch.ones(2, 20, dtype=torch.bool), k, 20)
    for one, adjacency in zip(cells, found, strict=True):
        assert np.array_equal(adjacency.numpy(), brute_force(one.numpy(), k))


def test_no_neighbours_at_k_zero(rng):
    assert not knn_adjacency(
        torch.randn(1, 9, 3, generator=rng), torch.ones(1, 9, dtype=torch.bool), 0, 9
    ).any()


@pytest.mark.parametrize(("n", "k"), [(100, 10), (50, 5), (47, 5), (15, 2), (4, 1), (2, 1)])
def test_neighbours_are_scaled_with_the_number_of_cells(n, k, rng, dtype):
    """Ten of a hundred cells is five of fifty, and never less than one."""
    cells = torch.randn(n, 3, generator=rng, dtype=dtype)
    wide, mask, at = padded(cells, 100 - n, rng)
    adjacency = knn_adjacency(wide[None], mask[None], 10, 100)[0]
    assert np.array_equal(adjacency[at][:, at].numpy(), brute_force(cells.numpy(), k))
    assert adjacency.sum() == n * k  # nothing to or from the padding


def test_a_single_cell_has_nobody(rng):
    wide, mask, _ = padded(torch.randn(1, 3, generator=rng), 7, rng)
    assert not knn_adjacency(wide[None], mask[None], 3, 8).any()


def test_nobody_is_their_own_neighbour_even_among_twins():
    cells = torch.zeros(1, 6, 2)
    adjacency = knn_adjacency(cells, torch.ones(1, 6, dtype=torch.bool), 3, 6)[0]
    assert not adjacency.diagonal().any()
    assert (adjacency.sum(1) == 3).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 256, "reference_cells": 256}, r"fewer neighbours than cells.*k = 256.*reference_cells = 256"),
        ({"k": -1}, "k of at least 0"),
        ({"width": 0}, "sizes of at least 1"),
        ({"embedding": 1}, "embedding of 0 or at least 2, found 1"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        KnnGraphConfig(**settings)


def tissue(n, share, shift, seed):
    """Two cell types in proportions `share`, the second one `shift` away and narrower."""
    rng = stream(seed, "tissue", share, shift)
    second = torch.rand(n, 1, generator=rng) < share
    x = torch.randn(n, 5, generator=rng)
    return Population(sample=("S",), group="S", cells=torch.where(second, 0.5 * x + shift, x))


@pytest.mark.parametrize("k", [0, 10])
def test_the_embedding_of_a_population_does_not_drift_with_its_size(k):
    """20,000 cells as a whole, and in 40 pieces of 500: the same cells, so that chance cancels."""
    with scoped(stream(0, "init")):
        embedder = KnnGraph(KnnGraphConfig(k=k), ModelShape(n_features=5, treatments=("a",))).eval()

    @torch.no_grad()
    def embedding(population):
        blocks = cover(population, embedder.needs.cells, -1, stream(0, "cover"))
        return embedder(blocks).merged().vector[0]

    population = tissue(20_000, 0.3, 2.0, 0)
    whole = embedding(population)
    pieces = torch.stack([embedding(replace(population, cells=c)) for c in population.cells.split(500)])
    others = (tissue(20_000, 0.6, 2.0, 1), tissue(20_000, 0.3, 1.0, 1))
    apart = min((whole - embedding(other)).norm() for other in others)
    # one graph over all cells at a fixed k drifts by a third of that distance from 500 to 3,000 cells
    assert (pieces.mean(0) - whole).norm() < 0.05 * apart
    # and what chance does to 500 cells is small beside it, too
    assert (pieces - whole).norm(dim=1).median() < 0.3 * apart
