"""Flow time as features that a network can tell apart."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SinusoidalTime(nn.Module):
    """Sines and cosines of flow time at frequencies spaced evenly in the logarithm.

    phi(t) = [sin(2 pi f_i t), cos(2 pi f_i t)],   f_i from 1/4 to `highest` turns per unit of time

    Args:
        n_features: Width of the result; even.
        highest: Highest frequency, turns per unit of flow time.

    Source: Vaswani et al. (2017), section 3.5. Differs: time is continuous in [0, 1], so
    frequencies are turns per unit time, and the lowest is below one turn so that 0 and 1 differ.
    """

    frequencies: Tensor

    def __init__(self, n_features: int, highest: float = 8.0) -> None:
        super().__init__()
        if n_features < 2 or n_features % 2:
            raise ValueError(f"n_features must be even and at least 2, found {n_features}")
        turns = torch.logspace(math.log10(0.25), math.log10(highest), n_features // 2)
        self.register_buffer("frequencies", 2 * math.pi * turns)
        self.n_features = n_features

    def forward(self, t: Float[Tensor, "*s"]) -> Float[Tensor, "*s f"]:
        """Features of `t`, shape [...] to [..., n_features], in the dtype of `t`."""
        angle = t.unsqueeze(-1) * self.frequencies.to(t.dtype)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)
