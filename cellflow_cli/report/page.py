"""The report of an evaluation: one page that opens anywhere, and its figures as files."""

import base64
from importlib import resources
from typing import NamedTuple

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cellflow_cli._version import __version__
from cellflow_cli.report import cell_figures, checks, figures, sections
from cellflow_cli.report.data import ReportData
from cellflow_cli.report.figures import Figure
from cellflow_cli.report.flows import flow_figure
from cellflow_cli.report.text import shortened
from cellflow_cli.statistics.lines import MODEL

PAGE = "report.html"
FIGURES = ("scores", "differences", "effects", "embedding", "marginals", "changes", "flows")
FILES = (PAGE, *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")))
"""Everything that `files` may return: with the table and the summary all that a report folder holds."""
_TEMPLATES = "templates"
_CHOICE = "The best, the median and the worst predicted population."
_STRAIGHT = " This method learns where cells arrive and not how: they move on straight lines."


class Figures(NamedTuple):
    """Static figures by section."""

    scores: tuple[Figure, ...] = ()
    confidence: tuple[Figure, ...] = ()
    cells: tuple[Figure, ...] = ()
    flows: tuple[Figure, ...] = ()


def files(data: ReportData) -> dict[str, bytes]:
    """The page and its static figures as the bytes of files, by name.

    Returns:
        `report.html`, and `NAME.png` and `NAME.svg` for each static figure. The same data give the
        same bytes.
    """
    drawn = draw(data)
    contents = {PAGE: render(data, drawn).encode("utf-8")}
    for figure in (figure for section in drawn for figure in section):
        contents |= {f"{figure.name}.png": figure.png, f"{figure.name}.svg": figure.svg}
    return contents


def render(data: ReportData, drawn: Figures = Figures()) -> str:  # noqa: B008
    """The page as text.

    Args:
        data: What it shows.
        drawn: Static figures, as `draw` returns them.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cellflow_cli.report", _TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shortened"] = shortened
    environment.globals["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    return environment.get_template("report.html.j2").render(
        figures=drawn,
        verdict=sections.verdict_section(data),
        split=sections.split_section(data),
        scores=sections.score_section(data),
        confidence=sections.confidence_section(data),
        collapse=checks.collapse_section(data.summary),
        ablation=checks.ablation_section(data.summary, data.metric),
        cells=sections.cell_section(data),
        audit=checks.audit_section(data.summary),
        metrics=sections.metric_section(data),
        model=MODEL,
        title=data.inputs.title,
        nav=sections.SECTIONS,
        plotly=_script(get_plotlyjs()) if data.cells else "",
        css=Markup(_source("report.css")),
        js=_script(_source("report.js")),
        version=__version__,
    )


def draw(data: ReportData) -> Figures:
    """All static figures that there are data for."""
    return Figures(_score_figures(data), _confidence_figures(data), _cell_figures(data), _flow_figures(data))


def _score_figures(data: ReportData) -> tuple[Figure, ...]:
    return () if data.verdict.metric is None else (figures.scores_figure(data.summary, data.metric),)


def _confidence_figures(data: ReportData) -> tuple[Figure, ...]:
    if data.verdict.metric is None:
        return ()
    best, baselines = data.verdict.best, data.verdict.baselines
    return _existing(
        figures.differences_figure(data.summary, data.metric, baselines),
        figures.effects_figure(data.scores, data.metric, best.baseline if best else None),
    )


def _cell_figures(data: ReportData) -> tuple[Figure, ...]:
    if data.cells is None or not data.shown:
        return ()
    shown, choice = data.shown, _choice(data)
    return _existing(
        cell_figures.embedding_figure(data.cells, shown, choice),
        cell_figures.marginals_figure(shown, choice),
        cell_figures.changes_figure(shown, choice, data.cells.unit),
    )


def _flow_figures(data: ReportData) -> tuple[Figure, ...]:
    flows = data.flows
    if not flows.populations:
        return ()
    n = max(len(cloud) for one in flows.populations for clouds in one.flows.values() for cloud in clouds)
    axes = " The axes are those of the figures above." if data.cells is not None else ""
    caption = (
        f"{_choice(data)} From left to right: control cells, the cells on their way at several times (at "
        f"most {n:,}), the measured cells; at the last time the measured cells lie behind in grey.{axes}"
        f"{_STRAIGHT if flows.is_straight else ''}"
    )
    drawing = flow_figure(flows.populations, flows.times)
    return (Figure("flows", "Paths from control to predicted cells", caption.strip(), drawing),)


def _choice(data: ReportData) -> str:
    """How the populations of static figures were chosen."""
    return _CHOICE if len(data.shown) == 3 else ""


def _existing(*drawn: Figure | None) -> tuple[Figure, ...]:
    return tuple(figure for figure in drawn if figure is not None)


def _source(name: str) -> str:
    """A file of the template folder."""
    return resources.files("cellflow_cli.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _script(text: str) -> Markup:
    """Source that cannot end the element it stands in."""
    return Markup(text.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
