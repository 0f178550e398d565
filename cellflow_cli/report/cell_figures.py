"""Figures of cells, for print and for papers: the page draws the same interactively."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from cellflow_cli.report._moves import Marginal
from cellflow_cli.report.drawing import CONTROL, GHOST, LINES, MEASURED, PREDICTED, ROLES, Drawn, blank, quiet
from cellflow_cli.report.pictures import Picture, Pictures

_COLUMNS = 3
_MARKS = {"control": "o", "measured": "s", "predicted": "^"}
_N_MARGINALS = 5


def embedding_figure(pictures: Pictures, shown: Sequence[Picture], which: str) -> Drawn:
    """Control, measured and predicted cells of some populations in one plane.

    Args:
        pictures: Says what the axes are.
        shown: What to draw, one panel each.
        which: How they were chosen, in words.
    """
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = blank(2.9 * columns + 0.3, 2.7 * rows + 0.5)
    panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    low, high = _limits(shown)
    for panel, picture in zip(panels, shown, strict=False):
        for role, colour in ROLES.items():
            points = getattr(picture, role)
            size = float(np.clip(2000 / max(1, len(points)), 3, 9))
            panel.scatter(
                *points.T, s=size, color=colour, marker=_MARKS[role], alpha=0.5, lw=0, rasterized=True
            )
        panel.set_title(picture.title, fontsize=9)
        panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
        quiet(panel)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    _legend(panels[0], marks=True)
    figure.supxlabel(pictures.axes[0], fontsize=9)
    figure.supylabel(pictures.axes[1], fontsize=9)
    caption = f"{which} {pictures.basis}"
    return Drawn("embedding", "Control, measured and predicted cells", caption, figure, print_only=True)


def marginals_figure(shown: Sequence[Picture], which: str) -> Drawn | None:
    """Distributions of the features that change most, a line of panels per population; None if none do."""
    drawn = [picture for picture in shown if picture.marginals]
    if not drawn:
        return None
    columns = min(_N_MARGINALS, max(len(picture.marginals) for picture in drawn))
    figure = blank(1.75 * columns, 1.75 * len(drawn) + 0.2)
    blocks = np.atleast_1d(figure.subfigures(len(drawn), 1, squeeze=False)).ravel()
    for block, picture in zip(blocks, drawn, strict=True):
        block.suptitle(picture.title, x=0.01, ha="left", fontsize=9, fontweight="bold")
        panels = block.subplots(1, columns, squeeze=False)[0]
        for panel, found in zip(panels, picture.marginals, strict=False):
            _draw_marginal(panel, found)
        for panel in panels[len(picture.marginals) :]:
            panel.set_axis_off()
        _legend(panels[0])
    caption = (
        f"{which} Share of cells per bin of the features whose mean changes most, in standard deviations; "
        "the middle 99 % of the values. Dotted: control; solid: measured; dashed: predicted."
    )
    return Drawn("marginals", "Features that change most", caption, figure, print_only=True)


def moves_figure(shown: Sequence[Picture], which: str, unit: str) -> Drawn | None:
    """Measured and predicted change of the features that change most; None if none do."""
    drawn = [picture for picture in shown if picture.moves.moves]
    if not drawn:
        return None
    n = max(len(picture.moves.moves) for picture in drawn)
    figure = blank(2.9 * len(drawn), 0.9 + 0.22 * n)
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for panel, picture in zip(panels, drawn, strict=True):
        found = picture.moves.moves[::-1]
        at = np.arange(len(found))
        measured, predicted = [m.measured for m in found], [m.predicted for m in found]
        panel.hlines(at, measured, predicted, color=GHOST, lw=2, zorder=1)
        panel.plot(measured, at, "s", ms=5, color=MEASURED, label="measured")
        panel.plot(predicted, at, "^", ms=5, color=PREDICTED, label="predicted")
        panel.axvline(0, color=CONTROL, lw=0.8)
        panel.set_yticks(at, [m.feature for m in found])
        panel.set_title(picture.title, fontsize=9)
        quiet(panel, "x")
    marks, names = panels[0].get_legend_handles_labels()  # above the panels, whose marks it would look like
    figure.legend(marks, names, frameon=False, fontsize=8, loc="outside upper right", ncols=2)
    figure.supxlabel(f"change of the mean against the control ({unit})", fontsize=9)
    caption = f"{which} Features by size of the measured change in standard deviations, largest on top."
    return Drawn("changes", "Measured and predicted changes", caption, figure, print_only=True)


def moves_text(picture: Picture) -> str:
    """How few features hold most of the measured change of a population."""
    moves = picture.moves
    if not moves.moves:
        return "No feature changes, or there are no control cells to compare with."
    return (
        f"{moves.n_for_share} of {moves.n_features} features hold 80 % of the squared standardised change; "
        f"of the {len(moves.moves)} that change most, {moves.n_right} are predicted to change in the right "
        "direction."
    )


def _draw_marginal(panel: Axes, found: Marginal) -> None:
    for role, colour in ROLES.items():
        panel.stairs(getattr(found, role), found.edges, color=colour, ls=LINES[role], lw=1.3, label=role)
    panel.set_title(found.feature, fontsize=8)
    panel.set_yticks([])
    quiet(panel)


def _legend(panel: Axes, marks: bool = False) -> None:
    if not marks:
        panel.legend(frameon=False, fontsize=6, handlelength=1.6, loc="upper right")
        return
    for role, colour in ROLES.items():
        panel.plot([], [], _MARKS[role], ms=4, color=colour, label=role)
    panel.legend(frameon=False, fontsize=7, handletextpad=0.1, loc="best")


def _limits(shown: Sequence[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """Corners that hold the middle 99 % of every cloud, with a margin."""
    spans = [
        np.percentile(points, [0.5, 99.5], axis=0)
        for picture in shown
        for points in (picture.control, picture.predicted, picture.measured)
        if len(points)
    ]
    if not spans:
        return np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    low, high = np.min(spans, axis=(0, 1)), np.max(spans, axis=(0, 1))
    margin = 0.06 * np.maximum(high - low, 1e-6)
    return low - margin, high + margin
