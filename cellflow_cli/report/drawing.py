"""A figure with its caption, and figures as bytes that are the same each time."""

import io
from dataclasses import dataclass
from functools import cached_property

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito (2008), colours that people of any colour vision tell apart; they differ in lightness too.
CONTROL, PREDICTED, MEASURED, GHOST = "#4D4D4D", "#0072B2", "#D55E00", "#C6C6C6"
GREEN = "#009E73"
ROLES = {"control": CONTROL, "measured": MEASURED, "predicted": PREDICTED}
LINES = {"control": ":", "measured": "-", "predicted": "--"}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure of the report.

    Attributes:
        name: Stem of its files.
        title: What it shows, in a few words.
        caption: How to read it.
        figure: Drawn without pyplot.
        print_only: True where the page has an interactive version for the screen.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    print_only: bool = False

    @cached_property
    def png(self) -> bytes:
        """At 200 dots per inch."""
        return rendered(self.figure, "png")

    @cached_property
    def svg(self) -> bytes:
        """With the points of large clouds as images."""
        return rendered(self.figure, "svg")


def rendered(figure: Figure, kind: str, dpi: int = 200) -> bytes:
    """A figure as the bytes of a `png` or `svg` file; the same figure gives the same bytes."""
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "cellflow"}):  # without a salt the names inside an SVG are drawn anew
        figure.savefig(buffer, format=kind, dpi=dpi, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def blank(width: float, height: float) -> Figure:
    """An empty figure of a size in inches that lays itself out."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def quiet(panel: Axes, grid: str = "") -> None:
    """A panel without upper and right frame, with thin lines and, where asked, a light grid along an axis."""
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set(color="#8C8C8C", linewidth=0.6)
    panel.tick_params(labelsize=8, color="#8C8C8C", width=0.6)
    if grid in ("x", "y"):
        panel.grid(axis="x" if grid == "x" else "y", color="#E3E3E3", linewidth=0.6)
        panel.set_axisbelow(True)
