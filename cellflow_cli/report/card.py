"""The metric card: how each number is defined, what it was computed on, and how to have it again."""

import inspect
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellflow_cli.evaluation.config import LIBRARY_ONLY, EvaluationConfig
from cellflow_cli.flags import to_flags
from cellflow_cli.published_metrics import find
from cellflow_cli.report._text import counted
from cellflow_cli.report.audit_table import audit_line

_SPACES = {"flow": "features of the flow", "genes": "genes or markers, unscaled"}
_BEST = {"low": "lower is better", "high": "higher is better", "one": "one is best"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the commands in the report name.

    Attributes:
        predicted, truth: Files as they were typed.
        options: What was typed besides settings of the evaluation: the model, and what is known of a
            prediction of another tool.
    """

    predicted: str = "PRED"
    truth: str = "TRUTH"
    options: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Names of the files without their folders, which belong into a command and not into a heading."""
        return f"{Path(self.predicted).name} against {Path(self.truth).name}"


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """Everything a number of one metric depends on.

    Attributes:
        name, definition: As in the catalog.
        formula: With its symbols and bandwidths; empty where the metric does not tell.
        remarks: What its value means and where it is undefined.
        source: Publication, and how we differ.
        best: Which value is best, in words.
        space: What it looks at, in words.
        audit: Which degenerate predictor it ranks first; empty without an audit.
        command: Computes it alone.
    """

    name: str
    definition: str
    formula: str
    remarks: str
    source: str
    best: str
    space: str
    audit: str
    command: str


def metric_cards(
    summary: Mapping[str, Any], config: EvaluationConfig, inputs: Inputs
) -> tuple[MetricCard, ...]:
    """A card for each metric of the scores.

    Args:
        summary: As `Summary.to_json`.
        config: As `Scores.config`.
        inputs: What the commands name.
    """
    return tuple(_card(name, summary, config, inputs) for name in summary["metrics"])


def command(config: EvaluationConfig, inputs: Inputs, output: str = "report") -> str:
    """The command that computes the scores again.

    Args:
        config: As `Scores.config`.
        inputs: What to name.
        output: Folder to write.
    """
    files = ("cellflow", "evaluate", inputs.predicted, inputs.truth)
    settings = to_flags(config, without=LIBRARY_ONLY)
    return shlex.join([*files, *inputs.options, *settings, "-o", output])


def settings_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What all numbers have in common, as pairs of a name and a sentence."""
    settings, cells = summary["settings"], summary["n_cells"]
    sizes = f"{cells['min']:,}" if cells["min"] == cells["max"] else f"{cells['min']:,} to {cells['max']:,}"
    half = "all measured cells" if settings.get("all_cells") else "half of the measured cells"
    most = f"at most {settings.get('max_cells', '?')}, and no more than were predicted or are controls"
    lines = [("Cells", f"{sizes} on either side of a comparison: {half}, {most}.")]
    if "features" in settings:
        scaled = "divided by their training standard deviation" if settings.get("scaled") else "not scaled"
        what = f"{settings.get('n_features', '?')} features of the flow (`{settings['features']}`), {scaled}"
        lines.append(("Features", f"{what}; {settings.get('n_genes', '?')} genes or markers, unscaled."))
    splits = settings.get("floor_splits")
    if splits:
        lines.append(("Floor", _floor(settings, splits)))
    lines.append(("Means", "Over the populations of a group, then over groups: every group weighs the same."))
    lines.append(("Precision", "Metrics in float64; cells in float32."))
    lines.append(("Seed", f"{settings.get('seed', '?')}, for every subsample and bootstrap draw."))
    facts = settings.get("prediction", {})
    told = {"Model": "model_id", "Method": "method", "cellflow": "version"}
    return lines + [(title, str(facts[key])) for title, key in told.items() if facts.get(key) is not None]


def _floor(settings: Mapping[str, Any], splits: int) -> str:
    halves = f"over {counted(splits, 'random split')} of the measured cells into halves"
    known = settings.get("replicates")
    if not known or not known["n_between"]:
        return f"Mean {halves}."
    between, total = known["n_between"], known["n_conditions"]
    sides = f'{counted(splits, "division")} of whole replicates (`obs["{known["key"]}"]`) to two sides'
    rest = "" if between == total else f" in {between} of {total} populations, {halves} in the others"
    return f"Mean over {sides}{rest}."


def _card(name: str, summary: Mapping[str, Any], config: EvaluationConfig, inputs: Inputs) -> MetricCard:
    entry = summary["metrics"][name]
    formula, remarks, source = _documented(name)
    space = _SPACES.get(entry["space"], entry["space"])
    if entry["origin"]:
        space, source = f"{space.removesuffix(', unscaled')}, unscaled", f"{entry['origin']}. {source}"
    elif entry["space"] == "flow":
        space += ", divided by their training spread" if summary["settings"].get("scaled") else ", unscaled"
    alone = replace(config, metrics=(name,), definitions=())
    return MetricCard(
        name=name, definition=entry["definition"], formula=formula, remarks=remarks, source=source,
        best=_BEST[entry["best"]], space=space, audit=audit_line(summary["audit"], name),
        command=command(alone, inputs, f"report-{name.replace(':', '-')}"),
    )  # fmt: skip


def _documented(name: str) -> tuple[str, str, str]:
    """Formula, remarks and source of a metric, from the first docstring of its module that has a formula."""
    function = find(name).function
    module = vars(sys.modules[function.__module__])
    others = [f for f in module.values() if inspect.isfunction(f) and f.__module__ == function.__module__]
    texts = [inspect.getdoc(f) or "" for f in (function, *others)]
    text = next((t for t in texts if _formula(t)), texts[0])
    return _formula(text), _remarks(text), _section(text, "Source:")


def _formula(text: str) -> str:
    """The first paragraph after the first line that is an equation."""
    body = _body(text)
    return body[0] if body and " = " in body[0].split("\n")[0] else ""


def _remarks(text: str) -> str:
    body = _body(text)
    return " ".join(" ".join(part.split()) for part in (body[1:] if _formula(text) else body))


def _body(text: str) -> list[str]:
    """Paragraphs between the first line and the sections."""
    paragraphs = text.split("\n\n")[1:]
    ends = [i for i, part in enumerate(paragraphs) if part.split("\n")[0].rstrip().endswith(":")]
    sources = [i for i, part in enumerate(paragraphs) if part.startswith("Source:")]
    return paragraphs[: min([*ends, *sources, len(paragraphs)])]


def _section(text: str, head: str) -> str:
    part = next((p for p in text.split("\n\n") if p.startswith(head)), "")
    return " ".join(part.removeprefix(head).split())
