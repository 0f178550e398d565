"""Means over conditions, then groups; counts of groups."""

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.means import Count, MetricMean

# P1 has three conditions and P2 one; each group counts once.
ENERGY = {
    "model": {"P1": [1.0, 2.0, 6.0], "P2": [5.0]},
    "identity": {"P1": [4.0, 4.0, 4.0], "P2": [4.0]},
    "mean-shift": {"P1": [0.5, 3.0, np.nan], "P2": [6.0]},
    "floor": {"P1": [0.0, 0.0, 0.0], "P2": [0.1]},
}


def make(energy=ENERGY, **settings):
    rows = []
    for row, groups in energy.items():
        for group, values in groups.items():
            for i, v in enumerate(values):
                head = (f"{group} | a", group, "drug", float(i) if i else None, row)
                ratio = 0.5 if row == "model" else 2.1
                rows.append((*head, "energy", v, "unseen dose" if np.isnan(v) else "", 30))
                rows.append((*head, "variance-ratio", ratio, "", 30))
    table = pd.DataFrame(rows, columns=Scores.COLUMNS)
    metrics, baselines = ("energy", "variance-ratio"), ("identity", "mean-shift")
    return Scores(table=table, metrics=metrics, baselines=baselines, **settings)


def test_conditions_are_averaged_before_groups():
    found = make().summary().predictors
    assert found["model"]["energy"] == MetricMean(
        pytest.approx(4.0), pytest.approx(2**0.5), n_groups=2, n_missing=0
    )
    assert found["mean-shift"]["energy"].mean == pytest.approx((1.75 + 6) / 2)
    assert found["mean-shift"]["energy"].n_missing == 1
    assert found["mean-shift"]["energy"].reason == "unseen dose"


def test_better_on_k_of_n_groups():
    found = make().summary().better_than
    # P1: mean 3 against 4; P2: 5 against 4.
    assert found["identity"]["energy"] == Count(1, 2)
    # P1 over the two conditions that both have: 1.5 against 1.75; P2: 5 against 6.
    assert found["mean-shift"]["energy"] == Count(2, 2)
    # 0.5 is a factor 2 from one, 2.1 a factor 2.1.
    assert found["identity"]["variance-ratio"] == Count(2, 2)


def test_equal_is_not_better():
    same = {**ENERGY, "identity": ENERGY["model"]}
    assert make(same).summary().better_than["identity"]["energy"] == Count(0, 2)


def test_one_group_has_no_spread_and_a_missing_row_no_mean():
    one = {row: {"P1": [np.nan] if row == "mean-shift" else groups["P1"]} for row, groups in ENERGY.items()}
    summary = make(one).summary()
    assert summary.predictors["model"]["energy"].sd is None
    assert summary.predictors["mean-shift"]["energy"].mean is None
    assert summary.predictors["mean-shift"]["energy"].n_groups == 0
    assert summary.better_than["mean-shift"]["energy"] == Count(0, 0)
    assert summary.groups["P1"]["mean-shift"]["energy"] is None
