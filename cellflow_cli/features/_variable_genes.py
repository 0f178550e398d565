"""Which genes vary most between cells."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int

N_BINS = 20


def variable_genes(cells: Any, n_top_genes: int, is_log1p: bool) -> Int[np.ndarray, " k"]:
    """Ascending positions of the most variable genes: all, if there are no more than `n_top_genes`.

    Args:
        cells: Expression, dense or CSR, shape [n, g].
        n_top_genes: How many to keep; of log1p expression more, where the last ones vary equally.
        is_log1p: Whether to compare the dispersions of the counts behind log1p expression (see
            `normalised_dispersion`), or else the variances of the values.
    """
    if cells.shape[1] <= n_top_genes:
        return np.arange(cells.shape[1])
    if not is_log1p:
        _, variance = _moments(cells)
        return np.sort(np.argsort(-variance, kind="stable")[:n_top_genes])
    dispersion = normalised_dispersion(cells)
    known = np.sort(dispersion[~np.isnan(dispersion)])
    lowest = known[-min(n_top_genes, len(known))]
    return np.flatnonzero(np.nan_to_num(dispersion, nan=-np.inf) >= lowest)


def normalised_dispersion(cells: Any) -> Float64[np.ndarray, " g"]:
    """How much a gene varies beyond other genes of its mean expression.

    dispersion = log(var / mean) of expm1(cells), standardised among the genes of its bin: 20 bins of
    equal width over log1p(mean). A gene alone in its bin has 1.

    Args:
        cells: log1p expression, dense or CSR, shape [n, g].

    Returns:
        Shape [g]; NaN where a gene does not vary.

    Source: Satija et al. (2015), Spatial reconstruction of single-cell gene expression data; as in
    scanpy's `highly_variable_genes(flavor="seurat")`, dense cells squared in their own precision.
    """
    n = cells.shape[0]
    counts: Any = np.expm1(cells)
    mean, variance = _moments(counts.astype(np.float64) if hasattr(counts, "multiply") else counts)
    mean[mean == 0] = 1e-12
    dispersion = variance * n / max(n - 1, 1) / mean
    dispersion[dispersion <= 0] = np.nan
    table = pd.DataFrame({"dispersion": np.log(dispersion), "bin": pd.cut(np.log1p(mean), N_BINS)})
    by_bin = table.groupby("bin", observed=True)["dispersion"]
    average, spread = by_bin.transform("mean"), by_bin.transform("std")
    alone = spread.isna()
    average, spread = average.mask(alone, 0.0), spread.mask(alone, average)
    return ((table["dispersion"] - average) / spread).to_numpy()


def _moments(cells: Any) -> tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, " g"]]:
    """Mean and biased variance of each column; the sums are in float64."""
    mean = np.asarray(cells.mean(axis=0, dtype=np.float64)).ravel()
    square = cells.multiply(cells) if hasattr(cells, "multiply") else cells**2
    return mean, np.asarray(square.mean(axis=0, dtype=np.float64)).ravel() - mean**2
