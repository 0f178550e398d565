"""OT neighbour, pooled treated cells and shifts per cell type against planted answers."""

import pytest
import torch

from cellflow_cli.baselines import BaselineRequest, ot_neighbour, summarise
from cellflow_cli.baselines.mean_shift_per_type import MeanShiftPerType, MeanShiftPerTypeConfig
from cellflow_cli.baselines.ot_neighbour import OtNeighbour
from cellflow_cli.baselines.pooled_treated import PooledTreated
from cellflow_cli.errors import MetricError, NumericalError
from cellflow_cli.types import Condition, Population, PopulationPair

DRUG = Condition("drug")


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pair(name, x0, x1, group=None, types=(None, None), condition=DRUG):
    facts = {"sample": (name,), "group": group or name}
    features = [{} if t is None else {"node_features": t} for t in types]
    return PopulationPair(
        source=Population(**facts, cells=x0, **features[0]),
        target=Population(**facts, cells=x1, condition=condition, **features[1]),
    )


def summaries_of(*pairs, **more):
    d = pairs[0].source.cells.shape[1]
    return summarise(pairs, more.pop("scale", torch.ones(d)), torch.Generator().manual_seed(0), **more)


def predict(baseline, control, summaries, seed=0, **more):
    request = BaselineRequest(control=control, sample="P9", condition=DRUG, **more)
    return baseline.predict(request, summaries, torch.Generator().manual_seed(seed))


def shuffled(cells, seed):
    return cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))]


def monotone(x):
    """The gradient of a convex function: optimal for the squared cost wherever it starts from."""
    return 0.5 * x.exp() + x


def test_the_planted_permutation_comes_back():
    x0 = 0.5 * draw(80, 3)
    summaries = summaries_of(pair("P1", x0, shuffled(monotone(x0), 1)))
    torch.testing.assert_close(predict(OtNeighbour(), x0, summaries), monotone(x0), rtol=1e-6, atol=1e-6)


def test_cells_are_looked_up_relative_to_their_own_sample():
    x0 = 0.5 * draw(60, 3)
    offset = torch.tensor([40.0, -3.0, 7.0], dtype=torch.float64)
    summaries = summaries_of(pair("P1", x0, shuffled(monotone(x0), 1)))
    there = predict(OtNeighbour(), x0 + offset, summaries)
    torch.testing.assert_close(there, monotone(x0) + offset, rtol=1e-6, atol=1e-5)
    # Some cells of that population alone, told where its centre is: the same cells move the same way.
    some = predict(OtNeighbour(), x0[:7] + offset, summaries, population=x0 + offset)
    torch.testing.assert_close(some, there[:7])


def test_the_nearest_of_several_samples_gives_its_displacement():
    left, right = draw(30, 2) * 0.1, draw(30, 2, seed=1) * 0.1
    left, right = left - left.mean(0), right - right.mean(0)
    grid = torch.tensor([[-5.0, 0], [5, 0]], dtype=torch.float64)
    first = torch.cat([left + grid[0], right + grid[1]])
    up, down = torch.tensor([0.0, 2]).double(), torch.tensor([0.0, -2]).double()
    moved = torch.cat([left + grid[0] + up, right + grid[1] + down])
    summaries = summaries_of(pair("P1", first, moved), pair("P2", first + 100, moved + 100))
    control = torch.cat([grid, grid])
    shift = predict(OtNeighbour(), control, summaries) - control
    torch.testing.assert_close(shift, torch.stack([up, down, up, down]), rtol=1e-6, atol=1e-5)


def test_features_count_by_their_training_spread():
    x0 = draw(50, 2)
    units = torch.tensor([1.0, 1e4], dtype=torch.float64)
    x1 = 2 * draw(50, 2, seed=8)  # units would change which cells are paired
    control = draw(20, 2, seed=5)
    plain = predict(OtNeighbour(), control, summaries_of(pair("P1", x0, x1)))
    scaled = predict(
        OtNeighbour(), control * units, summaries_of(pair("P1", x0 * units, x1 * units), scale=units)
    )
    torch.testing.assert_close(scaled / units, plain, rtol=1e-5, atol=1e-5)


def test_blocks_and_memory_of_pairings_change_nothing(monkeypatch):
    summaries = summaries_of(*(pair(f"P{i}", draw(40, 3, seed=i), draw(50, 3, seed=i + 9)) for i in range(3)))
    control, baseline = draw(60, 3, seed=7), OtNeighbour()
    whole = predict(baseline, control, summaries)
    monkeypatch.setattr(ot_neighbour, "_ENTRIES", 1000)
    assert torch.equal(predict(baseline, control, summaries), whole)
    other = summaries_of(pair("P1", draw(40, 3), draw(40, 3) + 9))
    again = predict(baseline, control, other)
    torch.testing.assert_close(again, control + 9, rtol=1e-6, atol=1e-5)


def test_populations_of_different_sizes_are_paired_too():
    """Each control cell has twins among the treated ones: whichever it draws, it moves by one."""
    x0 = draw(30, 2)
    twins = torch.cat([x0 + 1, x0 + 1])
    summaries = summaries_of(pair("P1", x0, shuffled(twins, 3)))
    torch.testing.assert_close(predict(OtNeighbour(), x0, summaries), x0 + 1, rtol=1e-6, atol=1e-5)


def test_a_solver_that_stops_early_is_a_reason(monkeypatch):
    def stop(*_):
        raise NumericalError("Expected an optimal plan, found none.")

    monkeypatch.setattr(ot_neighbour.ExactOT, "sample", stop)
    summaries = summaries_of(pair("P1", draw(40, 3), draw(40, 3, seed=1)))
    with pytest.raises(MetricError, match="The training cells were not paired"):
        predict(OtNeighbour(), draw(5, 3), summaries)


def test_pooled_cells_are_treated_cells_of_every_population_alike():
    pairs = [pair(f"P{i}", draw(10, 1), torch.full((n, 1), float(i))) for i, n in enumerate((5, 50, 200))]
    drawn = predict(PooledTreated(), draw(90, 1), summaries_of(*pairs))
    assert torch.bincount(drawn.flatten().long()).tolist() == [30, 30, 30]
    assert (drawn.flatten().diff() != 0).any()
    counts = torch.bincount(predict(PooledTreated(), draw(91, 1), summaries_of(*pairs)).flatten().long())
    assert sorted(counts.tolist()) == [30, 30, 31]


def test_pooled_cells_repeat_no_more_than_they_must():
    cells = torch.arange(20.0)[:, None]
    summaries = summaries_of(pair("P1", draw(10, 1), cells))
    assert predict(PooledTreated(), draw(20, 1), summaries).flatten().sort().values.tolist() == list(
        range(20)
    )
    counts = torch.bincount(predict(PooledTreated(), draw(50, 1), summaries).flatten().long())
    assert set(counts.tolist()) == {2, 3}
    one, other = (predict(PooledTreated(), draw(20, 1), summaries, seed=s) for s in (0, 1))
    assert not torch.equal(one, other)


def typed_pair(name, n, shifts, group=None):
    """n cells per type; type q moves by `shifts[q]` and the types start far from each other."""
    q = len(shifts)
    hot = torch.eye(q).repeat_interleave(n, 0)
    x0 = draw(n * q, 2, seed=len(name) + n) + 10 * hot.argmax(1, keepdim=True)
    x1 = x0 + torch.tensor(shifts, dtype=torch.float64).repeat_interleave(n)[:, None]
    return pair(name, x0, x1, group, (hot, hot))


def test_each_type_moves_by_its_own_shift():
    summaries = summaries_of(
        typed_pair("P1a", 8, [1.0, 5.0], "P1"),
        typed_pair("P1b", 90, [3.0, 5.0], "P1"),  # same weight within P1
        typed_pair("P2", 30, [8.0, -1.0]),
        cell_types=("B", "T"),
    )
    baseline = MeanShiftPerType(MeanShiftPerTypeConfig())
    control = draw(3, 2)
    shift = predict(baseline, control, summaries, cell_types=("T", "B", "unheard of")) - control
    # B: P1 2, P2 8; T: 5 and -1; all cells: the mean of both types.
    torch.testing.assert_close(
        shift, torch.tensor([2.0, 5.0, 3.5]).double()[:, None].expand(3, 2), rtol=1e-6, atol=1e-6
    )


def test_samples_with_few_cells_of_a_type_do_not_count():
    summaries = summaries_of(
        typed_pair("P1", 4, [100.0, 0.0]), typed_pair("P2", 30, [8.0, -1.0]), cell_types=("B", "T")
    )
    control = draw(1, 2)
    for least, expected in ((5, 8.0), (4, 54.0)):
        baseline = MeanShiftPerType(MeanShiftPerTypeConfig(min_cells=least))
        shift = predict(baseline, control, summaries, cell_types=("B",)) - control
        torch.testing.assert_close(shift, torch.full_like(shift, expected), rtol=1e-6, atol=1e-5)


def test_without_cell_types_it_says_so():
    baseline = MeanShiftPerType(MeanShiftPerTypeConfig())
    untyped = summaries_of(pair("P1", draw(10, 2), draw(10, 2)))
    with pytest.raises(MetricError, match=r"cell types in the training summaries.*--cell-type-key"):
        predict(baseline, draw(3, 2), untyped, cell_types=("B", "B", "T"))
    typed = summaries_of(typed_pair("P1", 10, [1.0, 2.0]), cell_types=("B", "T"))
    with pytest.raises(MetricError, match="cell types of the control cells, found none"):
        predict(baseline, draw(3, 2), typed)
    with pytest.raises(ValueError, match="2 cell types for 3 cells"):
        predict(baseline, draw(3, 2), typed, cell_types=("B", "T"))
    with pytest.raises(ValueError, match="min_cells"):
        MeanShiftPerTypeConfig(min_cells=0)
