"""Labels of a prediction of another tool: its columns, completed by values that all its cells share."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import (
    distinct,
    dose_values,
    is_missing,
    labels,
    missing_column,
    missing_values,
    where,
)
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import canonical
from cellflow_cli.data.validation.columns import control_findings, control_hint
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.errors import ConfigError, DataError, listed, nearest


def labelled(
    obs: pd.DataFrame, truth: pd.DataFrame, spec: DataSpec, shared: Mapping[str, str]
) -> pd.DataFrame:
    """The columns that `spec` names, completed by values that all cells share.

    Args:
        obs: Of the prediction; not modified.
        truth: Obs of the truth.
        spec: What the columns mean.
        shared: Values that hold for every cell, by column, such as `{"treatment": "5-FU"}`.

    Raises:
        ConfigError: If a shared value names another column, or contradicts the file.
        DataError: If a column or a value is missing, or no cell is under a measured treatment.
    """
    wanted = [*spec.sample_key, spec.group, spec.treatment_key, *([spec.dose_key] if spec.dose_key else [])]
    if others := [key for key in shared if key not in wanted]:
        raise ConfigError(
            f"Expected `--predicted-obs` to name one of the columns {listed(wanted)}, found "
            f"{others[0]!r}.{nearest(others[0], wanted)}"
        )
    if spec.cell_type_key and not {spec.cell_type_key} & {*obs.columns, *truth.columns}:
        raise_first([f for f in [missing_column(truth, spec.cell_type_key, "--cell-type-key")] if f])
    table = pd.DataFrame(index=obs.index.astype(str))
    table.attrs.update(obs.attrs)
    for key in dict.fromkeys(wanted):
        if key in shared:
            _check_shared(obs, truth, spec, key, shared[key])
            table[key] = _value(key, shared[key], spec)
        elif key in obs.columns:
            finding = None if key == spec.dose_key else missing_values(obs, key)
            raise_first([finding] if finding else [])
            table[key] = obs[key].to_numpy() if key == spec.dose_key else labels(obs[key])
        else:
            raise DataError(
                f'Expected `obs["{key}"]` in the prediction, found the columns '
                f"{listed(sorted(map(str, obs.columns)), 10) or 'none'}.{where(obs)}"
                f"{nearest(key, obs.columns)} Map it with `--rename {key}=COLUMN`, or give the "
                f"value that all its cells share with `--predicted-obs {key}=VALUE`."
            )
    if spec.cell_type_key in obs.columns:
        table[spec.cell_type_key] = labels(obs[spec.cell_type_key])
    _check_treatments(table, truth, spec)
    return table


def _value(key: str, text: str, spec: DataSpec) -> Any:
    if key != spec.dose_key:
        return canonical(text)
    dose, wrong = dose_values(pd.Series([text]))
    if wrong[0]:
        raise ConfigError(f"Expected a dose of at least 0 in `--predicted-obs {key}=...`, found {text!r}.")
    return dose[0]


def _check_shared(obs: pd.DataFrame, truth: pd.DataFrame, spec: DataSpec, key: str, value: str) -> None:
    """Refuse a value for all cells where the file knows another one."""
    if key not in obs.columns:
        return
    if key == spec.dose_key:
        doses = dose_values(obs[key])[0]
        others = {f"{dose:g}" for dose in doses[~np.isnan(doses) & (doses != 0)]} - {value}
        others = {dose for dose in others if float(dose) != float(_value(key, value, spec))}
    else:
        measured = set(labels(truth[key])) if key in truth.columns else set()
        meaningless = set(spec.control) if key == spec.treatment_key else set()
        in_file = set(labels(obs[key][~is_missing(obs[key])]))
        others = (in_file & measured) - meaningless - {canonical(value)}
    if others:
        raise ConfigError(
            f"Expected all predicted cells to be {value!r} in `obs[{key!r}]`, as `--predicted-obs` says, "
            f"found {listed(distinct(others))}.{where(obs)} Leave the option out, or those cells."
        )


def _check_control(truth: pd.DataFrame, spec: DataSpec) -> None:
    """Refuse a control that the truth lacks where another label looks like it and would be scored."""
    others = sorted(set(labels(truth[spec.treatment_key])) - set(spec.control))
    if any(control_hint(control, others) for control in spec.control):
        raise_first(control_findings(truth, spec, one_is_enough=True))


def _check_treatments(obs: pd.DataFrame, truth: pd.DataFrame, spec: DataSpec) -> None:
    """Refuse a prediction whose cells all still say control, or something that was never measured."""
    if spec.treatment_key not in truth.columns:
        return  # `align` says so
    _check_control(truth, spec)
    measured = set(labels(truth[spec.treatment_key])) - set(spec.control)
    treated = [label for label in distinct(labels(obs[spec.treatment_key])) if label not in spec.control]
    if set(treated) & measured:
        return
    what = "control only." if not treated else f"{listed(treated)}.{nearest(treated[0], measured)}"
    option = f"`--predicted-obs {spec.treatment_key}=LABEL`"
    raise DataError(
        f"Expected predicted cells under a measured treatment ({listed(distinct(measured))}) in "
        f'`obs["{spec.treatment_key}"]`, found {what}{where(obs)} If the whole file is the prediction of '
        f"one treatment, name it with {option}."
    )
