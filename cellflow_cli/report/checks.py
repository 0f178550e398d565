"""Checks of the prediction and of the metrics: collapse alarm, context ablation, audit."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from cellflow_cli.catalog import Catalog
from cellflow_cli.report.tables import (
    Cell,
    Column,
    Table,
    collapse_table,
    count,
    interval,
    outside_table,
    value,
    word,
)
from cellflow_cli.report.text import counted, metric_title, names, number, percent
from cellflow_cli.statistics.ablation import AVERAGE, OTHER, ContextEffect
from cellflow_cli.statistics.collapse import how_far
from cellflow_cli.statistics.degenerate_ranks import DegenerateRanks, Rank
from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL
from cellflow_cli.statistics.summary import Summary

_CONTEXTS = {MODEL: "own population", OTHER: "another sample's", AVERAGE: "average"}
_OTHER_CONTEXTS = {OTHER: "another sample's population", AVERAGE: "the average population"}
_ANSWERS = {
    "yes": "Yes: with {} as context the predictions are worse",
    "no": "No: with {} as context the predictions are the same",
    "reverse": "The opposite: with {} as context the predictions are better",
    "unclear": "Not clear: with {} as context the predictions are neither reliably worse nor better",
}
_NOT_KNOWN = (
    "Not known here: {reason}. `cellflow compare DATA --methods METHOD,METHOD ... -o study`, with the column "
    "options of your training, compares a method conditioned on the control population with one that is not "
    "(see `cellflow list methods`), on the same held-out groups."
)
_CONTEXT_HELP = (
    "The same control cells were predicted again with another context: the control population of another "
    "scored sample, or the average one (the control populations of the training part, each embedded by "
    "itself, the contexts averaged)."
)
_UNDAMAGED = "undamaged"
_UNDAMAGED_HELP = (
    "What these are made from: the half of the measured cells that no predictor is compared with, sent "
    "through the decoder where there is one"
)
_AUDIT_HELP = (
    "Each predictor below is made from measured cells, with one property broken. A metric that ranks one "
    "first, no worse than the measured cells before that and no worse than the model, does not see "
    "what is broken: it is flagged, and must not be read alone."
)


class CollapseSection(NamedTuple):
    """The collapse alarm, and values out of range."""

    kind: Literal["on", "off", "unknown"]
    title: str
    text: str
    out_of_range: str
    table: Table
    outside: Table | None


class AblationSection(NamedTuple):
    """Whether the control population matters."""

    text: str
    tables: tuple[Table, ...] = ()


class AuditSection(NamedTuple):
    """How degenerate predictors rank: text, table and what its columns mean; no table without an audit."""

    text: str
    table: Table | None = None
    legend: Mapping[str, str] = {}


def collapse_section(summary: Summary) -> CollapseSection:
    """Variance of predicted and measured cells."""
    collapse, clipped = summary.collapse, clipped_text(summary)
    beyond, tables = range_text(summary), (collapse_table(summary.collapse), outside_table(summary.collapse))
    if collapse.alarm is None:
        text = f"{collapse.reason}. {clipped}".strip()
        return CollapseSection("unknown", "Not known.", text, beyond, *tables)
    how = how_far(collapse)
    text = f"{how[0].upper()}{how[1:]}. {clipped}".strip()
    if collapse.alarm:
        return CollapseSection("on", "Alarm.", text, beyond, *tables)
    return CollapseSection("off", "No alarm.", text, beyond, *tables)


def clipped_text(summary: Summary) -> str:
    """A sentence on values that the decoder set to zero; empty if that is not known."""
    share, settings = summary.collapse.fraction_clipped, summary.settings
    if share is None or settings.n_features == settings.n_genes:
        return ""  # without a decoder nothing is ever set to zero
    if share == 0:
        return "No predicted value had to be clipped at zero."
    return f"The decoder set {percent(share)} of the predicted values to zero because they were negative."


def range_text(summary: Summary) -> str:
    """A sentence on values outside the range of real cells; empty if they were not counted."""
    shares = summary.collapse.out_of_range
    if shares.get(MODEL) is None:
        return ""
    reference = {"of the other measured cells": FLOOR, "of these through the decoder": DECODED}
    others = [
        f"; {cells} {_small(shares[name])}"
        for cells, name in reference.items()
        if shares.get(name) is not None
    ]
    return (
        f"Out of range: {_small(shares[MODEL])} of the predicted values lie below the smallest or above "
        "the largest value of their gene or marker among the control cells and the measured cells that "
        f"metrics see{''.join(others)} (mean over groups)."
    )


def ablation_section(summary: Summary, metric: str) -> AblationSection:
    """The model given its own control population, another sample's, the average one.

    Args:
        summary: Scores of all three.
        metric: What the sentences are about and the table of groups shows first.
    """
    ablation = summary.ablation
    if ablation.reason:
        return AblationSection(_NOT_KNOWN.format(reason=ablation.reason.rstrip(".")))
    own = summary.predictors[MODEL][metric].mean
    answers = [
        _answer(ablation.predictors[name][metric], own, context, metric)
        for name, context in _OTHER_CONTEXTS.items()
    ]
    tables = _ablation_table(summary), _ablation_groups(summary, metric)
    return AblationSection(" ".join([*answers, _CONTEXT_HELP]), tables)


def audit_section(summary: Summary) -> AuditSection:
    """Degenerate predictors and the model, for every metric."""
    ranks = summary.audit
    if ranks.reason:
        return AuditSection(f"No audit: {ranks.reason} (`--no-audit`).")
    summaries = Catalog("degenerate").summaries()
    legend = {_UNDAMAGED: _UNDAMAGED_HELP, **{name: summaries.get(name, "") for name in ranks.predictors}}
    verdict = f"None of {counted(len(summary.metrics), 'metric')} is flagged."
    if ranks.flagged:
        verdict = f"Flagged: {names([f'`{metric}`' for metric in ranks.flagged], 20)}."
    return AuditSection(f"{_AUDIT_HELP} {verdict}", _audit_table(summary), legend)


def _small(share: float | None) -> str:
    """A share in percent with two digits, since most of these are below one."""
    return f"{number(None if share is None else 100 * share, 2)} %"


def _answer(effect: ContextEffect, own: float | None, context: str, metric: str) -> str:
    if effect.paired.difference is None:
        return f"With {context} as context: no value of {metric}."
    few = "" if effect.paired.low is not None else "; too few for an interval"
    return (
        f"{_ANSWERS[effect.matters].format(context)}, {metric_title(metric)} {number(effect.mean)} instead "
        f"of {number(own)}; the own population is better on {effect.better.k} of "
        f"{counted(effect.better.n, 'group')}{few}."
    )


def _ablation_table(summary: Summary) -> Table:
    others = [_CONTEXTS[name] for name in _OTHER_CONTEXTS]
    heads = [
        Column("metric"),
        Column("best"),
        *(Column(title, True) for title in _CONTEXTS.values()),
        *(Column(f"own minus {title}", True) for title in others),
        *(Column(f"own better than {title}", True, "Groups.") for title in others),
    ]
    lines = []
    for metric, doc in summary.metrics.items():
        effects = [summary.ablation.predictors[name][metric] for name in _OTHER_CONTEXTS]
        means = [summary.predictors[MODEL][metric].mean, *(effect.mean for effect in effects)]
        lines.append(
            [
                word(metric),
                word(doc.best),
                *(value(mean) for mean in means),
                *(value(e.paired.difference, interval(e.paired), sign=True) for e in effects),
                *(count(e.better) for e in effects),
            ]
        )
    caption = (
        "The same model with each population as context: mean over groups, with the 95 % interval of the "
        "difference"
    )
    return Table(name="ablation", caption=caption, columns=heads, lines=lines)


def _ablation_groups(summary: Summary, metric: str) -> Table:
    groups = summary.ablation.groups
    numbers = {
        name: [[means[context][name] for context in _CONTEXTS] for means in groups.values()]
        for name in summary.metrics
    }
    return Table(
        name="ablation-groups",
        caption="By group, with each population as context",
        columns=[Column("group"), *(Column(title, True) for title in _CONTEXTS.values())],
        lines=[
            [word(group), *(value(mean) for mean in means)]
            for group, means in zip(groups, numbers[metric], strict=True)
        ],
        metrics=numbers,
        metric=metric,
    )


def _audit_table(summary: Summary) -> Table:
    ranks = summary.audit
    heads = [
        Column("metric"),
        Column("best"),
        Column(MODEL, True),
        Column(_UNDAMAGED, True, "Measured cells before anything was broken."),
        *(Column(name, True) for name in ranks.predictors),
        Column("flagged"),
    ]
    lines = []
    for metric, doc in summary.metrics.items():
        of_metric = [entries[metric] for entries in ranks.predictors.values()]
        is_known = any(rank.is_first is not None for rank in of_metric)
        flag = "yes" if metric in ranks.flagged else "no" if is_known else "not known"
        lines.append(
            [
                word(metric), word(doc.best), _first(r.model for r in of_metric),
                _first(r.undamaged for r in of_metric),
                *(_rank_cell(rank) for rank in of_metric), word(flag),
            ]
        )  # fmt: skip
    caption = "Degenerate predictors and the model: mean over groups"
    return Table(name="audit", caption=caption, columns=heads, lines=lines, notes=_audit_notes(ranks))


def _first(values: Iterable[float | None]) -> Cell:
    return value(next((x for x in values if x is not None), None))


def _rank_cell(rank: Rank) -> Cell:
    notes = {
        "ranks first": rank.is_first,
        "beats the model": rank.beats_model,
        "as measured cells": rank.as_measured,
    }
    return value(rank.value, next((note for note, holds in notes.items() if holds), ""))


def _audit_notes(ranks: DegenerateRanks) -> tuple[str, ...]:
    """Why values are missing, each reason once with the metrics and predictors it stands for."""
    metrics: dict[str, dict[str, None]] = {}
    predictors: dict[str, dict[str, None]] = {}
    for name, of_predictor in ranks.predictors.items():
        for metric, rank in of_predictor.items():
            if rank.is_first is None:
                reason = rank.reason.rstrip(".")
                metrics.setdefault(reason, {})[metric] = None
                predictors.setdefault(reason, {})[name] = None
    return tuple(f"No value: {names(metrics[why])} of {names(predictors[why])}: {why}." for why in metrics)
