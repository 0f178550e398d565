"""Cells of a prediction of another tool: where they lie, what their features are called, what they hold."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from cellflow_cli.data.blocks import Tally, blocks, dense, normalised, tally
from cellflow_cli.data.columns import where
from cellflow_cli.data.expression import Evidence, expression_fault
from cellflow_cli.data.feature_source import in_layer, named_matrix, parse_features
from cellflow_cli.data.read import feature_names, unique_feature_names, values
from cellflow_cli.data.schema import COUNTS, DataSpec
from cellflow_cli.data.transform import TARGET_TOTAL, FeatureTransform
from cellflow_cli.errors import ConfigError, DataError, listed
from cellflow_cli.external.file_format import ExternalFormat

IN_ORDER = "`--assume-feature-order`"
_MAX_TOTALS = 200  # cells whose total is looked at


class ExternalCells(NamedTuple):
    """Predicted cells in the spaces of a transform; control rows left out.

    Attributes:
        genes: Expression space, shape [n, g].
        flow: Features of the flow, shape [n, d].
        lowest: Smallest value in the file.
    """

    genes: Float32[np.ndarray, "n g"]
    flow: Float32[np.ndarray, "n d"]
    lowest: float


def column_names(
    predicted: anndata.AnnData, truth: anndata.AnnData, spec: DataSpec, file_format: ExternalFormat
) -> list[str]:
    """Names of the columns of the predicted matrix.

    Raises:
        ConfigError, DataError: If they are not known, or contradict `assume_feature_order`.
    """
    matrix, place = file_format.matrix or "X", where(predicted.obs)
    expected, width = feature_names(truth, spec.features), _matrix(predicted, matrix).shape[1]
    source = parse_features(matrix).matrix
    is_nameless = source.slot == "obsm" and not isinstance(predicted.obsm[source.name], pd.DataFrame)
    names = [] if is_nameless else unique_feature_names(predicted, matrix)
    if not file_format.assume_feature_order:
        if is_nameless:
            fits = "as many as" if width == len(expected) else f"not the {len(expected)} that"
            raise DataError(
                f"Expected named features, found the {width} nameless columns of `{matrix}`, {fits} the "
                f"truth has.{place} Say {IN_ORDER} if they are its features in its order."
            )
        return names
    if width != len(expected):
        raise ConfigError(
            f"Expected the {len(expected)} features of the truth with {IN_ORDER}, found {width} columns in "
            f"`{matrix}`.{place} Give the truth with the features that were predicted, in their order."
        )
    if names != expected and (shared := set(names) & set(expected)):
        raise ConfigError(
            f"Expected columns without the names of the truth with {IN_ORDER}, found {len(shared)} of its "
            f"names in another order, e.g. {listed(names, 3)} for {listed(expected, 3)}.{place} Leave the "
            "option out: features are found by name."
        )
    return expected


def external_cells(
    predicted: anndata.AnnData,
    rows: Int[np.ndarray, " n"],
    names: Sequence[str],
    transform: FeatureTransform,
    file_format: ExternalFormat,
) -> ExternalCells:
    """Rows of the predicted matrix, once it holds what its format says.

    Args:
        predicted: Holds the matrix; not modified.
        rows: Predicted cells.
        names: Of the columns of the matrix.
        transform: Whose spaces the cells are brought to.
        file_format: Where the matrix is, and what it holds.

    Raises:
        ConfigError: If what it holds cannot be brought to the space of the transform.
        DataError: If it holds something else, or lacks features.
    """
    matrix, place = _matrix(predicted, file_format.matrix or "X"), where(predicted.obs)
    kind = _expression_kind(file_format, transform)
    total = Tally()
    for block in blocks(matrix, rows):
        total = total.plus(tally(block))
    _check_values(total, kind, place, may_have_fractions=file_format.expression is not None)
    needed = list(transform.input_genes if kind in COUNTS else transform.genes)
    if missing := sorted(set(needed) - set(names)):
        raise DataError(
            f"Expected a prediction of all {len(needed)} features, found {len(needed) - len(missing)}; "
            f"missing are {listed(missing)}.{place} Use the feature names of the training data; what was not "
            "predicted cannot be filled in."
        )
    if kind == "log1p" and transform.expression_kind in COUNTS:
        _check_total(matrix[rows[:_MAX_TOTALS]], names, transform, place)
    cells = matrix[rows][:, pd.Index(names).get_indexer(pd.Index(needed))]
    adata = anndata.AnnData(
        X=normalised(cells, TARGET_TOTAL) if kind in COUNTS else cells,
        obs=pd.DataFrame(index=predicted.obs_names[rows].astype(str)),
        var=pd.DataFrame(index=needed),
    )
    adata.obs.attrs.update(predicted.obs.attrs)
    of_expression = _of_expression(transform)
    genes = of_expression.expression(adata)
    flow = genes if transform.obsm_key is None else of_expression.apply(adata)
    return ExternalCells(genes, flow, total.lowest)


def _matrix(adata: anndata.AnnData, name: str) -> Any:
    try:
        return values(adata, name)
    except DataError as error:
        text = re.sub(
            r"Say where the values are with `--layer.*`", "Choose it with `--predicted-in`", str(error)
        )
        raise DataError(text.replace("`--features`", "`--predicted-in`")) from error


def _expression_kind(file_format: ExternalFormat, transform: FeatureTransform) -> str | None:
    """What the predicted matrix holds."""
    of_truth = transform.expression_kind
    kind = file_format.expression or of_truth
    if kind != of_truth and not (of_truth in COUNTS and kind in (*COUNTS, "log1p")):
        raise ConfigError(
            f"Expected predicted values like those of the truth ({of_truth or 'as-is'}), found "
            f"`--predicted-expression {kind}`. Only log1p values can be held against counts."
        )
    return kind


def _of_expression(transform: FeatureTransform) -> FeatureTransform:
    """The transform of cells whose X is its expression space already."""
    return replace(
        transform,
        features="X" if named_matrix(transform.features) else in_layer(transform.features, "X"),
        expression_kind="as-is",
        input_genes=transform.genes,
        shares=np.zeros(0),
    )


def _check_values(total: Tally, kind: str | None, place: str, *, may_have_fractions: bool) -> None:
    """Refuse counts for log1p and the reverse.

    Log1p values below zero are what some decoders give, and counts with fractions what models of
    counts expect; of the latter a user has to say so.
    """
    if kind not in (*COUNTS, "log1p") or total.n_nonfinite:
        return
    if kind == "log1p":
        total = total._replace(lowest=0.0)
    elif may_have_fractions:
        total = total._replace(n_fraction=0)
    if fault := expression_fault(total, kind, place, Evidence()):
        what = fault.what.replace("`X`", "the prediction")
        raise DataError(
            f"{what} Say what it holds with `--predicted-expression`: log1p, or counts (then also expected "
            "ones, with fractions)."
        )


def _check_total(cells: Any, names: Sequence[str], transform: FeatureTransform, place: str) -> None:
    """Refuse log1p values of another normalisation than the one that counts get here."""
    if not set(transform.input_genes) <= set(names):
        return
    at = pd.Index(names).get_indexer(pd.Index(transform.input_genes))
    total = float(np.median(np.expm1(dense(cells[:, at]).astype(np.float64)).sum(axis=1)))
    if not TARGET_TOTAL / 2 < total < TARGET_TOTAL * 2:
        raise DataError(
            f"Expected log1p values of {TARGET_TOTAL:,.0f} counts a cell, found {total:,.0f} (median)."
            f"{place} Give the truth in the expression space of the prediction, with `--expression log1p`."
        )
