"""Obs of a prediction: the user's columns, and which control cell each row was made from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import labels, texts
from cellflow_cli.data.populations import POOLED, PopulationRows
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.prediction.file import SOURCE_CELL
from cellflow_cli.prediction.flags import PREDICTED
from cellflow_cli.types import Condition


def sample_columns(spec: DataSpec) -> list[str]:
    """Columns that say something of a whole sample."""
    return [*spec.sample_key, spec.group, *spec.covariate_key]


def population_obs(
    obs: pd.DataFrame,
    spec: DataSpec,
    control: PopulationRows,
    condition: Condition | None,
    *,
    from_noise: bool,
) -> pd.DataFrame:
    """Obs of the rows made from a control population; without a condition, of its own rows.

    Samples and cell types are written as the data write them, treatments as the model does. A cell that comes
    from noise is no control cell's: it keeps what is true of the whole population.

    Args:
        obs: Of the data with the control cells.
        spec: What its columns mean.
        control: The control population.
        condition: What it is carried to.
        from_noise: Whether predicted cells come from draws of noise.
    """
    old = obs.iloc[control.rows]
    is_noise = condition is not None and from_noise
    names = old.index.astype(str)
    if is_noise:
        sample = "-".join(value for value in control.sample if value != POOLED)
        names = pd.Index([f"{sample}-predicted-{i:04d}" for i in range(len(old))])
    table = pd.DataFrame(index=names if condition is None else names + f":{condition.label}")
    of_sample = sample_columns(spec)
    values_of_sample = dict(zip(spec.sample_key, control.sample, strict=True))
    for key in dict.fromkeys([*of_sample, *([spec.cell_type_key] if spec.cell_type_key else [])]):
        values = texts(old[key]) if key in old else values_of_sample.get(key, control.group)
        is_shared = key in of_sample and (key not in old or len(set(labels(old[key]))) == 1)
        table[key] = values if is_shared or not is_noise else None
    if condition is None:
        table[spec.treatment_key] = _untreated(old, spec)
    else:
        table[spec.treatment_key] = condition.treatment
    if spec.dose_key is not None:
        dose = np.nan if condition is None or condition.dose is None else condition.dose
        table[spec.dose_key] = np.float64(dose)
    table[SOURCE_CELL] = "" if is_noise else names
    table[PREDICTED] = condition is not None
    return table


def _untreated(old: pd.DataFrame, spec: DataSpec) -> np.ndarray | str:
    """How the file writes its controls; that of the model where the model does not know the label."""
    if spec.treatment_key not in old:
        return spec.control[0]
    known = np.isin(labels(old[spec.treatment_key]).astype(str), spec.control)
    return np.where(known, texts(old[spec.treatment_key]), spec.control[0])


def joined_obs(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Obs of all parts with categorical labels and unique names."""
    table = pd.concat(list(parts))
    while not table.index.is_unique:  # a name made unique may meet another one
        repeat = table.groupby(level=0).cumcount().astype(str)
        table.index = pd.Index(np.where(repeat == "0", table.index, table.index + "-" + repeat))
    for key in table.columns:
        if key != SOURCE_CELL and table[key].dtype == object:
            table[key] = pd.Categorical(table[key])
    return table
