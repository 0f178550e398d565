"""Convex potentials against what convexity and calculus say."""

import pytest
import torch

from cellflow_cli.errors import ConfigError
from cellflow_cli.networks.potentials import ConvexPotential, PotentialConfig
from cellflow_cli.rng import scoped

D, C = 3, 4
SMALL = PotentialConfig(width=8, n_layers=3)


def untrained(rng, dtype, floor=0.0, config=SMALL):
    with scoped(rng):
        return ConvexPotential(config, D, C, floor=floor).to(dtype)


def anywhere(rng, dtype, floor=0.0, spread=1.0):
    """A potential with any weights, none of them near its start."""
    potential = untrained(rng, dtype, floor)
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter.copy_(spread * torch.randn(parameter.shape, generator=rng, dtype=dtype))
    return potential


def points(rng, dtype, b=2, n=50):
    x = 3 * torch.randn(b, n, D, generator=rng, dtype=dtype)
    return x, torch.randn(b, C, generator=rng, dtype=dtype)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_it_is_convex_along_segments_whatever_the_weights(rng, dtype, spread):
    """psi((1-s) x + s y) <= (1-s) psi(x) + s psi(y), to the rounding of values that may be large."""
    potential = anywhere(rng, dtype, spread=spread)
    (x, condition), (y, _) = points(rng, dtype), points(rng, dtype)
    ends = potential(x, condition), potential(y, condition)
    rounding = 100 * torch.finfo(dtype).eps * (ends[0].abs() + ends[1].abs())
    for s in torch.linspace(0.05, 0.95, 7).tolist():
        chord = (1 - s) * ends[0] + s * ends[1]
        assert (potential((1 - s) * x + s * y, condition) <= chord + rounding).all()
    middle = potential((x + y) / 2, condition)
    assert ((ends[0] + ends[1]) / 2 - middle).max() > 1e-3  # and bent, not flat


def test_averages_of_weights_stay_convex(rng, dtype):
    """What training keeps is an average of weights, here of two that have nothing in common."""
    potential, other = anywhere(rng, dtype), anywhere(rng, dtype)
    with torch.no_grad():
        for mine, theirs in zip(potential.parameters(), other.parameters(), strict=True):
            mine.lerp_(theirs, 0.4)
    (x, condition), (y, _) = points(rng, dtype), points(rng, dtype)
    slope = potential.gradient(x, condition) - potential.gradient(y, condition)
    assert (slope * (x - y)).sum(-1).min() > 0  # the gradient of a convex function is monotone


@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_no_second_derivative_is_below_the_floor(rng, floor):
    potential = anywhere(rng, torch.float64, floor=floor, spread=0.3)
    with torch.no_grad():
        potential.stretch.weight.zero_()
        potential.stretch.bias.zero_()  # the learned quadratic part away, which would hide the floor
        potential.weight.zero_()
    x, condition = points(rng, torch.float64, b=1, n=1)
    hessian = torch.autograd.functional.hessian(lambda p: potential(p, condition).sum(), x)
    found = torch.linalg.eigvalsh(hessian.reshape(D, D))
    assert torch.allclose(found, torch.full_like(found, floor), atol=1e-12)


def test_the_gradient_of_a_quadratic(rng, dtype):
    """Without the bent part psi = floor |x|^2/2 + |r * M x|^2/2 + <s, x>, so H = floor + M' r^2 M."""
    potential = untrained(rng, dtype, floor=0.1)
    axes = torch.randn(D, D, generator=rng, dtype=dtype)
    r, s = torch.tensor([0.5, 2.0, 1.0], dtype=dtype), torch.tensor([1.0, -2.0, 0.0], dtype=dtype)
    with torch.no_grad():
        potential.weight.zero_()
        potential.axes.copy_(axes)
        potential.stretch.bias.copy_(r)
        potential.slope.bias.copy_(s)
    x, condition = points(rng, dtype)
    curvature = 0.1 * torch.eye(D, dtype=dtype) + axes.T @ torch.diag(r**2) @ axes
    tolerance = 1e3 * torch.finfo(dtype).eps  # sums of a few products of size 10
    assert torch.allclose(potential.gradient(x, condition), x @ curvature + s, rtol=0, atol=tolerance)


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_an_untrained_gradient_is_the_identity(rng, floor):
    potential = untrained(rng, torch.float64, floor, PotentialConfig())
    x, condition = points(rng, torch.float64)
    # the bent part starts at a millionth of a function that grows about as fast as x
    assert (potential.gradient(x, condition) - x).abs().max() < 1e-5


def test_the_gradient_is_that_of_the_values(rng):
    """Central differences; the error falls with the square of the step."""
    potential = anywhere(rng, torch.float64, spread=0.5)
    x, condition = points(rng, torch.float64, n=5)
    gradient, h = potential.gradient(x, condition), 1e-5
    for j in range(D):
        step = torch.zeros(D, dtype=torch.float64)
        step[j] = h
        slope = (potential(x + step, condition) - potential(x - step, condition)) / (2 * h)
        assert torch.allclose(gradient[..., j], slope, rtol=1e-6, atol=1e-6)


def test_the_gradient_needs_no_gradients_switched_on(rng):
    potential = anywhere(rng, torch.float64)
    x, condition = points(rng, torch.float64)
    with torch.no_grad():
        alone = potential.gradient(x, condition)
    assert not alone.requires_grad
    assert not x.requires_grad
    assert torch.equal(alone, potential.gradient(x, condition))
    assert all(parameter.grad is None for parameter in potential.parameters())


def test_the_gradient_can_be_differentiated_in_weights_and_cells(rng):
    potential = anywhere(rng, torch.float64, spread=0.5)
    x, condition = points(rng, torch.float64, n=3)
    x.requires_grad_()
    potential.gradient(x, condition).square().sum().backward()
    assert x.grad.abs().min() > 0
    assert all(p.grad.abs().sum() > 0 for p in potential.parameters())


def test_each_condition_has_a_potential_of_its_own(rng):
    """Cells of one population under two conditions, together and one by one."""
    potential = anywhere(rng, torch.float64, spread=0.5)
    x, condition = points(rng, torch.float64)
    x = x[:1].expand(2, -1, -1)
    together = potential.gradient(x, condition)
    assert (together[0] - together[1]).abs().min() > 1e-6
    for i in range(2):
        alone = potential.gradient(x[i : i + 1], condition[i : i + 1])
        assert torch.allclose(alone[0], together[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_dtype_in_is_dtype_out(rng, precision):
    potential = untrained(rng, precision)
    x, condition = points(rng, precision)
    assert potential(x, condition).dtype == precision
    assert potential.gradient(x, condition).dtype == precision


@pytest.mark.parametrize(("settings", "message"), [({"width": 0}, "width"), ({"n_layers": 0}, "n_layers")])
def test_sizes_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PotentialConfig(**settings)


@pytest.mark.parametrize("floor", [-0.1, 1.0])
def test_a_floor_out_of_range_is_refused(floor):
    with pytest.raises(ValueError, match="floor"):
        ConvexPotential(SMALL, D, C, floor=floor)
