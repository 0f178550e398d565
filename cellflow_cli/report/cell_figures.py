"""Cells of the scored populations as static figures and as numbers that the script of the page draws."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cellflow_cli.report.cells import PlottedCells, PlottedPopulation
from cellflow_cli.report.figures import CONTROL, GHOST, MEASURED, PREDICTED, Figure, blank, quiet
from cellflow_cli.report.text import drawn, shortened
from cellflow_cli.statistics.feature_changes import Marginal

_COLOURS = {"control": CONTROL, "measured": MEASURED, "predicted": PREDICTED}
_LINES = {"control": ":", "measured": "-", "predicted": "--"}
_MARKS = {"control": "o", "measured": "s", "predicted": "^"}
_COLUMNS = 3
_MAX_MARGINALS = 5
_LEVELS = 65535
_MARGIN, _STATIC_MARGIN = 0.04, 0.06

Box = tuple[np.ndarray, np.ndarray]


def embedding_figure(cells: PlottedCells, shown: Sequence[PlottedPopulation], choice: str) -> Figure:
    """Control, measured and predicted cells of some populations in one projection.

    Args:
        cells: Says what the axes are.
        shown: What to draw, one panel each.
        choice: How they were chosen, in a sentence.
    """
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    drawing = blank(2.9 * columns + 0.3, 2.7 * rows + 0.5)
    panels = np.atleast_1d(drawing.subplots(rows, columns, squeeze=False)).ravel()
    low, high = _limits(shown)
    for panel, one in zip(panels, shown, strict=False):
        for role, points in one.roles.items():
            size = float(np.clip(2000 / max(1, len(points)), 3, 9))
            style = {"s": size, "color": _COLOURS[role], "marker": _MARKS[role]}
            panel.scatter(*points.T, alpha=0.5, lw=0, rasterized=True, **style)
        panel.set_title(drawn(one.title), fontsize=9)
        panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
        quiet(panel)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    _legend(panels[0], marks=True)
    drawing.supxlabel(drawn(cells.projection.axes[0]), fontsize=9)
    drawing.supylabel(drawn(cells.projection.axes[1]), fontsize=9)
    caption = f"{choice} {cells.basis}"
    return Figure("embedding", "Control, measured and predicted cells", caption, drawing, print_only=True)


def marginals_figure(shown: Sequence[PlottedPopulation], choice: str) -> Figure | None:
    """Distributions of the features that change most, a line of panels per population; None if none do."""
    changed = [one for one in shown if one.marginals]
    if not changed:
        return None
    columns = min(_MAX_MARGINALS, max(len(one.marginals) for one in changed))
    drawing = blank(1.75 * columns, 1.75 * len(changed) + 0.2)
    blocks = np.atleast_1d(drawing.subfigures(len(changed), 1, squeeze=False)).ravel()
    for block, one in zip(blocks, changed, strict=True):
        block.suptitle(drawn(one.title), x=0.01, ha="left", fontsize=9, fontweight="bold")
        panels = block.subplots(1, columns, squeeze=False)[0]
        for panel, marginal in zip(panels, one.marginals, strict=False):
            _draw_marginal(panel, marginal)
        for panel in panels[len(one.marginals) :]:
            panel.set_axis_off()
        _legend(panels[0])
    caption = (
        f"{choice} Fraction of cells per bin, for the features whose mean changes most in standard "
        "deviations; the middle 99 % of the values. Dotted: control; solid: measured; dashed: predicted."
    )
    return Figure("marginals", "Features that change most", caption, drawing, print_only=True)


def changes_figure(shown: Sequence[PlottedPopulation], choice: str, unit: str) -> Figure | None:
    """Measured and predicted change of the features that change most; None if none do."""
    changed = [one for one in shown if one.changes.changes]
    if not changed:
        return None
    drawing = blank(2.9 * len(changed), 0.9 + 0.22 * max(len(one.changes.changes) for one in changed))
    panels = drawing.subplots(1, len(changed), squeeze=False)[0]
    for panel, one in zip(panels, changed, strict=True):
        changes = one.changes.changes[::-1]
        at = np.arange(len(changes))
        measured, predicted = [c.measured for c in changes], [c.predicted for c in changes]
        panel.hlines(at, measured, predicted, color=GHOST, lw=2, zorder=1)
        panel.plot(measured, at, "s", ms=5, color=MEASURED, label="measured")
        panel.plot(predicted, at, "^", ms=5, color=PREDICTED, label="predicted")
        panel.axvline(0, color=CONTROL, lw=0.8)
        panel.set_yticks(at, [drawn(c.feature) for c in changes])
        panel.set_title(drawn(one.title), fontsize=9)
        quiet(panel, "x")
    marks, labels = panels[0].get_legend_handles_labels()  # above the panels, whose marks it would look like
    drawing.legend(marks, labels, frameon=False, fontsize=8, loc="outside upper right", ncols=2)
    drawing.supxlabel(f"change of the mean against the control ({drawn(unit)})", fontsize=9)
    caption = f"{choice} Features by size of the measured change in standard deviations, largest on top."
    return Figure("changes", "Measured and predicted changes", caption, drawing, print_only=True)


def changes_text(one: PlottedPopulation) -> str:
    """How few features hold most of the measured change of a population."""
    summary = one.changes
    if not summary.changes:
        return "No feature changes, or there are no control cells to compare with."
    return (
        f"{summary.n_for_share} of {summary.n_features} features hold 80 % of the squared standardised "
        f"change; of the {len(summary.changes)} that change most, {summary.n_right} are predicted to change "
        "in the right direction."
    )


def plot_data(cells: PlottedCells, first: PlottedPopulation) -> dict[str, Any]:
    """Plain values for JSON; points as pairs of 16 bit integers over the range of each axis.

    Args:
        cells: Everything to draw.
        first: The population shown when the page opens.
    """
    low, high = _ranges(cells.populations)
    populations = [
        {
            "title": shortened(one.title),
            "sample": one.sample,
            "text": changes_text(one),
            "measured": _packed(one.measured, low, high),
            "predicted": _packed(one.predicted, low, high),
            "marginals": [_marginal(marginal) for marginal in one.marginals],
            "changes": _changes(one),
        }
        for one in cells.populations
    ]
    return {
        "axes": [_plotted(axis) for axis in cells.projection.axes],
        "ranges": [[_short(low[i]), _short(high[i])] for i in range(2)],
        "controls": {one.sample: _packed(one.control, low, high) for one in cells.populations},
        "populations": populations,
        "first": next(i for i, one in enumerate(cells.populations) if one is first),
    }


def _draw_marginal(panel: Axes, marginal: Marginal) -> None:
    for role, shares in _shares(marginal).items():
        panel.stairs(shares, marginal.edges, color=_COLOURS[role], ls=_LINES[role], lw=1.3, label=role)
    panel.set_title(drawn(marginal.feature), fontsize=8)
    panel.set_yticks([])
    quiet(panel)


def _shares(marginal: Marginal) -> dict[str, np.ndarray]:
    return {
        "control": marginal.control,
        "measured": marginal.measured,
        "predicted": marginal.predicted,
    }


def _legend(panel: Axes, marks: bool = False) -> None:
    if not marks:
        panel.legend(frameon=False, fontsize=6, handlelength=1.6, loc="upper right")
        return
    for role, colour in _COLOURS.items():
        panel.plot([], [], _MARKS[role], ms=4, color=colour, label=role)
    panel.legend(frameon=False, fontsize=7, handletextpad=0.1, loc="best")


def _limits(shown: Sequence[PlottedPopulation]) -> Box:
    """Corners that hold the middle 99 % of every cloud, with a margin."""
    clouds = [points for one in shown for points in one.roles.values() if len(points)]
    if not clouds:
        return np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    return _widened([np.percentile(points, [0.5, 99.5], axis=0) for points in clouds], _STATIC_MARGIN)


def _ranges(populations: Sequence[PlottedPopulation]) -> Box:
    """Corners that hold all control and measured cells, and nearly all predicted ones."""
    spans = []
    for one in populations:
        for role, points in one.roles.items():
            percent = 0.5 if role == "predicted" else 0.0
            if len(points):
                spans.append(np.percentile(points, [percent, 100 - percent], axis=0))
    return _widened(spans, _MARGIN)


def _widened(spans: Sequence[np.ndarray], share: float) -> Box:
    """Corners around all spans, each of shape [2, 2], with a margin."""
    low, high = np.min(spans, axis=(0, 1)), np.max(spans, axis=(0, 1))
    margin = share * np.maximum(high - low, 1e-6)
    return low - margin, high + margin


def _packed(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Points as text; those beyond the range lie on its border."""
    levels = np.clip((np.asarray(points, dtype=np.float64) - low) / (high - low), 0, 1) * _LEVELS
    return base64.b64encode(np.rint(levels).astype("<u2").tobytes()).decode("ascii")


def _marginal(marginal: Marginal) -> dict[str, Any]:
    shares = {role: [round(float(v), 4) for v in values] for role, values in _shares(marginal).items()}
    low, width = marginal.edges[0], marginal.edges[1] - marginal.edges[0]
    return {"feature": _plotted(marginal.feature), "low": _short(low), "width": _short(width), **shares}


def _changes(one: PlottedPopulation) -> list[list[str | float]]:
    """Name and both changes of each feature; names that look alike once they are shortened get a number."""
    taken: dict[str, int] = {}
    lines: list[list[str | float]] = []
    for change in one.changes.changes:
        name = _plotted(change.feature)
        taken[name] = taken.get(name, 0) + 1
        number = "" if taken[name] == 1 else f" ({taken[name]})"
        lines.append([f"{name}{number}", _short(change.measured), _short(change.predicted)])
    return lines


def _plotted(name: str) -> str:
    """A name as plotly shows it unchanged: it reads `<b>` as HTML and `%{y}` as a value."""
    return escape(shortened(name), quote=False).replace("%{", "&#37;{")


def _short(x: float) -> float:
    return float(f"{float(x):.5g}")
