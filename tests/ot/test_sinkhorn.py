"""Entropic transport against POT, and multiplications by kernels against logarithms of sums."""

import numpy as np
import ot
import pytest
import torch
from scipy.special import logsumexp

from cellflow_cli.ot import sinkhorn
from cellflow_cli.ot.sinkhorn import entropic_cost


def cells(n, seed, shift=0.0):
    return torch.randn(n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def squared(x, y):
    return torch.cdist(x, y).square()


def reference(cost, epsilon):
    """Value of the primal at POT's plan, which is iterated to the end."""
    n, m = cost.shape
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    plan = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", stopThr=1e-12, numItermax=20_000)
    kept = plan > 0
    return (plan * cost).sum() + epsilon * (plan[kept] * np.log(plan[kept] * n * m)).sum()


@pytest.mark.parametrize("epsilon", [0.3, 2.0, 50.0])
def test_value_of_the_optimum(epsilon):
    cost = squared(cells(40, 0), cells(30, 1, 0.5))
    found = entropic_cost(cost, epsilon)
    assert found.converged
    assert found.residual < sinkhorn.THRESHOLD
    assert found.n_iter % 10 == 0
    assert found.cost == pytest.approx(reference(cost.numpy(), epsilon), rel=1e-4)


@pytest.mark.parametrize("epsilon", [2.0, 50.0])
def test_a_population_onto_itself(epsilon):
    cost = squared(cells(40, 0), cells(40, 0))
    assert entropic_cost(cost, epsilon, symmetric=True).cost == pytest.approx(
        reference(cost.numpy(), epsilon), rel=1e-3
    )


def by_logarithms(cost, epsilon, symmetric, times):
    """The same iteration with logarithms of sums, and the value of the dual objective."""
    n, m = cost.shape
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(times):
        update = -epsilon * (logsumexp((f[:, None] - cost) / epsilon, axis=0) - np.log(n))
        if symmetric:
            f = g = (f + update) / 2
        else:
            g = update
            f = -epsilon * (logsumexp((g - cost) / epsilon, axis=1) - np.log(m))
    mass = np.exp((f[:, None] + g - cost) / epsilon).mean()
    return f.mean() + g.mean() + epsilon * (1 - mass)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("epsilon", [0.05, 1.0])
@pytest.mark.parametrize("apart", [0.0, 40.0])
def test_kernels_stay_in_range(monkeypatch, symmetric, epsilon, apart):
    """Clusters of unequal size up to 128,000 epsilon apart, and an outlier on either side."""
    monkeypatch.setattr(sinkhorn, "MAX_ITERATIONS", 200)
    x = torch.cat([cells(20, 0), cells(10, 1, apart), cells(1, 4, -2 * apart)])
    y = x if symmetric else torch.cat([cells(8, 2), cells(22, 3, apart), cells(1, 5, 3 * apart)])
    cost = squared(x, y)
    found = entropic_cost(cost, epsilon, symmetric)
    assert found.cost == pytest.approx(
        by_logarithms(cost.numpy(), epsilon, symmetric, found.n_iter), rel=1e-9, abs=1e-9
    )


def test_an_iteration_that_is_stopped_says_so(monkeypatch):
    monkeypatch.setattr(sinkhorn, "MAX_ITERATIONS", 10)
    found = entropic_cost(squared(cells(30, 0), cells(30, 1, 3.0)), 0.01)
    assert not found.converged
    assert found.n_iter == 10
    assert found.residual > sinkhorn.THRESHOLD
