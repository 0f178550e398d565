"""Where the model is good: conditions of small, medium and large effect apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellflow_cli.statistics.lines import NULL, Lines
from cellflow_cli.statistics.means import over_groups

NAMES = ("small", "medium", "large")
BY = "energy"
MIN_CONDITIONS = 6


def regimes(lines: Lines, rows: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """Means of each row and metric over thirds of the conditions, by the size of the real effect.

    The size of an effect is the energy distance between control and measured treated cells: the row
    `identity` of `energy`. Thirds are as equal as possible; equal effects keep the order of the table.

    Args:
        lines: Scores.
        rows: Rows to average.
        metrics: Metrics to average.

    Returns:
        For `small`, `medium` and `large`: `n_conditions`, the smallest and largest effect, and for
        each row and metric the mean over conditions within a group, then over groups (None where no
        condition has a value). A `reason` alone below six conditions or without that row or metric.
    """
    effects = lines.beside({"effect": NULL}, BY)["effect"].sort_values(kind="stable")
    if len(effects) < MIN_CONDITIONS:
        return {
            "reason": f"needs {MIN_CONDITIONS} conditions or more with `{BY}` of the row `{NULL}`, "
            f"found {len(effects)}"
        }
    return {
        name: _regime(lines, effects.iloc[part], rows, metrics)
        for name, part in zip(NAMES, np.array_split(np.arange(len(effects)), len(NAMES)), strict=True)
    }


def _regime(lines: Lines, effects: pd.Series, rows: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    means = over_groups(lines.only(effects.index.get_level_values("condition")), rows, metrics)
    return {
        "n_conditions": len(effects),
        "effect": {"min": float(effects.min()), "max": float(effects.max())},
        "rows": {row: {metric: means[row][metric]["mean"] for metric in metrics} for row in rows},
    }
