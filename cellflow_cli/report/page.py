"""The report of an evaluation: one page that opens anywhere, and its figures as files."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cellflow_cli._version import __version__
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.report import cell_figures, figures
from cellflow_cli.report._sections import SECTIONS, cards, cells, head, numbers
from cellflow_cli.report._story import Story, tell
from cellflow_cli.report.card import Inputs
from cellflow_cli.report.drawing import Drawn
from cellflow_cli.report.flow_figure import TIMES, PopulationFlow, flow_figure
from cellflow_cli.report.pictures import Pictures
from cellflow_cli.report.split import Split

PAGE = "report.html"
FIGURES = ("scores", "differences", "effects", "embedding", "marginals", "changes", "flows")
FILES = (PAGE, *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")))
"""Everything that `files` may return: with the table and the summary all that a report folder holds."""
_TEMPLATES = "templates"
_STRAIGHT = " This method learns where cells arrive and not how: they move on straight lines."


def files(
    scores: Scores,
    pictures: Pictures | None = None,
    split: Split | None = None,
    *,
    inputs: Inputs | None = None,
    flows: Sequence[PopulationFlow] = (),
    times: Sequence[float] = TIMES,
    no_flows: str = "",
) -> dict[str, bytes]:
    """The page and its static figures as the bytes of files, by name.

    Args:
        scores: To be told about.
        pictures: Cells of the scored populations; without them the page has no pictures of cells.
        split: What training had seen; without it as much as the scores tell.
        inputs: Names for the commands on the page.
        flows: Populations on their way, if the model was at hand.
        times: Flow times of `flows`.
        no_flows: Why there are no `flows`, if the model was at hand.

    Returns:
        `report.html`, and `NAME.png` and `NAME.svg` for each static figure. The same scores give the
        same bytes.
    """
    story = tell(scores, pictures, split, inputs or Inputs(), flows, times, no_flows)
    drawn = draw(story)
    found = {PAGE: render(story, drawn).encode("utf-8")}
    for one in (one for part in drawn.values() for one in part):
        found |= {f"{one.name}.png": one.png, f"{one.name}.svg": one.svg}
    return found


def render(story: Story, drawn: Mapping[str, Sequence[Drawn]]) -> str:
    """The page as text.

    Args:
        story: What it tells.
        drawn: Static figures, as `draw` returns them.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cellflow_cli.report", _TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return environment.get_template("report.html.j2").render(
        **head(story), **numbers(story), **cells(story), **cards(story),
        **{f"{part}_figures": found for part, found in drawn.items()},
        plotly=_script(get_plotlyjs()) if story.pictures else "",
        css=Markup(_source("report.css")), js=_script(_source("report.js")),
        sections=SECTIONS, version=__version__,
    )  # fmt: skip


def draw(story: Story) -> dict[str, list[Drawn]]:
    """Static figures by section: score, confidence, cell and flow."""
    found: dict[str, list[Drawn | None]] = {"score": [], "confidence": [], "cell": [], "flow": []}
    if story.verdict.metric is not None:
        found["score"].append(figures.scores_figure(story.scores, story.summary, story.metric))
        found["confidence"] += [
            figures.differences_figure(story.summary, story.metric),
            figures.effects_figure(story.scores, story.metric, story.verdict.baseline),
        ]
    which = "The best, the median and the worst predicted population." if len(story.shown) == 3 else ""
    if story.pictures is not None and story.shown:
        found["cell"] += [
            cell_figures.embedding_figure(story.pictures, story.shown, which),
            cell_figures.marginals_figure(story.shown, which),
            cell_figures.moves_figure(story.shown, which, story.pictures.unit),
        ]
    if story.flows:
        figure, caption = flow_figure(story.flows, story.times), f"{which} {_flows_caption(story)}".strip()
        found["flow"].append(Drawn("flows", "How the model moves the cells", caption, figure))
    return {part: [one for one in drawn if one is not None] for part, drawn in found.items()}


def _flows_caption(story: Story) -> str:
    n = max(len(cloud) for flow in story.flows for clouds in flow.flows.values() for cloud in clouds)
    text = (
        f"From left to right: control cells, the cells on their way at several times (at most {n:,}), the "
        "measured cells; at the last time the measured cells lie behind in grey."
    )
    plane = " The axes are those of the pictures above." if story.pictures is not None else ""
    return text + plane + (_STRAIGHT if any("cellot" in flow.flows for flow in story.flows) else "")


def _source(name: str) -> str:
    """A file of the template folder."""
    return resources.files("cellflow_cli.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _script(text: str) -> Markup:
    """Source that cannot end the element it stands in."""
    return Markup(text.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
