import numpy as np
import pytest

from cellflow_cli.statistics.feature_changes import N_MARGINALS, feature_changes, marginal, marginals


def test_planted_changes_are_found_in_order():
    rng = np.random.default_rng(1)
    control = rng.normal(size=(4000, 5)) * [1, 10, 1, 1, 1]
    shift = np.array([0.0, 10.0, -3.0, 0.0, 0.5])
    found = feature_changes(control, control + shift * [1, 1, -1, 1, 1], control + shift, list("abcde"))

    assert [change.feature for change in found.changes] == ["c", "b", "e"]
    assert [change.measured for change in found.changes] == pytest.approx([-3, 10, 0.5])
    assert [change.predicted for change in found.changes] == pytest.approx([3, 10, 0.5])
    assert [change.size for change in found.changes] == pytest.approx([-3, 1, 0.5], rel=0.05)
    # squares 9, 1 and 0.25 of the standardised change: the first alone is 88 %
    assert (found.n_for_share, found.n_features, found.n_right) == (1, 5, 2)


def test_nothing_changes_without_controls_or_difference():
    cells, constant = np.random.default_rng(1).normal(size=(10, 3)), np.ones((10, 3))
    assert feature_changes(np.empty((0, 3)), cells, cells, list("abc")).changes == ()
    assert feature_changes(cells, cells, cells, list("abc")).changes == ()
    assert feature_changes(constant, cells, constant + 1e-9, list("abc")).changes == ()


def test_marginals_are_of_the_features_that_change_most():
    rng = np.random.default_rng(2)
    names = [f"g{i}" for i in range(9)]
    control, target = rng.normal(size=(200, 9)), rng.normal(size=(200, 9)) + np.arange(9)
    changes = feature_changes(control, target, target, names)
    found = marginals(changes, control, target, target, names)
    assert [one.feature for one in found] == [change.feature for change in changes.changes[:N_MARGINALS]]
    assert found[0].feature == "g8"


def test_values_beyond_the_bins_are_no_peak():
    """Of 1,000 values 6 lie far out: were they in the last bin, it would be the highest of a flat line."""
    flat = np.linspace(0, 1, 994)
    values = np.concatenate([flat, np.full(6, 50.0)])
    found = marginal("m", values, flat, flat)
    assert found.edges[-1] <= 1
    assert found.control.max() < 2 * found.control.mean()
    assert found.control.sum() < found.predicted.sum()


def test_a_marginal_of_one_value_has_bins():
    found = marginal("m", np.zeros(3), np.zeros(3), np.zeros(3))
    assert np.diff(found.edges).min() > 0
    assert found.measured.sum() == 1
