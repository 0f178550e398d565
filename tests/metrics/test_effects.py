"""Differential features, direction and discrimination against planted effects."""

import pytest
import torch

from cellflow_cli.metrics import Comparison
from cellflow_cli.metrics.de_overlap import de_overlap
from cellflow_cli.metrics.direction import direction
from cellflow_cli.metrics.discrimination import discrimination
from cellflow_cli.metrics.variance_ratio import variance_ratio
from cellflow_cli.metrics.variance_ratio_genes import variance_ratio_genes


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise(n, g, seed):
    """Cells whose mean is zero and whose variance is one in every feature, exactly."""
    cells = draw(n, g, seed=seed)
    cells = cells - cells.mean(0)
    return cells / cells.std(0)


def effects(predicted, target, n=50):
    """A comparison whose mean changes are exactly the given ones, of variance one."""
    predicted, target = (torch.as_tensor(change, dtype=torch.float64) for change in (predicted, target))
    g = len(target)
    return Comparison(
        predicted=noise(n, g, 1) + predicted, target=noise(n, g, 2) + target, control=noise(n, g, 3) + 7 - 7
    )


def ramp(g, largest):
    """Changes that fall from `largest` in equal steps: the first features are the most differential."""
    return largest * (1 - torch.arange(g) / g)


def test_overlap_counts_the_shared_top_features():
    g = 400
    target = ramp(g, 20.0)
    predicted = target.clone()
    predicted[:5] = 0.001  # 5 of the first 20, 50 and 100 are missed; the next ones move up
    value, remark = de_overlap(effects(predicted, target))
    assert value == pytest.approx((15 / 20 + 45 / 50 + 95 / 100) / 3)
    assert remark.startswith("0.75 at 20 (by chance 0.05), 0.90 at 50 (by chance 0.12), 0.95 at 100")
    assert "of 400 features differ" in remark


@pytest.mark.parametrize(("g", "sizes"), [(400, 3), (399, 2), (200, 2), (80, 1), (79, 1)])
def test_sets_hold_a_quarter_of_the_features_at_most(g, sizes):
    assert de_overlap(effects(ramp(g, 20.0), ramp(g, 20.0))).reason.count("by chance") == sizes


def test_a_small_panel_has_one_set_of_a_quarter():
    target = ramp(24, 20.0)
    predicted = target.clone()
    predicted[:2] = 0
    value, remark = de_overlap(effects(predicted, target))
    assert value == pytest.approx(4 / 6)
    assert "0.67 at 6 (by chance 0.25)" in remark


def test_sets_are_no_larger_than_what_differs():
    target = torch.zeros(24)
    target[[3, 8]] = 10.0
    predicted = torch.zeros(24)
    predicted[[8, 3, 5]] = torch.tensor([10.0, 0.0, 5.0])
    value, remark = de_overlap(effects(predicted, target))
    assert value == pytest.approx(1 / 2)
    assert "at 2" in remark
    assert "2 of 24 features differ" in remark


def test_features_that_do_not_move_are_not_found():
    """Controls as they are change nothing, so that the order of the features must not help them."""
    comparison = effects(torch.zeros(24), ramp(24, 20.0))
    still = Comparison(
        predicted=comparison.control, target=comparison.target, control=comparison.control.flip(0)
    )
    assert de_overlap(still).value == 0
    assert direction(still).value == 0.5


def test_direction_is_the_share_of_right_signs_among_what_differs():
    target = torch.zeros(10)
    target[:4] = torch.tensor([5.0, -5, 5, -5])
    predicted = torch.tensor([0.1, -9, -1, -2] + [100.0] * 6)
    value, remark = direction(effects(predicted, target))
    assert value == pytest.approx(3 / 4)
    assert remark == "over 4 of 10 features that differ"


def test_nothing_differs_nothing_to_agree_with():
    comparison = effects(torch.ones(10), torch.zeros(10))
    for metric in (de_overlap, direction):
        value, reason = metric(comparison)
        assert value is None
        assert reason.startswith("none of 10 features differs between target and control")
    assert de_overlap(effects([1.0] * 3, [9.0] * 3)) == (None, "needs four features or more, found 3")


def test_one_cell_has_no_variance():
    comparison = Comparison(predicted=draw(5, 8), target=draw(1, 8), control=draw(5, 8))
    for metric in (de_overlap, direction):
        assert metric(comparison).reason == "needs two target and two control cells or more, found 1 and 5"


def test_the_spread_of_predicted_cells_does_not_rank_features():
    """As after a decoder that keeps nothing of the variance of some features."""
    target = ramp(40, 20.0)
    comparison = effects(target, target)
    narrow = torch.where(torch.arange(40) % 3 == 0, 1e-6, 1.0)
    squeezed = target + narrow * (comparison.predicted - target)
    again = Comparison(predicted=squeezed, target=comparison.target, control=comparison.control)
    assert de_overlap(again) == de_overlap(comparison)
    assert de_overlap(again).value == 1
    mean = Comparison(predicted=target[None].double(), target=comparison.target, control=comparison.control)
    assert de_overlap(mean).value == 1


def test_features_that_hardly_vary_do_not_lead_the_ranking():
    """A gene that one cell in fifty expresses: tiny errors make tiny predicted changes look large."""
    target = ramp(40, 20.0)
    comparison = effects(target, target)
    cells = {role: getattr(comparison, role).clone() for role in ("predicted", "target", "control")}
    for c in cells.values():
        c[:, 20:] = 0
    cells["target"][0, 20:] = 1e-3
    cells["predicted"][:, 20:] = 0.01  # what a decoder makes of zero
    value, remark = de_overlap(Comparison(**cells))
    assert value == 1
    assert "at 10" in remark


def test_constant_features_differ_or_not():
    target, control = noise(30, 8, 1), noise(30, 8, 2)
    target[:, 0], control[:, 0] = 0.3, 0.1  # certain
    target[:, 1], control[:, 1] = 0.1, 0.1  # certainly not
    value, remark = direction(Comparison(predicted=target, target=target, control=control))
    assert value == 1
    assert remark == "over 1 of 8 features that differ"


def compared(predicted, target, others):
    """Mean cells at the given places, each of 20 cells of variance one in two features."""
    cells = {"predicted": noise(20, 2, 1) + torch.tensor(predicted), "target": noise(20, 2, 2)}
    cells["target"] = cells["target"] + torch.tensor(target)
    others = None if others is None else torch.tensor(others).reshape(-1, 2)
    errors = None if others is None else torch.full((len(others),), 2 / 20, dtype=torch.float64)
    return Comparison(**cells, control=noise(20, 2, 3), other_targets=others, other_errors=errors)


@pytest.mark.parametrize(
    ("predicted", "value", "rank"),
    [([4.0, 0.0], 1.0, "1"), ([1.5, 0.0], 2 / 3, "2"), ([-9.0, 0.0], 0.0, "4"), ([4.0, -4.0], 5 / 6, "1.5")],
)
def test_discrimination_ranks_the_right_condition(predicted, value, rank):
    # The right one is at (4, 0); at (4, -4) it is as far away as the one at (0, -4).
    found = discrimination(compared(predicted, [4.0, 0.0], [[0.0, -4.0], [1.0, 1.0], [-4.0, 0.0]]))
    assert found.value == pytest.approx(value)
    assert found.reason == f"rank {rank} of 4 conditions; 0.5 by chance"


def test_a_condition_of_few_cells_is_not_further_away_for_that():
    """All conditions are the same; the own mean is of 10 cells, those of the others of 1,000."""
    found = []
    for seed in range(200):
        cells = [draw(n, 20, seed=1000 * seed + i) for i, n in enumerate([1000, 10, *[1000] * 3])]
        others = torch.stack([c.mean(0) for c in cells[2:]])
        errors = torch.stack([c.var(0).sum() / len(c) for c in cells[2:]])
        given = Comparison(
            predicted=cells[0], target=cells[1], control=cells[0], other_targets=others, other_errors=errors
        )
        found.append(discrimination(given).value)
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.1)


def test_discrimination_by_chance_is_one_half():
    """Each condition as the prediction of every condition: ranks are a permutation."""
    places = [[0.0, 0.0], [1.0, 0.3], [-2.0, 5.0], [3.0, 3.0], [0.5, -7.0]]
    predicted = [0.7, 1.9]
    scores = [
        discrimination(compared(predicted, own, [p for p in places if p is not own])).value for own in places
    ]
    assert sum(scores) / len(scores) == pytest.approx(0.5)
    assert sorted(scores) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_one_condition_cannot_be_told_from_others():
    for others in (None, []):
        value, reason = discrimination(compared([0.0, 0.0], [1.0, 1.0], others))
        assert value is None
        assert reason == "needs a second measured condition of the sample, found this one alone"


def test_variance_ratio_of_genes_looks_at_genes():
    flow, genes = noise(40, 2, 1), noise(40, 6, 2)
    comparison = Comparison(
        predicted=2 * flow, target=flow, control=flow,
        predicted_genes=0.5 * genes, target_genes=genes, control_genes=genes,
    )  # fmt: skip
    assert variance_ratio(comparison).value == pytest.approx(4)
    assert variance_ratio_genes(comparison).value == pytest.approx(0.25)
