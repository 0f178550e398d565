"""Entropic transport cost between equally weighted cells, stopped where OTT-JAX stops by default."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

THRESHOLD = 1e-3
MAX_ITERATIONS = 2_000
_BLOCK = 10

# Scalings beyond this leave the range where a kernel of float64 numbers still tells them apart.
_LARGEST = 1e100

Potentials = tuple[Float64[Tensor, " n"], Float64[Tensor, " m"]]


class Entropic(NamedTuple):
    """How the iteration ended.

    Attributes:
        cost: Value of the dual objective.
        converged: Whether the marginals came within the threshold.
        n_iter: Iterations taken.
        residual: L1 distance of the marginals from uniform ones.
    """

    cost: float
    converged: bool
    n_iter: int
    residual: float


def entropic_cost(cost: Float64[Tensor, "n m"], epsilon: float, symmetric: bool = False) -> Entropic:
    r"""Least of <P, cost> + epsilon KL(P | 1/nm) over plans with uniform marginals, by Sinkhorn's iteration.

    value = mean_i f_i + mean_j g_j + epsilon (1 - sum_ij P_ij)
    with P_ij = exp((f_i + g_j - cost_ij) / epsilon) / nm

    starting from zero, g first, then f; in the symmetric case g = f, replaced by the mean of itself
    and its update. The marginals are looked at after every ten iterations; the iteration stops where
    they are within 0.001 of uniform ones (L1, both together in the symmetric case), or after 2,000.

    It multiplies by a kernel that holds the potentials, which is renewed every ten iterations: ten
    times as fast as logarithms of sums, to which it returns where numbers leave their range.

    Args:
        cost: Shape [n, m]; square and symmetric in the symmetric case.
        epsilon: In the units of the cost, positive.
        symmetric: Transport of a population onto itself.

    Source: Cuturi (2013), Sinkhorn distances; Feydy et al. (2019), Interpolating between optimal transport
    and MMD using Sinkhorn divergences, equation 25 for the symmetric case; starting point, order of
    updates, threshold and limit are the defaults of OTT-JAX 0.6.
    """
    n, m = cost.shape
    potentials: Potentials = (cost.new_zeros(n), cost.new_zeros(m))
    residual, mass, done = float("inf"), 1.0, 0
    while done < MAX_ITERATIONS and residual >= THRESHOLD:
        potentials, column = _block(cost, epsilon, potentials, symmetric, logarithmic=not done)
        residual, mass = float((column - 1).abs().mean()), float(column.mean())
        residual *= 2 if symmetric else 1
        done += _BLOCK
    value = float(sum(p.mean() for p in potentials)) + epsilon * (1 - mass)
    return Entropic(value, residual < THRESHOLD, done, residual)


def _block(
    cost: Float64[Tensor, "n m"], epsilon: float, potentials: Potentials, symmetric: bool, logarithmic: bool
) -> tuple[Potentials, Float64[Tensor, " m"]]:
    """Ten iterations, and m times the mass that each target cell then receives, which should be one.

    With `logarithmic` the first of them goes by logarithms of sums, as it has to from potentials of zero.
    """
    left = _BLOCK
    if logarithmic:
        potentials, left = _step(cost, epsilon, potentials, symmetric), _BLOCK - 1
    kernel = _kernel(cost, epsilon, potentials)
    scalings = _scaled(kernel, left, symmetric)
    if scalings is None:
        for _ in range(left):
            potentials = _step(cost, epsilon, potentials, symmetric)
        kernel = _kernel(cost, epsilon, potentials)
        return potentials, kernel.mean(0)
    u, v = scalings
    f, g = potentials
    return (f + epsilon * u.log(), g + epsilon * v.log()), v * (kernel.T @ u) / len(u)


def _kernel(cost: Float64[Tensor, "n m"], epsilon: float, potentials: Potentials) -> Float64[Tensor, "n m"]:
    kernel = potentials[0][:, None] - cost
    kernel += potentials[1]
    kernel /= epsilon
    return kernel.exp_()


def _scaled(kernel: Float64[Tensor, "n m"], times: int, symmetric: bool) -> Potentials | None:
    """Scalings of rows and columns after some iterations; None where they leave the range of numbers."""
    n, m = kernel.shape
    u, v = kernel.new_ones(n), kernel.new_ones(m)
    for _ in range(times):
        if symmetric:
            u = v = (u / (kernel @ u / n)).sqrt()
        else:
            v = 1 / (kernel.T @ u / n)
            u = 1 / (kernel @ v / m)
    both = torch.cat([u, v])
    inside = (both > 1 / _LARGEST) & (both < _LARGEST)  # false for NaN, too
    return (u, v) if bool(inside.all()) else None


def _step(
    cost: Float64[Tensor, "n m"], epsilon: float, potentials: Potentials, symmetric: bool
) -> Potentials:
    """One iteration by logarithms of sums."""
    f, g = potentials
    n, m = cost.shape
    if symmetric:
        update = -epsilon * (torch.logsumexp((f - cost) / epsilon, 1) - math.log(n))
        f = (f + update) / 2
        return f, f
    g = -epsilon * (torch.logsumexp((f[:, None] - cost) / epsilon, 0) - math.log(n))
    f = -epsilon * (torch.logsumexp((g - cost) / epsilon, 1) - math.log(m))
    return f, g
