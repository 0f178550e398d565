"""Metrics against SciPy, NumPy and POT's own routes to the same number."""

import numpy as np
import ot
import pytest
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.metrics import Comparison


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    return (
        rng.normal(size=(120, 6)) @ mixing,
        rng.normal(size=(120, 6)) @ mixing.T + 0.5,
        rng.normal(size=(50, 6)),
    )


def value(name, x, y, control=None):
    tensors = [torch.as_tensor(a) for a in (x, y, y if control is None else control)]
    comparison = Comparison(predicted=tensors[0], target=tensors[1], control=tensors[2])
    return Catalog("metrics").load(name).function(comparison).value


@pytest.mark.parametrize(("name", "power"), [("w1", 1), ("w2", 2)])
def test_transport_is_an_assignment_for_equal_numbers(sets, name, power):
    x, y, _ = sets
    cost = scipy.spatial.distance.cdist(x, y) ** power
    least = cost[scipy.optimize.linear_sum_assignment(cost)].mean()
    assert value(name, x, y) == pytest.approx(least ** (1 / power), rel=1e-10)


def test_w1_in_one_dimension(sets):
    x, y = sets[0][:, :1], sets[1][:77, :1]
    assert value("w1", x, y) == pytest.approx(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-10)


def test_w2_in_one_dimension(sets):
    x, y = sets[0][:, :1], sets[1][:77, :1]
    squared = ot.emd2_1d(x[:, 0], y[:, 0], metric="sqeuclidean")
    assert value("w2", x, y) == pytest.approx(np.sqrt(squared), rel=1e-10)


def test_energy_in_one_dimension(sets):
    # SciPy takes the root and keeps i = j, which multiplies means within n cells by (n - 1) / n.
    x, y = sets[0][:, 0], sets[1][:, 0]
    n = len(x)
    biased = scipy.stats.energy_distance(x, y) ** 2
    within = sum(scipy.spatial.distance.pdist(a[:, None]).mean() for a in (x, y))
    assert value("energy", x[:, None], y[:, None]) == pytest.approx(biased - within / n, rel=1e-10)


def test_kernels_of_scikit_learn(sets):
    from sklearn.metrics.pairwise import rbf_kernel

    x, y, _ = sets
    terms = [
        rbf_kernel(x, gamma=g).mean() + rbf_kernel(y, gamma=g).mean() - 2 * rbf_kernel(x, y, gamma=g).mean()
        for g in (2, 1, 0.5, 0.1, 0.01, 0.005)
    ]
    assert value("mmd-rbf", x, y) == pytest.approx(np.mean(terms), rel=1e-9)


def test_correlations_of_numpy(sets):
    x, y, control = sets
    upper = np.triu_indices(6, k=1)
    triangles = [np.corrcoef(a.T)[upper] for a in (x, y)]
    r = scipy.stats.pearsonr(*triangles).statistic
    assert value("r-features", x, y) == pytest.approx(r, rel=1e-10)
    assert value("r2-features", x, y) == pytest.approx(r**2, rel=1e-10)
    means = scipy.stats.pearsonr(x.mean(0), y.mean(0)).statistic
    assert value("r2-mean", x, y) == pytest.approx(means**2, rel=1e-10)
    changes = scipy.stats.pearsonr(*(a.mean(0) - control.mean(0) for a in (x, y))).statistic
    assert value("r2-delta", x, y, control) == pytest.approx(changes**2, rel=1e-10)


@pytest.mark.parametrize(("name", "power"), [("w1", 1), ("w2", 2)])
def test_many_cells_are_assigned_as_the_simplex_of_pot_would(name, power):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(600, 8)), rng.normal(size=(600, 8)) ** 3
    cost = scipy.spatial.distance.cdist(x, y) ** power
    assert value(name, x, y) == pytest.approx(
        ot.emd2([], [], cost, numItermax=10**7) ** (1 / power), rel=1e-9
    )


@pytest.mark.slow
def test_five_thousand_cells_need_more_than_the_default_pivots():
    """Half as many targets, so that the simplex has to solve it; each of them then takes two cells."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(5000, 43)), rng.normal(size=(2500, 43)) + 0.3
    cost = np.repeat(scipy.spatial.distance.cdist(x, y) ** 2, 2, axis=1)
    least = cost[scipy.optimize.linear_sum_assignment(cost)].mean()
    assert value("w2", x, y) == pytest.approx(np.sqrt(least), rel=1e-9)


def test_differential_features_of_scipy(sets):
    x, y, control = sets
    y = y + np.array([0, 0, 0.3, 0, 2, 0])
    found = Comparison(
        predicted=torch.as_tensor(x), target=torch.as_tensor(y), control=torch.as_tensor(control)
    ).differential
    test = scipy.stats.ttest_ind(y, control, equal_var=False)
    changes = [a.mean(0) - control.mean(0) for a in (x, y)]
    errors = changes[1] / test.statistic
    moderated = errors + errors.mean()
    for order, change in zip((found.predicted_order, found.target_order), changes, strict=True):
        assert order.tolist() == np.argsort(-np.abs(change / moderated)).tolist()
    adjusted = scipy.stats.false_discovery_control(test.pvalue)
    assert found.significant.tolist() == (adjusted <= 0.05).tolist()
    assert 0 < found.n_significant < 6
    np.testing.assert_allclose(found.target_change, y.mean(0) - control.mean(0), rtol=1e-12)
