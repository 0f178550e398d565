"""Static figures: what they are drawn with, and those of scores."""

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import matplotlib.figure
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.published_metrics import find
from cellflow_cli.report.text import counted, drawn, metric_title
from cellflow_cli.statistics.baseline_ranking import BaselineComparison
from cellflow_cli.statistics.breakdown import labelled
from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL, NULL
from cellflow_cli.statistics.summary import Summary

# Okabe and Ito (2008), colours that people of any colour vision tell apart; they differ in lightness too.
CONTROL, PREDICTED, MEASURED, GHOST = "#4D4D4D", "#0072B2", "#D55E00", "#C6C6C6"
GREEN = "#009E73"
_LINE = 0.3  # inches per predictor
_MIN_EFFECTS = 3
_COLOURS = {MODEL: PREDICTED, FLOOR: GREEN, DECODED: GREEN, NULL: CONTROL}
_MARKS = {MODEL: "o", FLOOR: "D", DECODED: "D"}


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its caption, and as bytes that are the same each time.

    Attributes:
        name: Stem of its files.
        title: What it shows, in a few words.
        caption: How to read it.
        drawing: Made without pyplot.
        print_only: True where the page has an interactive version for the screen.
    """

    name: str
    title: str
    caption: str
    drawing: matplotlib.figure.Figure
    print_only: bool = False

    @cached_property
    def png(self) -> bytes:
        """At 200 dots per inch."""
        return rendered(self.drawing, "png")

    @cached_property
    def svg(self) -> bytes:
        """With the points of large clouds as images."""
        return rendered(self.drawing, "svg")


def rendered(drawing: matplotlib.figure.Figure, kind: str, dpi: int = 200) -> bytes:
    """A drawing as the bytes of a `png` or `svg` file; the same drawing gives the same bytes."""
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    buffer = io.BytesIO()
    # without a salt the names inside an SVG are drawn anew
    with rc_context({"svg.hashsalt": "cellflow"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # an emoji is drawn as a box
        drawing.savefig(buffer, format=kind, dpi=dpi, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def blank(width: float, height: float) -> matplotlib.figure.Figure:
    """An empty drawing of a size in inches that lays itself out."""
    drawing = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing


def quiet(panel: Axes, grid: Literal["x", "y"] | None = None) -> None:
    """A panel without upper and right frame, with thin lines and, if named, a light grid along an axis."""
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set(color="#8C8C8C", linewidth=0.6)
    panel.tick_params(labelsize=8, color="#8C8C8C", width=0.6)
    if grid is not None:
        panel.grid(axis=grid, color="#E3E3E3", linewidth=0.6)
        panel.set_axisbelow(True)


def scores_figure(summary: Summary, metric: str) -> Figure:
    """Every predictor by one metric: a dot per group and the mean, best on top."""
    known = {name: entries[metric].mean for name, entries in summary.predictors.items()}
    means = {name: mean for name, mean in known.items() if mean is not None}
    sign = -1 if summary.metrics[metric].best == "high" else 1
    order = sorted(means, key=lambda name: sign * means[name], reverse=True)
    drawing = blank(7.2, 0.9 + _LINE * len(order))
    panel = drawing.subplots()
    for at, name in enumerate(order):
        values = [group[name][metric] for group in summary.groups.values()]
        _dots(panel, at, [value for value in values if value is not None])
        mark, colour = _MARKS.get(name, "s"), _COLOURS.get(name, MEASURED)
        panel.plot(means[name], at, mark, ms=8, color=colour, mec="white", mew=0.6)
    if FLOOR in means:
        panel.axvline(means[FLOOR], color=GREEN, lw=1, ls="--", zorder=0)
    panel.set_yticks(range(len(order)), [drawn(name) for name in order])
    panel.set_xlabel(f"{metric_title(metric)} ({'higher' if sign < 0 else 'lower'} is better)", fontsize=9)
    quiet(panel, "x")
    for label in panel.get_yticklabels():
        if label.get_text() == MODEL:
            label.set_fontweight("bold")
    caption = (
        f"Grey: {counted(len(summary.groups), 'group')}, each the mean over its populations. Coloured: mean "
        "over groups; circle, the model; square, a baseline; diamond, measured cells. Dashed line: the noise "
        "floor, what other measured cells of the population score."
    )
    return Figure("scores", f"The {metric_title(metric)} of every predictor", caption, drawing)


def differences_figure(
    summary: Summary, metric: str, baselines: tuple[BaselineComparison, ...]
) -> Figure | None:
    """Model minus each baseline with its interval, the first one on top; None without baselines."""
    if not baselines:
        return None
    drawing = blank(7.2, 0.9 + _LINE * len(baselines))
    panel = drawing.subplots()
    for at, one in enumerate(reversed(baselines)):
        _dots(panel, at, _differences(summary, one.baseline, metric))
        colour = PREDICTED if one.lead > 0 else MEASURED
        if one.interval is not None:
            panel.plot(one.interval, [at, at], lw=2.4, color=colour)
        mark = "o" if one.lead > 0 else "s"
        panel.plot(one.difference, at, mark, ms=8, color=colour, mec="white", mew=0.6)
    panel.axvline(0, color=CONTROL, lw=1)
    panel.set_yticks(range(len(baselines)), [drawn(one.baseline) for one in reversed(baselines)])
    side = "right" if baselines[0].best == "high" else "left"
    panel.set_xlabel(
        f"model minus baseline, {metric_title(metric)} (better to the {side} of zero)", fontsize=9
    )
    quiet(panel, "x")
    has_bars = any(one.interval is not None for one in baselines)
    bars = "Bar: 95 % bootstrap interval over groups. " if has_bars else ""
    caption = (
        "Grey: groups. Coloured: mean over groups; circle where the model is better, square where it is "
        f"worse. {bars}The baseline that is hardest to beat is on top."
    )
    return Figure("differences", "The model against each baseline", caption, drawing)


def effects_figure(scores: Scores, metric: str, baseline: str | None) -> Figure | None:
    """Each population of model and best baseline by the size of its real effect.

    None without the null, and for a metric that is no distance: it does not say how large an effect is.
    """
    if find(metric).best != "low":
        return None
    table = labelled(scores.table[scores.table["metric"] == metric])
    wide = table.pivot(index=["sample", "condition"], columns="predictor", values="value")
    if NULL not in wide or wide[NULL].notna().sum() < _MIN_EFFECTS:
        return None
    drawing = blank(5.6, 4.2)
    panel = drawing.subplots()
    shown = [(MODEL, "o", PREDICTED)]
    if baseline not in (None, NULL) and baseline in wide:
        shown.insert(0, (str(baseline), "s", MEASURED))
    for name, mark, colour in shown:
        (marks,) = panel.plot(wide[NULL], wide[name], mark, ms=5, color=colour, label=drawn(name))
        marks.set(alpha=0.75, mec="white", mew=0.4)
    ends = [float(wide[NULL].min()), float(wide[NULL].max())]
    panel.plot(ends, ends, color=CONTROL, lw=1, ls=":", label="unchanged controls")
    panel.axhline(0, color=GHOST, lw=0.8, zorder=0)
    panel.set_xlabel(f"size of the real effect: {metric_title(metric)}, control to measured", fontsize=9)
    panel.set_ylabel(f"{metric_title(metric)}, predicted to measured", fontsize=9)
    drawing.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=3)
    quiet(panel)
    caption = (
        "One mark per population. On the dotted line a prediction is as far from the measured cells as the "
        "control cells are; above it, further."
    )
    return Figure("effects", "Scores by size of the real effect", caption, drawing)


def _dots(panel: Axes, at: int, values: list[float]) -> None:
    """One small grey dot for each group."""
    panel.plot(values, np.full(len(values), at), "o", ms=4, color=GHOST, mec="#8C8C8C", mew=0.5)


def _differences(summary: Summary, baseline: str, metric: str) -> list[float]:
    """Model minus baseline in each group where both have a value."""
    pairs = [(means[MODEL][metric], means[baseline][metric]) for means in summary.groups.values()]
    return [model - value for model, value in pairs if model is not None and value is not None]
