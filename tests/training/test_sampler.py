"""Batches of population pairs."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from cellflow_cli.embedders import ContextNeeds
from cellflow_cli.methods import Needs
from cellflow_cli.rng import stream
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import Condition, PopulationPair


def sampler(pairs, shape, *, n_populations=4, n_cells=16, cells=32, disjoint=False, known_pairs=True):
    needs = Needs(context=ContextNeeds(cells=cells, disjoint=disjoint), known_pairs=known_pairs)
    return PairSampler(pairs, shape, needs, n_populations=n_populations, n_cells=n_cells)


def numbered(make_population, n, **facts):
    population = make_population(n, **facts)
    return replace(population, cells=torch.arange(n, dtype=torch.float32)[:, None].expand(n, 3).clone())


def test_shapes(pairs, shape):
    batch = sampler(pairs, shape).draw(stream(0))
    assert batch.x0.shape == batch.x1.shape == (4, 16, 3)
    assert batch.population.cells.shape == (4, 32, 3)
    assert batch.condition.treatment.shape == batch.condition.dose.shape == batch.n_paired.shape == (4,)
    assert batch.condition.covariates.shape == (4, 2)
    assert not batch.n_paired.any()


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


def partly_paired(make_population, n_source, n_target, n_pairs):
    """Target row 3 i mod n_target is the partner of source row n_source - 1 - i, for the first pairs i."""
    i = torch.arange(n_pairs)
    known = n_source - 1 - i, 3 * i % n_target
    target = numbered(make_population, n_target, condition=Condition("drugB"))
    return PopulationPair(source=numbered(make_population, n_source), target=target, pairs=known)


def drawn_rows(batch):
    return batch.x0[0, :, 0].long(), batch.x1[0, :, 0].long(), int(batch.n_paired[0])


@pytest.mark.parametrize(("n", "n_cells"), [(20, 16), (5, 16), (16, 16)])
def test_where_all_cells_have_a_partner_pairs_alone_are_drawn(make_population, shape, n, n_cells):
    """Rows of pairs in one draw, nothing else of the generator: seeds keep their results."""
    pair = partly_paired(make_population, n, n, n)
    rng, plain = stream(0), stream(0)
    i, j, k = drawn_rows(sampler([pair], shape, n_populations=1, n_cells=n_cells).draw(rng))
    torch.randperm(1, generator=plain)  # the round of one pair
    rows = (
        torch.randperm(n, generator=plain)[:n_cells]
        if n >= n_cells
        else torch.randint(n, (n_cells,), generator=plain)
    )
    torch.randperm(n, generator=plain)  # the context
    assert k == n_cells
    assert torch.equal(i, pair.pairs[0][rows])
    assert torch.equal(j, pair.pairs[1][rows])
    assert torch.equal(rng.get_state(), plain.get_state())


@pytest.mark.parametrize(
    ("n_source", "n_target", "n_pairs"), [(20, 20, 7), (20, 31, 7), (31, 20, 19), (20, 31, 20), (70, 70, 3)]
)
def test_every_cell_is_drawn_equally_often_and_known_pairs_together(
    make_population, shape, n_source, n_target, n_pairs
):
    pair = partly_paired(make_population, n_source, n_target, n_pairs)
    partner = dict(zip(*(rows.tolist() for rows in pair.pairs), strict=True))
    drawing, rng = sampler([pair], shape, n_populations=1), stream(0)
    sources, targets, paired, n_draws = torch.zeros(n_source), torch.zeros(n_target), 0, 2000
    for _ in range(n_draws):
        i, j, k = drawn_rows(drawing.draw(rng))
        assert all(partner[a] == b for a, b in zip(i[:k].tolist(), j[:k].tolist(), strict=True))
        sources += torch.bincount(i, minlength=n_source)
        targets += torch.bincount(j, minlength=n_target)
        paired += k
    # 32,000 rows; at most Poisson, of whose standard deviations none of 140 counts is 5 away
    for counts in (sources, targets):
        assert ((counts - counts.mean()).abs() < 5 * counts.mean().sqrt()).all()
    wanted = 16 * n_draws * n_pairs / max(n_source, n_target)
    assert paired == pytest.approx(wanted, abs=5 * wanted**0.5)


def test_pairs_that_are_not_used_change_nothing(make_population, shape):
    pair = partly_paired(make_population, 20, 31, 7)
    batches = [
        sampler([one], shape, n_populations=1, known_pairs=used).draw(stream(0))
        for one, used in ((pair, False), (replace(pair, pairs=None), True))
    ]
    assert torch.equal(batches[0].x0, batches[1].x0)
    assert torch.equal(batches[0].x1, batches[1].x1)
    assert batches[0].n_paired == batches[1].n_paired == 0


@pytest.mark.parametrize(("n", "overlap"), [(60, False), (40, False), (20, True)])
def test_the_context_is_kept_apart_from_the_cells_that_flow(make_population, shape, n, overlap):
    """16 of n cells flow and 32 are context: where fewer than half of those would be left, all take part."""
    pair = PopulationPair(
        source=numbered(make_population, n),
        target=numbered(make_population, 40, condition=Condition("drugB")),
    )
    batch = sampler([pair], shape, n_populations=1, disjoint=True).draw(stream(0))
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


def test_every_cell_of_a_larger_target_is_drawn(make_population, shape):
    pair = PopulationPair(
        source=numbered(make_population, 5),
        target=numbered(make_population, 40, condition=Condition("drugB")),
    )
    drawing, rng = sampler([pair], shape, n_populations=1), stream(0)
    seen = torch.cat([drawing.draw(rng).x1[0, :, 0] for _ in range(30)])
    assert len(seen.unique()) == 40


def test_each_population_has_its_own_covariates(pairs, shape):
    told = {"S1": [1.0, 0.0], "S2": [0.0, 1.0], "S3": [1.0, 1.0]}
    own = [
        replace(p, source=replace(p.source, covariates=torch.tensor(told[p.source.sample[0]]))) for p in pairs
    ]
    batch = sampler(own, shape).draw(stream(0))
    for label, covariates in zip(batch.population.label.tolist(), batch.condition.covariates, strict=True):
        assert covariates.tolist() == told[shape.samples[label]]
