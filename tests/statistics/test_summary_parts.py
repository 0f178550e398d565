"""Normalised scores, bootstrap intervals, regimes and the collapse alarm on tables made by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.best import winners
from cellflow_cli.statistics.collapse import OutOfBounds, collapse, how_far
from cellflow_cli.statistics.intervals import PairedDifference, _interval, intervals
from cellflow_cli.statistics.lines import Lines
from cellflow_cli.statistics.normalised import normalised
from cellflow_cli.statistics.regimes import regimes
from cellflow_cli.statistics.summary import Settings

BEST = {"energy": "low", "r2-mean": "high", "variance-ratio": "one"}


def table(rows, metric="energy", se=0.01, reason="why"):
    """For each row a dict of values per group; a NaN has a reason. Conditions are doses 1, 2, ..."""
    found = []
    for row, groups in rows.items():
        for group, values in groups.items():
            for i, value in enumerate(values):
                why = reason if np.isnan(value) else ""
                error = se if row == "floor" else np.nan
                head = (f"{group} | a", group, "drug", float(i) if i else None, row, metric)
                found.append((*head, value, why, 30, error))
    return pd.DataFrame(found, columns=[*Scores.COLUMNS, "se"])


def one(rows, metric="energy", row="model", splits=5, **more):
    return normalised(Lines(table(rows, metric, **more)), [row], {metric: BEST[metric]}, splits)[row][metric]


# Group means: null 6 and 4, model 3 and 2, floor 1 and 0.
ROWS = {
    "model": {"P1": [1.0, 5.0], "P2": [2.0]},
    "identity": {"P1": [2.0, 10.0], "P2": [4.0]},
    "floor": {"P1": [0.0, 2.0], "P2": [0.0]},
}


def test_normalised_is_the_way_from_null_to_floor():
    assert one(ROWS).value == pytest.approx((5 - 2.5) / (5 - 0.5))
    assert one(ROWS, row="identity").value == 0
    assert one({**ROWS, "model": ROWS["floor"]}).value == 1
    turned = {row: {g: [1 - v for v in vs] for g, vs in ROWS[row].items()} for row in ROWS}
    assert one(turned, "r2-mean").value == pytest.approx(2.5 / 4.5)


def test_normalised_is_not_clipped():
    worse = {**ROWS, "model": {"P1": [20.0, 20.0], "P2": [20.0]}}
    assert one(worse).value == pytest.approx((5 - 20) / 4.5)
    assert one({**ROWS, "model": {"P1": [-1.0, -1.0], "P2": [-1.0]}}).value > 1


def test_conditions_without_one_of_the_three_are_left_out():
    gap = {**ROWS, "model": {"P1": [1.0, np.nan], "P2": [2.0]}}
    # P1 is its first condition then: null 2, model 1, floor 0.
    assert one(gap).value == pytest.approx((3 - 1.5) / 3)


def test_null_and_floor_that_are_too_close_have_no_scale():
    # P1 has two conditions, P2 one, each group counts half. The null has the error of one split, whose
    # variance is three times that of the mean over three, and both conditions of P1 share its controls.
    factor = np.sqrt((1 / 2 + 3) + (1 + 3)) / 2
    gap = 4.5
    assert one(ROWS, splits=3, se=0.99 * gap / 3 / factor).value is not None
    close = one(ROWS, splits=3, se=1.01 * gap / 3 / factor)
    assert close.value is None
    assert close.reason.startswith("null (5) is not worse than floor (0.5) by more than 3 standard errors")


@pytest.mark.parametrize("metric", ["energy", "r2-mean"])
def test_a_null_better_than_the_floor_has_no_scale(metric):
    """With the sign ignored a model far off would be more than all the way there."""
    sign = -1 if metric == "r2-mean" else 1
    values = {"model": 15.0, "identity": 9.0, "floor": 10.0}
    found = one({row: {"P1": [sign * v], "P2": [sign * v]} for row, v in values.items()}, metric)
    assert found.value is None
    assert "is not worse than floor" in found.reason


def test_without_an_effect_there_is_hardly_ever_a_scale():
    """Null and single splits are draws of one distribution, the floor a mean over five of them."""
    rng = np.random.default_rng(0)
    scales = 0
    for _ in range(200):
        null, model, splits = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 5))
        rows = {"model": model, "identity": null, "floor": splits.mean(1)}
        made = table({row: {f"P{i}": [v] for i, v in enumerate(vs)} for row, vs in rows.items()})
        made.loc[made["predictor"] == "floor", "se"] = splits.std(1, ddof=1) / np.sqrt(5)
        found = normalised(Lines(made), ["model"], {"energy": "low"}, 5)["model"]["energy"]
        scales += found.value is not None
    assert scales <= 4


def test_where_there_is_no_normalised_score_it_says_why():
    assert "needs two splits" in one(ROWS, se=np.nan).reason
    old = table(ROWS).drop(columns="se")
    assert (
        "needs two splits"
        in normalised(Lines(old), ["model"], {"energy": "low"}, 5)["model"]["energy"].reason
    )
    assert "best value is one" in one(ROWS, "variance-ratio").reason
    nothing = one({row: groups for row, groups in ROWS.items() if row != "identity"})
    assert nothing.value is None
    assert nothing.reason.startswith("no condition with a value of `model`, of the null")


def many(n, differences, metric="energy"):
    groups = [f"P{i}" for i in range(n)]
    base = {g: [float(i), float(i) + 1] for i, g in enumerate(groups)}
    model = {g: [v + d for v in base[g]] for g, d in zip(groups, differences, strict=True)}
    return table({"model": model, "mean-shift": base}, metric)


def interval(made, metric="energy", seed=0):
    return intervals(Lines(made), "mean-shift", {metric: BEST[metric]}, seed)[metric]


def test_a_constant_difference_has_no_width_though_groups_differ():
    """The pairing takes out what groups share: values range over ten, the difference is one."""
    found = interval(many(10, [-1.0] * 10))
    assert found == PairedDifference(
        difference=-1, low=-1, high=-1, n_groups=10, model=4.0, baseline=5.0, n_conditions=20, n_missing=0
    )


def test_the_interval_is_that_of_the_mean_of_the_differences():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.3, 1.0, size=400)
    found = interval(many(400, differences))
    error = differences.std() / np.sqrt(400)
    assert found.difference == pytest.approx(differences.mean())
    assert found.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.3 * error)
    assert found.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.3 * error)


@pytest.mark.parametrize("n_groups", [6, 30])
def test_intervals_cover_the_true_difference_as_often_as_they_say(n_groups):
    hits = 0
    for seed in range(400):
        drawn = torch.Generator().manual_seed(seed)
        differences = (1 + torch.randn(n_groups, generator=drawn, dtype=torch.float64)).tolist()
        low, high = _interval(differences, drawn)
        hits += low <= 1.0 <= high
    assert 0.92 <= hits / 400 <= 0.98  # the middle 95 % of the draws would have 86 % of six groups


def test_two_groups_out_of_ten_by_counting():
    """One group differs by 10, the others not: the mean of a draw is how often that one was drawn."""
    found = interval(many(10, [10.0] + [0.0] * 9))
    assert found.difference == pytest.approx(1)
    assert found.low == 0  # not drawn: (9 / 10)^10 = 35 % of the draws
    assert found.high == pytest.approx(4)  # four or more: 1.3 %, five or more: 0.16 %; 0.9 % are out


def test_the_seed_decides_and_few_groups_have_no_interval():
    made = many(8, np.linspace(-1, 2, 8))
    assert interval(made) == interval(made)
    assert interval(made) != interval(made, seed=1)
    few = interval(many(5, [1.0] * 5))
    assert (few.difference, few.low, few.high) == (1, None, None)
    assert few.reason == "needs 6 groups or more, found 5"
    assert intervals(Lines(made), "ridge", {"energy": "low"})["energy"].difference is None


def test_ratios_are_compared_by_their_distance_from_one():
    groups = [f"P{i}" for i in range(6)]
    made = table(
        {"model": {g: [0.5] for g in groups}, "mean-shift": {g: [4.0] for g in groups}}, "variance-ratio"
    )
    assert interval(made, "variance-ratio").difference == pytest.approx(np.log(2) - np.log(4))


def test_the_best_ratio_is_near_one_in_every_group():
    """In the mean over groups model and baseline would be 1.0 and 1.1."""
    ratios = {"model": (0.5, 1.5), "mean-shift": (1.1, 1.1)}
    made = table({name: {"P0": [two[0]], "P1": [two[1]]} for name, two in ratios.items()}, "variance-ratio")
    scores = Scores(table=made, metrics=("variance-ratio",), baselines=("mean-shift",))
    assert winners(scores.summary(), "variance-ratio") == {"mean-shift"}


def test_regimes_are_thirds_by_the_size_of_the_effect():
    effects = {"P1": [9.0, 1.0, 5.0], "P2": [2.0, 8.0, 4.0], "P3": [3.0]}
    model = {g: [10 * v for v in vs] for g, vs in effects.items()}
    found = regimes(Lines(table({"model": model, "identity": effects})), ["model"], ["energy"]).parts
    assert list(found) == ["small", "medium", "large"]
    assert [r.n_conditions for r in found.values()] == [3, 2, 2]
    assert found["small"].effect == (1, 3)
    assert found["large"].effect == (8, 9)
    assert found["small"].predictors["model"]["energy"] == pytest.approx((10 + 20 + 30) / 3)
    # Medium: 4 of P2 and 5 of P1; groups count once each.
    assert found["medium"].predictors["model"]["energy"] == pytest.approx((40 + 50) / 2)


def test_regimes_average_within_groups_first():
    effects = {"P1": [1.0, 2.0, 100.0, 101.0], "P2": [3.0, 102.0]}
    model = {"P1": [0.0, 2.0, 0.0, 0.0], "P2": [5.0, 0.0]}
    lines = Lines(table({"model": model, "identity": effects}))
    found = regimes(lines, ["model"], ["energy"]).parts
    assert found["small"].predictors["model"]["energy"] == 1
    assert found["medium"].predictors["model"]["energy"] == pytest.approx(2.5)


def test_few_conditions_have_no_regimes():
    found = regimes(Lines(table(ROWS)), ["model"], ["energy"])
    assert not found.parts
    assert found.to_json() == {"reason": "needs 6 conditions or more with `energy` of `identity`, found 3"}


@pytest.mark.parametrize(
    ("ratio", "alarm"), [(0.49, True), (0.5, False), (1.0, False), (2.0, False), (2.1, True)]
)
def test_the_alarm_rings_outside_the_bounds(ratio, alarm):
    made = table({"model": {"P1": [ratio]}, "floor": {"P1": [1.0]}}, "variance-ratio")
    found = collapse(Lines(made), 0.25)
    assert found.alarm is alarm
    assert found.ratios == {"variance-ratio": {"model": ratio, "floor": 1}}
    assert found.fraction_clipped == 0.25
    assert found.bounds == (0.5, 2)


def test_conditions_out_of_bounds_are_named_where_the_mean_is_not():
    made = table({"model": {"P1": [0.2, 1.8], "P2": [1.0, 1.0]}}, "variance-ratio")
    found = collapse(Lines(made))
    assert found.alarm is False
    assert found.conditions == (OutOfBounds("P1 | a", "drug", 0.2),)
    assert found.n_conditions == 4
    assert how_far(found) == (
        "predicted cells have 1 times the variance of measured ones in the mean over groups, within the "
        "bounds 0.5 and 2; 1 of 4 populations are outside"
    )


def test_too_narrow_here_and_too_wide_there_do_not_cancel():
    made = table({"model": {f"P{i}": [0.1, 2.8] for i in range(5)}}, "variance-ratio")
    found = collapse(Lines(made))
    assert found.ratios["variance-ratio"]["model"] == pytest.approx(1.45)
    assert found.alarm is True
    assert how_far(found).endswith("10 of 10 populations are outside")


def test_genes_stand_beside_the_decoded_truth_and_ring_nothing():
    flow = table({"model": {"P1": [0.9]}, "truth-decoded": {"P1": [1.0]}}, "variance-ratio")
    genes = table({"model": {"P1": [0.35]}, "truth-decoded": {"P1": [0.4]}}, "variance-ratio-genes")
    found = collapse(Lines(pd.concat([flow, genes], ignore_index=True)))
    assert found.alarm is False
    assert found.ratios["variance-ratio-genes"] == {"model": 0.35, "truth-decoded": 0.4}


def test_without_the_ratio_the_alarm_is_silent_and_says_so():
    found = collapse(Lines(table(ROWS)))
    assert found.alarm is None
    assert found.reason == "no value of `variance-ratio` for the model"


def test_all_of_it_is_in_the_summary_and_is_json():
    made = pd.concat([table(ROWS), table(ROWS, "variance-ratio")], ignore_index=True)
    scores = Scores(
        table=made, metrics=("energy", "variance-ratio"), baselines=("identity",),
        settings=Settings(prediction={"fraction_clipped": 0.1}),
    )  # fmt: skip
    summary = json.loads(json.dumps(scores.summary().to_json(), allow_nan=False))
    assert summary["normalised"]["model"]["energy"]["value"] == pytest.approx(2.5 / 4.5)
    assert set(summary["normalised"]) == {"model", "identity"}
    assert summary["intervals"]["identity"]["energy"]["difference"] == pytest.approx(-2.5)
    assert summary["intervals"]["identity"]["energy"]["n_groups"] == 2
    assert "needs 6 conditions" in summary["regimes"]["reason"]
    assert summary["collapse"]["alarm"] is True  # a mean ratio of 2.5
    assert summary["collapse"]["fraction_clipped"] == 0.1
