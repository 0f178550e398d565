"""Entropic transport cost between equally weighted cells, stopped where OTT-JAX stops by default."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

THRESHOLD = 1e-3
MAX_ITERATIONS = 2_000
_BLOCK = 10

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

    It multiplies by a kernel that holds the potentials, renewed every ten iterations: ten times as fast as
    logarithms of sums. After one iteration of those every row sums to one and every column to 1 / m or
    more, so that no scaling grows by more than a factor n m per iteration: ten of them stay in float64.

    Args:
        cost: Shape [n, m]; square and symmetric in the symmetric case.
        epsilon: In the units of the cost, positive.
        symmetric: Transport of a population onto itself.

    Source: Cuturi (2013), Sinkhorn distances; Feydy et al. (2019), Interpolating between optimal transport
    and MMD using Sinkhorn divergences, equation 25 for the symmetric case; starting point, order of
    updates, threshold and limit are the defaults of OTT-JAX 0.6.
    """
    n, m = cost.shape
    f, g = cost.new_zeros(n), cost.new_zeros(m)
    done, residual, mass = 0, math.inf, 1.0
    if not symmetric:
        f, g = _first(cost, epsilon)
        done = 1
    while done < MAX_ITERATIONS and residual >= THRESHOLD:
        kernel = _kernel(cost, epsilon, f, g)
        left = _BLOCK - done % _BLOCK
        u, v = _scaled_alike(kernel, left) if symmetric else _scaled(kernel, left)
        received = v * (kernel.T @ u) / n  # m times the mass that each target cell receives
        residual, mass = float((received - 1).abs().mean()), float(received.mean())
        residual *= 2 if symmetric else 1
        f, g, done = f + epsilon * u.log(), g + epsilon * v.log(), done + left
    value = float(f.mean() + g.mean()) + epsilon * (1 - mass)
    return Entropic(value, residual < THRESHOLD, done, residual)


def _first(cost: Float64[Tensor, "n m"], epsilon: float) -> Potentials:
    """One iteration by logarithms of sums, for the kernel of zero potentials may be zero all over."""
    n, m = cost.shape
    g = -epsilon * (torch.logsumexp(cost / -epsilon, 0) - math.log(n))
    f = -epsilon * (torch.logsumexp((g - cost) / epsilon, 1) - math.log(m))
    return f, g


def _kernel(
    cost: Float64[Tensor, "n m"], epsilon: float, f: Float64[Tensor, " n"], g: Float64[Tensor, " m"]
) -> Float64[Tensor, "n m"]:
    kernel = f[:, None] - cost
    kernel += g
    kernel /= epsilon
    return kernel.exp_()


def _scaled(kernel: Float64[Tensor, "n m"], times: int) -> Potentials:
    """Scalings of rows and columns after some iterations."""
    n, m = kernel.shape
    u, v = kernel.new_ones(n), kernel.new_ones(m)
    for _ in range(times):
        v = 1 / (kernel.T @ u / n)
        u = 1 / (kernel @ v / m)
    return u, v


def _scaled_alike(kernel: Float64[Tensor, "n n"], times: int) -> Potentials:
    """The same where both are one: geometric means of old and new."""
    u = kernel.new_ones(len(kernel))
    for _ in range(times):
        u = (u / (kernel @ u / len(kernel))).sqrt()
    return u, u
