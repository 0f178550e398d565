"""Tables of a report: what stands in each cell, and what it is sorted by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cellflow_cli.report._text import NONE, counted, number, percent, signed
from cellflow_cli.report.split import Split
from cellflow_cli.types import Condition


class Cell(NamedTuple):
    """One cell.

    Attributes:
        text: As shown.
        sort: What the column is sorted by; None sorts last.
        note: A second, smaller line.
        best: Whether it is the best of its column.
    """

    text: str
    sort: float | str | None = None
    note: str = ""
    best: bool = False


class Column(NamedTuple):
    """Head of a column.

    Attributes:
        title: As shown.
        numeric: Whether it is aligned and sorted as numbers.
        help: What it holds, in a sentence.
    """

    title: str
    numeric: bool = False
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that can be sorted and filtered.

    Attributes:
        name: Unique in the page; letters and hyphens.
        caption: What it shows.
        columns: Heads; the first column names the line.
        lines: Cells in the order of the columns.
        notes: Sentences below it.
        metrics: For each other metric the numbers of the last columns, line by line, so that a reader
            can choose the metric; empty where there is nothing to choose.
        metric: The metric shown first.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    lines: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    metrics: Mapping[str, list[list[float | None]]] = field(default_factory=dict)
    metric: str = ""

    @property
    def choices(self) -> dict[str, list[list[tuple[float | None, str]]]]:
        """`metrics` for the page: numbers, to more digits than are shown, each with the text of its cell."""
        return {
            name: [
                [(None if x is None else float(f"{x:.9g}"), value(x).text) for x in line] for line in lines
            ]
            for name, lines in self.metrics.items()
        }


def word(text: str) -> Cell:
    """A cell of text."""
    return Cell(text, text)


def value(x: float | None, note: str = "", best: bool = False, sign: bool = False) -> Cell:
    """A cell of a number."""
    return Cell((signed if sign else number)(x), x, note, best)


def integer(n: int) -> Cell:
    """A cell of a count."""
    return Cell(f"{n:,}", n)


def dose_text(condition: Condition, unit: str) -> Cell:
    """A cell of a dose with its unit."""
    dose = condition.dose
    return Cell(NONE, None) if dose is None else Cell(f"{dose:g} {unit}".strip(), dose)


def population_table(split: Split, seen: Sequence[str], cells_a_side: Mapping[tuple[str, str], int]) -> Table:
    """Every scored population with its sizes.

    Args:
        split: What was scored.
        seen: Groups that were trained on.
        cells_a_side: For sample and condition the number of cells that metrics saw on either side.
    """
    heads = [
        Column("sample"),
        Column("group", help=f"Unit of holding out: `{split.group_key}`."),
        Column("treatment"),
        Column("dose", True),
        Column("control cells", True, "Untreated cells of the sample."),
        Column("predicted cells", True),
        Column("measured cells", True, "Treated cells of the sample that were measured."),
        Column("compared", True, "Cells on either side of each comparison."),
        Column("group in training"),
        Column("condition in training", help="Whether other groups were trained on under this condition."),
    ]
    trained = {True: "yes", False: "no", None: "not known"}
    lines = [
        [
            word(p.sample),
            word(p.group),
            word(p.condition.treatment),
            dose_text(p.condition, split.dose_unit),
            integer(p.n_control),
            integer(p.n_predicted),
            integer(p.n_measured),
            integer(cells_a_side.get((p.sample, p.condition.label), 0)),
            word("yes" if p.group in seen else "no" if split.train_groups else "not known"),
            word(trained[p.condition_trained]),
        ]
        for p in split.populations
    ]
    return Table(name="populations", caption="Scored populations", columns=heads, lines=lines)


def collapse_table(summary: Mapping[str, Any]) -> Table:
    """Variance ratios of the prediction beside those of measured cells."""
    ratios = summary["collapse"]["ratios"]
    rows = list(dict.fromkeys(row for values in ratios.values() for row in values))
    heads = [Column("row"), *(Column(metric, True) for metric in ratios)]
    lines = [[word(row), *(value(values.get(row)) for values in ratios.values())] for row in rows]
    caption = "Total variance of the cells of a row over that of measured cells (one is best)"
    return Table(name="collapse", caption=caption, columns=heads, lines=lines)


def outside_table(summary: Mapping[str, Any]) -> Table | None:
    """Populations whose variance ratio is out of bounds; None if there are none."""
    found = summary["collapse"]["conditions"]
    if not found:
        return None
    low, high = summary["collapse"]["bounds"]
    heads = [Column("sample"), Column("condition"), Column("variance ratio", True)]
    lines = [[word(c["sample"]), word(c["condition"]), value(c["ratio"])] for c in found]
    caption = f"{counted(len(found), 'population')} outside {low:g} to {high:g}"
    return Table(name="outside", caption=caption, columns=heads, lines=lines)


def interval_table(summary: Mapping[str, Any]) -> Table:
    """Model minus baseline for every baseline and metric, with interval and count of groups."""
    heads = [
        Column("baseline"),
        Column("metric"),
        Column("best", help="Which value of the metric is best."),
        Column("model minus baseline", True, "Mean over groups."),
        Column("95 % interval", True, "Bootstrap over groups; none below six groups."),
        Column("better on", True, "Groups where the model is better."),
        Column("reading"),
    ]
    lines = [
        _interval_line(summary, baseline, metric)
        for metric in summary["metrics"]
        for baseline in summary["intervals"]
    ]
    caption = "The model against each baseline, paired by group"
    return Table(name="intervals", caption=caption, columns=heads, lines=lines)


def _interval_line(summary: Mapping[str, Any], baseline: str, metric: str) -> list[Cell]:
    entry, count = summary["intervals"][baseline][metric], summary["better_than"][baseline][metric]
    best = summary["metrics"][metric]["best"]
    share = Cell(f"{count['k']} of {count['n']}", count["k"]) if count["n"] else Cell(NONE)
    return [
        word(baseline), word(metric), word(best), value(entry["difference"], sign=True), _interval(entry),
        share, word(_reading(entry, best)),
    ]  # fmt: skip


def _interval(entry: Mapping[str, Any]) -> Cell:
    if entry["low"] is None:
        return Cell(NONE, None)
    return Cell(f"{signed(entry['low'])} to {signed(entry['high'])}", entry["low"])


def _reading(entry: Mapping[str, Any], best: str) -> str:
    if entry["difference"] is None:
        return "no common value"
    if entry["low"] is None:
        return "no interval"
    if entry["low"] <= 0 <= entry["high"]:
        return "not clear"
    return "model better" if (entry["low"] > 0) == (best == "high") else "model worse"


def clipped_text(summary: Mapping[str, Any]) -> str:
    """A sentence on values that the decoder set to zero; empty if that is not known."""
    share = summary["collapse"]["fraction_clipped"]
    if share is None or not str(summary["settings"].get("features", "pca")).startswith("pca"):
        return ""  # without a decoder nothing is ever set to zero
    if share == 0:
        return "No predicted value had to be clipped at zero."
    return f"The decoder set {percent(share)} of the predicted values to zero because they were negative."


def range_text(summary: Mapping[str, Any]) -> str:
    """A sentence on values outside the range of real cells; empty if they were not counted."""
    shares = summary["collapse"]["out_of_range"]
    if shares.get("model") is None:
        return ""
    beside = {"of the other measured cells": "floor", "of these through the decoder": "truth-decoded"}
    others = [f"{what} {_small(shares[row])}" for what, row in beside.items() if shares.get(row) is not None]
    return (
        f"Out of range: {_small(shares['model'])} of the predicted values lie below the smallest or above "
        "the largest value of their gene or marker among the control cells and the measured cells that "
        f"metrics see{''.join(f'; {other}' for other in others)} (mean over groups)."
    )


def _small(share: float) -> str:
    """A share in percent with two digits, since most of these are below one."""
    return f"{number(100 * share, 2)} %"
