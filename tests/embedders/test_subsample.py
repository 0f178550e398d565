"""Subsamples of populations: everyone is in, the order does not matter, nobody is in twice."""

from dataclasses import replace

import pytest
import torch

from cellflow_cli.embedders import canonical_order, cover, draw, one_of_each
from cellflow_cli.rng import stream


def numbered(make_population, n):
    """A population whose first feature tells its cells apart."""
    population = make_population(n)
    cells = population.cells.clone()
    cells[:, 0] = torch.arange(n)
    return replace(population, cells=cells)


def permuted(population, rng):
    order = torch.randperm(len(population.cells), generator=rng)
    return replace(population, cells=population.cells[order], node_features=population.node_features[order])


@pytest.mark.parametrize("n", [10, 11, 19, 20, 25, 101, 640])
def test_a_cover_holds_every_cell(make_population, n):
    batch = cover(numbered(make_population, n), 10, -1, stream(0))
    assert batch.cells.shape == (-(-n // 10), 10, 3)
    assert batch.mask.all()
    assert set(batch.cells[..., 0].flatten().tolist()) == set(range(n))
    for block in batch.cells:
        assert len(set(block[:, 0].tolist())) == 10


def test_few_cells_make_one_subsample(make_population):
    batch = cover(numbered(make_population, 7), 10, 4, stream(0))
    assert batch.cells.shape == (1, 7, 3)
    assert batch.mask.all()
    assert set(batch.cells[0, :, 0].tolist()) == set(range(7))
    assert batch.label.tolist() == [4]


def test_the_smaller_population_of_a_draw_is_padded(make_population):
    populations = [numbered(make_population, n) for n in (7, 9)]
    batch = draw(populations, 10, [0, 1], stream(0))
    assert batch.cells.shape == (2, 9, 3)
    assert batch.mask.sum(-1).tolist() == [7, 9]
    assert batch.mask[0, :7].all()
    assert not batch.cells[0, 7:].any()


def test_one_subsample_of_each_population_whatever_their_order(make_population, rng):
    populations = [numbered(make_population, n) for n in (7, 12)]
    batch = one_of_each(populations, 9, 4, stream(0))
    again = one_of_each([permuted(p, rng) for p in populations], 9, 4, stream(0))
    assert batch.mask.sum(-1).tolist() == [7, 9]
    assert batch.label.tolist() == [4, 4]
    assert len(set(batch.cells[1, :, 0].tolist())) == 9
    assert torch.equal(batch.cells, again.cells)


def test_too_many_cells_are_thinned(make_population):
    batch = cover(numbered(make_population, 500), 10, -1, stream(0), at_most=4)
    assert len(batch.cells) == 4
    seen = batch.cells[..., 0].flatten()
    assert len(set(seen.tolist())) == 40
    assert 150 < seen.mean() < 350  # not the first rows: 249.5 expected, 22 its standard deviation


def test_the_order_of_rows_does_not_matter(make_population, rng):
    population = make_population(57)
    first, second = (cover(p, 10, -1, stream(5)) for p in (population, permuted(population, rng)))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_nor_among_cells_that_differ_in_their_type_alone(make_population, rng):
    population = replace(make_population(50), cells=torch.zeros(50, 3))
    first, second = (cover(p, 10, -1, stream(5)) for p in (population, permuted(population, rng)))
    assert torch.equal(first.node_features, second.node_features)


def test_another_seed_is_another_cover(make_population):
    population = make_population(57)
    assert not torch.equal(
        cover(population, 10, -1, stream(0)).cells, cover(population, 10, -1, stream(1)).cells
    )


def test_rows_keep_their_node_features(make_population):
    population = numbered(make_population, 35)
    batch = cover(population, 10, -1, stream(0))
    rows = batch.cells[..., 0].long()
    assert torch.equal(batch.node_features, population.node_features[rows])


def test_drawing_is_without_replacement(make_population):
    batch = draw([numbered(make_population, 30), numbered(make_population, 12)], 20, [2, -1], stream(0))
    assert batch.cells.shape == (2, 20, 3)
    assert batch.mask.sum(1).tolist() == [20, 12]
    assert batch.label.tolist() == [2, -1]
    for cells, mask, n in zip(batch.cells, batch.mask, (30, 12), strict=True):
        seen = cells[mask][:, 0].tolist()
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(range(n))


def test_every_cell_is_drawn_alike(make_population):
    population, rng = numbered(make_population, 30), stream(0)
    counts = torch.zeros(30)
    for _ in range(600):
        counts[draw([population], 10, [-1], rng).cells[0, :, 0].long()] += 1
    # 200 expected with a standard deviation of sqrt(600 / 3 * 2 / 3) = 12
    assert (counts - 200).abs().max() < 5 * 12


def test_nothing_is_drawn_for_a_method_without_embedder(make_population):
    batch = draw([make_population(30)], 0, [-1], stream(0))
    assert batch.cells.shape == (1, 0, 3)


def test_canonical_order_sorts_by_the_first_feature_first():
    cells = torch.tensor([[1.0, 0.0], [0.0, 5.0], [1.0, -1.0], [0.0, 2.0]])
    assert canonical_order(cells).tolist() == [3, 1, 2, 0]
