"""Means over conditions within a group, then over groups."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from cellflow_cli.statistics.lines import MODEL, Lines, group_means

GroupMeans = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""For each group, predictor and metric the mean over its conditions; None where none has a value."""


@dataclass(frozen=True)
class MetricMean:
    """One metric of one predictor.

    Attributes:
        mean: Mean over conditions within a group, then over groups; None without any value.
        sd: Standard deviation over groups; None below two.
        n_groups: Groups with a value.
        n_missing: Conditions without a value.
        reason: Why the first of them has none.
    """

    mean: float | None
    sd: float | None
    n_groups: int
    n_missing: int
    reason: str = ""


class Range(NamedTuple):
    """The smallest and the largest of some numbers."""

    min: float
    max: float

    def to_json(self) -> dict[str, float]:
        """Both by name."""
        return self._asdict()


@dataclass(frozen=True)
class Count:
    """On `k` of `n` groups the model is better."""

    k: int
    n: int


Means = Mapping[str, Mapping[str, MetricMean]]
"""For each predictor and metric."""


def over_groups(lines: Lines, predictors: Sequence[str], metrics: Sequence[str]) -> Means:
    """Every metric of every predictor."""
    return {name: {metric: _over_groups(lines.of(name, metric)) for metric in metrics} for name in predictors}


def by_group(lines: Lines, predictors: Sequence[str], metrics: Sequence[str]) -> GroupMeans:
    """For each group, predictor and metric: mean over its conditions that have a value, or None."""
    means = {
        (name, metric): _group_means(lines.of(name, metric)) for name in predictors for metric in metrics
    }
    return {
        str(group): {
            name: {metric: _number(means[name, metric].get(group)) for metric in metrics}
            for name in predictors
        }
        for group in dict.fromkeys(lines.table["group"])
    }


def better_than(lines: Lines, baseline: str, best: Mapping[str, str]) -> dict[str, Count]:
    """For each metric: on how many groups the model's mean is better than the baseline's.

    Only conditions where both have a value count, so that a condition that one of them lacks does
    not move its mean.
    """
    return {metric: _better(lines, baseline, metric, wish) for metric, wish in best.items()}


def _better(lines: Lines, baseline: str, metric: str, wish: str) -> Count:
    means = group_means(lines.beside({"model": MODEL, "baseline": baseline}, metric))
    better = [is_better(m, b, wish) for m, b in zip(means["model"], means["baseline"], strict=True)]
    return Count(k=sum(better), n=len(better))


def from_one(value: float) -> float:
    """Distance of a ratio from one, |log value|: half and double are equally far; infinite at zero."""
    return abs(math.log(value)) if value > 0 else math.inf


def is_better(value: float, other: float, wish: str) -> bool:
    """Whether a value beats another; `wish` is the best value of the metric: low, high or one."""
    if wish == "one":
        value, other = from_one(value), from_one(other)
    return value > other if wish == "high" else value < other


def _group_means(lines: pd.DataFrame) -> pd.Series:
    return lines["value"].dropna().groupby(level="group", sort=False).mean()


def _over_groups(lines: pd.DataFrame) -> MetricMean:
    means = _group_means(lines)
    missing = lines[lines["value"].isna()]
    return MetricMean(
        mean=_number(means.mean()),
        sd=_number(means.std(ddof=1)) if len(means) > 1 else None,
        n_groups=len(means),
        n_missing=len(missing),
        reason=str(missing["reason"].iloc[0]) if len(missing) else "",
    )


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
