"""Cells on their way from control to predicted: followed with the model, and drawn.

Figures are made without pyplot, so that no global state and no display is touched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from cellflow_cli import rng
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.floor import subsample
from cellflow_cli.files import replaced_file
from cellflow_cli.model import Model, paths, why_no_paths
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.report.cells import MAX_POINTS, PlottedPopulation, Projection
from cellflow_cli.report.figures import CONTROL, GHOST, MEASURED, PREDICTED, rendered
from cellflow_cli.report.text import drawn

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
_FRACTIONS = {0.25: "¼", 0.5: "½", 0.75: "¾"}
_PANEL = 1.25  # inches
_LABELS = 1.1  # inches for the names of the rows
_LINES = 4  # of the name of a row
_HEADING = 0.42  # inches above the rows of a population


@dataclass(frozen=True, eq=False, kw_only=True)
class PopulationFlow:
    r"""One population as one or several methods move it.

    Attributes:
        title: Heading, such as `"Y, rotation 3"`.
        source: Cells before, shape [n, 2].
        target: Cells after, as measured, shape [m, 2].
        flows: For each method its cells at each time of the figure, shapes [k, 2]. The name may go on in
            further lines, such as `"method\nW1 .108"`.

    Raises:
        ValueError: If there is no method, or an array is not a non-empty [n, 2].
    """

    title: str
    source: np.ndarray
    target: np.ndarray
    flows: Mapping[str, Sequence[np.ndarray]]

    def __post_init__(self) -> None:
        if not self.flows:
            raise ValueError(f"expected at least one flow of {self.title!r}, found none")
        named = {"source": [self.source], "target": [self.target], **self.flows}
        for name, clouds in named.items():
            for cloud in clouds:
                if np.ndim(cloud) != 2 or np.shape(cloud)[1] != 2 or len(cloud) == 0:
                    raise ValueError(f"expected points [n, 2] of {name!r}, found shape {np.shape(cloud)}")


@dataclass(frozen=True, kw_only=True)
class Flows:
    """Populations on their way.

    Attributes:
        populations: One block of the figure each.
        times: Flow times of their clouds, ascending.
        is_straight: Whether cells move on straight lines: where they arrive is learned, not how.
        reason: Why there are no populations; empty if there are, or if that is not known.
    """

    populations: tuple[PopulationFlow, ...] = ()
    times: tuple[float, ...] = TIMES
    is_straight: bool = False
    reason: str = ""


def read_flows(
    plotted: Sequence[PlottedPopulation],
    projection: Projection,
    model: Model,
    file: PredictionFile,
    pairs: Sequence[Aligned],
    *,
    max_points: int = MAX_POINTS,
    seed: int = 0,
) -> Flows:
    """Control cells of some populations, transported again by the model.

    Args:
        plotted: The populations.
        projection: Of the cells.
        model: Made the prediction.
        file: The prediction.
        pairs: All populations that were both predicted and measured.
        max_points: Maximum cells of each population that are followed.
        seed: Draws them.
    """
    by_key = {(pair.name, pair.condition.label): pair for pair in pairs}
    if reasons := [why for one in plotted if (why := why_no_paths(file, by_key[one.key]))]:
        return Flows(reason=reasons[0])
    flows = []
    for one in plotted:
        pair = by_key[one.key]
        draws = rng.stream(seed, "report", pair.name, "paths")
        kept = subsample(np.arange(len(pair.control)), max_points, draws)
        followed = paths(model, file, pair, kept, TIMES)
        clouds = [projection.project(cloud) for cloud in followed.clouds]
        flows.append(
            PopulationFlow(
                title=one.title,
                source=projection.project(followed.source),
                target=one.measured,
                flows={model.method_name: clouds},
            )
        )
    return Flows(populations=tuple(flows), is_straight=model.method.is_straight)


def flow_figure(populations: Sequence[PopulationFlow], times: Sequence[float] = TIMES) -> Figure:
    """A block of rows for each population, a row for each method, a panel for each time.

    All panels of a population share their limits: those of its source and target, and of the middle
    99 % of the points of every other panel along each axis. Points further out, and points that are not
    finite, are not drawn. The last time shows the target behind the cells, in light grey.

    Args:
        populations: What to draw, from top to bottom.
        times: Flow times of the clouds of each method, ascending.

    Returns:
        The figure, to be saved by `save_figure` or shown.

    Raises:
        ValueError: If there is no population, or a method has another number of clouds than there are times.
    """
    _check_frames(populations, times)
    heights = [_HEADING + _PANEL * len(population.flows) for population in populations]
    figure = Figure(figsize=(_LABELS + _PANEL * (len(times) + 2), sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    blocks = figure.subfigures(len(populations), 1, height_ratios=heights, squeeze=False)[:, 0]
    for block, population in zip(blocks, populations, strict=True):
        _draw_block(block, population, times)
    return figure


def save_figure(figure: Figure, stem: Path, *, force: bool = False, dpi: int = 200) -> tuple[Path, Path]:
    """Write `stem.png` and `stem.svg`, each whole or not at all; the same figure gives the same bytes.

    Returns:
        Both paths. Points are images in the SVG too, since thousands of circles make it slow to open.

    Raises:
        OutputError: If a file exists without `force`, or cannot be written.
    """
    # added to the name, not put in place of a suffix: "letters_0.5" is a stem as well
    paths = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    for path in paths:
        with replaced_file(path, force=force) as temporary:
            temporary.write_bytes(rendered(figure, path.suffix[1:], dpi))
    return paths


def _check_frames(populations: Sequence[PopulationFlow], times: Sequence[float]) -> None:
    if not populations or not times:
        raise ValueError("expected at least one population and one time")
    for population in populations:
        for name, clouds in population.flows.items():
            if len(clouds) != len(times):
                raise ValueError(
                    f"expected {len(times)} clouds of {name!r}, one per time, found {len(clouds)}"
                )


def _draw_block(block: SubFigure, population: PopulationFlow, times: Sequence[float]) -> None:
    block.suptitle(drawn(population.title), x=0.01, ha="left", fontsize=10, fontweight="bold")
    axes = block.subplots(len(population.flows), len(times) + 2, squeeze=False)
    titles = ["source", *(f"t = {_text(time)}" for time in times), "target"]
    limits, size = _limits(population), _point_size(population)
    for row, (name, clouds) in zip(axes, population.flows.items(), strict=True):
        lines = "\n".join(drawn(line) for line in name.split("\n")[:_LINES])
        row[0].set_ylabel(lines, rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
        row[-2].scatter(*np.asarray(population.target).T, color=GHOST, s=size, lw=0, rasterized=True)
        colours = [CONTROL, *[PREDICTED] * len(times), MEASURED]
        for panel, cloud, colour in zip(
            row, [population.source, *clouds, population.target], colours, strict=True
        ):
            panel.scatter(*np.asarray(cloud).T, color=colour, s=size, lw=0, rasterized=True)
            _bare(panel, limits)
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, fontsize=9)


def _bare(panel: Axes, limits: tuple[np.ndarray, np.ndarray]) -> None:
    """A square of the given limits, without ticks, framed in light grey."""
    low, high = limits
    panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[], aspect="equal")
    for spine in panel.spines.values():
        spine.set(color="#BFBFBF", linewidth=0.6)


def _limits(population: PopulationFlow) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner of a square around the clouds, with a margin of 4 %."""
    ends = [_span(population.source, 0), _span(population.target, 0)]
    ends += [_span(cloud, 0.5) for clouds in population.flows.values() for cloud in clouds]
    finite = np.array([span for span in ends if np.isfinite(span).all()])
    if not len(finite):
        return np.array([-1.0, -1.0]), np.array([1.0, 1.0])
    low, high = finite[:, 0].min(axis=0), finite[:, 1].max(axis=0)
    half = 0.54 * max(float((high - low).max()), 1e-6)
    return (low + high) / 2 - half, (low + high) / 2 + half


def _span(cloud: np.ndarray, percent: float) -> np.ndarray:
    """Lower and upper percentile of the finite points, shape [2, 2]; not finite if there are none."""
    points = np.asarray(cloud, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return np.full((2, 2), np.nan)
    return np.percentile(points, [percent, 100 - percent], axis=0)


def _point_size(population: PopulationFlow) -> float:
    """Area of a point in square typographic points: less ink for each where there are many."""
    n = max(len(population.source), len(population.target))
    return float(np.clip(1500 / n, 0.3, 6.0))


def _text(time: float) -> str:
    return _FRACTIONS.get(float(time), f"{time:g}")
