"""Principal components of the expression of the most variable genes."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32, Float64

from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.features import Decoded, SpaceEntry, TrainingCells, check_shapes
from cellflow_cli.features._variable_genes import variable_genes

MAX_COMPONENTS = 10_000
"""More than any flow takes."""
_ROUNDING = 5e-7  # of float32, relative: values that differ by no more are equal


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

    def variation_fault(self, n_varying: int) -> str:
        """Why so few genes that vary over the training cells are too few; empty if not."""
        if n_varying == 0:
            return (
                "Expected genes that vary over the training cells, found none: nothing varies, so that there "
                "are no components. Look at the matrix, or choose another one with `--layer`."
            )
        if n_varying < self.n_components:
            return (
                f"Expected at least {self.n_components} genes that vary over the training cells for "
                f"'pca:{self.n_components}', found {n_varying}. Lower K with `--features pca:{n_varying}`."
            )
        return ""

    def fit(self, cells: TrainingCells, seed: int = 0) -> PCA:
        """Choose the most variable genes and find the principal axes of the training cells over them.

        Args:
            cells: Stacked in float32, dense or CSR as they come.
            seed: Of the start vector of the eigensolver; moves the result by rounding only.

        Raises:
            ConfigError: If K is not below the number of cells and of genes.
            DataError: If fewer than K genes vary, or the cells span fewer than K directions.
        """
        stacked = _stacked(cells)
        chosen = variable_genes(stacked, self.n_top_genes, cells.is_log1p)
        if fault := self.fault(cells.n_cells, len(chosen)):
            raise ConfigError(f"{fault} Lower it with `--features pca:K`.")
        if fault := self.variation_fault(_n_varying(stacked[:, chosen])):
            raise DataError(fault)
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
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_COMPONENTS:
        raise ValueError(f"a whole number K from 1 to {MAX_COMPONENTS:,} in digits 0 to 9")
    return PCAConfig(n_components=int(text))


def _stacked(cells: TrainingCells) -> Any:
    parts = [block.astype(np.float32) for block in cells.blocks()]
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)


def _n_varying(cells: Any) -> int:
    """How many columns hold two different values or more."""
    if hasattr(cells, "tocsc"):
        columns = cells.tocsc()
        low, high = columns.min(axis=0).toarray().ravel(), columns.max(axis=0).toarray().ravel()
    else:
        low, high = cells.min(axis=0), cells.max(axis=0)
    return int((high - low > _ROUNDING * np.maximum(np.abs(low), np.abs(high))).sum())


def _principal_axes(
    cells: Any, n_components: int, seed: int
) -> tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, "g d"]]:
    """Mean and leading principal axes; the largest entry of each axis is positive.

    Sparse cells are centred implicitly by the solver and never become dense.
    """
    from scipy.sparse.linalg import ArpackError
    from sklearn.decomposition import PCA as Solver

    try:
        pca = Solver(n_components, svd_solver="arpack", random_state=seed).fit(cells.astype(np.float64))
    except ArpackError as error:
        raise DataError(
            f"Expected the training cells to vary in {n_components} directions, found that they do not "
            f"({error}). Lower K with `--features pca:K`, or look at the matrix."
        ) from error
    axes = pca.components_.T
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    return np.asarray(pca.mean_, dtype=np.float64).ravel(), axes * np.where(signs == 0, 1.0, signs)


ENTRY = SpaceEntry(parse=parse, space=PCA, usage="pca:K")
