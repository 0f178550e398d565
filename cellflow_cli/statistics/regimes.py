"""Where the model is good: conditions of small, medium and large effect apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cellflow_cli.statistics._json import plain
from cellflow_cli.statistics.lines import NULL, Lines
from cellflow_cli.statistics.means import Range, over_groups

NAMES = ("small", "medium", "large")
BY = "energy"
MIN_CONDITIONS = 6


@dataclass(frozen=True)
class Regime:
    """Conditions whose effects are of similar size.

    Attributes:
        n_conditions: How many.
        effect: The smallest and largest effect.
        predictors: For each predictor and metric the mean over conditions within a group, then over
            groups; None where no condition has a value.
    """

    n_conditions: int
    effect: Range
    predictors: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class Regimes:
    """The regimes `NAMES` in this order; or none, and why."""

    parts: Mapping[str, Regime] = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The regimes by name, or the reason alone."""
        return {"reason": self.reason} if self.reason else plain(self.parts)


def regimes(lines: Lines, predictors: Sequence[str], metrics: Sequence[str]) -> Regimes:
    """Means of each predictor and metric over thirds of the conditions, by the size of the real effect.

    The size of an effect is the energy distance between control and measured treated cells: the `energy`
    of `identity`. Thirds are as equal as possible; equal effects keep the order of the table. They need six
    conditions or more.

    Args:
        lines: Scores.
        predictors: Predictors to average.
        metrics: Metrics to average.
    """
    effects = lines.beside({"effect": NULL}, BY)["effect"].sort_values(kind="stable")
    if len(effects) < MIN_CONDITIONS:
        return Regimes(
            reason=f"needs {MIN_CONDITIONS} conditions or more with `{BY}` of `{NULL}`, found {len(effects)}"
        )
    thirds = np.array_split(np.arange(len(effects)), len(NAMES))
    return Regimes(
        {
            name: _regime(lines, effects.iloc[part], predictors, metrics)
            for name, part in zip(NAMES, thirds, strict=True)
        }
    )


def _regime(lines: Lines, effects: pd.Series, predictors: Sequence[str], metrics: Sequence[str]) -> Regime:
    means = over_groups(lines.only(effects.index.get_level_values("condition")), predictors, metrics)
    return Regime(
        n_conditions=len(effects),
        effect=Range(float(effects.min()), float(effects.max())),
        predictors={name: {metric: means[name][metric].mean for metric in metrics} for name in predictors},
    )
