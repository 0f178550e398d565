"""Means over conditions within a group, then over groups."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cellflow_cli.statistics.lines import DECODED, Lines, group_means


def over_groups(lines: Lines, rows: Sequence[str], metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each row and metric: mean and sd over groups, groups with a value, conditions without."""
    return {row: {metric: _over_groups(lines.of(row, metric)) for metric in metrics} for row in rows}


def by_group(lines: Lines, rows: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """For each group, row and metric: mean over its conditions that have a value, or None."""
    means = {(row, metric): _group_means(lines.of(row, metric)) for row in rows for metric in metrics}
    return {
        str(group): {
            row: {metric: _number(means[row, metric].get(group)) for metric in metrics} for row in rows
        }
        for group in dict.fromkeys(lines.table["group"])
    }


def better_than(lines: Lines, baseline: str, best: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """For each metric: on `k` of `n` groups the model's mean is better than the baseline's.

    Only conditions where both have a value count, so that a condition that one of them lacks does
    not move its mean.
    """
    found = {}
    for metric, wish in best.items():
        means = group_means(lines.beside({"model": "model", "baseline": baseline}, metric))
        better = [is_better(m, b, wish) for m, b in zip(means["model"], means["baseline"], strict=True)]
        found[metric] = {"k": sum(better), "n": len(better)}
    return found


def from_one(value: float) -> float:
    """Distance of a ratio from one, |log value|: half and double are equally far; infinite at zero."""
    return abs(math.log(value)) if value > 0 else math.inf


def is_better(value: float, rival: float, wish: str) -> bool:
    """Whether a value beats its rival; `wish` is the best value of the metric: low, high or one."""
    if wish == "one":
        value, rival = from_one(value), from_one(rival)
    return value > rival if wish == "high" else value < rival


def winners(summary: Mapping[str, Any], metric: str) -> set[str]:
    """Rows with the best mean among model and baselines; measured cells are not in the contest.

    None where the rows lack values in different numbers of conditions: means over different
    conditions are no contest.

    Args:
        summary: With `rows`, `groups` and `metrics` as in `Scores.summary()`.
        metric: Name of a metric.
    """
    entered = {
        row: entries[metric]
        for row, entries in summary["rows"].items()
        if row not in ("floor", DECODED) and entries[metric]["mean"] is not None
    }
    if len({entry["n_missing"] for entry in entered.values()}) > 1:
        return set()
    wish = summary["metrics"][metric]["best"]
    cost = {row: _cost(summary, row, metric, wish) for row in entered}
    return {row for row, c in cost.items() if c == min(cost.values())}


def _cost(summary: Mapping[str, Any], row: str, metric: str, wish: str) -> float:
    """Low is best. Of ratios the distance from one in each group: too narrow and too wide do not cancel."""
    if wish == "one":
        groups = [means[row][metric] for means in summary["groups"].values()]
        apart = [from_one(mean) for mean in groups if mean is not None]
        return sum(apart) / len(apart)
    mean = float(summary["rows"][row][metric]["mean"])
    return -mean if wish == "high" else mean


def _group_means(lines: pd.DataFrame) -> pd.Series:
    return lines["value"].dropna().groupby(level="group", sort=False).mean()


def _over_groups(lines: pd.DataFrame) -> dict[str, Any]:
    means = _group_means(lines)
    missing = lines[lines["value"].isna()]
    found = {
        "mean": _number(means.mean()),
        "sd": _number(means.std(ddof=1)) if len(means) > 1 else None,
        "n_groups": len(means),
        "n_missing": len(missing),
    }
    return {**found, "reason": str(missing["reason"].iloc[0])} if len(missing) else found


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
