"""Does a metric prefer predictors that nobody would want? Each is made from measured cells, then broken."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cellflow_cli.catalog import Catalog
from cellflow_cli.statistics.lines import Lines, group_means
from cellflow_cli.statistics.means import from_one

PREFIX = "audit:"
"""Rows of degenerate predictors are called this and the name of the predictor."""
UNDAMAGED = f"{PREFIX}undamaged"
"""Row of the measured cells that degenerate predictors are made from, before anything is broken."""
_ANSWERS = ("is_first", "beats_model", "as_measured")
TIE = 1e-5
"""Means this close, relative to the larger, are the same: cells are float32."""


def audit(lines: Lines, best: Mapping[str, str]) -> dict[str, Any]:
    """For each degenerate predictor and metric how it ranks beside the model and undamaged cells.

    It ranks first where it is no worse than the measured cells it was made from (the floor's
    first split, sent through the decoder where there is one) and no worse than the model, each as
    the mean over conditions within a group, then over groups, over the conditions where all three
    have a value. By such a metric alone one would choose it, so the metric is flagged.

    Args:
        lines: Scores.
        best: Best value of each metric: low, high or one; where it is one, means over groups of the
            distance from one, |log mean|, are compared.

    Returns:
        predictors: For each predictor and metric the means `value`, `undamaged` and `model`,
            `is_first`, `beats_model` and `as_measured` (no worse than the model, than undamaged cells);
            all None, with a `reason`, where there is nothing to compare.
        flagged: For each metric that ranks one or more of them first, their names.
        Or a `reason` alone, if there was no audit.
    """
    rows = [row for row in dict.fromkeys(lines.table["row"]) if row.startswith(PREFIX) and row != UNDAMAGED]
    if not rows:
        return {"reason": "no degenerate predictors were scored"}
    found = {
        row.removeprefix(PREFIX): {metric: _ranked(lines, row, metric, wish) for metric, wish in best.items()}
        for row in rows
    }
    first = {metric: [name for name in found if found[name][metric]["is_first"]] for metric in best}
    return {"predictors": found, "flagged": {metric: names for metric, names in first.items() if names}}


def remark(found: Mapping[str, Any]) -> str:
    """A sentence on the metrics that are flagged; empty if none are.

    Args:
        found: As `audit` returns it.
    """
    flagged = found.get("flagged", {})
    if not flagged:
        return ""
    told = Catalog("degenerate").summaries()
    by = {name: [m for m, names in flagged.items() if name in names] for name in found["predictors"]}
    texts = [f"{_lowered(told[name])} ({', '.join(metrics)})" for name, metrics in by.items() if metrics]
    return (
        "Audit: some metrics rank a degenerate predictor first, no worse than measured cells and than the "
        f"model, and must not be read alone: {'; '.join(texts)}."
    )


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _ranked(lines: Lines, row: str, metric: str, wish: str) -> dict[str, Any]:
    three = lines.beside({"value": row, "undamaged": UNDAMAGED, "model": "model"}, metric)
    if three.empty:
        nothing = dict.fromkeys(("value", "undamaged", "model", *_ANSWERS))
        return {**nothing, "reason": _why(lines, (row, UNDAMAGED, "model"), metric)}
    groups = group_means(three)
    means = {str(name): float(mean) for name, mean in groups.mean().items()}
    costs = _costs(groups, wish)
    no_worse = {
        name: costs["value"] <= costs[name] or math.isclose(means["value"], means[name], rel_tol=TIE)
        for name in ("undamaged", "model")
    }
    answers = (all(no_worse.values()), no_worse["model"], no_worse["undamaged"])
    return {**means, **dict(zip(_ANSWERS, answers, strict=True))}


def _costs(groups: pd.DataFrame, wish: str) -> dict[str, float]:
    """Means over groups, turned so that low is best."""
    cost = groups.map(from_one) if wish == "one" else groups * (-1 if wish == "high" else 1)
    return {str(name): float(mean) for name, mean in cost.mean().items()}


def _why(lines: Lines, rows: tuple[str, ...], metric: str) -> str:
    for row in rows:
        missing = lines.of(row, metric)
        missing = missing[missing["value"].isna()]
        if len(missing):
            return str(missing["reason"].iloc[0])
    return "no condition where all three have a value"
