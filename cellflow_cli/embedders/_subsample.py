"""Populations of any size as subsamples of one size, so that an embedding does not drift with n.

The radius that holds k neighbours shrinks as cells are added, and with it everything a graph
network computes. An embedder therefore only ever sees `size` cells at a time; a larger population
is covered by several subsamples whose contexts are merged.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.types import Population, PopulationBatch, StoredPopulation


def draw(
    populations: Sequence[StoredPopulation],
    size: int,
    labels: Sequence[int],
    rng: torch.Generator,
    excluded: Sequence[Int[Tensor, " _k"]] | None = None,
) -> PopulationBatch:
    """One random subsample of each population, without replacement, padded to the largest.

    Args:
        populations: b populations.
        size: m, cells per subsample.
        labels: Code of each population's sample, -1 where it was never trained on.
        rng: Drawn from once per population.
        excluded: Rows of each population to leave out, wherever that leaves at least half of the cells
            that the subsample would have.
    """
    rows = [torch.randperm(p.n_cells, generator=rng) for p in populations]
    if excluded is not None:
        rows = [_excluding(order, taken, size) for order, taken in zip(rows, excluded, strict=True)]
    return _stack([p.draw(order[:size]) for p, order in zip(populations, rows, strict=True)], labels)


def _excluding(order: Int[Tensor, " n"], taken: Int[Tensor, " _k"], size: int) -> Int[Tensor, " _m"]:
    others = order[~torch.isin(order, taken)]
    return others if 2 * len(others) >= min(size, len(order)) else order


def cover(
    population: Population, size: int, label: int, rng: torch.Generator, at_most: int = 64
) -> PopulationBatch:
    """Subsamples of `size` cells that together hold every cell (up to `at_most` of them).

    The order of the cells does not matter: they are put into a canonical order before drawing.

    Args:
        population: Any number of cells; fewer than `size` make one subsample of all of them.
        size: m, cells per subsample.
        label: Code of the sample, -1 where it was never trained on.
        rng: Decides which cells share a subsample.
        at_most: Maximum number of subsamples; a population above `at_most * size` cells is thinned.
    """
    n, order = len(population.cells), _shuffled(population, rng)
    if n <= size:
        return _stack([population.draw(order)], [label])
    count = min(math.ceil(n / size), at_most)
    starts = torch.linspace(0, min(n, count * size) - size, count).round().long()
    subsamples = [population.draw(order[start : start + size]) for start in starts.tolist()]
    return _stack(subsamples, [label] * count)


def one_of_each(
    populations: Sequence[Population], size: int, label: int, rng: torch.Generator
) -> PopulationBatch:
    """One subsample of each of several populations, whatever the order of their cells.

    Args:
        populations: b populations.
        size: m, cells per subsample; of a smaller population all of them.
        label: Code of the sample, -1 where it was never trained on.
        rng: Decides which cells are taken.
    """
    subsamples = [population.draw(_shuffled(population, rng)[:size]) for population in populations]
    return _stack(subsamples, [label] * len(populations))


def _shuffled(population: Population, rng: torch.Generator) -> Int[Tensor, " n"]:
    values = population.cells
    if population.node_features.shape[-1]:  # cells may agree in all features and differ in these
        values = torch.cat([values, population.node_features.to(values)], dim=-1)
    return canonical_order(values)[torch.randperm(len(values), generator=rng)]


def canonical_order(cells: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """Rows sorted by their values, first feature first, shape [n]: the same for any order of input."""
    values = cells.detach().cpu().numpy()
    return torch.from_numpy(np.lexsort(values.T[::-1]))


def _stack(subsamples: Sequence[Population], labels: Sequence[int]) -> PopulationBatch:
    """Subsamples side by side, padded to the largest."""
    first = subsamples[0].cells
    b, d, q = len(subsamples), first.shape[1], subsamples[0].node_features.shape[-1]
    size = max(part.n_cells for part in subsamples)
    cells = first.new_zeros(b, size, d)
    node_features = first.new_zeros(b, size, q)
    mask = torch.zeros(b, size, dtype=torch.bool, device=first.device)
    for i, part in enumerate(subsamples):
        k = part.n_cells
        cells[i, :k] = part.cells
        mask[i, :k] = True
        node_features[i, :k] = part.node_features
    label = torch.tensor(labels, dtype=torch.int64, device=first.device)
    return PopulationBatch(cells, mask, node_features, label)
