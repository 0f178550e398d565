"""A prediction that another tool wrote, read as one of ours; what the file does not say has to be told."""

import json
from dataclasses import asdict
from typing import Any

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.baselines import Summaries
from cellflow_cli.data.columns import distinct, is_control, where
from cellflow_cli.data.read import rename_columns
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError, listed
from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.external.cells import ForeignCells, column_names, fitted, foreign_cells
from cellflow_cli.external.external_format import Conventions
from cellflow_cli.external.obs import labelled
from cellflow_cli.external.training_part import TrainingPart
from cellflow_cli.prediction.file import KEY, OTHER_TOOL, PREDICTED

_MAX_COMPARED = 200  # cells of a population that are looked up among the measured ones
_COPIED = 0.9  # share of them above which a prediction is taken for a copy of the truth


def adopt(
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    spec: DataSpec,
    conventions: Conventions | None = None,
    *,
    training: anndata.AnnData | None = None,
    transform: FeatureTransform | None = None,
    summaries: Summaries | None = None,
    seed: int = 0,
) -> anndata.AnnData:
    """A prediction of another tool in the form that `score` and the report read.

    Cells labelled as controls are left aside: the tool may have reconstructed them, so the controls
    are those of the truth. Features and their spread come from `transform`, or are fitted on
    `training`, or, where neither is given, on the measured cells of the truth, in which no prediction
    has a say; baselines that need training then have no value.

    Args:
        predicted: Reads what `conventions` and `spec` name; not modified.
        truth: Measured cells, controls included, in the expression space of the prediction.
        spec: What the columns mean, and in which features cells are compared.
        conventions: What `predicted` does not say of itself.
        training: Cells that the tool was trained on; what `spec.holdout` or `spec.split_key` name is
            left aside.
        transform: Of a model trained on the same training part.
        summaries: Of that model's training populations.
        seed: For the cells of the training part that baselines keep.

    Returns:
        As `cellflow predict` writes it, without controls.

    Raises:
        ConfigError: If what is told contradicts itself or the files.
        DataError: If something is missing that was not told, or the matrix holds the measured cells.
    """
    told = conventions or Conventions()
    obs = labelled(rename_columns(predicted.obs, told.rename), truth.obs, spec, told)
    rows = np.flatnonzero(~is_control(obs, spec))
    names = column_names(predicted, truth, spec, told)
    known = None if transform is None else TrainingPart(transform, summaries)
    part = known or fitted(truth, training, spec, names, told, seed)
    cells = foreign_cells(predicted, rows, names, part.transform, told)
    made = anndata.AnnData(
        X=cells.genes,
        obs=obs.iloc[rows].assign(**{PREDICTED: True}),
        var=pd.DataFrame(index=list(part.transform.genes)),
        obsm={"X_pca": cells.flow} if part.transform.kind == "pca" else {},
        uns={KEY: _uns(spec, part, _remarks(cells, len(obs) - len(rows), part, told))},
    )
    made.obs.attrs.update(predicted.obs.attrs)
    pairs = align(made.obs, truth.obs, spec).pairs
    if training is not None:
        _check_unseen(pairs, part, spec)
    if told.matrix is None:
        _check_no_copy(pairs, made, truth, part.transform)
    return made


def _check_unseen(pairs: tuple[Aligned, ...], part: TrainingPart, spec: DataSpec) -> None:
    """Refuse training cells of the predicted groups: baselines fitted on them would know the answer."""
    known = set(part.summaries.groups) if part.summaries else set()
    if shared := distinct({pair.group for pair in pairs} & known):
        raise DataError(
            f"Expected training cells of other groups than the predicted ones, found {listed(shared)} in "
            f"both. Leave them aside with `--holdout {spec.group}={','.join(shared)}`. "
            "Groups that the tool was trained on can be scored without `--training`."
        )


def _check_no_copy(
    pairs: tuple[Aligned, ...], made: anndata.AnnData, truth: anndata.AnnData, transform: FeatureTransform
) -> None:
    """Refuse a matrix that holds the measured cells: the prediction lies elsewhere in the file."""
    for pair in pairs:
        cells = made.X[pair.predicted[:_MAX_COMPARED]]
        measured = {row.tobytes() for row in transform.expression(truth, pair.target)}
        if sum(row.tobytes() in measured for row in cells) >= _COPIED * len(cells):
            raise DataError(
                f"Expected predicted cells in `X`, found the measured cells of {pair.name}, "
                f"{pair.condition.label} themselves.{where(made.obs)} Say where the prediction is with "
                "`--predicted-in layers/NAME` or `obsm/NAME`; `--predicted-in X` if it really is a copy."
            )


def _remarks(cells: ForeignCells, n_control: int, part: TrainingPart, told: Conventions) -> list[str]:
    """Sentences that belong beside the scores."""
    found, transform = [], part.transform
    if n_control:
        found.append(
            f"{n_control} cells of the prediction are labelled control and left aside: the controls are "
            "those of the truth."
        )
    if part.summaries is None:
        found.append(
            "No training cells were given, so the features and their spread are those of the measured cells "
            "of the truth."
        )
    if told.shared_features:
        found.append(f"Compared on the features that were predicted, {len(transform.input_genes)} in all.")
    if cells.lowest < 0 and transform.expression_kind in ("counts", "log1p"):
        found.append(f"Predicted values below zero (lowest {cells.lowest:.3g}) are kept as they are.")
    if part.dropped:
        found.append(f"Training populations too small or without controls: {listed(part.dropped)}.")
    return found


def _uns(spec: DataSpec, part: TrainingPart, remarks: list[str]) -> dict[str, Any]:
    """As `cellflow predict` stores it, summaries with their cells."""
    made: dict[str, Any] = {
        "method": OTHER_TOOL,
        "spec": json.dumps(asdict(spec), ensure_ascii=False),
        "transform_json": json.dumps(part.transform.to_json(), ensure_ascii=False),
        "transform": part.transform.arrays(),
        "warnings": np.array(remarks, dtype=object),
    }
    if part.summaries is not None:
        made["summaries_json"] = json.dumps(part.summaries.to_json(), ensure_ascii=False)
        made["summaries"] = part.summaries.arrays()
        made["train_groups"] = np.array(part.summaries.training_groups, dtype=object)
    return made
