"""Tables of the scores themselves: metrics by predictor, and one metric by population, treatment or group."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from cellflow_cli.catalog import Catalog
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.report.data import condition_of
from cellflow_cli.report.tables import Cell, Column, Numbers, Table, dose_text, integer, span, value, word
from cellflow_cli.report.text import counted, hundredths, number
from cellflow_cli.statistics.best import winners
from cellflow_cli.statistics.breakdown import labelled, means_by
from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL, NULL
from cellflow_cli.statistics.summary import MetricDoc, Summary

_TEXTS = {
    MODEL: "The prediction",
    FLOOR: "Other measured cells of the same population as prediction",
    DECODED: "The other half of the measured cells, encoded and decoded",
    NULL: "The null: the control cells unchanged",
}
_BEST = {"low": "low", "high": "high", "one": "1"}


class _Lines(NamedTuple):
    """Lines of a table without their numbers.

    Attributes:
        name, caption: Of the table.
        heads: Of the first columns.
        cells: The first columns.
    """

    name: str
    caption: str
    heads: Sequence[Column]
    cells: Sequence[Sequence[Cell]]


def predictor_texts(scores: Scores) -> dict[str, str]:
    """For each predictor a phrase that says what it is."""
    baselines = Catalog("baselines").summaries()
    return {name: _TEXTS.get(name) or baselines.get(name, "") for name in scores.predictors}


def metric_table(summary: Summary) -> Table:
    """Mean over groups of each of our metrics for every predictor, with the spread over groups below it."""
    caption = "Every metric: mean over groups ± standard deviation over groups"
    return _means(summary, None, "metrics", caption)


def definition_tables(summary: Summary) -> tuple[Table, ...]:
    """The same for the metrics of each other project, as those define them."""
    origins = dict.fromkeys(doc.origin for doc in summary.metrics.values() if doc.origin)
    return tuple(
        _means(summary, origin, f"definitions-{i}", f"As {origin} defines them: mean ± standard deviation")
        for i, origin in enumerate(origins, 1)
    )


def normalised_table(summary: Summary) -> Table:
    """The part of the way from null to floor that each predictor covers."""
    scores = {name: entries for name, entries in summary.normalised.items() if name != NULL}
    metrics = {name: doc for name, doc in summary.metrics.items() if doc.best != "one"}
    lines = [
        [word(name), *(_score(entries[metric].value) for metric in metrics)]
        for name, entries in scores.items()
    ]
    missing = {metric: scores[MODEL][metric] for metric in metrics if scores[MODEL][metric].value is None}
    return Table(
        name="normalised",
        caption="Normalised score: 0 is the unchanged controls, 1 the noise floor; not clipped",
        columns=[Column("predictor"), *(Column(name, True, doc.definition) for name, doc in metrics.items())],
        lines=lines,
        notes=tuple(f"{metric}: {score.reason}." for metric, score in missing.items()),
    )


def population_scores(scores: Scores, metric: str, dose_unit: str) -> Table:
    """One metric of every predictor for every population."""
    table = labelled(scores.table)
    first = table.drop_duplicates(["sample", "condition"])
    cells = [
        [word(str(sample)), *_condition(treatment, dose, dose_unit), integer(int(n))]
        for sample, treatment, dose, n in _columns(first, "sample", "treatment", "dose", "n")
    ]
    heads = [Column("sample"), Column("treatment"), Column("dose", True), Column("cells a side", True)]
    lines = _Lines("by-population", "By population", heads, cells)
    return _broken_down(lines, table, ["sample", "condition"], scores, metric)


def treatment_scores(scores: Scores, metric: str, dose_unit: str) -> Table:
    """One metric of every predictor by treatment and dose: mean over populations in a group, then groups."""
    table = labelled(scores.table)
    first = table.drop_duplicates(["condition"])
    cells = [
        _condition(treatment, dose, dose_unit) for treatment, dose in _columns(first, "treatment", "dose")
    ]
    lines = _Lines("by-treatment", "By treatment", [Column("treatment"), Column("dose", True)], cells)
    return _broken_down(lines, table, ["condition"], scores, metric)


def group_scores(scores: Scores, metric: str, key: str, title: str) -> Table:
    """One metric of every predictor by the column `key` (group or sample)."""
    cells = [[word(str(name))] for name in dict.fromkeys(scores.table[key])]
    lines = _Lines(f"by-{key}", title, [Column(key)], cells)
    return _broken_down(lines, scores.table, [key], scores, metric)


def regime_table(scores: Scores, summary: Summary, metric: str) -> Table | None:
    """One metric of every predictor for populations of small, medium and large effect; None if not known."""
    parts = summary.regimes.parts
    if not parts:
        return None
    heads = [
        Column("size of effect"),
        Column("populations", True),
        Column("energy, control to measured", help="Smallest and largest effect."),
    ]
    cells = [
        [
            Cell(name, float(i)),
            integer(part.n_conditions),
            Cell(f"{number(part.effect.min)} to {number(part.effect.max)}", part.effect.min),
        ]
        for i, (name, part) in enumerate(parts.items())
    ]
    numbers = {
        name: [[part.predictors[p][name] for p in scores.predictors] for part in parts.values()]
        for name in scores.metrics
    }
    return _switched(_Lines("by-effect", "By size of the real effect", heads, cells), numbers, scores, metric)


def type_scores(scores: Scores, summary: Summary, metric: str) -> Table | None:
    """Every predictor by cell type: mean over groups; None where there are no types."""
    types, metrics = summary.cell_types.types, scores.by_type.metrics
    if not types:
        return None
    heads = [Column("cell type"), Column("populations", True), Column("cells a side", True)]
    cells = [[word(name), integer(part.n_conditions), span(part.n_cells)] for name, part in types.items()]
    numbers = {
        name: [[part.predictors[p][name].mean for p in scores.predictors] for part in types.values()]
        for name in metrics
    }
    first = metric if metric in metrics else metrics[0]
    missing = {name: part.predictors[MODEL][first] for name, part in types.items()}
    notes = [
        f"{name}: no value in {counted(mean.n_missing, 'population')}; the first: {mean.reason}."
        for name, mean in missing.items()
        if mean.n_missing
    ]
    lines = _Lines("by-type", "By cell type, each type by itself", heads, cells)
    return replace(_switched(lines, numbers, scores, first), notes=notes)


def _means(summary: Summary, origin: str | None, name: str, caption: str) -> Table:
    """Mean and spread of the metrics of one origin for every predictor."""
    metrics = {metric: doc for metric, doc in summary.metrics.items() if doc.origin == origin}
    best = {metric: winners(summary, metric) for metric in metrics}
    lines = []
    for predictor, means in summary.predictors.items():
        spreads = {m: "" if means[m].sd is None else f"± {number(means[m].sd, 2)}" for m in metrics}
        cells = [value(means[m].mean, spreads[m], best=predictor in best[m]) for m in metrics]
        lines.append([word(predictor), *cells])
    heads = [_metric_head(metric, doc) for metric, doc in metrics.items()]
    columns = [Column("predictor"), *heads]
    return Table(
        name=name, caption=caption, columns=columns, lines=lines, notes=_reasons(summary, list(metrics))
    )


def _metric_head(metric: str, doc: MetricDoc) -> Column:
    return Column(f"{metric} ({_BEST[doc.best]})", True, f"{doc.definition}; best is {doc.best}")


def _reasons(summary: Summary, metrics: Sequence[str]) -> tuple[str, ...]:
    """For each reason why a value is missing: which predictors and metrics lack it, and how often."""
    gaps: dict[tuple[str, int], dict[str, list[str]]] = {}
    for predictor, means in summary.predictors.items():
        for metric in metrics:
            if n := means[metric].n_missing:
                of_reason = gaps.setdefault((means[metric].reason.rstrip("."), n), {})
                of_reason.setdefault(predictor, []).append(metric)
    texts = []
    for (reason, n), lacking in gaps.items():
        first = next(iter(lacking.values()))
        which = "all metrics" if len(first) == len(metrics) else ", ".join(first)
        alike = [predictor for predictor, names in lacking.items() if names == first]
        more = "" if len(alike) == len(lacking) else " (and some others)"
        texts.append(
            f"No value of {which} for {', '.join(alike)}{more} in {n} of "
            f"{counted(summary.n_conditions, 'population')}: {reason}."
        )
    return tuple(texts)


def _broken_down(
    lines: _Lines, table: pd.DataFrame, keys: Sequence[str], scores: Scores, metric: str
) -> Table:
    """The lines with means over the conditions that share the values of `keys`."""
    parts = means_by(table, keys, scores.metrics, scores.predictors)
    numbers = {name: [[_plain(x) for x in line] for line in part.to_numpy()] for name, part in parts.items()}
    return _switched(lines, numbers, scores, metric)


def _switched(lines: _Lines, numbers: Mapping[str, Numbers], scores: Scores, metric: str) -> Table:
    """The lines with a column per predictor, of a metric that a reader can choose."""
    shown = zip(lines.cells, numbers[metric], strict=True)
    return Table(
        name=lines.name,
        caption=lines.caption,
        columns=[*lines.heads, *(Column(name, True) for name in scores.predictors)],
        lines=[[*cells, *(value(x) for x in values)] for cells, values in shown],
        metrics=numbers,
        metric=metric,
    )


def _score(x: float | None) -> Cell:
    return value(x) if x is None else Cell(hundredths(x), x)


def _columns(table: pd.DataFrame, *names: str) -> "zip[tuple[Any, ...]]":
    return zip(*(table[name] for name in names), strict=True)


def _condition(treatment: object, dose: float, dose_unit: str) -> list[Cell]:
    return [word(str(treatment)), dose_text(condition_of(treatment, dose), dose_unit)]


def _plain(x: float) -> float | None:
    return None if pd.isna(x) else float(x)
