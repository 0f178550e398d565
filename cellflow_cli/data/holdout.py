"""Which cells a `--holdout` names, found among the columns and labels that exist."""

import numpy as np
import pandas as pd
from jaxtyping import Bool

from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.data.holdout_text import Holdout, parse_holdout
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import canonical, chosen, splits


def resolved(obs: pd.DataFrame, part: Holdout) -> Holdout:
    """The same, cut at an equals sign before which there is the name of a column."""
    columns = {canonical(name): str(name) for name in obs.columns}
    for column, values in splits(part.words, "="):
        if name := columns.get(canonical(column)):
            return Holdout(column=name, values=values)
    return part


def is_named(obs: pd.DataFrame, part: Holdout) -> Bool[np.ndarray, " n"]:
    """True for cells that a named part holds out, shape [n]; labels that do not exist name none."""
    part = resolved(obs, part)
    if part.column not in obs.columns:
        return np.zeros(len(obs), dtype=bool)
    values = labels(obs[part.column])
    return np.isin(values.astype(str), chosen(part.values, distinct(values))[0])


def is_held_out(obs: pd.DataFrame, spec: DataSpec) -> Bool[np.ndarray, " n"]:
    """True for cells that are held out by name, or by the split column, shape [n]; a fraction names none."""
    if spec.split_key in obs.columns:
        return labels(obs[str(spec.split_key)]) == "test"
    held_out = np.zeros(len(obs), dtype=bool)
    for part in map(parse_holdout, spec.holdout):
        if part.column:
            held_out |= is_named(obs, part)
    return held_out
