"""Means over conditions, then groups; counts of groups."""

import numpy as np
import pytest

from cellflow_cli.statistics.means import Count, MetricMean
from tests.statistics.tables import ENERGY, few_scores


def test_conditions_are_averaged_before_groups():
    found = few_scores().summary().predictors
    assert found["model"]["energy"] == MetricMean(
        pytest.approx(4.0), pytest.approx(2**0.5), n_groups=2, n_missing=0
    )
    assert found["mean-shift"]["energy"].mean == pytest.approx((1.75 + 6) / 2)
    assert found["mean-shift"]["energy"].n_missing == 1
    assert found["mean-shift"]["energy"].reason == "unseen dose"


def test_better_on_k_of_n_groups():
    found = few_scores().summary().better_than
    # P1: mean 3 against 4; P2: 5 against 4.
    assert found["identity"]["energy"] == Count(1, 2)
    # P1 over the two conditions that both have: 1.5 against 1.75; P2: 5 against 6.
    assert found["mean-shift"]["energy"] == Count(2, 2)
    # 0.5 is a factor 2 from one, 2.1 a factor 2.1.
    assert found["identity"]["variance-ratio"] == Count(2, 2)


def test_equal_is_not_better():
    same = {**ENERGY, "identity": ENERGY["model"]}
    assert few_scores(same).summary().better_than["identity"]["energy"] == Count(0, 2)


def test_one_group_has_no_spread_and_a_missing_row_no_mean():
    one = {row: {"P1": [np.nan] if row == "mean-shift" else groups["P1"]} for row, groups in ENERGY.items()}
    summary = few_scores(one).summary()
    assert summary.predictors["model"]["energy"].sd is None
    assert summary.predictors["mean-shift"]["energy"].mean is None
    assert summary.predictors["mean-shift"]["energy"].n_groups == 0
    assert summary.better_than["mean-shift"]["energy"] == Count(0, 0)
    assert summary.groups["P1"]["mean-shift"]["energy"] is None
