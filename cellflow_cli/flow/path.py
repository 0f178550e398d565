"""Probability paths between a source and a target cell, and the velocity that a field is trained on."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class PathSample(NamedTuple):
    """Points on paths and their target velocity.

    Attributes:
        xt: Points, shape [..., d].
        ut: Velocity of the path at those points, shape [..., d].
    """

    xt: Float[Tensor, "*s d"]
    ut: Float[Tensor, "*s d"]


class LinearPath:
    """Straight line from source to target at constant speed.

    x_t = (1 - t) x0 + t x1,   u_t = x1 - x0

    Source: Lipman et al. (2023), Flow Matching for Generative Modeling, equations 22-23 with
    sigma_min = 0; Tong et al. (2024), arXiv 2302.00482, equations 14-15 with sigma = 0.
    """

    def sample(
        self, x0: Float[Tensor, "*s d"], x1: Float[Tensor, "*s d"], t: Float[Tensor, "*s"]
    ) -> PathSample:
        """Points at time `t` and their target velocity.

        Args:
            x0: Source cells, shape [..., d].
            x1: Target cells, shape [..., d].
            t: Flow time in [0, 1], shape [...].
        """
        t = t.unsqueeze(-1)
        return PathSample(xt=(1 - t) * x0 + t * x1, ut=x1 - x0)
