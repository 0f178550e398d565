"""Tables of the scores themselves: metrics by row, and one metric by population, treatment or group."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from cellflow_cli.catalog import Catalog
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.report._text import counted, number
from cellflow_cli.report.split import records
from cellflow_cli.report.tables import Cell, Column, Table, dose_text, integer, value, word
from cellflow_cli.statistics.best import winners
from cellflow_cli.types import Condition

ROWS = {
    "model": "The prediction",
    "floor": "Other measured cells of the same population as prediction",
    "truth-decoded": "The other half of the measured cells sent through the decoder",
}
_BEST = {"low": "low", "high": "high", "one": "1"}


def row_texts(scores: Scores) -> dict[str, str]:
    """For each row a phrase that says what it is."""
    known = Catalog("baselines").summaries()
    texts = {row: ROWS.get(row) or known.get(row, "") for row in scores.predictors}
    if "identity" in texts:
        texts["identity"] = "The null: the control cells as they are"
    return texts


def metric_table(scores: Scores, summary: Mapping[str, Any]) -> Table:
    """Mean over groups of each of our metrics for every row, with the spread over groups below it."""
    return _metric_table(
        scores, summary, None, "metrics", "Every metric: mean over groups ± standard deviation over groups"
    )


def definition_tables(scores: Scores, summary: Mapping[str, Any]) -> tuple[Table, ...]:
    """The same for the metrics of each other project, as those define them."""
    origins = dict.fromkeys(entry["origin"] for entry in summary["metrics"].values() if entry["origin"])
    return tuple(
        _metric_table(
            scores,
            summary,
            origin,
            f"definitions-{i}",
            f"As {origin} defines them: mean ± standard deviation",
        )
        for i, origin in enumerate(origins, 1)
    )


def _metric_table(
    scores: Scores, summary: Mapping[str, Any], origin: str | None, name: str, caption: str
) -> Table:
    metrics = {m: entry for m, entry in summary["metrics"].items() if entry["origin"] == origin}
    firsts = {metric: winners(scores.summary(), metric) for metric in metrics}
    lines = []
    for row in scores.predictors:
        cells = []
        for metric in metrics:
            entry = summary["predictors"][row][metric]
            spread = "" if entry["sd"] is None else f"± {number(entry['sd'], 2)}"
            cells.append(value(entry["mean"], spread, best=row in firsts[metric]))
        lines.append([word(row), *cells])
    return Table(
        name=name,
        caption=caption,
        columns=[Column("row"), *_metric_heads(metrics)],
        lines=lines,
        notes=reasons(scores, _only(summary, metrics)),
    )


def _only(summary: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The summary with some of its metrics."""
    rows = {row: {m: entries[m] for m in metrics} for row, entries in summary["predictors"].items()}
    return {**summary, "metrics": metrics, "predictors": rows}


def normalised_table(scores: Scores, summary: Mapping[str, Any]) -> Table:
    """The part of the way from null to floor that each row covers."""
    found = summary["normalised"]
    metrics = [m for m in summary["metrics"] if summary["metrics"][m]["best"] != "one"]
    heads = [
        Column("row"),
        *(Column(metric, True, summary["metrics"][metric]["definition"]) for metric in metrics),
    ]
    rows = [row for row in scores.predictors if row in found and row != "identity"]
    lines = [[word(row), *(_hundredths(found[row][metric]["value"]) for metric in metrics)] for row in rows]
    why = dict.fromkeys(
        f"{metric}: {found['model'][metric]['reason']}."
        for metric in metrics
        if found["model"][metric]["value"] is None
    )
    return Table(
        name="normalised",
        caption="Normalised score: 0 is doing nothing, 1 is as good as the floor; not clipped",
        columns=heads,
        lines=lines,
        notes=tuple(why),
    )


def _hundredths(x: float | None) -> Cell:
    return value(x) if x is None else Cell(f"{round(x, 2) + 0:.2f}".replace("-", "\N{MINUS SIGN}"), x)


def reasons(scores: Scores, summary: Mapping[str, Any]) -> tuple[str, ...]:
    """For each reason why a value is missing: which rows and metrics lack it, and how often."""
    found: dict[tuple[str, int], dict[str, list[str]]] = {}
    for row in scores.predictors:
        for metric, entry in summary["predictors"][row].items():
            if entry["n_missing"]:
                lacking = found.setdefault((entry["reason"].rstrip("."), entry["n_missing"]), {})
                lacking.setdefault(row, []).append(metric)
    texts = []
    for (reason, n), rows in found.items():
        same = list(rows.values())
        metrics = "all metrics" if len(same[0]) == len(summary["metrics"]) else ", ".join(same[0])
        which = ", ".join(row for row, lacking in rows.items() if lacking == same[0])
        more = "" if all(lacking == same[0] for lacking in same) else " (and some others)"
        texts.append(
            f"No value of {metrics} for {which}{more} in {n} of "
            f"{counted(summary['n_conditions'], 'population')}: {reason}."
        )
    return tuple(texts)


def population_scores(scores: Scores, metric: str, dose_unit: str) -> Table:
    """One metric of every row for every population."""
    table = labelled(scores.table)
    wide = _wide(table, scores, ["sample", "condition"])
    first = {(p.sample, p.condition): p for p in records(table.drop_duplicates(["sample", "condition"]))}
    lines = []
    for sample, label in wide[metric].index:
        n = int(first[sample, label].n)
        lines.append([word(str(sample)), *_condition(first[sample, label], dose_unit), integer(n)])
    heads = [Column("sample"), Column("treatment"), Column("dose", True), Column("cells a side", True)]
    return _switched("by-population", "By population", heads, lines, wide, scores, metric)


def treatment_scores(scores: Scores, metric: str, dose_unit: str) -> Table:
    """One metric of every row by treatment and dose: mean over populations in a group, then groups."""
    table = labelled(scores.table)
    wide = _wide(table, scores, ["condition"])
    first = {p.condition: p for p in records(table.drop_duplicates(["condition"]))}
    lines = [_condition(first[label], dose_unit) for label in wide[metric].index]
    heads = [Column("treatment"), Column("dose", True)]
    return _switched("by-treatment", "By treatment", heads, lines, wide, scores, metric)


def group_scores(scores: Scores, metric: str, key: str, title: str) -> Table:
    """One metric of every row by the column `key` (group or sample)."""
    wide = _wide(scores.table, scores, [key])
    lines = [[word(str(name))] for name in wide[metric].index]
    return _switched(f"by-{key}", title, [Column(key)], lines, wide, scores, metric)


def regime_table(scores: Scores, summary: Mapping[str, Any], metric: str) -> Table | None:
    """One metric of every row for populations of small, medium and large effect; None if not known."""
    regimes = summary["regimes"]
    if "reason" in regimes:
        return None
    heads = [
        Column("size of effect"),
        Column("populations", True),
        Column("energy, control to measured", help="Smallest and largest effect."),
    ]
    lines = [
        [
            Cell(name, float(i)),
            integer(part["n_conditions"]),
            Cell(
                f"{number(part['effect']['min'])} to {number(part['effect']['max'])}", part["effect"]["min"]
            ),
        ]
        for i, (name, part) in enumerate(regimes.items())
    ]
    numbers = {
        m: [[part["predictors"][row][m] for row in scores.predictors] for part in regimes.values()]
        for m in scores.metrics
    }
    return _choice("by-effect", "By size of the real effect", heads, lines, numbers, scores, metric)


def type_scores(scores: Scores, metric: str, summary: Mapping[str, Any]) -> Table | None:
    """Every row by cell type: mean over groups; None where there are no types."""
    found = summary["cell_types"].get("types")
    if not found:
        return None
    metrics = scores.by_type.metrics
    heads = [Column("cell type"), Column("populations", True), Column("cells a side", True)]
    lines = [
        [word(name), integer(part["n_conditions"]), _span(part["n_cells"])] for name, part in found.items()
    ]
    numbers = {
        m: [[part["predictors"][row][m]["mean"] for row in scores.predictors] for part in found.values()]
        for m in metrics
    }
    first = metric if metric in metrics else metrics[0]
    lacking = {name: part["predictors"]["model"][first] for name, part in found.items()}
    notes = [
        f"{name}: no value in {counted(entry['n_missing'], 'population')}; the first: {entry['reason']}."
        for name, entry in lacking.items()
        if entry["n_missing"]
    ]
    made = _choice("by-type", "By cell type, each type by itself", heads, lines, numbers, scores, first)
    return replace(made, notes=notes)


def _span(n: Mapping[str, int]) -> Cell:
    same = n["min"] == n["max"]
    return Cell(f"{n['min']:,}" if same else f"{n['min']:,} to {n['max']:,}", n["min"])


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table of scores with a column `condition`: treatment and dose as text."""
    doses = [None if pd.isna(dose) else float(dose) for dose in table["dose"]]
    labels = [Condition(str(t), dose).label for t, dose in zip(table["treatment"], doses, strict=True)]
    return table.assign(condition=labels)


def _wide(table: pd.DataFrame, scores: Scores, keys: list[str]) -> dict[str, pd.DataFrame]:
    """For each metric a line per value of `keys` and a column per row: mean within groups, then over them."""
    by = list(dict.fromkeys([*keys, "group", "predictor", "metric"]))
    within = table.groupby(by, sort=False)["value"].mean()
    means = within.groupby([*keys, "predictor", "metric"], sort=False).mean().unstack("predictor")
    order = list(dict.fromkeys(table.set_index(keys).index))
    found = {}
    for metric in scores.metrics:
        part = means[means.index.get_level_values("metric") == metric].droplevel("metric")
        found[metric] = part.reindex(index=order, columns=list(scores.predictors))
    return found


def _condition(line: Any, dose_unit: str) -> list[Cell]:
    dose = None if pd.isna(line.dose) else float(line.dose)
    return [word(str(line.treatment)), dose_text(Condition(str(line.treatment), dose), dose_unit)]


def _switched(
    name: str,
    caption: str,
    heads: list[Column],
    lines: list[list[Cell]],
    wide: Mapping[str, pd.DataFrame],
    scores: Scores,
    metric: str,
) -> Table:
    numbers = {m: [[_plain(v) for v in line] for line in part.to_numpy()] for m, part in wide.items()}
    return _choice(name, caption, heads, lines, numbers, scores, metric)


def _choice(
    name: str,
    caption: str,
    heads: list[Column],
    lines: list[list[Cell]],
    numbers: dict[str, list[list[float | None]]],
    scores: Scores,
    metric: str,
) -> Table:
    columns = [*heads, *(Column(row, True) for row in scores.predictors)]
    full = [[*line, *(value(x) for x in values)] for line, values in zip(lines, numbers[metric], strict=True)]
    return Table(name=name, caption=caption, columns=columns, lines=full, metrics=numbers, metric=metric)


def _metric_heads(metrics: Mapping[str, Any]) -> list[Column]:
    return [
        Column(f"{name} ({_BEST[entry['best']]})", True, f"{entry['definition']}; best is {entry['best']}")
        for name, entry in metrics.items()
    ]


def _plain(x: float) -> float | None:
    return None if pd.isna(x) else float(x)
