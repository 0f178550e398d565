"""Does a metric prefer predictors that nobody would want? Each is made from measured cells, then broken."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cellflow_cli.catalog import Catalog
from cellflow_cli.statistics._json import plain_fields
from cellflow_cli.statistics.lines import MODEL, Lines, group_means
from cellflow_cli.statistics.means import from_one

PREFIX = "audit:"
"""Degenerate predictors are called this and their name in the catalog."""
UNDAMAGED = f"{PREFIX}undamaged"
"""Predictor of the measured cells that degenerate predictors are made from, before anything is broken."""
TIE = 1e-5
"""Means this close, relative to the larger, are the same: cells are float32."""


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One metric of a degenerate predictor beside undamaged cells and the model.

    Attributes:
        value, undamaged, model: Means over groups of the three; None where there is nothing to compare.
        is_first: Whether it is no worse than both.
        beats_model, as_measured: Whether it is no worse than the model, than undamaged cells.
        reason: Why there is nothing to compare.
    """

    value: float | None = None
    undamaged: float | None = None
    model: float | None = None
    is_first: bool | None = None
    beats_model: bool | None = None
    as_measured: bool | None = None
    reason: str = ""


@dataclass(frozen=True)
class DegenerateRanks:
    """How degenerate predictors rank; or that none were scored, and why.

    Attributes:
        predictors: For each degenerate predictor and metric.
        flagged: For each metric that ranks one or more of them first, their names.
        reason: Why there are none.
    """

    predictors: Mapping[str, Mapping[str, Rank]] = field(default_factory=dict)
    flagged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Both tables, or the reason alone."""
        return {"reason": self.reason} if self.reason else plain_fields(self)


def degenerate_ranks(lines: Lines, best: Mapping[str, str]) -> DegenerateRanks:
    """For each degenerate predictor and metric how it ranks beside the model and undamaged cells.

    It ranks first where it is no worse than the measured cells it was made from (the floor's
    first split, sent through the decoder where there is one) and no worse than the model, each as
    the mean over conditions within a group, then over groups, over the conditions where all three
    have a value. By such a metric alone one would choose it, so the metric is flagged.

    Args:
        lines: Scores.
        best: Best value of each metric: low, high or one; where it is one, means over groups of the
            distance from one, |log mean|, are compared.
    """
    names = [
        name.removeprefix(PREFIX)
        for name in dict.fromkeys(lines.table["predictor"])
        if name.startswith(PREFIX) and name != UNDAMAGED
    ]
    if not names:
        return DegenerateRanks(reason="no degenerate predictors were scored")
    ranks = {
        name: {metric: _rank(lines, PREFIX + name, metric, wish) for metric, wish in best.items()}
        for name in names
    }
    first = {metric: tuple(name for name in names if ranks[name][metric].is_first) for metric in best}
    return DegenerateRanks(ranks, {metric: winners for metric, winners in first.items() if winners})


def remark(ranks: DegenerateRanks) -> str:
    """A sentence on the metrics that are flagged; empty if none are."""
    if not ranks.flagged:
        return ""
    summaries = Catalog("degenerate").summaries()
    by = {name: [m for m, names in ranks.flagged.items() if name in names] for name in ranks.predictors}
    texts = [f"{_lowered(summaries[name])} ({', '.join(metrics)})" for name, metrics in by.items() if metrics]
    return (
        "Audit: some metrics rank a degenerate predictor first, no worse than measured cells and than the "
        f"model, and must not be read alone: {'; '.join(texts)}."
    )


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _rank(lines: Lines, predictor: str, metric: str, wish: str) -> Rank:
    three = lines.beside({"value": predictor, "undamaged": UNDAMAGED, "model": MODEL}, metric)
    if three.empty:
        return Rank(reason=_why(lines, (predictor, UNDAMAGED, MODEL), metric))
    groups = group_means(three)
    means = {str(name): float(mean) for name, mean in groups.mean().items()}
    costs = _costs(groups, wish)
    no_worse = {
        name: costs["value"] <= costs[name] or math.isclose(means["value"], means[name], rel_tol=TIE)
        for name in ("undamaged", "model")
    }
    return Rank(
        value=means["value"],
        undamaged=means["undamaged"],
        model=means["model"],
        is_first=all(no_worse.values()),
        beats_model=no_worse["model"],
        as_measured=no_worse["undamaged"],
    )


def _costs(groups: pd.DataFrame, wish: str) -> dict[str, float]:
    """Means over groups, turned so that low is best."""
    cost = groups.map(from_one) if wish == "one" else groups * (-1 if wish == "high" else 1)
    return {str(name): float(mean) for name, mean in cost.mean().items()}


def _why(lines: Lines, predictors: tuple[str, ...], metric: str) -> str:
    for predictor in predictors:
        missing = lines.of(predictor, metric)
        missing = missing[missing["value"].isna()]
        if len(missing):
            return str(missing["reason"].iloc[0])
    return "no condition where all three have a value"
