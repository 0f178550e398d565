"""Figures of scores: every row by group, the model against each baseline, and gain against size of effect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.published_metrics import find
from cellflow_cli.report._rivals import best_first
from cellflow_cli.report._text import counted
from cellflow_cli.report.drawing import CONTROL, GHOST, GREEN, MEASURED, PREDICTED, Drawn, blank, quiet
from cellflow_cli.report.score_tables import labelled
from cellflow_cli.report.verdict import metric_title

_LINE = 0.3  # inches per row
_NULL = "identity"


def scores_figure(scores: Scores, summary: Mapping[str, Any], metric: str) -> Drawn:
    """Every row of one metric: a dot per group and the mean, best on top."""
    means = {row: summary["predictors"][row][metric]["mean"] for row in scores.predictors}
    sign = -1 if summary["metrics"][metric]["best"] == "high" else 1
    rows = sorted((r for r in means if means[r] is not None), key=lambda r: sign * means[r], reverse=True)
    figure = blank(7.2, 0.9 + _LINE * len(rows))
    panel = figure.subplots()
    for at, row in enumerate(rows):
        values = [group[row][metric] for group in summary["groups"].values()]
        dots = np.array([v for v in values if v is not None])
        panel.plot(dots, np.full(len(dots), at), "o", ms=4, color=GHOST, mec="#8C8C8C", mew=0.5)
        panel.plot(means[row], at, _mark(row), ms=8, color=_colour(row), mec="white", mew=0.6)
    if means.get("floor") is not None:
        panel.axvline(means["floor"], color=GREEN, lw=1, ls="--", zorder=0)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_xlabel(f"{metric_title(metric)} ({'higher' if sign < 0 else 'lower'} is better)", fontsize=9)
    quiet(panel, "x")
    _embolden(panel)
    n = len(summary["groups"])
    caption = (
        f"Grey: {counted(n, 'group')}, each the mean over its populations. Coloured: mean over groups; "
        "circle, the model; square, a baseline; diamond, the floor or another row of measured cells. "
        "Dashed line: the noise floor, what other measured cells of the population achieve."
    )
    return Drawn("scores", f"The {metric_title(metric)} of every row", caption, figure)


def differences_figure(summary: Mapping[str, Any], metric: str) -> Drawn | None:
    """Model minus each baseline with its interval; None if there is no baseline to compare with."""
    rivals = best_first(summary, metric)[::-1]
    if not rivals:
        return None
    figure = blank(7.2, 0.9 + _LINE * len(rivals))
    panel = figure.subplots()
    for at, rival in enumerate(rivals):
        dots = [
            group["model"][metric] - group[rival.name][metric]
            for group in summary["groups"].values()
            if group["model"][metric] is not None and group[rival.name][metric] is not None
        ]
        panel.plot(dots, np.full(len(dots), at), "o", ms=4, color=GHOST, mec="#8C8C8C", mew=0.5)
        colour = PREDICTED if rival.lead > 0 else MEASURED
        if rival.low is not None and rival.high is not None:
            panel.plot([rival.sign * rival.low, rival.sign * rival.high], [at, at], lw=2.4, color=colour)
        mark = "o" if rival.lead > 0 else "s"
        panel.plot(rival.difference, at, mark, ms=8, color=colour, mec="white", mew=0.6)
    panel.axvline(0, color=CONTROL, lw=1)
    panel.set_yticks(range(len(rivals)), [rival.name for rival in rivals])
    better = "right" if rivals[0].best == "high" else "left"
    panel.set_xlabel(
        f"model minus baseline, {metric_title(metric)} (better to the {better} of zero)", fontsize=9
    )
    quiet(panel, "x")
    bars = "Bar: 95 % bootstrap interval over groups. " if any(r.low is not None for r in rivals) else ""
    caption = (
        "Grey: groups. Coloured: mean over groups; circle where the model is better, square where it is "
        f"worse. {bars}The baseline that is hardest to beat is on top."
    )
    return Drawn("differences", "The model against each baseline", caption, figure)


def effects_figure(scores: Scores, metric: str, baseline: str | None) -> Drawn | None:
    """Each population of model and best baseline by the size of its real effect.

    None without the null, and for a metric that is no distance: it does not say how large an effect is.
    """
    if find(metric).best != "low":
        return None
    table = labelled(scores.table)
    wide = table[table["metric"] == metric].pivot(
        index=["sample", "condition"], columns="predictor", values="value"
    )
    if _NULL not in wide or wide[_NULL].notna().sum() < 3:
        return None
    figure = blank(5.6, 4.2)
    panel = figure.subplots()
    shown = [("model", "o", PREDICTED)]
    if baseline not in (None, _NULL) and baseline in wide:
        shown.insert(0, (str(baseline), "s", MEASURED))
    for row, mark, colour in shown:
        panel.plot(
            wide[_NULL], wide[row], mark, ms=5, color=colour, alpha=0.75, mec="white", mew=0.4, label=row
        )
    ends = [float(wide[_NULL].min()), float(wide[_NULL].max())]
    panel.plot(ends, ends, color=CONTROL, lw=1, ls=":", label="doing nothing")
    panel.axhline(0, color=GHOST, lw=0.8, zorder=0)
    panel.set_xlabel(f"size of the real effect: {metric_title(metric)}, control to measured", fontsize=9)
    panel.set_ylabel(f"{metric_title(metric)}, predicted to measured", fontsize=9)
    figure.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=3)
    quiet(panel)
    caption = (
        "One mark per population. On the dotted line a prediction is as far from the measured cells as the "
        "control cells are; above it, further."
    )
    return Drawn("effects", "Where the model helps: by size of the real effect", caption, figure)


def _mark(row: str) -> str:
    return {"model": "o", "floor": "D", "truth-decoded": "D"}.get(row, "s")


def _colour(row: str) -> str:
    return {"model": PREDICTED, "floor": GREEN, "truth-decoded": GREEN, _NULL: CONTROL}.get(row, MEASURED)


def _embolden(panel: Axes) -> None:
    for label in panel.get_yticklabels():
        if label.get_text() == "model":
            label.set_fontweight("bold")
