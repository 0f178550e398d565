"""Exact transport against answers that are known without it."""

import pytest
import torch

from cellflow_cli.errors import NumericalError
from cellflow_cli.ot import exact
from cellflow_cli.ot.cost import euclidean, squared_euclidean
from cellflow_cli.ot.exact import assignment, exact_cost, exact_plan


def line(n, rng):
    return torch.randn(n, 1, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("n", [20, exact.MIN_ASSIGNED])
def test_on_a_line_sorted_cells_are_partners(n, rng):
    x, y = line(n, rng), line(n, rng)
    cost = (x.sort(0).values - y.sort(0).values).abs().mean()
    assert exact_cost(euclidean(x, y)) == pytest.approx(float(cost), rel=1e-12)
    partner = assignment(squared_euclidean(x, y))
    assert torch.equal(x.squeeze(1).argsort(), partner.argsort()[y.squeeze(1).argsort()])


def test_the_plan_of_more_targets_than_sources_is_a_staircase(rng):
    """In sorted order the mass of source i covers targets 3 i to 3 i + 2."""
    x, y = line(4, rng).sort(0).values, line(12, rng).sort(0).values
    plan = exact_plan(squared_euclidean(x, y))
    assert torch.allclose(plan, torch.eye(4, dtype=torch.float64).repeat_interleave(3, 1) / 12, atol=1e-15)
    assert exact_cost(squared_euclidean(x, y)) == pytest.approx(float((plan * (x - y.T) ** 2).sum()))


@pytest.mark.filterwarnings("ignore:numItermax")
def test_a_solver_that_stops_early_is_an_error(rng, monkeypatch):
    monkeypatch.setattr(exact, "MAX_PIVOTS", 3)
    cost = squared_euclidean(line(40, rng), line(41, rng))
    for solve in (exact_cost, exact_plan):
        with pytest.raises(NumericalError, match="of 40 x 41 cells, found that the solver stopped after 3"):
            solve(cost)


def test_squares_agree_with_distances(rng):
    x, y = torch.randn(2, 50, 3, generator=rng)
    assert torch.allclose(squared_euclidean(x, y), euclidean(x, y).square(), atol=1e-6)
    assert squared_euclidean(x, y).dtype == torch.float64
