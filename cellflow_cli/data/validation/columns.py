"""What may be wrong with the columns of obs that a specification names, as findings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import (
    IS_PREDICTED,
    declared_columns,
    distinct,
    dose_values,
    is_control,
    is_missing,
    labels,
    missing_column,
    missing_values,
    where,
)
from cellflow_cli.data.holdout import is_held_out
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.labels import label_columns, label_findings, twin_findings
from cellflow_cli.data.validation.suggestions import likely_controls, likely_treatments
from cellflow_cli.errors import listed, nearest

__all__ = [
    "column_findings",
    "control_findings",
    "inconstant",
    "key_findings",
    "label_findings",
    "predicted_findings",
]


def column_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Everything wrong with the columns that `spec` names: missing, empty, no control, twins, not numeric."""
    findings = [
        finding
        for column, option in declared_columns(spec)
        if (finding := missing_column(obs, column, option, _hint(obs, column, spec)))
    ]
    findings += predicted_findings(obs)
    findings += key_findings(obs, spec, [spec.treatment_key, *spec.sample_key, spec.group])
    findings += _covariate_findings(obs, spec)
    findings += twin_findings(obs, label_columns(spec))
    findings += _batch_findings(obs, spec)
    if spec.dose_key in obs.columns and spec.treatment_key in obs.columns:
        findings += _dose_findings(obs, spec)
    if spec.pairs_key in obs.columns:
        findings += _pair_findings(obs, spec)
    if spec.batch_key in obs.columns and is_missing(obs[spec.batch_key]).all():
        what = f'Expected replicates in `obs["{spec.batch_key}"]`, found no value in any cell.{where(obs)}'
        findings.append(Finding("warning", what, "It is of no use so: choose another `--batch-key`."))
    return findings


def predicted_findings(obs: pd.DataFrame) -> list[Finding]:
    """The finding that cells are predictions, which must not be taken for measured ones."""
    if IS_PREDICTED not in obs.columns:
        return []
    n_predicted = int((labels(obs[IS_PREDICTED]) == "True").sum())
    if n_predicted == 0:
        return []
    return [
        Finding(
            "error",
            f"Expected measured cells, found {n_predicted} of {len(obs)} predicted by `cellflow predict`."
            f"{where(obs)}",
            "Give the file of the measured cells.",
        )
    ]


def control_findings(obs: pd.DataFrame, spec: DataSpec, one_is_enough: bool = False) -> list[Finding]:
    """Findings that a control label does not occur in the treatment column.

    Args:
        obs: Obs of the data.
        spec: Its specification.
        one_is_enough: One of several control labels is enough, as in a file to predict from.
    """
    present = distinct(labels(obs[spec.treatment_key].dropna()))
    absent = [value for value in spec.control if value not in present]
    if one_is_enough and len(absent) < len(spec.control):
        return []
    others = [value for value in present if value not in spec.control]
    examples = f", e.g. {listed(others)}" if others else ""
    return [
        Finding(
            "error",
            f'Expected `obs["{spec.treatment_key}"]` to contain the control {value!r}, found {len(others)} '
            f"other value(s){examples}.{where(obs)}",
            f"{control_hint(value, others)} Choose it with `--control`.".strip(),
        )
        for value in absent
    ]


def _hint(obs: pd.DataFrame, column: str, spec: DataSpec) -> str:
    """For a treatment column that is not there: the columns with a label that looks untreated."""
    if column != spec.treatment_key or column in obs.columns:
        return ""
    likely = [f"`{name}` contains {listed(values, 2)}" for name, values in likely_treatments(obs).items()]
    return f"{'; '.join(likely[:3])}. " if likely else ""


def control_hint(value: str, others: Sequence[str]) -> str:
    """Which of the other labels may be meant for a control that is not there; else empty."""
    if hint := nearest(value, others):
        return hint.strip()
    likely = likely_controls(others)
    return f"{listed(likely)} {'looks' if len(likely) == 1 else 'look'} untreated." if likely else ""


def key_findings(
    obs: pd.DataFrame, spec: DataSpec, keys: Sequence[str], option: str | None = None
) -> list[Finding]:
    """Missing values in key columns, absent control labels, samples that belong to several groups.

    Args:
        obs: Obs of the data.
        spec: Its specification.
        keys: Columns that must hold a value for every cell.
        option: Option that fixes a missing column; None where missing columns were found before.
    """
    present = [key for key in dict.fromkeys(keys) if key in obs.columns]
    absent = [key for key in dict.fromkeys(keys) if key not in obs.columns]
    findings = [f for key in absent if option and (f := missing_column(obs, key, option))]
    findings += [f for key in present if (f := _missing_values(obs, key, spec))]
    if spec.treatment_key in present:
        findings += control_findings(obs, spec, one_is_enough=option is not None)
    if not absent and spec.group in present:
        fix = f"Add `--sample-key {spec.group}`, or choose another column with `--group-key`."
        findings += inconstant(obs, spec.group, [key for key in keys if key in spec.sample_key], fix)
    return findings


def _missing_values(obs: pd.DataFrame, key: str, spec: DataSpec) -> Finding | None:
    """`missing_values`, and whom it concerns: the groups, and whether they are held out."""
    finding = missing_values(obs, key)
    if finding is None or spec.group not in obs.columns or key == spec.group:
        return finding
    rows = is_missing(obs[key])
    groups = labels(obs[spec.group][rows])
    if not (groups != "").all():
        return finding
    held_out = is_held_out(obs, spec)[rows]
    state = "held out" if held_out.all() else "some of them held out" if held_out.any() else "not held out"
    whom = (
        f" They are of {spec.group} {listed(distinct(groups))} ({state})."
        if spec.holdout or spec.split_key
        else (f" They are of {spec.group} {listed(distinct(groups))}.")
    )
    return Finding(finding.level, f"{finding.what}{whom}", finding.fix)


def inconstant(obs: pd.DataFrame, column: str, keys: Sequence[str], fix: str) -> list[Finding]:
    """The finding, with its `fix`, that `column` takes several values where all of `keys` agree."""
    if column in keys:
        return []
    frame = pd.DataFrame({key: labels(obs[key]) for key in (*keys, column)}).drop_duplicates()
    conflicting = frame[frame.duplicated(list(keys), keep=False)]
    if conflicting.empty:
        return []
    first = tuple(conflicting.iloc[0][list(keys)])
    values = conflicting.loc[(conflicting[list(keys)] == first).all(axis=1), column]
    what = (
        f'Expected one value of `obs["{column}"]` within each {" | ".join(keys)}, found '
        f"{listed(sorted(values))} in {' | '.join(first)!r}.{where(obs)}"
    )
    return [Finding("error", what, fix)]


def _covariate_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Missing covariates and cell types, and covariates that differ within a sample."""
    covariates = [key for key in spec.covariate_key if key in obs.columns]
    inputs = [*covariates, *([spec.cell_type_key] if spec.cell_type_key in obs.columns else [])]
    findings = [f for key in inputs if (f := _missing_values(obs, str(key), spec))]
    if set(spec.match) <= set(obs.columns):
        for key in covariates:
            fix = f"Leave out `--covariate-key {key}`, or add `--sample-key {key}`."
            findings += inconstant(obs, key, spec.match, fix)
    return findings


def _batch_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that no cell has a replicate."""
    if spec.batch_key not in obs.columns or not is_missing(obs[spec.batch_key]).all():
        return []
    what = f'Expected technical replicates in `obs["{spec.batch_key}"]`, found no value.{where(obs)}'
    return [Finding("warning", what, "Fill in the values, or leave out `--batch-key`.")]


def wrong_doses(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that doses of treated cells are no numbers, infinite, negative or beyond float32."""
    if spec.dose_key is None:
        return []
    column = obs[spec.dose_key][~is_control(obs, spec)]
    _, wrong = dose_values(column)
    if not wrong.any():
        return []
    what = (
        f'Expected numbers from 0 to 3e38 in `obs["{spec.dose_key}"]` for treated cells, found '
        f"{listed(distinct(labels(column[wrong])))} in {int(wrong.sum())} cells.{where(obs)}"
    )
    fix = f"Write plain numbers in {spec.dose_unit}, or choose another column with `--dose-key`."
    return [Finding("error", what, fix)]


def _dose_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    if findings := wrong_doses(obs, spec):
        return findings
    key = str(spec.dose_key)
    rows = np.flatnonzero(~is_control(obs, spec))
    doses, _ = dose_values(obs[key].iloc[rows])
    treatments = pd.Series(labels(obs[spec.treatment_key].iloc[rows]))
    share = pd.Series(np.isnan(doses)).groupby(treatments).mean()
    partial = share[(share > 0) & (share < 1)]
    if partial.empty:
        return []
    what = (
        f'Expected a dose in `obs["{key}"]` for all cells of a treatment or for none, found cells with and '
        f"without in {listed(partial.index)}.{where(obs)}"
    )
    return [Finding("error", what, "Fill in the doses, or remove these cells from the file.")]


def _pair_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    column = obs[spec.pairs_key]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    given = numbers[np.isfinite(numbers)]
    if len(given) and (given == np.floor(given)).all() and pd.api.types.is_numeric_dtype(column.dtype):
        return []
    what = f'Expected whole numbers in `obs["{spec.pairs_key}"]`, found {column.dtype} values.{where(obs)}'
    return [Finding("error", what, "Choose the column of known pairs with `--pairs-key`, or leave it out.")]
