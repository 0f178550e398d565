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

from cellflow_cli.types import Population, PopulationBatch


def draw(
    populations: Sequence[Population],
    size: int,
    labels: Sequence[int],
    rng: torch.Generator,
    without: Sequence[Int[Tensor, " _k"]] | None = None,
) -> PopulationBatch:
    """One random subsample of each population, without replacement, padded to the largest.

    Args:
        populations: b populations.
        size: m, cells per subsample.
        labels: Code of each population's sample, -1 where it was never trained on.
        rng: Drawn from once per population.
        without: Rows of each population to leave out, wherever that leaves at least half of the cells
            that the subsample would have.
    """
    rows = [torch.randperm(len(p.cells), generator=rng) for p in populations]
    if without is not None:
        rows = [_without(order, taken, size) for order, taken in zip(rows, without, strict=True)]
    return _stack(populations, [order[:size] for order in rows], labels)


def _without(order: Int[Tensor, " n"], taken: Int[Tensor, " _k"], size: int) -> Int[Tensor, " _m"]:
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
        at_most: Most subsamples; a population above `at_most * size` cells is thinned.
    """
    n, order = len(population.cells), _shuffled(population, rng)
    if n <= size:
        return _stack([population], [order], [label])
    count = min(math.ceil(n / size), at_most)
    starts = torch.linspace(0, min(n, count * size) - size, count).round().long()
    rows = [order[start : start + size] for start in starts.tolist()]
    return _stack([population] * count, rows, [label] * count)


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
    rows = [_shuffled(population, rng)[:size] for population in populations]
    return _stack(populations, rows, [label] * len(populations))


def _shuffled(population: Population, rng: torch.Generator) -> Int[Tensor, " n"]:
    known = population.cells
    if population.node_features.shape[-1]:  # cells may agree in all features and differ in these
        known = torch.cat([known, population.node_features.to(known)], dim=-1)
    return canonical_order(known)[torch.randperm(len(known), generator=rng)]


def canonical_order(cells: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """Rows sorted by their values, first feature first, shape [n]: the same for any order of input."""
    values = cells.detach().cpu().numpy()
    return torch.from_numpy(np.lexsort(values.T[::-1]))


def _stack(
    populations: Sequence[Population], rows: Sequence[Int[Tensor, " _k"]], labels: Sequence[int]
) -> PopulationBatch:
    first = populations[0].cells
    b, d, q = len(populations), first.shape[1], populations[0].node_features.shape[-1]
    size = max(map(len, rows))
    cells = first.new_zeros(b, size, d)
    node_features = first.new_zeros(b, size, q)
    mask = torch.zeros(b, size, dtype=torch.bool, device=first.device)
    for i, (population, index) in enumerate(zip(populations, rows, strict=True)):
        k = len(index)
        index = index.to(first.device)
        cells[i, :k] = population.cells[index]
        mask[i, :k] = True
        if q:
            node_features[i, :k] = population.node_features[index]
    label = torch.tensor(labels, dtype=torch.int64, device=first.device)
    return PopulationBatch(cells, mask, node_features, label)
