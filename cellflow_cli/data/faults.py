"""What can be wrong with the columns of obs that a specification names, as findings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellflow_cli.data.advice import likely_controls, likely_treatments
from cellflow_cli.data.columns import (
    declared_columns,
    distinct,
    dose_values,
    is_control,
    labels,
    missing_column,
    missing_values,
    where,
)
from cellflow_cli.data.findings import Finding
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import listed, nearest


def column_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Everything wrong with the columns that `spec` names: missing, empty, without control, not numeric."""
    found = [
        finding
        for column, option in declared_columns(spec)
        if (finding := missing_column(obs, column, option, _hint(obs, column, spec)))
    ]
    found += predicted_findings(obs)
    found += key_findings(obs, spec, [spec.treatment_key, *spec.sample_key, spec.group])
    found += _told_findings(obs, spec)
    if spec.dose_key in obs.columns and spec.treatment_key in obs.columns:
        found += _dose_findings(obs, spec)
    if spec.pairs_key in obs.columns:
        found += _pair_findings(obs, spec)
    return found


def predicted_findings(obs: pd.DataFrame) -> list[Finding]:
    """The finding that cells are predictions, which must not be taken for measured ones."""
    column = "cellflow_is_predicted"
    if column not in obs.columns:
        return []
    n_predicted = int((labels(obs[column]) == "True").sum())
    if n_predicted == 0:
        return []
    return [
        Finding(
            "error",
            f"Expected measured cells, found {n_predicted} of {len(obs)} that `cellflow predict` "
            f"made.{where(obs)}",
            "Give the file of the measured cells.",
        )
    ]


def control_findings(obs: pd.DataFrame, spec: DataSpec, any_will_do: bool = False) -> list[Finding]:
    """Findings that a control label does not occur in the treatment column.

    Args:
        obs: Obs of the data.
        spec: Its specification.
        any_will_do: One of several control labels is enough, as in a file to predict from.
    """
    present = distinct(labels(obs[spec.treatment_key].dropna()))
    absent = [value for value in spec.control if value not in present]
    if any_will_do and len(absent) < len(spec.control):
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
    """Missing values in key columns, absent control labels, samples torn between groups.

    Args:
        obs: Obs of the data.
        spec: Its specification.
        keys: Columns that must hold a value for every cell.
        option: Option that fixes a missing column; None where missing columns were found before.
    """
    present = [key for key in dict.fromkeys(keys) if key in obs.columns]
    absent = [key for key in dict.fromkeys(keys) if key not in obs.columns]
    found = [f for key in absent if option and (f := missing_column(obs, key, option))]
    found += [f for key in present if (f := missing_values(obs, key))]
    if spec.treatment_key in present:
        found += control_findings(obs, spec, any_will_do=option is not None)
    if not absent and spec.group in present:
        fix = f"Add `--sample-key {spec.group}`, or choose another column with `--group-key`."
        found += inconstant(obs, spec.group, [key for key in keys if key in spec.sample_key], fix)
    return found


def inconstant(obs: pd.DataFrame, column: str, keys: Sequence[str], fix: str) -> list[Finding]:
    """The finding, with its `fix`, that `column` takes several values where all of `keys` agree."""
    if column in keys:
        return []
    frame = pd.DataFrame({key: labels(obs[key]) for key in (*keys, column)}).drop_duplicates()
    torn = frame[frame.duplicated(list(keys), keep=False)]
    if torn.empty:
        return []
    first = tuple(torn.iloc[0][list(keys)])
    held = torn.loc[(torn[list(keys)] == first).all(axis=1), column]
    what = (
        f'Expected one value of `obs["{column}"]` within each {" | ".join(keys)}, found '
        f"{listed(sorted(held))} in {' | '.join(first)!r}.{where(obs)}"
    )
    return [Finding("error", what, fix)]


def _told_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Faults of what the model is told beside the treatment: covariates and cell types."""
    covariates = [key for key in spec.covariate_key if key in obs.columns]
    told = [*covariates, *([spec.cell_type_key] if spec.cell_type_key in obs.columns else [])]
    found = [f for key in told if (f := missing_values(obs, str(key)))]
    if set(spec.match) <= set(obs.columns):
        for key in covariates:
            fix = f"Leave out `--covariate-key {key}`, or add `--sample-key {key}`."
            found += inconstant(obs, key, spec.match, fix)
    return found


def wrong_doses(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that doses of treated cells are no numbers, infinite or negative."""
    if spec.dose_key is None:
        return []
    column = obs[spec.dose_key][~is_control(obs, spec)]
    _, wrong = dose_values(column)
    if not wrong.any():
        return []
    what = (
        f'Expected numbers of at least 0 in `obs["{spec.dose_key}"]` for treated cells, found '
        f"{listed(distinct(labels(column[wrong])))} in {int(wrong.sum())} cells.{where(obs)}"
    )
    fix = f"Write plain numbers in {spec.dose_unit}, or choose another column with `--dose-key`."
    return [Finding("error", what, fix)]


def _dose_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    if found := wrong_doses(obs, spec):
        return found
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
    return [Finding("error", what, "Fill the doses in, or leave these cells out of the file.")]


def _pair_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    column = obs[spec.pairs_key]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    given = numbers[np.isfinite(numbers)]
    if len(given) and (given == np.floor(given)).all() and pd.api.types.is_numeric_dtype(column.dtype):
        return []
    what = f'Expected whole numbers in `obs["{spec.pairs_key}"]`, found {column.dtype} values.{where(obs)}'
    return [Finding("error", what, "Choose the column of known pairs with `--pairs-key`, or leave it out.")]
