"""The facts of the verdict on planted scores; its sentences are tested with the report."""

from dataclasses import replace

import numpy as np
import pytest

from cellflow_cli.statistics.baseline_ranking import floor_beside, rank_baselines
from cellflow_cli.statistics.best import winners
from cellflow_cli.statistics.means import Count
from cellflow_cli.statistics.verdict import Verdict, reach_verdict
from tests.statistics.planted import make_scores, without


def verdict_of(scores):
    return reach_verdict(scores.summary())


def outcome(verdict):
    return verdict.outcome, verdict.certain, verdict.best and verdict.best.baseline


def test_the_model_wins():
    verdict = verdict_of(make_scores(identity=0.6, mean_shift=0.1, ridge=0.05))
    assert outcome(verdict) == ("better", True, "ridge")
    assert [one.baseline for one in verdict.baselines] == ["ridge", "mean-shift", "identity"]
    # means over groups: 0.2 + 0.01 * 3.5 + 0.01 and 0.05 more
    best = verdict.best
    assert (best.model, best.value, best.difference) == pytest.approx((0.245, 0.295, -0.05))
    assert best.interval == pytest.approx((-0.05, -0.05))
    assert best.lead_interval == pytest.approx((0.05, 0.05))
    assert best.better == Count(8, 8)
    assert (best.n_missing, best.covers, verdict.others_ahead) == (0, True, ())


def test_the_model_loses():
    verdict = verdict_of(make_scores(identity=0.6, mean_shift=-0.1, ridge=-0.02))
    assert outcome(verdict) == ("worse", True, "mean-shift")
    assert verdict.best.better == Count(0, 8)
    assert verdict.others_ahead == ("ridge",)


def test_where_high_is_best_a_positive_difference_is_a_lead():
    scores = make_scores(mean_shift=-0.1, ridge=0.1, metrics=("r2-mean",))
    verdict = verdict_of(scores)
    assert outcome(verdict) == ("worse", True, "ridge")
    assert [one.lead for one in verdict.baselines] == pytest.approx([-0.1, 0.1])
    assert verdict.baselines[1].interval == pytest.approx((0.1, 0.1))


def test_gains_and_losses_that_cancel_decide_nothing():
    gaps = np.array([0.1, -0.1] * 4)
    for shift in (0.001, -0.001):
        verdict = verdict_of(make_scores(mean_shift=gaps + shift))
        assert outcome(verdict) == ("inconclusive", False, "mean-shift")
        assert verdict.best.better == Count(4, 8)
        low, high = verdict.best.interval
        assert low < 0 < high


def test_a_tie():
    verdict = verdict_of(make_scores(mean_shift=0.0))
    assert outcome(verdict) == ("inconclusive", False, "mean-shift")
    assert verdict.best.lead == 0


@pytest.mark.parametrize(
    ("gap", "expected"),
    [(0.1, "better"), (-0.1, "worse"), ([0.1, -0.2, 0.1, 0.1], "inconclusive"), (0.0, "inconclusive")],
)
def test_below_six_groups_all_of_them_have_to_agree(gap, expected):
    verdict = verdict_of(make_scores(groups=4, mean_shift=gap))
    assert outcome(verdict) == (expected, False, "mean-shift")
    assert verdict.best.interval is None


def test_one_group_decides_nothing():
    assert verdict_of(make_scores(groups=1, mean_shift=0.1)).outcome == "inconclusive"


def test_a_baseline_that_lacks_one_population_is_still_the_best():
    """Were it left out, the model would beat the next one and be called better."""
    scores = make_scores(groups=4, identity=0.6, ridge=-0.1)
    verdict = verdict_of(without(scores, "ridge", lambda line: line["sample"] == "P0" and line["dose"] == 1))
    assert outcome(verdict) == ("worse", False, "ridge")
    assert verdict.best.n_missing == 1


def test_a_baseline_on_few_populations_is_not_the_best_but_spoils_a_win():
    scores = make_scores(groups=8, identity=0.6, ridge=-0.1)
    verdict = verdict_of(without(scores, "ridge", lambda line: line["group"] != "P0"))
    assert outcome(verdict) == ("inconclusive", False, "identity")
    assert verdict.others_ahead == ("ridge",)
    assert [one.covers for one in verdict.baselines] == [True, False]


def test_both_numbers_are_means_over_the_same_populations():
    """Without its worst groups the model's mean would be lower than that of a baseline which is better."""
    scores = without(make_scores(ridge=-0.02), "model", lambda line: line["group"] in ("P5", "P6", "P7"))
    verdict = verdict_of(scores)
    assert (verdict.best.model, verdict.best.value) == pytest.approx((0.23, 0.21))
    assert winners(scores.summary(), "energy") == set()  # means over different populations are no contest
    assert winners(make_scores(ridge=-0.02).summary(), "energy") == {"ridge"}


def test_groups_seen_in_training_are_in_no_mean():
    scores = make_scores(groups=4, mean_shift=[-0.5, -0.5, 0.1, 0.1])
    summary = replace(scores, seen_in_training=("P0", "P1")).summary()
    assert summary.predictors["mean-shift"]["energy"].n_groups == 2
    assert summary.better_than["mean-shift"]["energy"] == Count(2, 2)
    assert (list(summary.groups), list(summary.seen_groups)) == (["P2", "P3"], ["P0", "P1"])
    assert summary.seen_groups["P0"]["model"]["energy"] == pytest.approx(0.21)
    assert summary.n_conditions == 4
    assert reach_verdict(summary).outcome == "better"


def test_groups_that_were_trained_on_are_no_test():
    scores = make_scores(groups=6, mean_shift=0.1)
    verdict = verdict_of(replace(scores, seen_in_training=tuple(f"P{i}" for i in range(6))))
    assert outcome(verdict) == ("not-a-test", False, "mean-shift")


def test_another_metric_stands_in_for_a_missing_one():
    absent = [(name, "energy") for name in ("model", "mean-shift", "floor")]
    assert verdict_of(make_scores(mean_shift=0.1, missing=absent)).metric == "w1"
    assert verdict_of(make_scores(mean_shift=0.1, metrics=("w1",))).metric == "w1"


@pytest.mark.parametrize(
    ("planted", "metric"),
    [
        ({"metrics": ("variance-ratio",), "mean_shift": 0.1}, None),
        ({}, "energy"),
        ({"mean_shift": 0.1, "missing": [("mean-shift", "energy")]}, "energy"),
    ],
)
def test_nothing_to_compare_is_no_verdict(planted, metric):
    assert verdict_of(make_scores(**planted)) == Verdict(outcome="unknown", metric=metric)


def test_baselines_that_could_not_be_compared_are_named():
    verdict = verdict_of(make_scores(mean_shift=0.1, ridge=-0.5, missing=[("ridge", "energy")]))
    assert verdict.not_compared == ("ridge",)
    assert verdict_of(make_scores(mean_shift=0.1, ridge=-0.5)).not_compared == ()


def test_baselines_of_any_metric_can_be_ranked():
    summary = make_scores(mean_shift=0.1, ridge=-0.5, missing=[("ridge", "energy")]).summary()
    assert [one.baseline for one in rank_baselines(summary, "w1")] == ["ridge", "mean-shift"]


def test_the_floor_beside_a_comparison_is_that_of_its_populations():
    """Group P1 has no ridge: its floor of 100 does not count."""
    scores = make_scores(groups=2, ridge=0.1, metrics=("energy",))
    table = scores.table.copy()
    table.loc[(table["predictor"] == "floor") & (table["group"] == "P1"), "value"] = 100.0
    scores = without(replace(scores, table=table), "ridge", lambda line: line["group"] == "P1")
    assert floor_beside(scores.table, "ridge", "energy") == pytest.approx(0.0005)  # the mean of 0 and 0.001
    assert floor_beside(scores.table, "identity", "energy") is None
