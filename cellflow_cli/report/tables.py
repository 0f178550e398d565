"""Tables of a report: what stands in each cell, and what it is sorted by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cellflow_cli.report.data import ScoredPopulations
from cellflow_cli.report.text import NONE, counted, number, signed
from cellflow_cli.statistics.collapse import Collapse
from cellflow_cli.statistics.intervals import PairedDifference
from cellflow_cli.statistics.means import Count, Range
from cellflow_cli.statistics.summary import Summary
from cellflow_cli.types import Condition

Numbers = list[list[float | None]]
"""Line by line."""


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
    metrics: Mapping[str, Numbers] = field(default_factory=dict)
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


def interval(paired: PairedDifference) -> str:
    """An interval as text; empty where there is none."""
    return "" if paired.low is None else f"{signed(paired.low)} to {signed(paired.high)}"


def count(better: Count) -> Cell:
    """A cell of `k of n`."""
    return Cell(f"{better.k} of {better.n}", better.k) if better.n else Cell(NONE)


def span(limits: Range) -> Cell:
    """A cell of the smallest and largest of some counts."""
    low, high = limits
    return Cell(f"{low:,}" if low == high else f"{low:,} to {high:,}", low)


def population_table(
    scored: ScoredPopulations, seen: Sequence[str], cells_a_side: Mapping[tuple[str, str], int]
) -> Table:
    """Every scored population with its sizes.

    Args:
        scored: The populations.
        seen: Groups that were trained on.
        cells_a_side: For sample and condition the number of cells that metrics saw on either side.
    """
    heads = [
        Column("sample"),
        Column("group", help=f"Unit of holding out: `{scored.group_key}`."),
        Column("treatment"),
        Column("dose", True),
        Column("control cells", True, "Untreated cells of the sample."),
        Column("predicted cells", True),
        Column("measured cells", True, "Treated cells of the sample that were measured."),
        Column("compared", True, "Cells on either side of each comparison."),
        Column("group in training"),
        Column("condition in training", help="Whether other groups were trained on under this condition."),
    ]
    known = {True: "yes", False: "no", None: "not known"}
    lines = [
        [
            word(one.sample),
            word(one.group),
            word(one.condition.treatment),
            dose_text(one.condition, scored.dose_unit),
            integer(one.n_control),
            integer(one.n_predicted),
            integer(one.n_measured),
            integer(cells_a_side.get((one.sample, one.condition.label), 0)),
            word("yes" if one.group in seen else "no" if scored.train_groups else "not known"),
            word(known[one.condition_trained]),
        ]
        for one in scored.populations
    ]
    return Table(name="populations", caption="Scored populations", columns=heads, lines=lines)


def interval_table(summary: Summary) -> Table:
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
        for metric in summary.metrics
        for baseline in summary.intervals
    ]
    caption = "The model against each baseline, paired by group"
    return Table(name="intervals", caption=caption, columns=heads, lines=lines)


def _interval_line(summary: Summary, baseline: str, metric: str) -> list[Cell]:
    paired, best = summary.intervals[baseline][metric], summary.metrics[metric].best
    return [
        word(baseline),
        word(metric),
        word(best),
        value(paired.difference, sign=True),
        Cell(interval(paired) or NONE, paired.low),
        count(summary.better_than[baseline][metric]),
        word(_reading(paired, best)),
    ]


def _reading(paired: PairedDifference, best: str) -> str:
    if paired.difference is None:
        return "no common value"
    if paired.low is None or paired.high is None:
        return "no interval"
    if paired.low <= 0 <= paired.high:
        return "not clear"
    return "model better" if (paired.low > 0) == (best == "high") else "model worse"


def collapse_table(collapse: Collapse) -> Table:
    """Variance ratios of the prediction and of measured cells."""
    ratios = collapse.ratios
    predictors = list(dict.fromkeys(name for values in ratios.values() for name in values))
    heads = [Column("predictor"), *(Column(metric, True) for metric in ratios)]
    lines = [[word(name), *(value(values.get(name)) for values in ratios.values())] for name in predictors]
    caption = "Total variance of the cells of a predictor over that of measured cells (one is best)"
    return Table(name="collapse", caption=caption, columns=heads, lines=lines)


def outside_table(collapse: Collapse) -> Table | None:
    """Populations whose variance ratio is out of bounds; None if there are none."""
    if not collapse.conditions:
        return None
    low, high = collapse.bounds
    heads = [Column("sample"), Column("condition"), Column("variance ratio", True)]
    lines = [[word(one.sample), word(one.condition), value(one.ratio)] for one in collapse.conditions]
    caption = f"{counted(len(lines), 'population')} outside {low:g} to {high:g}"
    return Table(name="outside", caption=caption, columns=heads, lines=lines)
