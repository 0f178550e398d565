"""Does the population matter: what the page says of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cellflow_cli.report._text import counted, number, signed
from cellflow_cli.report.tables import Cell, Column, Table, value, word
from cellflow_cli.report.verdict import metric_title
from cellflow_cli.statistics.ablation import AVERAGE, OTHER

_ROWS = {"model": "own population", OTHER: "another sample's", AVERAGE: "average"}
_WITHOUT = (
    "Not known here: {reason}. `cellflow compare DATA --methods mfm,fm ... -o study`, with the column "
    "options of your training, sets a method that is told the population of control cells (`mfm`) beside one "
    "that sees each cell alone (`fm`), on the same held-out groups."
)
_HOW = (
    "The same control cells were predicted again, the model being told the control population of another "
    "scored sample, or the average one: the control populations of the training part, each embedded by "
    "itself, the contexts averaged."
)


class AblationPart(NamedTuple):
    """Text and tables of the section."""

    text: str
    tables: tuple[Table, ...] = ()


def ablation_part(summary: Mapping[str, Any], metric: str) -> AblationPart:
    """The section of the page.

    Args:
        summary: As `Scores.summary()`.
        metric: What the sentence is about and the table of groups shows first.
    """
    found = summary["ablation"]
    if "reason" in found:
        return AblationPart(_WITHOUT.format(reason=found["reason"].rstrip(".")))
    text = f"{_sentence(summary, metric, OTHER)} {_sentence(summary, metric, AVERAGE)} {_HOW}"
    return AblationPart(text, (_metrics(summary), _groups(summary, metric)))


def _sentence(summary: Mapping[str, Any], metric: str, row: str) -> str:
    entry, own = (
        summary["ablation"]["predictors"][row][metric],
        summary["predictors"]["model"][metric]["mean"],
    )
    what = {OTHER: "another sample's population", AVERAGE: "the average population"}[row]
    if entry["difference"] is None:
        return f"Told {what}: no value of {metric}."
    answer = {
        "yes": f"Yes, it matters: told {what}, the model is worse",
        "no": f"No: told {what}, the model predicts the same",
        "reverse": f"The wrong way round: told {what}, the model is better",
        "unclear": f"Not clear: told {what}, the model is not reliably worse or better",
    }[entry["matters"]]
    few = "" if entry["low"] is not None else "; too few for an interval"
    return (
        f"{answer}, {metric_title(metric)} {number(entry['mean'])} instead of {number(own)}; the own "
        f"population is better on {entry['k']} of {counted(entry['n'], 'group')}{few}."
    )


def _metrics(summary: Mapping[str, Any]) -> Table:
    heads = [
        Column("metric"),
        Column("best"),
        *(Column(title, True) for title in _ROWS.values()),
        *(Column(f"own minus {_ROWS[row]}", True) for row in (OTHER, AVERAGE)),
        *(Column(f"own better than {_ROWS[row]}", True, "Groups.") for row in (OTHER, AVERAGE)),
    ]
    lines = []
    for metric, about in summary["metrics"].items():
        entries = [summary["ablation"]["predictors"][row][metric] for row in (OTHER, AVERAGE)]
        lines.append(
            [
                word(metric), word(about["best"]), value(summary["predictors"]["model"][metric]["mean"]),
                *(value(e["mean"]) for e in entries), *(_difference(e) for e in entries),
                *(Cell(f"{e['k']} of {e['n']}", e["k"]) if e["n"] else value(None) for e in entries),
            ]
        )  # fmt: skip
    caption = (
        "The same model told another population: mean over groups, with the 95 % interval of the difference"
    )
    return Table(name="ablation", caption=caption, columns=heads, lines=lines)


def _difference(entry: Mapping[str, Any]) -> Cell:
    note = "" if entry["low"] is None else f"{signed(entry['low'])} to {signed(entry['high'])}"
    return value(entry["difference"], note, sign=True)


def _groups(summary: Mapping[str, Any], metric: str) -> Table:
    groups = summary["ablation"]["groups"]
    numbers = {m: [[of[row][m] for row in _ROWS] for of in groups.values()] for m in summary["metrics"]}
    lines = [
        [word(group), *(value(x) for x in found)]
        for group, found in zip(groups, numbers[metric], strict=True)
    ]
    heads = [Column("group"), *(Column(title, True) for title in _ROWS.values())]
    return Table(
        name="ablation-groups",
        caption="By group, told each population",
        columns=heads,
        lines=lines,
        metrics=numbers,
        metric=metric,
    )
