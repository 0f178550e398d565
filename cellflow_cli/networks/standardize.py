"""Cells in units that a network is comfortable with, and back."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.types import Moments


class Standardizer(nn.Module):
    """An affine map per feature, kept as buffers so that it travels with the weights.

    z = (x - center) / scale

    Args:
        n_features: d.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def fit(self, populations: Sequence[Moments], unit: Float[Tensor, " d"]) -> None:
        """Centre on the mean of the populations; scale so that features have spread one on average.

        The relative scale of features is the one given by `unit`, so that distances inside the
        network are distances of the metrics up to one factor. Every population weighs the same.

        Args:
            populations: Moments of each training population.
            unit: Unit of each feature, positive, shape [d]: its standard deviation for markers,
                one for principal components.
        """
        center = torch.stack([moments.mean for moments in populations]).mean(0)
        squares = torch.stack([m.variance + (m.mean - center).square() for m in populations])
        ratio = (squares.mean(0) / unit.double().square()).mean().sqrt().clamp_min(1e-12)
        self.center.copy_(center)
        self.scale.copy_(unit.double() * ratio)

    def forward(self, x: Float[Tensor, "*s d"]) -> Float[Tensor, "*s d"]:
        """Cells in network units."""
        return (x - self.center) / self.scale

    def inverse(self, z: Float[Tensor, "*s d"]) -> Float[Tensor, "*s d"]:
        """Cells in the units of the data."""
        return z * self.scale + self.center
