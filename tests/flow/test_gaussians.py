"""Our integration along the closed-form velocities between Gaussians."""

import pytest
import torch

from cellflow_cli.flow.ode import SolverConfig, integrate
from tests.gaussians import cells_with_moments, independent, monge_map, optimal

M0, M1 = torch.tensor([[0.5, -1.0], [2.0, 1.0]], dtype=torch.float64)
S0 = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
S1 = torch.tensor([[0.6, -0.4], [-0.4, 1.5]], dtype=torch.float64)
SOLVERS = [SolverConfig(method="rk4", steps=64), SolverConfig(method="dopri5", atol=1e-9, rtol=1e-9)]


@pytest.fixture
def x0(rng):
    return cells_with_moments(M0, S0, 200, rng)


@pytest.mark.parametrize("coupled", [independent, optimal])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.method)
def test_moments_at_the_end_are_those_of_the_target(coupled, solver, x0):
    end = integrate(coupled(M0, S0, M1, S1), x0, solver).end
    # rk4 at 64 steps errs by about (1/64)^4 = 6e-8 times the fifth derivative of the flow
    assert torch.allclose(end.mean(0), M1, atol=1e-6)
    assert torch.allclose(torch.cov(end.T, correction=0), S1, atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.method)
def test_the_optimal_flow_ends_at_the_monge_map_of_every_cell(solver, x0):
    end = integrate(optimal(M0, S0, M1, S1), x0, solver).end
    assert torch.allclose(end, M1 + (x0 - M0) @ monge_map(S0, S1).T, atol=1e-6)


def test_the_optimal_flow_goes_straight(x0):
    """One step of Euler is exact on straight paths at constant speed."""
    end = integrate(optimal(M0, S0, M1, S1), x0, SolverConfig(method="euler", steps=1)).end
    assert torch.allclose(end, M1 + (x0 - M0) @ monge_map(S0, S1).T, atol=1e-12)


def test_the_independent_flow_does_not(x0):
    ends = [integrate(coupled(M0, S0, M1, S1), x0, SOLVERS[0]).end for coupled in (independent, optimal)]
    assert (ends[0] - ends[1]).norm(dim=-1).max() > 0.1
