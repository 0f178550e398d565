"""Integration against the matrix exponential, and how it ends when it cannot end well."""

import math
from dataclasses import replace

import pytest
import scipy.linalg
import torch

from cellflow_cli.errors import ConfigError, NumericalError
from cellflow_cli.flow.ode import SolverConfig, calibrate, integrate

MATRIX = torch.tensor([[-0.5, 2.0, 0.0], [-2.0, -0.5, 0.3], [0.0, 0.4, 0.8]], dtype=torch.float64)


def spiral(t, x):
    """dx/dt = (1 + t) M x, so x(1) = exp(3/2 M) x(0); time enters, so that wrong stage times show."""
    return (1 + t) * x @ MATRIX.to(x).T


def spiral_end(x0):
    flow = torch.from_numpy(scipy.linalg.expm(1.5 * MATRIX.numpy()))
    return x0 @ flow.to(x0).T


@pytest.fixture
def x0(rng):
    return torch.randn(7, 3, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_error_falls_with_the_order_of_the_method(method, order, x0):
    steps = [32, 64, 128]
    solvers = [SolverConfig(method=method, steps=n) for n in steps]
    errors = [(integrate(spiral, x0, s).end - spiral_end(x0)).norm().item() for s in solvers]
    slopes = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    # the next term of the expansion bends the slope by about |M| / steps, here 3 / 32
    assert slopes == pytest.approx([order] * 2, abs=0.15)


def test_dopri5_stays_near_its_tolerance(x0):
    solver = SolverConfig(method="dopri5", atol=1e-9, rtol=1e-9)
    end = integrate(spiral, x0, solver).end
    # each of about 40 steps errs by at most 1e-9 (1 + |x|), and the flow stretches by e^1.2
    assert (end - spiral_end(x0)).abs().max() < 1e-6


def test_a_quick_cell_does_not_hide_behind_slow_ones():
    """One cell circles twenty times, a thousand rest: their mean error is small whatever it does."""
    x0 = torch.zeros(1001, 2, dtype=torch.float64)
    x0[0, 0] = 1.0

    def circling(t, x):
        return 40 * math.pi * torch.stack([-x[:, 1], x[:, 0]], dim=-1)

    end = integrate(circling, x0, SolverConfig(method="dopri5", atol=1e-4, rtol=1e-4)).end
    alone = integrate(circling, x0[:1], SolverConfig(method="dopri5", atol=1e-4, rtol=1e-4)).end
    assert torch.allclose(end[:1], alone, atol=1e-12)


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "dopri5"])
def test_evaluations_are_counted(method, x0):
    calls = 0

    def counted(t, x):
        nonlocal calls
        calls += 1
        return spiral(t, x)

    assert integrate(counted, x0, SolverConfig(method=method, steps=5)).n_evaluations == calls
    fixed = {"euler": 5, "midpoint": 10, "rk4": 20}
    assert calls == fixed.get(method, calls)


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "dopri5"])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_dtype_in_is_dtype_out_and_time_has_it_too(method, precision, x0):
    seen = set()

    def velocity(t, x):
        seen.add((t.dtype, t.shape, x.dtype))
        return spiral(t, x)

    end = integrate(velocity, x0.to(precision), SolverConfig(method=method)).end
    assert end.dtype == precision
    assert seen == {(precision, torch.Size([]), precision)}


def test_any_number_of_leading_dimensions(x0):
    solver = SolverConfig(steps=8)
    stacked = integrate(spiral, x0.expand(2, 7, 3), solver).end
    assert torch.allclose(stacked[1], integrate(spiral, x0, solver).end, rtol=1e-12)


@pytest.mark.parametrize("method", ["midpoint", "rk4"])
def test_fixed_steps_do_not_mix_cells(method, x0):
    solver = SolverConfig(method=method, steps=16)
    whole = integrate(spiral, x0, solver).end
    parts = torch.cat([integrate(spiral, part, solver).end for part in x0.split(3)])
    assert torch.allclose(whole, parts, rtol=1e-12, atol=0)  # rounding of a matrix product only


def test_forward_then_backward_returns_the_cells(x0):
    solver = SolverConfig(method="rk4", steps=64)
    there = integrate(spiral, x0, solver).end
    back = integrate(lambda t, x: -spiral(1 - t, x), there, solver).end
    assert (there - x0).abs().max() > 0.5
    assert torch.allclose(back, x0, atol=1e-6)  # two errors of rk4 at 64 steps, about 1e-7 each


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "dopri5"])
@pytest.mark.parametrize("wrong", [math.inf, math.nan])
def test_a_field_that_is_not_finite_is_refused(method, wrong, x0):
    with pytest.raises(NumericalError, match="dopri5 to reach|finite cells at the end of the flow"):
        integrate(lambda t, x: torch.where(t > 0.6, wrong, x), x0, SolverConfig(method=method))


def test_dopri5_gives_up_after_its_evaluations(x0):
    solver = SolverConfig(method="dopri5", max_evaluations=20, atol=1e-10, rtol=1e-10)
    with pytest.raises(NumericalError, match=r"within 20 evaluations.*use fixed steps"):
        integrate(lambda t, x: -500 * (x - torch.cos(300 * t)), x0, solver)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "dopri"}, r"found 'dopri'.* Did you mean 'dopri5'\?"),
        ({"steps": 0}, "solver.steps of at least 1"),
        ({"atol": 0.0}, "solver.atol above zero"),
        ({"tolerance": math.nan}, "solver.tolerance above zero"),
        ({"max_evaluations": 0}, "solver.max_evaluations above zero"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SolverConfig(**settings)


def test_calibration_takes_the_fewest_steps_within_the_tolerance(x0):
    def moved(solver):
        return integrate(spiral, x0, solver).end

    def error(steps):
        return (moved(SolverConfig(steps=steps)) - spiral_end(x0)).square().mean().sqrt().item()

    wanted = SolverConfig(tolerance=1.05 * error(16))
    found = calibrate(moved, wanted)
    assert found.solver == replace(wanted, steps=16)
    assert found.within
    # measured against a solve at tolerance 1e-6, not against the truth
    assert found.error == pytest.approx(error(16), rel=0.01)


def test_calibration_says_when_no_number_of_steps_will_do(x0):
    found = calibrate(lambda s: integrate(spiral, x0, s).end, SolverConfig(method="euler", tolerance=1e-4))
    assert not found.within
    assert found.solver.steps == 128
    assert found.error > 1e-4


def test_a_solver_that_gives_up_costs_no_training():
    """Fixed steps stand in for it; where nothing stays finite the error is infinite and not within."""
    x0 = torch.full((4, 2), 8.0)
    stiff = SolverConfig(method="midpoint", max_evaluations=3, tolerance=0.05)
    found = calibrate(lambda s: integrate(lambda t, x: -(x**3), x0, s).end, stiff)
    assert found.within
    lost = calibrate(lambda s: integrate(lambda t, x: x * math.inf, x0, s).end, stiff)
    assert (lost.solver.steps, lost.error, lost.within) == (128, math.inf, False)


def test_calibration_survives_steps_too_coarse_to_stay_finite():
    x0 = torch.full((4, 2), 8.0)

    def moved(solver):
        return integrate(lambda t, x: -(x**3), x0, solver).end  # x(1) = 1 / sqrt(1/64 + 2)

    with pytest.raises(NumericalError):
        moved(SolverConfig(method="euler", steps=16))
    found = calibrate(moved, SolverConfig(method="euler", tolerance=0.05))
    assert found.within
    assert torch.allclose(moved(found.solver), torch.tensor(1 / math.sqrt(1 / 64 + 2)), atol=0.05)


@pytest.mark.parametrize("solver", [SolverConfig(method="midpoint", steps=5), SolverConfig(method="dopri5")])
def test_times_on_the_way_leave_the_end_as_it_is(solver):
    """dx/dt = -x: exp(-t) at every time asked for, on a step or between two."""
    x0, times = torch.ones(3, 2, dtype=torch.float64), (0.0, 0.3, 0.4, 0.95, 1.0)
    path = integrate(lambda t, x: -x, x0, solver, times)
    assert path.cells.shape == (5, 3, 2)
    exact = torch.tensor(times, dtype=torch.float64).neg().exp()
    assert torch.allclose(path.cells[:, 0, 0], exact, atol=5e-3)
    assert torch.equal(path.end, integrate(lambda t, x: -x, x0, solver).end)


@pytest.mark.parametrize("times", [(), (0.5, 0.2), (-0.1, 1.0), (0.0, 1.5)])
def test_times_out_of_order_or_range_are_refused(times):
    with pytest.raises(ValueError, match="ascend within"):
        integrate(lambda t, x: -x, torch.ones(1, 1), SolverConfig(), times)
