"""The model against each baseline on one metric, the baseline that is hardest to beat first."""

from dataclasses import dataclass

import pandas as pd

from cellflow_cli.statistics.intervals import PairedDifference, covers
from cellflow_cli.statistics.lines import FLOOR, MODEL, Lines, group_means
from cellflow_cli.statistics.means import Count
from cellflow_cli.statistics.summary import Summary


@dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """Model and baseline over the conditions where both have a value.

    Attributes:
        baseline: Its name.
        best: Which value of the metric is best: low, high or one.
        model, value: Means over groups of model and baseline.
        difference: Mean over groups of model minus baseline.
        interval: 95 % interval of the difference; None below six groups.
        better: On how many groups the model is better.
        n_missing: Conditions where the model has a value and the baseline has none.
        covers: Whether the baseline has a value on at least half of the model's conditions.
    """

    baseline: str
    best: str
    model: float
    value: float
    difference: float
    interval: tuple[float, float] | None
    better: Count
    n_missing: int
    covers: bool

    @property
    def lead(self) -> float:
        """How much better the model is, in the units of the metric."""
        return self._sign * self.difference

    @property
    def lead_interval(self) -> tuple[float, float] | None:
        """95 % interval of the lead."""
        if self.interval is None:
            return None
        low, high = sorted(self._sign * end for end in self.interval)
        return low, high

    @property
    def _sign(self) -> int:
        return 1 if self.best == "high" else -1


def rank_baselines(summary: Summary, metric: str) -> tuple[BaselineComparison, ...]:
    """All baselines that share a condition with the model, the hardest to beat first.

    Those without a value on more than half of the model's conditions come last: a baseline that is
    scored on a few of them has no claim to be the best.

    Args:
        summary: Means and intervals.
        metric: Name of a metric.
    """
    best = summary.metrics[metric].best
    comparisons = [
        _comparison(name, best, differences[metric], summary.better_than[name][metric])
        for name, differences in summary.intervals.items()
        if metric in differences
    ]
    shared = [comparison for comparison in comparisons if comparison is not None]
    return tuple(sorted(shared, key=lambda one: (not one.covers, one.lead)))


def floor_beside(table: pd.DataFrame, baseline: str, metric: str) -> float | None:
    """Mean of the floor over the conditions where model, baseline and floor have a value; None without any.

    Args:
        table: Scores.
        baseline: Name of the baseline.
        metric: Name of the metric.
    """
    beside = Lines(table).beside({"model": MODEL, "baseline": baseline, "floor": FLOOR}, metric)
    return None if beside.empty else float(group_means(beside)["floor"].mean())


def _comparison(name: str, best: str, paired: PairedDifference, better: Count) -> BaselineComparison | None:
    if paired.difference is None or paired.model is None or paired.baseline is None:
        return None
    low, high = paired.low, paired.high
    return BaselineComparison(
        baseline=name,
        best=best,
        model=paired.model,
        value=paired.baseline,
        difference=paired.difference,
        interval=None if low is None or high is None else (low, high),
        better=Count(better.k, paired.n_groups),
        n_missing=paired.n_missing,
        covers=covers(paired),
    )
