"""Metric cards: how each number is defined, what it was computed on, and the command that computes it."""

import inspect
import shlex
import sys
from dataclasses import dataclass, replace

from cellflow_cli.catalog import Catalog
from cellflow_cli.evaluation.config import LIBRARY_ONLY, EvaluationConfig
from cellflow_cli.flags import to_flags
from cellflow_cli.published_metrics import find
from cellflow_cli.report.data import Inputs
from cellflow_cli.report.text import counted, number
from cellflow_cli.statistics.degenerate_ranks import DegenerateRanks
from cellflow_cli.statistics.summary import MetricDoc, Settings, Summary

_SPACES = {"flow": "features of the flow", "genes": "genes or markers, unscaled"}
_BEST = {"low": "lower is better", "high": "higher is better", "one": "one is best"}
_FACTS = {"Model": "model_id", "Method": "method", "cellflow": "version"}


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """Everything a number of one metric depends on.

    Attributes:
        name, definition: As in the catalog.
        formula: With its symbols and bandwidths; empty where the metric does not give one.
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


def metric_cards(summary: Summary, config: EvaluationConfig, inputs: Inputs) -> tuple[MetricCard, ...]:
    """A card for each metric of the scores.

    Args:
        summary: Says what each metric is, and how it ranks degenerate predictors.
        config: Of the evaluation.
        inputs: What the commands name.
    """
    return tuple(
        metric_card(
            name,
            doc,
            scaled=summary.settings.scaled,
            audit=audit_line(summary.audit, name),
            command=command(
                replace(config, metrics=(name,), definitions=()), inputs, f"report-{name.replace(':', '-')}"
            ),
        )
        for name, doc in summary.metrics.items()
    )


def metric_card(name: str, doc: MetricDoc, *, scaled: bool, audit: str, command: str) -> MetricCard:
    """The card of one metric.

    Args:
        name: Of the metric.
        doc: What it is.
        scaled: Whether features of the flow are divided by their training spread.
        audit: Which degenerate predictor it ranks first, in words.
        command: Computes it alone.
    """
    formula, remarks, source = _documented(name)
    space = _SPACES.get(doc.space, doc.space)
    if doc.origin:
        space, source = f"{space.removesuffix(', unscaled')}, unscaled", f"{doc.origin}. {source}"
    elif doc.space == "flow":
        space += ", divided by their training spread" if scaled else ", unscaled"
    return MetricCard(
        name=name,
        definition=doc.definition,
        formula=formula,
        remarks=remarks,
        source=source,
        best=_BEST[doc.best],
        space=space,
        audit=audit,
        command=command,
    )


def command(config: EvaluationConfig, inputs: Inputs, output: str = "report") -> str:
    """The command that computes the scores again.

    Args:
        config: Of the evaluation.
        inputs: What to name.
        output: Folder to write.
    """
    files = ("cellflow", "evaluate", inputs.predicted, inputs.truth)
    settings = to_flags(config, without=LIBRARY_ONLY)
    return shlex.join([*files, *inputs.options, *settings, "-o", output])


def settings_lines(summary: Summary) -> list[tuple[str, str]]:
    """What all numbers have in common, as pairs of a name and a sentence."""
    settings, (low, high) = summary.settings, summary.n_cells
    sizes = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    part = "all measured cells" if settings.all_cells else "half of the measured cells"
    limit = f"at most {settings.max_cells}, and no more than were predicted or are controls"
    scaled = "divided by their training standard deviation" if settings.scaled else "not scaled"
    features = f"{settings.n_features} features of the flow (`{settings.features}`), {scaled}"
    return [
        ("Cells", f"{sizes} on either side of a comparison: {part}, {limit}."),
        ("Features", f"{features}; {settings.n_genes} genes or markers, unscaled."),
        *([("Floor", _floor(settings))] if settings.floor_splits else []),
        ("Means", "Over the populations of a group, then over groups: every group has the same weight."),
        ("Precision", "Metrics in float64; cells in float32."),
        ("Seed", f"{settings.seed}, for every subsample and bootstrap draw."),
        *(
            (title, str(settings.prediction[key]))
            for title, key in _FACTS.items()
            if settings.prediction.get(key) is not None
        ),
    ]


def audit_line(ranks: DegenerateRanks, metric: str) -> str:
    """A line of the metric card; empty without an audit."""
    entries = {name: of_metric[metric] for name, of_metric in ranks.predictors.items()}
    first = {name: entries[name] for name in ranks.flagged.get(metric, ())}
    if not first:
        is_known = any(rank.is_first is not None for rank in entries.values())
        return "Audit: it ranks no degenerate predictor first here." if is_known else ""
    summaries = Catalog("degenerate").summaries()
    texts = [
        f"{summaries.get(name, name).rstrip('.')}: {number(rank.value)} (measured cells "
        f"{number(rank.undamaged)}, model {number(rank.model)})"
        for name, rank in first.items()
    ]
    return f"Audit: it ranks a degenerate predictor first here. {'; '.join(texts)}. Do not read it alone."


def _floor(settings: Settings) -> str:
    splits, replicates = settings.floor_splits, settings.replicates
    halves = f"over {counted(splits, 'random split')} of the measured cells into halves"
    if replicates is None or not replicates.n_between:
        return f"Mean {halves}."
    between, total = replicates.n_between, replicates.n_conditions
    sides = f'{counted(splits, "division")} of whole replicates (`obs["{replicates.key}"]`) to two sides'
    rest = "" if between == total else f" in {between} of {total} populations, {halves} in the others"
    return f"Mean over {sides}{rest}."


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
