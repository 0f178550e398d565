"""Labels of data to predict from, held against those that the model was trained on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import distinct, labels, where
from cellflow_cli.data.populations import POOLED, PopulationRows
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import canonical
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.labels import alike_findings, label_columns, merged_findings
from cellflow_cli.errors import ConfigError, DataError, listed
from cellflow_cli.prediction.request import PredictionRequest
from cellflow_cli.prediction.trained_model import TrainedModel


def spec_of_data(model: TrainedModel, obs: pd.DataFrame, request: PredictionRequest) -> DataSpec:
    """The model's specification with the control labels and the limits of these data.

    Raises:
        ConfigError: If `request.control` names a treatment that the model was trained on.
        DataError: If the data hold the model's control beside `request.control`.
    """
    spec = model.spec
    if request.control:
        _check_control(model, obs, request.control)
    return replace(
        spec,
        control=request.control or spec.control,
        min_cells=spec.min_cells if request.min_cells is None else request.min_cells,
        drop_small=spec.drop_small or request.drop_small,
    )


def known_label_findings(
    model: TrainedModel, obs: pd.DataFrame, controls: Sequence[PopulationRows], sample_name: str | None = None
) -> list[Finding]:
    """Findings that labels of control cells look like those of training without being them.

    A training patient under another spelling would be predicted as one that was never seen.
    """
    spec, summaries = model.spec, model.summaries
    rows = np.concatenate([control.rows for control in controls])
    known: dict[str, set[str]] = {spec.group: {*model.trained_groups, *summaries.groups}}
    for sample in summaries.samples:
        for key, value in zip(spec.sample_key, sample, strict=False):
            known.setdefault(key, set()).update({value} - {POOLED})
    for key, categories in model.vocabulary.covariates.items():
        known.setdefault(key, set()).update(categories)
    if spec.cell_type_key:
        known.setdefault(spec.cell_type_key, set()).update(model.vocabulary.cell_types)
    findings = []
    for key, values in known.items():
        if key not in obs.columns and sample_name is not None:
            named = pd.DataFrame({key: [sample_name]})
            findings += alike_findings(named, key, map(canonical, sorted(values)), "the model")
        elif key in obs.columns:
            findings += alike_findings(obs, key, map(canonical, sorted(values)), "the model", rows)
    return findings


def merged_warnings(spec: DataSpec, obs: pd.DataFrame, chosen: Sequence[PopulationRows]) -> list[str]:
    """That different spellings among the chosen control cells were read as one label."""
    rows = np.concatenate([control.rows for control in chosen])
    return [finding.what for finding in merged_findings(obs, label_columns(spec), rows)]


def _check_control(model: TrainedModel, obs: pd.DataFrame, control: Sequence[str]) -> None:
    spec = model.spec
    if wrong := [name for name in map(canonical, model.shape.treatments) if name in control]:
        raise ConfigError(
            f"Expected `--control` to name untreated cells, found {wrong[0]!r}, a treatment that the model "
            "was trained on. Name the label of the untreated cells."
        )
    if spec.treatment_key not in obs.columns:
        return
    present = distinct(labels(obs[spec.treatment_key]))
    if both := [name for name in spec.control if name in present and name not in control]:
        raise DataError(
            f'Expected {listed(control)} to be the only control in `obs["{spec.treatment_key}"]`, as '
            f"`--control` says, found the model's own {both[0]!r} too.{where(obs)} "
            "Name both, or leave `--control` out."
        )
