"""Batches of population pairs."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from cellflow_cli.rng import stream
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, PopulationPair


def sampler(pairs, shape, **settings):
    sizes = {"n_populations": 4, "n_cells": 16, "context_cells": 32, **settings}
    return PairSampler(pairs, shape, **sizes)


def numbered(make_population, n, **facts):
    population = make_population(n, **facts)
    return replace(population, cells=torch.arange(n, dtype=torch.float32)[:, None].expand(n, 3).clone())


def test_shapes(pairs, shape):
    batch = sampler(pairs, shape).draw(stream(0))
    assert batch.x0.shape == batch.x1.shape == (4, 16, 3)
    assert batch.population.cells.shape == (4, 32, 3)
    assert batch.condition.treatment.shape == batch.condition.dose.shape == batch.paired.shape == (4,)
    assert batch.condition.covariates.shape == (4, 2)
    assert not batch.paired.any()


def test_pairs_are_visited_in_rounds(pairs, shape):
    """After any whole number of rounds each of the six pairs was seen equally often."""
    drawing, rng, seen = sampler(pairs, shape, n_populations=4), stream(0), Counter()
    for _ in range(9):
        batch = drawing.draw(rng)
        seen.update(zip(batch.population.label.tolist(), batch.condition.treatment.tolist(), strict=True))
    assert sorted(seen.values()) == [6] * 6


def test_source_target_condition_and_population_belong_together(make_population, shape):
    """Each sample lives in a range of its own."""
    pairs = []
    for i, (sample, condition) in enumerate([("S1", Condition("drugA", 1.0)), ("S2", Condition("drugB"))]):
        source = make_population(20, shift=100 * i, sample=sample)
        target = make_population(20, shift=100 * i + 30, sample=sample, condition=condition)
        pairs.append(PopulationPair(source=source, target=target))
    batch = sampler(pairs, shape, n_populations=2).draw(stream(0))
    for k, code in enumerate(batch.condition.treatment.tolist()):
        assert batch.x0[k].mean() == pytest.approx(100 * code, abs=5)
        assert batch.x1[k].mean() == pytest.approx(100 * code + 30, abs=5)
        assert batch.population.cells[k][batch.population.mask[k]].mean() == pytest.approx(100 * code, abs=5)
        assert batch.population.label[k] == code
        assert batch.condition.dose[k].isnan() == bool(code)


def test_large_populations_are_drawn_without_replacement(make_population, shape):
    pair = PopulationPair(
        source=numbered(make_population, 20),
        target=numbered(make_population, 16, condition=Condition("drugB")),
    )
    batch = sampler([pair], shape, n_populations=1).draw(stream(0))
    assert len(batch.x0[0, :, 0].unique()) == 16
    assert len(batch.x1[0, :, 0].unique()) == 16


def test_small_populations_are_drawn_with_replacement(make_population, shape):
    pair = PopulationPair(
        source=numbered(make_population, 5),
        target=numbered(make_population, 40, condition=Condition("drugB")),
    )
    drawing, rng, counts = sampler([pair], shape, n_populations=1), stream(0), torch.zeros(5)
    for _ in range(200):
        drawn = drawing.draw(rng).x0[0, :, 0]
        assert drawn.shape == (16,)
        counts += torch.bincount(drawn.long(), minlength=5)
    # 640 each expected, with a standard deviation of sqrt(3200 / 5 * 4 / 5) = 23
    assert (counts - 640).abs().max() < 5 * 23


def test_known_pairs_are_kept(make_population, shape):
    target = numbered(make_population, 30, condition=Condition("drugB"))
    known = torch.tensor([3, 1, 7, 8, 0]), torch.tensor([10, 20, 21, 5, 6])
    pair = PopulationPair(source=numbered(make_population, 20), target=target, pairs=known)
    batch = sampler([pair], shape, n_populations=1).draw(stream(0))
    assert batch.paired.all()
    wanted = dict(zip(known[0].tolist(), known[1].tolist(), strict=True))
    drawn = list(zip(batch.x0[0, :, 0].tolist(), batch.x1[0, :, 0].tolist(), strict=True))
    assert len(drawn) == 16
    assert all(wanted[i] == j for i, j in drawn)
    assert {i for i, _ in drawn} <= set(wanted)


@pytest.mark.parametrize(("n", "overlap"), [(60, False), (40, False), (20, True)])
def test_the_context_is_kept_apart_from_the_cells_that_flow(make_population, shape, n, overlap):
    """16 of n cells flow and 32 are context: where fewer than half of those would be left, all take part."""
    pair = PopulationPair(
        source=numbered(make_population, n),
        target=numbered(make_population, 40, condition=Condition("drugB")),
    )
    batch = sampler([pair], shape, n_populations=1, apart=True).draw(stream(0))
    context = batch.population.cells[0][batch.population.mask[0]][:, 0]
    shared = set(batch.x0[0, :, 0].tolist()) & set(context.tolist())
    assert bool(shared) == overlap
    assert len(context) == {60: 32, 40: 24, 20: 20}[n]


def test_same_generator_same_batches(pairs, shape):
    first, again = (sampler(pairs, shape).draw(stream(3)) for _ in range(2))
    assert torch.equal(first.x0, again.x0)
    assert torch.equal(first.population.cells, again.population.cells)


def test_samples_never_trained_on_have_no_label(pairs, shape):
    known = replace(shape, samples=("S2",))
    labels = sampler(pairs, known, n_populations=6).draw(stream(0)).population.label
    assert sorted(labels.tolist()) == [-1, -1, -1, -1, 0, 0]


def test_nothing_to_draw_from_is_refused(shape):
    with pytest.raises(ValueError, match="no population pairs"):
        sampler([], shape)
