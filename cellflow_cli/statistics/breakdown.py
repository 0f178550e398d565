"""Scores broken down by population, treatment, sample or group."""

from collections.abc import Sequence

import pandas as pd

from cellflow_cli.types import Condition


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table of scores with a column `condition`: treatment and dose as text."""
    doses = [None if pd.isna(dose) else float(dose) for dose in table["dose"]]
    labels = [Condition(str(t), dose).label for t, dose in zip(table["treatment"], doses, strict=True)]
    return table.assign(condition=labels)


def means_by(
    table: pd.DataFrame, keys: Sequence[str], metrics: Sequence[str], predictors: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """For each metric a line per value of `keys` and a column per predictor.

    A number is the mean over conditions within a group, then over groups; NaN where no condition has one.

    Args:
        table: Scores.
        keys: Columns of the table; lines stand in the order of its first lines.
        metrics: Names of metrics.
        predictors: The columns, in order.
    """
    by = list(dict.fromkeys([*keys, "group", "predictor", "metric"]))
    within = table.groupby(by, sort=False)["value"].mean()
    means = within.groupby([*keys, "predictor", "metric"], sort=False).mean().unstack("predictor")
    order = list(dict.fromkeys(table.set_index(list(keys)).index))
    parts = {}
    for metric in metrics:
        part = means[means.index.get_level_values("metric") == metric].droplevel("metric")
        parts[metric] = part.reindex(index=order, columns=list(predictors))
    return parts
