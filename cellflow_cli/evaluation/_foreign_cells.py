"""Cells of a prediction of another tool: where they lie, what their features are called, what they hold."""

from dataclasses import replace
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.data.blocks import Tally, blocks, expression_fault, tally
from cellflow_cli.data.columns import is_missing, where
from cellflow_cli.data.features import fit_features
from cellflow_cli.data.read import feature_names, unique_feature_names, values
from cellflow_cli.data.schema import DataSpec, parse_features
from cellflow_cli.data.transform import TARGET_TOTAL, FeatureTransform
from cellflow_cli.errors import ConfigError, DataError, listed, nearest
from cellflow_cli.evaluation.conventions import Conventions
from cellflow_cli.evaluation.training_part import TrainingPart, training_part

_IN_ORDER = "`--assume-feature-order`"
_JUDGED = 200  # cells whose total is looked at


class ForeignCells(NamedTuple):
    """The predicted cells, as they are in the file.

    Attributes:
        adata: X and var names; control rows left out.
        total: Of its values.
    """

    adata: anndata.AnnData
    total: Tally


def column_names(
    predicted: anndata.AnnData, truth: anndata.AnnData, spec: DataSpec, told: Conventions
) -> list[str]:
    """Names of the columns of the predicted matrix."""
    matrix, place = told.matrix or "X", where(predicted.obs)
    expected, width = feature_names(truth, spec.features), _matrix(predicted, matrix).shape[1]
    source = parse_features(matrix)
    nameless = source.kind == "obsm" and not isinstance(predicted.obsm[source.name], pd.DataFrame)
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
            mend = (
                "Compare the shared ones alone with `--shared-features`." if shared
                else f"Use the names of the truth, or say with {_IN_ORDER} that the order is the same."
            )  # fmt: skip
            raise DataError(
                f"Expected a prediction of all {len(expected)} features, found {shared} of them; missing are "
                f"{listed(missing)}. {mend}"
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
    predicted: anndata.AnnData, rows: np.ndarray, names: list[str], told: Conventions
) -> ForeignCells:
    matrix = _matrix(predicted, told.matrix or "X")
    total = Tally()
    for block in blocks(matrix, rows):
        total = total.plus(tally(block))
    obs = pd.DataFrame(index=predicted.obs_names[rows].astype(str))
    adata = anndata.AnnData(X=matrix[rows], obs=obs, var=pd.DataFrame(index=names))
    adata.obs.attrs.update(predicted.obs.attrs)
    return ForeignCells(adata, total)


def reader(cells: ForeignCells, transform: FeatureTransform, told: Conventions) -> FeatureTransform:
    """The transform as it applies to the predicted matrix, once that is what was told."""
    place = where(cells.adata.obs)
    kind = told.expression or transform.expression_kind
    if kind != transform.expression_kind and (transform.expression_kind, kind) != ("counts", "log1p"):
        raise ConfigError(
            f"Expected predicted values like those of the truth ({transform.expression_kind or 'as-is'}), "
            f"found `--predicted-expression {kind}`. Only log1p values can be held against counts."
        )
    if kind in ("counts", "log1p"):
        _check_values(cells.total, kind, place)
    needed = transform.input_genes if kind == "counts" else transform.genes
    known = set(cells.adata.var_names)
    if missing := [name for name in needed if name not in known]:
        raise DataError(
            f"Expected a prediction of all {len(needed)} features, found {len(needed) - len(missing)}; "
            f"missing are {listed(missing)}.{place} Use the feature names of the training data; what was not "
            "predicted cannot be filled in."
        )
    if kind == "log1p" and transform.expression_kind == "counts":
        _check_total(cells.adata, transform, place)
    source = "X" if transform.kind == "values" else transform.features
    if kind == "counts":
        return replace(transform, features=source)
    return replace(
        transform, features=source, expression_kind="as-is", input_genes=transform.genes, shares=np.zeros(0)
    )


def _check_values(total: Tally, kind: str, place: str) -> None:
    """Refuse counts for log1p and the reverse; log1p values below zero are what some decoders give."""
    judged = total._replace(lowest=max(total.lowest, 0.0)) if kind == "log1p" else total
    fault = None if total.n_nonfinite else expression_fault(judged, kind, place)
    if fault:
        looks = judged.looks_like
        raise DataError(
            f"{fault.what.replace('`X`', 'the prediction')} They look like {looks}: say so with "
            f"`--predicted-expression {looks}`, or give `--expression` as it is in both files."
        )


def _check_total(cells: anndata.AnnData, transform: FeatureTransform, place: str) -> None:
    """Refuse log1p values of another normalisation than the one that counts get here."""
    if not set(transform.input_genes) <= set(cells.var_names):
        return
    some = cells[:, list(transform.input_genes)].X[:_JUDGED]
    dense = some.toarray() if hasattr(some, "toarray") else np.asarray(some)
    total = float(np.median(np.expm1(dense.astype(np.float64)).sum(axis=1)))
    if not TARGET_TOTAL / 2 < total < TARGET_TOTAL * 2:
        raise DataError(
            f"Expected log1p values of {TARGET_TOTAL:,.0f} counts a cell, found {total:,.0f} (median)."
            f"{place} Give the truth in the expression space of the prediction, with `--expression log1p`."
        )
