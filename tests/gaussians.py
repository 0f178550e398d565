r"""Flows between Gaussians, whose velocity fields and maps are known in closed form.

Cells as column vectors, S_t = (1-t)^2 S0 + t^2 S1, m_t = (1-t) m0 + t m1 and A the Monge map
S0^-1/2 (S0^1/2 S1 S0^1/2)^1/2 S0^-1/2:

    independent coupling   u_t(x) = m1 - m0 + (t S1 - (1-t) S0) S_t^-1 (x - m_t)
    optimal coupling       u_t(x) = m1 - m0 + (A - I) ((1-t) I + t A)^-1 (x - m_t)

Both fields are affine in x, so the flow maps cells with the moments (m0, S0) to cells with the
moments (m1, S1) exactly; the second ends at m1 + A (x - m0) for every cell.
"""

import scipy.linalg
import torch


def root(matrix):
    """Symmetric square root."""
    return torch.from_numpy(scipy.linalg.sqrtm(matrix.double().numpy()).real.copy()).to(matrix)


def monge_map(s0, s1):
    """A, with A S0 A = S1."""
    r = root(s0)
    inverse = torch.linalg.inv(r)
    return inverse @ root(r @ s1 @ r) @ inverse


def independent(m0, s0, m1, s1):
    """Velocity under the independent coupling, called as `(t, x)`."""

    def velocity(t, x):
        st, mt = (1 - t) ** 2 * s0 + t**2 * s1, (1 - t) * m0 + t * m1
        return m1 - m0 + (x - mt) @ ((t * s1 - (1 - t) * s0) @ torch.linalg.inv(st)).T

    return velocity


def optimal(m0, s0, m1, s1):
    """Velocity under the optimal coupling, called as `(t, x)`."""
    a, eye = monge_map(s0, s1), torch.eye(len(m0)).to(m0)

    def velocity(t, x):
        mt = (1 - t) * m0 + t * m1
        return m1 - m0 + (x - mt) @ ((a - eye) @ torch.linalg.inv((1 - t) * eye + t * a)).T

    return velocity


def cells_with_moments(mean, covariance, n, rng):
    """n cells whose sample mean and covariance (dividing by n) are exactly these."""
    x = torch.randn(n, len(mean), generator=rng, dtype=mean.dtype)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / n)).T
    return white @ root(covariance) + mean
