"""Entropic transport against POT, and both ways of iterating against each other."""

import numpy as np
import ot
import pytest
import torch

from cellflow_cli.definitions import _entropic
from cellflow_cli.definitions._entropic import entropic_cost


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
    assert found.residual < _entropic.THRESHOLD
    assert found.n_iter % 10 == 0
    assert found.cost == pytest.approx(reference(cost.numpy(), epsilon), rel=1e-4)


@pytest.mark.parametrize("epsilon", [0.3, 2.0, 50.0])
def test_a_population_onto_itself(epsilon):
    cost = squared(cells(40, 0), cells(40, 0))
    assert entropic_cost(cost, epsilon, symmetric=True).cost == pytest.approx(
        reference(cost.numpy(), epsilon), rel=1e-4, abs=1e-4
    )


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("epsilon", [0.05, 1.0])
def test_kernels_and_logarithms_agree(monkeypatch, symmetric, epsilon):
    cost = squared(cells(30, 0), cells(30, 0) if symmetric else cells(25, 1, 2.0))
    by_kernel = entropic_cost(cost, epsilon, symmetric)
    monkeypatch.setattr(_entropic, "_scaled", lambda *_: None)
    by_logarithm = entropic_cost(cost, epsilon, symmetric)
    assert by_kernel == pytest.approx(by_logarithm, rel=1e-9, abs=1e-12)


def test_far_apart_in_units_of_epsilon_goes_on_in_logarithms(monkeypatch):
    """Clusters 500 epsilon apart in unequal parts: their kernel leaves the range of float64."""
    x = torch.cat([cells(20, 0), cells(10, 1, 40.0)])
    y = torch.cat([cells(8, 2), cells(22, 3, 40.0)])
    tried = []
    whole = _entropic._scaled
    monkeypatch.setattr(_entropic, "_scaled", lambda *a: tried.append(whole(*a)) or tried[-1])
    monkeypatch.setattr(_entropic, "MAX_ITERATIONS", 50)
    found = entropic_cost(squared(x, y), 1.0)
    assert None in tried
    assert np.isfinite(found.cost)


def test_an_iteration_that_is_stopped_says_so(monkeypatch):
    monkeypatch.setattr(_entropic, "MAX_ITERATIONS", 10)
    found = entropic_cost(squared(cells(30, 0), cells(30, 1, 3.0)), 0.01)
    assert not found.converged
    assert found.n_iter == 10
    assert found.residual > _entropic.THRESHOLD
