"""Principal components of the expression of the most variable genes."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Float64

from cellflow_cli.errors import ConfigError
from cellflow_cli.features import Decoded, SpaceEntry, TrainingCells, check_shapes
from cellflow_cli.features._variable_genes import variable_genes


@dataclass(frozen=True, eq=False, kw_only=True)
class PCA:
    """z = (x - mean) W, with W the leading principal axes of the training cells; back: x = z W^T + mean.

    Computed in float64, so that the size of a block hardly matters.

    Attributes:
        names: `PC1` to `PCd`.
        genes: The most variable genes.
        is_nonnegative: Whether expression cannot be below zero, so that decoded values are clipped there.
        mean: Training mean of each gene, float64, shape [g].
        components: W, orthonormal columns, the largest entry of each positive, float64, shape [g, d].
    """

    names: tuple[str, ...]
    genes: tuple[str, ...]
    is_nonnegative: bool
    mean: np.ndarray
    components: np.ndarray
    scale: ClassVar[None] = None  # components keep their different sizes
    obsm_key: ClassVar[str | None] = "X_pca"
    is_lossy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        g, d = len(self.genes), len(self.names)
        check_shapes(mean=(self.mean, (g,)), components=(self.components, (g, d)))

    def encode(self, expression: Float32[np.ndarray, "n g"]) -> Float32[np.ndarray, "n d"]:
        """Coordinates along the principal axes."""
        centred = expression.astype(np.float64) - self.mean
        return (centred @ self.components).astype(np.float32)

    def decode(self, cells: Float32[np.ndarray, "n d"]) -> Decoded:
        """The point of the principal subspace; values below zero are clipped where there are none."""
        expression = cells.astype(np.float64) @ self.components.T + self.mean
        n_clipped = 0
        if self.is_nonnegative:
            n_clipped = int((expression < 0).sum())
            expression = np.maximum(expression, 0)
        return Decoded(expression.astype(np.float32), n_clipped)

    def varm(self) -> dict[str, Float32[np.ndarray, "g d"]]:
        """The principal axes, `PCs` as scanpy names them."""
        return {"PCs": self.components.astype(np.float32)}


@dataclass(frozen=True, kw_only=True)
class PCAConfig:
    """How many components of how many genes."""

    n_components: int
    n_top_genes: int = 2000

    def n_features(self, n_genes: int) -> int:
        """The number of components."""
        return self.n_components

    def fault(self, n_cells: int, n_genes: int) -> str:
        """The solver finds fewer components than there are cells and genes."""
        if self.n_components < min(n_cells, n_genes):
            return ""
        return (
            f"Expected K of 'pca:{self.n_components}' to be below the number of training cells ({n_cells}) "
            f"and of genes ({n_genes}), found {self.n_components}."
        )

    def fit(self, cells: TrainingCells, seed: int = 0) -> PCA:
        """Choose the most variable genes and find the principal axes of the training cells over them.

        Args:
            cells: Stacked in float32, dense or CSR as they come.
            seed: Of the start vector of the eigensolver; moves the result by rounding only.

        Raises:
            ConfigError: If K is not below the number of cells and of genes.
        """
        stacked = _stacked(cells)
        chosen = variable_genes(stacked, self.n_top_genes, cells.is_log1p)
        if fault := self.fault(cells.n_cells, len(chosen)):
            raise ConfigError(f"{fault} Lower it with `--features pca:K`.")
        mean, components = _principal_axes(stacked[:, chosen], self.n_components, seed)
        return PCA(
            names=tuple(f"PC{i + 1}" for i in range(self.n_components)),
            genes=tuple(cells.genes[i] for i in chosen),
            is_nonnegative=cells.is_log1p,
            mean=mean,
            components=components,
        )


def parse(text: str) -> PCAConfig:
    """K of `pca:K`."""
    if not re.fullmatch("[0-9]+", text) or int(text) == 0:
        raise ValueError("a whole number K of at least 1")
    return PCAConfig(n_components=int(text))


def _stacked(cells: TrainingCells) -> Any:
    parts = [block.astype(np.float32) for block in cells.blocks()]
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)


def _principal_axes(
    cells: Any, n_components: int, seed: int
) -> tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, "g d"]]:
    """Mean and leading principal axes; the largest entry of each axis is positive.

    Sparse cells are centred implicitly by the solver and never become dense.
    """
    from sklearn.decomposition import PCA as Solver

    pca = Solver(n_components, svd_solver="arpack", random_state=seed).fit(cells.astype(np.float64))
    axes = pca.components_.T
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    return np.asarray(pca.mean_, dtype=np.float64).ravel(), axes * np.where(signs == 0, 1.0, signs)


ENTRY = SpaceEntry(parse=parse, space=PCA, usage="pca:K")
