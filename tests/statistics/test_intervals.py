"""Bootstrap intervals of paired differences."""

import numpy as np
import pytest
import torch

from cellflow_cli.statistics.intervals import PairedDifference, _interval, intervals
from cellflow_cli.statistics.lines import Lines
from tests.statistics.tables import table

BEST = {"energy": "low", "r2-mean": "high", "variance-ratio": "one"}


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
