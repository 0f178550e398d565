"""Cells of a prediction of another tool: where they lie, what their features are called, what they hold."""

from dataclasses import replace
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.data.blocks import Tally, blocks, dense, expression_fault, normalised, tally
from cellflow_cli.data.columns import is_missing, where
from cellflow_cli.data.feature_source import parse_features
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.read import feature_names, unique_feature_names, values
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import TARGET_TOTAL, FeatureTransform
from cellflow_cli.errors import ConfigError, DataError, listed, nearest
from cellflow_cli.external.external_format import Conventions
from cellflow_cli.external.training_part import TrainingPart, training_part

_IN_ORDER = "`--assume-feature-order`"
_JUDGED = 200  # cells whose total is looked at


class ForeignCells(NamedTuple):
    """Predicted cells in the spaces of a transform; control rows left out.

    Attributes:
        genes: Expression space, float32, shape [n, g].
        flow: Features of the flow, float32, shape [n, d].
        lowest: Smallest value in the file.
    """

    genes: np.ndarray
    flow: np.ndarray
    lowest: float


def column_names(
    predicted: anndata.AnnData, truth: anndata.AnnData, spec: DataSpec, told: Conventions
) -> list[str]:
    """Names of the columns of the predicted matrix."""
    matrix, place = told.matrix or "X", where(predicted.obs)
    expected, width = feature_names(truth, spec.features), _matrix(predicted, matrix).shape[1]
    source = parse_features(matrix).matrix
    nameless = source.slot == "obsm" and not isinstance(predicted.obsm[source.name], pd.DataFrame)
    found = [] if nameless else unique_feature_names(predicted, matrix)
    if not told.assume_feature_order:
        if nameless:
            fits = "as many as" if width == len(expected) else f"not the {len(expected)} that"
            raise DataError(
                f"Expected named features, found the {width} nameless columns of `{matrix}`, {fits} the "
                f"truth has.{place} Say {_IN_ORDER} if they are its features in its order."
            )
        return found
    if width != len(expected):
        raise ConfigError(
            f"Expected the {len(expected)} features of the truth with {_IN_ORDER}, found {width} columns in "
            f"`{matrix}`.{place} Give the truth with the features that were predicted, in their order."
        )
    if found != expected and (shared := set(found) & set(expected)):
        raise ConfigError(
            f"Expected columns without the names of the truth with {_IN_ORDER}, found {len(shared)} of its "
            f"names in another order, e.g. {listed(found, 3)} for {listed(expected, 3)}.{place} Leave the "
            "option out: features are found by name."
        )
    return expected


def fitted(
    truth: anndata.AnnData, training: anndata.AnnData | None, spec: DataSpec, names: list[str],
    told: Conventions, seed: int,
) -> TrainingPart:  # fmt: skip
    """Transform and summaries from the training cells, or a transform alone from the truth."""
    source = truth if training is None else training
    expected = feature_names(source, spec.features)
    missing = sorted(set(expected) - set(names))
    if missing:
        if not told.shared_features or len(missing) == len(expected):
            shared = len(expected) - len(missing)
            fix = (
                "Compare the shared ones alone with `--shared-features`." if shared
                else f"Use the names of the truth, or say with {_IN_ORDER} that the order is the same."
            )  # fmt: skip
            raise DataError(
                f"Expected a prediction of all {len(expected)} features, found {shared} of them; missing are "
                f"{listed(missing)}. {fix}"
            )
        kept = set(names)
        source = source[:, [name in kept for name in expected]]
    if training is not None:
        return training_part(source, spec, seed)
    keys = [*spec.sample_key, spec.treatment_key]
    if absent := [key for key in keys if key not in truth.obs.columns]:
        known = listed(sorted(map(str, truth.obs.columns)), 10) or "none"
        raise DataError(
            f'Expected `obs["{absent[0]}"]` in the truth, found the columns {known}.{where(truth.obs)}'
            f"{nearest(absent[0], truth.obs.columns)} Choose it with `--sample-key` or `--treatment-key`."
        )
    complete = ~np.any([is_missing(truth.obs[key]) for key in keys], axis=0)
    return TrainingPart(fit_features(source, spec, np.flatnonzero(complete), seed=seed), None)


def _matrix(adata: anndata.AnnData, name: str) -> Any:
    try:
        return values(adata, name)
    except DataError as error:
        raise DataError(str(error).replace("`--features`", "`--predicted-in`")) from error


def foreign_cells(
    predicted: anndata.AnnData, rows: np.ndarray, names: list[str], transform: FeatureTransform,
    told: Conventions,
) -> ForeignCells:  # fmt: skip
    """Rows of the predicted matrix, once it holds what was told.

    Raises:
        ConfigError: If what it holds cannot be brought to the space of the transform.
        DataError: If it holds something else, or lacks features.
    """
    matrix, place = _matrix(predicted, told.matrix or "X"), where(predicted.obs)
    kind, known = told.expression or transform.expression_kind, transform.expression_kind
    if kind != known and (known, kind) != ("counts", "log1p"):
        raise ConfigError(
            f"Expected predicted values like those of the truth ({known or 'as-is'}), found "
            f"`--predicted-expression {kind}`. Only log1p values can be held against counts."
        )
    total = Tally()
    for block in blocks(matrix, rows):
        total = total.plus(tally(block))
    _check_values(total, kind, told.expression is not None, place)
    needed = list(transform.input_genes if kind == "counts" else transform.genes)
    if missing := sorted(set(needed) - set(names)):
        raise DataError(
            f"Expected a prediction of all {len(needed)} features, found {len(needed) - len(missing)}; "
            f"missing are {listed(missing)}.{place} Use the feature names of the training data; what was not "
            "predicted cannot be filled in."
        )
    if kind == "log1p" and known == "counts":
        _check_total(matrix[rows[:_JUDGED]], names, transform, place)
    cells = matrix[rows][:, pd.Index(names).get_indexer(pd.Index(needed))]
    adata = anndata.AnnData(
        X=normalised(cells, TARGET_TOTAL) if kind == "counts" else cells,
        obs=pd.DataFrame(index=predicted.obs_names[rows].astype(str)),
        var=pd.DataFrame(index=needed),
    )
    adata.obs.attrs.update(predicted.obs.attrs)
    reader = replace(
        transform,
        features="X" if transform.kind == "values" else transform.features,
        expression_kind="as-is",
        input_genes=transform.genes,
        shares=np.zeros(0),
    )
    genes = reader.expression(adata)
    return ForeignCells(genes, reader.apply(adata) if reader.kind == "pca" else genes, total.lowest)


def _check_values(total: Tally, kind: str | None, was_told: bool, place: str) -> None:
    """Refuse counts for log1p and the reverse.

    Log1p values below zero are what some decoders give, and counts with fractions what models of
    counts expect; of the latter a user has to tell.
    """
    if kind not in ("counts", "log1p") or total.n_nonfinite:
        return
    if kind == "log1p":
        total = total._replace(lowest=0.0)
    elif was_told:
        total = total._replace(n_fraction=0)
    if fault := expression_fault(total, kind, place):
        what = fault.what.replace("`X`", "the prediction")
        raise DataError(
            f"{what} Say what it holds with `--predicted-expression`: log1p, or counts (then also expected "
            "ones, with fractions)."
        )


def _check_total(cells: Any, names: list[str], transform: FeatureTransform, place: str) -> None:
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
