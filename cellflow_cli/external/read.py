"""A prediction that another tool wrote, read as one of ours."""

from typing import Any

import anndata
import numpy as np

from cellflow_cli.baselines import Summaries
from cellflow_cli.data.columns import IS_PREDICTED, distinct, is_control, where
from cellflow_cli.data.renaming import rename
from cellflow_cli.data.schema import COUNTS, DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError, listed
from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.external.cells import ExternalCells, column_names, external_cells
from cellflow_cli.external.file_format import ExternalFormat
from cellflow_cli.external.obs import labelled
from cellflow_cli.external.training_part import TrainingPart, of_training, of_truth
from cellflow_cli.prediction.file import KEY, OTHER_TOOL, in_memory, provenance

_MAX_COMPARED = 200  # cells of a population that are looked up among the measured ones
_COPIED = 0.9  # share of them above which a prediction is taken for a copy of the truth


def read_external(
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    spec: DataSpec,
    file_format: ExternalFormat | None = None,
    *,
    training: anndata.AnnData | None = None,
    transform: FeatureTransform | None = None,
    summaries: Summaries | None = None,
    seed: int = 0,
) -> anndata.AnnData:
    """A prediction of another tool in the form that `evaluate` and the report read.

    Cells labelled as controls are left aside: the tool may have reconstructed them, so the controls
    are those of the truth. Features and their spread come from `transform`, or are fitted on
    `training`, or, where neither is given, on the measured cells of the truth, in which no prediction
    has a say; baselines that need training then have no value.

    Args:
        predicted: Reads what `file_format` and `spec` name; not modified.
        truth: Measured cells, controls included, in the expression space of the prediction.
        spec: What the columns mean, and in which features cells are compared.
        file_format: What `predicted` does not say of itself.
        training: Cells that the tool was trained on; what `spec.holdout` or `spec.split_key` name is
            left aside.
        transform: Of a model trained on the same training part.
        summaries: Of that model's training populations.
        seed: For the cells of the training part that baselines keep.

    Returns:
        As `cellflow predict` writes it, without controls.

    Raises:
        ConfigError: If the format contradicts itself or the files.
        DataError: If something is missing that the format does not say either, or the matrix holds the
            measured cells.
    """
    file_format = file_format or ExternalFormat()
    obs = labelled(rename(predicted.obs, tuple(file_format.rename)), truth.obs, spec, file_format.obs)
    rows = np.flatnonzero(~is_control(obs, spec))
    names = column_names(predicted, truth, spec, file_format)
    shared_only = file_format.shared_features
    if transform is not None:
        part = TrainingPart(transform, summaries)
    elif training is not None:
        part = of_training(training, spec, names, seed, shared_only=shared_only)
    else:
        part = of_truth(truth, spec, names, seed, shared_only=shared_only)
    cells = external_cells(predicted, rows, names, part.transform, file_format)
    prediction = in_memory(
        obs.iloc[rows].assign(**{IS_PREDICTED: True}), cells.genes, cells.flow, part.transform
    )
    prediction.uns[KEY] = _provenance(spec, part, _remarks(cells, len(obs) - len(rows), part, shared_only))
    prediction.obs.attrs.update(predicted.obs.attrs)
    pairs = align(prediction.obs, truth.obs, spec).pairs
    if training is not None:
        _check_unseen(pairs, part, spec)
    if file_format.matrix is None:
        _check_no_copy(pairs, prediction, truth, part.transform)
    return prediction


def _check_unseen(pairs: tuple[Aligned, ...], part: TrainingPart, spec: DataSpec) -> None:
    """Refuse training cells of the predicted groups: baselines fitted on them would know the answer."""
    trained = set(part.summaries.groups) if part.summaries else set()
    if shared := distinct({pair.group for pair in pairs} & trained):
        raise DataError(
            f"Expected training cells of other groups than the predicted ones, found {listed(shared)} in "
            f"both. Leave them aside with `--holdout {spec.group}={','.join(shared)}`. "
            "Groups that the tool was trained on can be scored without `--training`."
        )


def _check_no_copy(
    pairs: tuple[Aligned, ...],
    prediction: anndata.AnnData,
    truth: anndata.AnnData,
    transform: FeatureTransform,
) -> None:
    """Refuse a matrix that holds the measured cells: the prediction lies elsewhere in the file."""
    for pair in pairs:
        cells = prediction.X[pair.predicted[:_MAX_COMPARED]]
        measured = {row.tobytes() for row in transform.expression(truth, pair.target)}
        if sum(row.tobytes() in measured for row in cells) >= _COPIED * len(cells):
            raise DataError(
                f"Expected predicted cells in `X`, found the measured cells of {pair.name}, "
                f"{pair.condition.label} themselves.{where(prediction.obs)} Say where the prediction is with "
                "`--predicted-in layers/NAME` or `obsm/NAME`; `--predicted-in X` if it really is a copy."
            )


def _remarks(cells: ExternalCells, n_control: int, part: TrainingPart, shared_only: bool) -> list[str]:
    """Sentences that belong beside the scores."""
    remarks, transform = [], part.transform
    if n_control:
        remarks.append(
            f"{n_control} cells of the prediction are labelled control and left aside: the controls are "
            "those of the truth."
        )
    if part.summaries is None:
        remarks.append(
            "No training cells were given, so the features and their spread are those of the measured cells "
            "of the truth."
        )
    if shared_only:
        remarks.append(f"Compared on the features that were predicted, {len(transform.input_genes)} in all.")
    if cells.lowest < 0 and transform.expression_kind in (*COUNTS, "log1p"):
        remarks.append(f"Predicted values below zero (lowest {cells.lowest:.3g}) are kept as they are.")
    if part.dropped:
        remarks.append(f"Training populations too small or without controls: {listed(part.dropped)}.")
    return remarks


def _provenance(spec: DataSpec, part: TrainingPart, remarks: list[str]) -> dict[str, Any]:
    """As `cellflow predict` stores it, summaries with their cells."""
    facts: dict[str, Any] = {"method": OTHER_TOOL}
    if part.summaries is not None:
        facts["train_groups"] = np.array(part.summaries.training_groups, dtype=object)
    return provenance(spec, part.transform, part.summaries, remarks, facts)
