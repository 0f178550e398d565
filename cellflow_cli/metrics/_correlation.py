"""Pearson correlation, and when it is undefined."""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int
from torch import Tensor

# Cells are float32: a spread below this part of the largest value is rounding, not variation.
_ROUNDING = 1e-6


class FeatureCorrelations(NamedTuple):
    """Correlations between the features that vary in both sets of cells.

    Attributes:
        predicted, target: Upper triangles of the two correlation matrices, diagonal left out,
            shape [v (v - 1) / 2] each.
        n_features: g, features looked at.
        n_constant_predicted, n_constant_target: Features without variation, which are left out.
    """

    predicted: Float64[Tensor, " p"]
    target: Float64[Tensor, " p"]
    n_features: int
    n_constant_predicted: int
    n_constant_target: int

    @property
    def remark(self) -> str:
        """What was left out, as text; empty if nothing was."""
        if not self.n_constant_predicted and not self.n_constant_target:
            return ""
        return (
            f"correlation undefined for constant features and these left out: of {self.n_features} "
            f"{self.n_constant_predicted} in predicted, {self.n_constant_target} in target"
        )


def feature_correlations(
    predicted: Float64[Tensor, "n g"], target: Float64[Tensor, "m g"]
) -> FeatureCorrelations:
    """Feature-feature Pearson correlations of two sets of cells over the features that vary in both."""
    varies = [_varies(cells) for cells in (predicted, target)]
    keep = torch.nonzero(varies[0] & varies[1]).flatten()
    return FeatureCorrelations(
        _upper_correlations(predicted, keep),
        _upper_correlations(target, keep),
        predicted.shape[1],
        int((~varies[0]).sum()),
        int((~varies[1]).sum()),
    )


def pearson(a: Float64[Tensor, " p"], b: Float64[Tensor, " p"]) -> float | None:
    """Pearson correlation of two vectors; None below three entries or if one of them is constant.

    Over two entries a correlation is 1 or -1 whatever they are, so it says nothing.
    """
    if len(a) < 3:
        return None
    centred = [v - v.mean() for v in (a, b)]
    norms = [torch.linalg.vector_norm(v) for v in centred]
    for vector, norm in zip((a, b), norms, strict=True):
        if norm <= 1e-12 * torch.linalg.vector_norm(vector):
            return None
    value = torch.dot(centred[0] / norms[0], centred[1] / norms[1])
    return float(value.clamp(-1, 1))


def _varies(cells: Float64[Tensor, "n g"]) -> Tensor:
    if len(cells) < 2:
        return torch.zeros(cells.shape[1], dtype=torch.bool, device=cells.device)
    spread = cells.amax(0) - cells.amin(0)
    return spread > _ROUNDING * cells.abs().amax(0)


def _upper_correlations(cells: Float64[Tensor, "n g"], keep: Int[Tensor, " v"]) -> Float64[Tensor, " p"]:
    centred = cells[:, keep] - cells[:, keep].mean(0)
    unit = centred / torch.linalg.vector_norm(centred, dim=0)
    rows, columns = torch.triu_indices(len(keep), len(keep), offset=1, device=cells.device)
    return (unit.T @ unit)[rows, columns]
