"""The plane that cells are drawn in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False, kw_only=True)
class Plane:
    """An affine map to two coordinates.

    Attributes:
        centre: Subtracted first, shape [d].
        scale: Divided by next, shape [d].
        directions: Columns to project on, shape [d, 2].
        axes: Titles.
        is_pca: Whether the directions are principal components.
    """

    centre: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "d 2"]
    axes: tuple[str, str]
    is_pca: bool

    def project(self, cells: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
        """Cells in the plane, float32, shape [n, 2]."""
        return ((cells - self.centre) / self.scale @ self.directions).astype(np.float32)


def fit_plane(cells: Float[np.ndarray, "n d"], scale: Float[np.ndarray, " d"], names: Sequence[str]) -> Plane:
    """The plane of one or two features as they are, or of the first two principal components.

    The sign of a component is chosen so that its largest entry is positive: the same cells give the
    same picture on every machine.

    Args:
        cells: Shape [n, d].
        scale: Features are divided by it before components are found, shape [d].
        names: Of the features.
    """
    d = cells.shape[1]
    if d <= 2:
        axes = (names[0], names[1] if d == 2 else "")
        return Plane(centre=np.zeros(d), scale=np.ones(d), directions=np.eye(d, 2), axes=axes, is_pca=False)
    centre = cells.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(((cells - centre) / scale).T))
    directions = vectors[:, [-1, -2]]
    directions = directions * np.sign(directions[np.abs(directions).argmax(0), [0, 1]])
    total = max(float(values.sum()), np.finfo(float).tiny)
    first, second = (
        f"component {i} ({100 * v / total:.0f} % of variance)" for i, v in ((1, values[-1]), (2, values[-2]))
    )
    return Plane(centre=centre, scale=scale, directions=directions, axes=(first, second), is_pca=True)
