"""The model held against the bar of a baseline."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.errors import ConfigError, MetricError
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.gate import check_names
from cellflow_cli.statistics.gate import gate as gate_of


def scores(model, ridge, metric="energy", reasons=("", "")):
    """Two values per group; groups are G0, G1, ..."""
    lines = [
        (f"G{i // 2}", f"G{i // 2}", f"drug{i % 2}", np.nan, row, metric, value, reason, 30)
        for row, values, reason in (("model", model, reasons[0]), ("ridge", ridge, reasons[1]))
        for i, value in enumerate(values)
    ]
    return Scores(table=pd.DataFrame(lines, columns=Scores.COLUMNS), metrics=(metric,), baselines=("ridge",))


def gate(scores, baseline, metric="energy"):
    return gate_of(scores.table, baseline, metric, seen_in_training=scores.seen_in_training)


def test_means_over_groups_decide_not_means_over_populations():
    nan = np.nan
    found = gate(scores([1, 3, 4, nan], [2, 2, 3.5, nan]), "ridge")  # group means 2 and 4 against 2 and 3.5
    assert (found.model_value, found.baseline_value) == (3, 2.75)
    assert found.worse
    assert (found.k, found.n_groups) == (0, 2)


@pytest.mark.parametrize(
    ("metric", "model", "ridge", "worse"),
    [
        ("energy", [1, 1], [1, 1], False),
        ("energy", [1, 1], [0.9, 1], True),
        ("r2-mean", [1, 1], [0.9, 1], False),
        ("r2-mean", [0.8, 1], [0.9, 1], True),
        ("variance-ratio", [0.5, 0.5], [1.9, 1.9], True),  # half is further from one than 1.9
        ("variance-ratio", [0.5, 0.5, 2, 2], [0.6, 0.6, 0.6, 0.6], True),  # the mean 1.25 is nearer to one
        ("variance-ratio", [0, 0], [0, 0], False),
    ],
)
def test_what_is_best_follows_the_metric(metric, model, ridge, worse):
    assert gate(scores(model, ridge, metric), "ridge", metric).worse is worse


def test_populations_without_a_value_of_the_baseline_are_left_out_and_counted():
    found = gate(scores([1, 9], [2, np.nan], reasons=("", "unknown dose.")), "ridge")
    assert not found.worse
    assert found.n_left_out == 1
    assert "1 populations without a value of it are left out" in found.text


@pytest.mark.parametrize(
    ("model", "ridge", "why"),
    [
        ([np.nan, 1], [1, 1], "no value of the model in 1 populations, first for G0, drug0: broke"),
        ([1, 1], [np.nan, np.nan], "no value of the baseline, first for G0, drug0: broke"),
    ],
)
def test_what_cannot_be_compared_is_no_pass(model, ridge, why):
    with pytest.raises(MetricError, match=why):
        gate(scores(model, ridge, reasons=("broke.", "broke.")), "ridge")
    with pytest.raises(MetricError, match="no scores of it"):
        gate(scores(model, ridge), "identity", "w1")


def test_groups_seen_in_training_do_not_count():
    found = scores([5, 5, 1, 1], [2, 2, 2, 2])
    assert gate(found, "ridge").worse
    assert not gate(replace(found, seen_in_training=("G0",)), "ridge").worse
    with pytest.raises(MetricError, match="every scored group was trained on"):
        gate(replace(found, seen_in_training=("G0", "G1")), "ridge")


def test_names_are_checked_before_the_work():
    check_names("ridge", "energy", ["energy", "w1"])
    check_names("ridge", "cellot:l2-means", ["energy", "cellot:l2-means"])
    with pytest.raises(ConfigError, match="Did you mean 'mean-shift'"):
        check_names("mean-shft", "energy", ["energy"])
    with pytest.raises(ConfigError, match="Did you mean 'energy'"):
        check_names("ridge", "enrgy", ["energy"])
    with pytest.raises(ConfigError, match=r"that are scored \('w1'\), found 'energy'"):
        check_names("ridge", "energy", ["w1"])
