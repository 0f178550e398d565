"""What the audit found: degenerate predictors beside the model, for every metric."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cellflow_cli.catalog import Catalog
from cellflow_cli.report._text import counted, names, number
from cellflow_cli.report.tables import Cell, Column, Table, value, word

_UNDAMAGED = "undamaged"


class AuditPart(NamedTuple):
    """Text, table and what its columns mean; no table without an audit."""

    text: str
    table: Table | None = None
    legend: Mapping[str, str] = {}


def audit_part(summary: Mapping[str, Any]) -> AuditPart:
    """The section of the page."""
    found = summary["audit"]
    if "reason" in found:
        return AuditPart(f"No audit: {found['reason']} (`--no-audit`).")
    told = Catalog("degenerate").summaries()
    legend = {
        _UNDAMAGED: "What these are made from: the half of the measured cells that no row is compared with, "
        "sent through the decoder where there is one",
        **{name: told.get(name, "") for name in found["predictors"]},
    }
    return AuditPart(_text(found, len(summary["metrics"])), _table(summary), legend)


def audit_line(found: Mapping[str, Any], metric: str) -> str:
    """A line of the metric card; empty without an audit."""
    if "reason" in found:
        return ""
    first = found["flagged"].get(metric, [])
    if not first:
        known = [e[metric]["is_first"] for e in found["predictors"].values()]
        return "" if set(known) == {None} else "Audit: it ranks no degenerate predictor first here."
    told = Catalog("degenerate").summaries()
    texts = []
    for name in first:
        entry = found["predictors"][name][metric]
        texts.append(
            f"{told.get(name, name).rstrip('.')}: {number(entry['value'])} (measured cells "
            f"{number(entry['undamaged'])}, model {number(entry['model'])})"
        )
    return f"Audit: a degenerate predictor wins this metric here. {'; '.join(texts)}. Do not read it alone."


def _text(found: Mapping[str, Any], n_metrics: int) -> str:
    flagged = found["flagged"]
    how = (
        "Each predictor below is made from measured cells, with one thing broken. A metric that ranks one "
        "first, no worse than the measured cells before that and no worse than the model, does not see "
        "what is broken: it is flagged, and must not be read alone."
    )
    if not flagged:
        return f"{how} None of {counted(n_metrics, 'metric')} is flagged."
    return f"{how} Flagged: {names([f'`{metric}`' for metric in flagged], 20)}."


def _table(summary: Mapping[str, Any]) -> Table:
    found = summary["audit"]["predictors"]
    heads = [
        Column("metric"),
        Column("best"),
        Column("model", True),
        Column(_UNDAMAGED, True, "Measured cells before anything was broken."),
        *(Column(name, True) for name in found),
        Column("flagged"),
    ]
    lines = []
    for metric, entry in summary["metrics"].items():
        entries = [of_metric[metric] for of_metric in found.values()]
        is_flagged = any(e["is_first"] for e in entries)
        known = any(e["is_first"] is not None for e in entries)
        lines.append(
            [
                word(metric), word(entry["best"]), _mean(entries, "model"), _mean(entries, _UNDAMAGED),
                *(_cell(e) for e in entries), word("yes" if is_flagged else "no" if known else "not known"),
            ]
        )  # fmt: skip
    return Table(
        name="audit",
        caption="Degenerate predictors beside the model: mean over groups",
        columns=heads,
        lines=lines,
        notes=_notes(found),
    )


def _mean(entries: list[Mapping[str, Any]], key: str) -> Cell:
    return value(next((e[key] for e in entries if e[key] is not None), None))


def _cell(entry: Mapping[str, Any]) -> Cell:
    notes = {"is_first": "ranks first", "beats_model": "beats the model", "as_measured": "as measured cells"}
    return value(entry["value"], next((note for key, note in notes.items() if entry[key]), ""))


def _notes(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Why values are missing, each reason once with the metrics and predictors it stands for."""
    places: dict[str, dict[str, list[str]]] = {}
    for name, metrics in found.items():
        for metric, entry in metrics.items():
            if entry["is_first"] is None:
                places.setdefault(entry["reason"].rstrip("."), {}).setdefault(metric, []).append(name)
    which = {why: dict.fromkeys(name for of in m.values() for name in of) for why, m in places.items()}
    return tuple(f"No value: {names(m)} of {names(which[why])}: {why}." for why, m in places.items())
