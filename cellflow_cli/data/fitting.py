"""Fitting the features of the flow on training cells; what is fitted is a `FeatureTransform`."""

from collections.abc import Iterator
from typing import Any

import anndata
import numpy as np
from jaxtyping import Float64, Int

from cellflow_cli.data.blocks import Block, blocks, checked_blocks, normalised
from cellflow_cli.data.choice import Choice, nameless
from cellflow_cli.data.columns import where
from cellflow_cli.data.matrices import fault_of
from cellflow_cli.data.read import feature_table, has_named_columns, unique_feature_names, values
from cellflow_cli.data.schema import COUNTS, DataSpec
from cellflow_cli.data.transform import TARGET_TOTAL, FeatureTransform
from cellflow_cli.errors import DataError
from cellflow_cli.features import TrainingCells


def fit_features(
    adata: anndata.AnnData, spec: DataSpec, rows: Int[np.ndarray, " n"], seed: int = 0
) -> FeatureTransform:
    """Learn the features of the flow from `rows` alone.

    Args:
        adata: Holds what `spec.features` names; not modified.
        spec: Says which matrix it is and what it holds.
        rows: Positions of the training cells, shape [n].
        seed: Of what a feature space draws.

    Returns:
        The transform; the same input gives the same transform bit for bit.

    Raises:
        ConfigError: If there are too few cells or genes for the feature space.
        DataError: If names repeat, values are not finite or not what `spec.expression` says, or if
            there are too many features for a flow without reduction.
    """
    cells = training_cells(adata, spec, rows)
    space = spec.source.config.fit(cells, seed)
    is_counts = spec.expression in COUNTS
    return FeatureTransform(
        features=spec.features,
        expression_kind=spec.expression,
        input_genes=cells.genes if is_counts else space.genes,
        shares=_shares(adata, spec, np.sort(rows)) if is_counts else np.zeros(0),
        space=space,
    )


def training_cells(adata: anndata.AnnData, spec: DataSpec, rows: Int[np.ndarray, " n"]) -> TrainingCells:
    """Expression of the training cells over all genes of the file, checked while it is read.

    Raises:
        DataError: As `fit_features`.
    """
    if len(rows) == 0:
        raise ValueError("features are fitted on at least one row")
    rows = np.sort(np.asarray(rows))
    names, columns = chosen_features(adata, spec)
    _check_width(spec, names, where(adata.obs))
    kind = spec.expression if spec.source.entry.needs_expression else None

    def expression() -> Iterator[Any]:
        raw = blocks(values(adata, spec.features), rows, columns)
        fault = fault_of(adata, spec.features, kind)
        for block in checked_blocks(raw, adata.obs_names, names, where(adata.obs), fault=fault):
            yield normalised(block.values, TARGET_TOTAL) if kind in COUNTS else block.values

    return TrainingCells(
        genes=tuple(names), n_cells=len(rows), is_log1p=kind in (*COUNTS, "log1p"), blocks=expression
    )


def chosen_features(adata: anndata.AnnData, spec: DataSpec) -> tuple[list[str], Int[np.ndarray, " g"] | None]:
    """Names of the features that `spec` chooses, and their columns in the matrix; None for all.

    Raises:
        DataError: If a name repeats, or the choice names what is not there.
    """
    names = unique_feature_names(adata, spec.features)
    place = where(adata.obs)
    var = feature_table(adata, spec.features)
    if var is None and spec.choice != Choice() and not has_named_columns(adata, spec.features):
        raise nameless(spec.features, place)
    columns = spec.choice.positions(names, var, place)
    return (names, None) if columns is None else ([names[i] for i in columns], columns)


def _check_width(spec: DataSpec, names: list[str], place: str) -> None:
    limit = spec.source.max_genes
    if limit is not None and len(names) > limit:
        raise DataError(
            f"Expected at most {limit} features in {spec.features!r}, found {len(names)}.{place} Reduce them "
            "with `--features pca:50` and say with `--expression` what it holds."
        )


def _shares(adata: anndata.AnnData, spec: DataSpec, rows: Int[np.ndarray, " n"]) -> Float64[np.ndarray, " g"]:
    """Mean share that each gene has of the counts of a cell; cells without counts have none."""
    names, columns = chosen_features(adata, spec)
    total = np.zeros(len(names))
    for block in blocks(values(adata, spec.features), rows, columns):
        total += _block_shares(block)
    return total / len(rows)


def _block_shares(block: Block) -> Float64[np.ndarray, " g"]:
    totals = np.asarray(block.values.sum(axis=1, dtype=np.float64)).ravel()
    weights = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.asarray(block.values.T @ weights).ravel()
