"""The model against each baseline on one metric, seen from the model: a positive lead is good."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cellflow_cli.statistics.intervals import PairedDifference, covers


class Rival(NamedTuple):
    """One baseline beside the model, over the conditions where both have a value.

    Attributes:
        name: Of the baseline.
        best: Which value of the metric is best, low or high.
        model, value: Means over groups of model and baseline.
        difference: Mean over groups of model minus baseline; None if they share no condition.
        low, high: Interval of the lead; None below six groups.
        k, n_groups: The model is better on k of n groups.
        n_missing: Conditions where the model has a value and the baseline has none.
        covers: Whether the baseline has a value on at least half of the model's conditions.
    """

    name: str
    best: str
    model: float
    value: float
    difference: float
    low: float | None
    high: float | None
    k: int
    n_groups: int
    n_missing: int
    covers: bool

    @property
    def label(self) -> str:
        """Its name, said plainly where it is the null."""
        return "doing nothing (identity)" if self.name == "identity" else self.name

    @property
    def sign(self) -> int:
        """Turns a difference into a lead, and back."""
        return 1 if self.best == "high" else -1

    @property
    def lead(self) -> float:
        """How much better the model is, in the units of the metric."""
        return self.sign * self.difference


def best_first(summary: Mapping[str, Any], metric: str) -> list[Rival]:
    """All baselines that share a condition with the model, the hardest to beat first.

    Those without a value on more than half of the model's conditions come last: a baseline that is
    scored on a few of them has no claim to be the best.

    Args:
        summary: As `Scores.summary()`.
        metric: Name of a metric whose best value is low or high.
    """
    found = [_rival(summary, name, metric) for name in summary["intervals"]]
    return sorted((r for r in found if r is not None), key=lambda r: (not r.covers, r.lead))


def _rival(summary: Mapping[str, Any], name: str, metric: str) -> Rival | None:
    entry = summary["intervals"][name].get(metric)
    if entry is None or entry["difference"] is None:
        return None
    best = summary["metrics"][metric]["best"]
    ends = [] if entry["low"] is None else [entry["low"], entry["high"]]
    leads = sorted(end if best == "high" else -end for end in ends)
    count = summary["better_than"][name][metric]
    return Rival(
        name=name,
        best=best,
        model=entry["model"],
        value=entry["baseline"],
        difference=entry["difference"],
        low=leads[0] if leads else None,
        high=leads[1] if leads else None,
        k=count["k"],
        n_groups=entry["n_groups"],
        n_missing=entry["n_missing"],
        covers=covers(PairedDifference(**entry)),
    )
