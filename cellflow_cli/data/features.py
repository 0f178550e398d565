"""Fitting the features of the flow on training cells; what is fitted is a `FeatureTransform`."""

from typing import Any

import anndata
import numpy as np
import scipy.sparse as sp

from cellflow_cli.data.blocks import blocks, checked_blocks, is_sparse, normalised
from cellflow_cli.data.columns import where
from cellflow_cli.data.read import unique_feature_names, values
from cellflow_cli.data.schema import MAX_PLAIN_FEATURES, DataSpec
from cellflow_cli.data.transform import TARGET_TOTAL, FeatureTransform
from cellflow_cli.errors import ConfigError, DataError

__all__ = ["FeatureTransform", "fit_features"]


def fit_features(
    adata: anndata.AnnData, spec: DataSpec, rows: np.ndarray, n_top_genes: int = 2000, seed: int = 0
) -> FeatureTransform:
    """Learn the features of the flow from `rows` alone.

    Args:
        adata: Holds what `spec.features` names; not modified.
        spec: Says which matrix it is and what it holds.
        rows: Positions of the training cells, shape [n].
        n_top_genes: Most variable genes kept for PCA.
        seed: Of the start vector of the eigensolver; moves the result by rounding only.

    Returns:
        The transform; the same input gives the same transform bit for bit.

    Raises:
        ConfigError: If K of `pca:K` is not below the number of cells and of genes.
        DataError: If names repeat, values are not finite or not what `spec.expression` says, or if
            there are too many features for a flow without PCA.
    """
    if len(rows) == 0:
        raise ValueError("features are fitted on at least one row")
    rows = np.sort(np.asarray(rows))
    names = unique_feature_names(adata, spec.features)
    if spec.source.kind == "pca":
        return _fit_pca(adata, spec, rows, names, n_top_genes, seed)
    _check_width(spec, names, where(adata.obs))
    mean, std = _moments(adata, spec, rows, names)
    return FeatureTransform(
        kind="values",
        features=spec.features,
        expression_kind=spec.expression,
        names=tuple(names),
        genes=tuple(names),
        input_genes=tuple(names),
        mean=mean,
        scale=np.where(std > 0, std, 1.0),
    )


def _check_width(spec: DataSpec, names: list[str], place: str) -> None:
    if spec.source.kind in ("X", "layers") and len(names) > MAX_PLAIN_FEATURES:
        raise DataError(
            f"Expected at most {MAX_PLAIN_FEATURES} features in {spec.features!r}, found {len(names)}."
            f"{place} Reduce them with `--features pca:50` and say with `--expression` what X holds."
        )


def _moments(
    adata: anndata.AnnData, spec: DataSpec, rows: np.ndarray, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, float64, each shape [d]; two passes over the blocks."""
    matrix = values(adata, spec.features)
    total = np.zeros(len(names))
    for block in checked_blocks(blocks(matrix, rows), adata.obs_names, names, None, where(adata.obs)):
        total += np.asarray(block.values.sum(axis=0, dtype=np.float64)).ravel()
    mean = total / len(rows)
    squares = np.zeros(len(names))
    for block in blocks(matrix, rows):
        dense = block.values.toarray() if is_sparse(block.values) else block.values
        squares += ((dense - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(squares / len(rows))


def _fit_pca(
    adata: anndata.AnnData, spec: DataSpec, rows: np.ndarray, names: list[str], n_top_genes: int, seed: int
) -> FeatureTransform:
    n_components = spec.source.n_components
    cells, shares = _expression(adata, spec, rows, names)
    chosen = _variable_genes(cells, str(spec.expression), n_top_genes)
    if n_components >= min(len(rows), len(chosen)):
        raise ConfigError(
            f"Expected K of {spec.features!r} to be below the number of training cells ({len(rows)}) and of "
            f"genes ({len(chosen)}), found {n_components}. Lower it with `--features pca:K`."
        )
    genes = tuple(names[i] for i in chosen)
    mean, components = _principal_axes(cells[:, chosen], n_components, seed)
    return FeatureTransform(
        kind="pca",
        features=spec.features,
        expression_kind=spec.expression,
        names=tuple(f"PC{i + 1}" for i in range(n_components)),
        genes=genes,
        input_genes=tuple(names) if spec.expression == "counts" else genes,
        mean=mean,
        scale=np.ones(n_components),
        components=components,
        shares=shares,
    )


def _expression(
    adata: anndata.AnnData, spec: DataSpec, rows: np.ndarray, names: list[str]
) -> tuple[Any, np.ndarray]:
    """Expression of the training cells over all genes, and the mean share that each gene has of a cell.

    Returns:
        cells: float32, dense or CSR as the data are, shape [n, g].
        shares: Shape [g] for counts, otherwise [0].
    """
    parts, shares = [], np.zeros(len(names) if spec.expression == "counts" else 0)
    found = blocks(values(adata, spec.features), rows)
    for block in checked_blocks(found, adata.obs_names, names, spec.expression, where(adata.obs)):
        cells = block.values
        if spec.expression == "counts":
            cells = normalised(cells, TARGET_TOTAL)
            shares += _total_shares(block.values)
        parts.append(cells.astype(np.float32))
    stacked = sp.vstack(parts, format="csr") if is_sparse(parts[0]) else np.concatenate(parts)
    return stacked, shares / len(rows)


def _total_shares(counts: Any) -> np.ndarray:
    totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    weights = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.asarray(counts.T @ weights).ravel()


def _variable_genes(cells: Any, expression: str, n_top_genes: int) -> np.ndarray:
    """Ascending positions of the most variable genes: by dispersion of log1p values, else by variance."""
    if cells.shape[1] <= n_top_genes:
        return np.arange(cells.shape[1])
    if expression == "as-is":
        mean = np.asarray(cells.mean(axis=0, dtype=np.float64)).ravel()
        square = cells.multiply(cells) if is_sparse(cells) else cells**2
        variance = np.asarray(square.mean(axis=0, dtype=np.float64)).ravel() - mean**2
        return np.sort(np.argsort(-variance, kind="stable")[:n_top_genes])
    import scanpy as sc

    table = sc.pp.highly_variable_genes(
        anndata.AnnData(cells), flavor="seurat", n_top_genes=n_top_genes, inplace=False
    )
    return np.flatnonzero(table["highly_variable"].to_numpy())


def _principal_axes(cells: Any, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [g] and leading principal axes [g, d]; the largest entry of each axis is positive.

    Sparse cells are centred implicitly by the solver and never become dense.
    """
    from sklearn.decomposition import PCA

    pca = PCA(n_components, svd_solver="arpack", random_state=seed).fit(cells.astype(np.float64))
    axes = pca.components_.T
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    return np.asarray(pca.mean_, dtype=np.float64).ravel(), axes * np.where(signs == 0, 1.0, signs)
