"""The way from null to floor."""

import numpy as np
import pytest

from cellflow_cli.statistics.lines import Lines
from cellflow_cli.statistics.normalised import normalised
from tests.statistics.tables import ROWS, table

BEST = {"energy": "low", "r2-mean": "high", "variance-ratio": "one"}


def one(rows, metric="energy", predictor="model", splits=5, **more):
    scores = normalised(Lines(table(rows, metric, **more)), [predictor], {metric: BEST[metric]}, splits)
    return scores[predictor][metric]


def test_normalised_is_the_way_from_null_to_floor():
    assert one(ROWS).value == pytest.approx((5 - 2.5) / (5 - 0.5))
    assert one(ROWS, predictor="identity").value == 0
    assert one({**ROWS, "model": ROWS["floor"]}).value == 1
    turned = {name: {g: [1 - v for v in vs] for g, vs in ROWS[name].items()} for name in ROWS}
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
    found = one({name: {"P1": [sign * v], "P2": [sign * v]} for name, v in values.items()}, metric)
    assert found.value is None
    assert "is not worse than floor" in found.reason


def test_without_an_effect_there_is_hardly_ever_a_scale():
    """Null and single splits are draws of one distribution, the floor a mean over five of them."""
    rng = np.random.default_rng(0)
    scales = 0
    for _ in range(200):
        null, model, splits = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(4, 5))
        rows = {"model": model, "identity": null, "floor": splits.mean(1)}
        made = table({name: {f"P{i}": [v] for i, v in enumerate(vs)} for name, vs in rows.items()})
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
    nothing = one({name: groups for name, groups in ROWS.items() if name != "identity"})
    assert nothing.value is None
    assert nothing.reason.startswith("no condition with a value of `model`, of the null")
