"""Renders the tables of README.md from the CSV files of `results`.

    python benchmarks/render.py            write the tables between the markers of README.md
    python benchmarks/render.py --check    change nothing, exit 1 where README.md and CSV files disagree

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; `TABLES` says how the lines of its CSV file
are laid out. Numbers are shown with the digits they have there.
"""

import argparse
import csv
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).parent
README = HERE / "README.md"
MARKED = re.compile(r"(?<=<!-- table: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

Line = Mapping[str, str]


def plain(lines: Sequence[Line]) -> tuple[str, str]:
    """One value."""
    (line,) = lines
    return line["value"], ""


def of_letters(lines: Sequence[Line]) -> tuple[str, str]:
    """W1, W2 and MMD·10³; then their standard deviations, where there are some."""

    def shown(line: Line, key: str) -> str:
        return thousandfold(line[key]) if line["metric"] == "mmd-rbf" else line[key]

    spread = " ".join(shown(line, "sd") for line in lines if line.get("sd"))
    return " ".join(shown(line, "value") for line in lines), f" ± {spread}" if spread else ""


def thousandfold(number: str) -> str:
    """The number times 1,000, digit for digit."""
    text = format(Decimal(number).scaleb(3), "f")
    return text.removeprefix("0") if "." in text else text


def with_wins(lines: Sequence[Line]) -> tuple[str, str]:
    """A value; then in how many groups it is better, where that was counted."""
    (line,) = lines
    return line["value"], f" [{line['n_better']} of {line['n_groups']}]" if line["n_better"] else ""


def with_unit(lines: Sequence[Line]) -> tuple[str, str]:
    """Values of the parts of a task, and their unit."""
    return " + ".join(line["value"] for line in lines), f" {lines[0]['unit']}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """How the lines of a CSV file become a table.

    Attributes:
        rows: CSV column whose values name the rows.
        columns: CSV columns whose values, joined by a blank, name the columns.
        titles: The columns that are shown, in this order, with their titles.
        best: The columns whose best cell is bold, with `min` or `max`.
        references: Rows in italics, never bold: bounds, and figures of others.
        more: A further file, relative to this folder.
        shown: The rows that are shown, in this order; all of the file if empty.
        corner: Title of the first column.
        cell: The value of a cell, and what follows it, from its lines.
    """

    rows: str = "predictor"
    columns: tuple[str, ...]
    titles: Mapping[str, str]
    best: Mapping[str, Callable[[Sequence[float]], float]] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    more: str | None = None
    shown: tuple[str, ...] = ()
    corner: str = ""
    cell: Callable[[Sequence[Line]], tuple[str, str]] = plain


DATA = {"BCR-XL": "BCR-XL, 8 donors", "Kang": "Kang, 2 donors", "cohort": "cohort, 4 patients"}
ONE_LEFT_OUT = {f"{data}, one left out": f"{data}, one left out of 8" for data in ("BCR-XL", "Kang")}
CONTEXT_DATA = DATA | {"cohort, 12 patients": "cohort, 12 patients"}
DONORS = {f"patient{i}": str(i) for i in range(1, 9)}
LOW = ["BCR-XL w2", "BCR-XL mmd-median", "Kang w1", "Kang w2", "Kang mmd-rbf"]
NOT_PREDICTED = ("truth through the decoder", "floor")
QUERIED = ("MFM, Fourier", "MFM, kernel", "MFM, attention")
POOLED = ("MFM, Fourier, pooled", "MFM, mean, modulated, dropout")
LETTERS_BESIDE = ("identity", "published FM", "published MFM k=10", "published MFM k=50", "floor (iid)")
NEW_LETTERS = ("val", "test", "open X", "open Y", "open digits")

TABLES = {
    "unseen": Table(
        columns=("data",),
        titles=DATA | ONE_LEFT_OUT,
        best=dict.fromkeys(DATA | ONE_LEFT_OUT, min),
        references=NOT_PREDICTED,
        cell=with_wins,
    ),
    "bcrxl_donors": Table(
        corner="donor",
        columns=("donor",),
        titles=DONORS,
        best=dict.fromkeys(DONORS, min),
        shown=("mfm", "ridge", "nearest sample", "mean shift"),
    ),
    "metrics": Table(
        columns=("data", "metric"),
        titles={
            "BCR-XL w2": "BCR-XL: W2",
            "BCR-XL mmd-median": "MMD, median",
            "Kang w1": "Kang: W1",
            "Kang w2": "W2",
            "Kang mmd-rbf": "MMD, paper",
            "Kang r2-mean": "r² of means",
            "Kang r2-delta": "r² of shifts",
            "Kang variance-ratio": "variance ratio",
            "Kang variance-ratio-genes": "of genes",
        },
        best=dict.fromkeys(LOW, min) | dict.fromkeys(["Kang r2-mean", "Kang r2-delta"], max),
        references=NOT_PREDICTED,
    ),
    "population": Table(
        rows="data",
        corner="conditioned on the population",
        columns=("population",),
        titles={"own": "own", "other": "another's", "average": "average"},
        cell=with_wins,
    ),
    "contexts": Table(
        rows="context",
        corner="context",
        columns=("data", "seed"),
        titles={f"{data} 0": title for data, title in CONTEXT_DATA.items()},
        best={f"{data} 0": min for data in CONTEXT_DATA},
    ),
    "letters": Table(
        columns=("part",),
        titles={
            "val": "X",
            "test": "Y",
            "open X": "other font: X",
            "open Y": "Y",
            "open digits": "five digits",
            "training": "processor min",
        },
        best=dict.fromkeys(NEW_LETTERS, min),
        references=LETTERS_BESIDE,
        more="letters_published.csv",
        shown=(*QUERIED, *POOLED, "FM", *LETTERS_BESIDE),
        cell=of_letters,
    ),
    "step_time": Table(
        rows="variant",
        columns=("measure", "machine"),
        titles={
            "step_ms first": "ms per step",
            "predict_s first": "s per 1,000 cells",
            "step_ms faster": "faster machine: ms per step",
            "predict_s faster": "s per 1,000 cells",
        },
        shown=("FM", "MFM, mean", "MFM, k=10", *QUERIED, POOLED[0], "CellOT"),
    ),
    "cost": Table(
        rows="task",
        columns=("measure",),
        titles={
            "ours": "time",
            "one call each": "one call each",
            "published": "published code",
            "memory": "peak memory",
        },
        cell=with_unit,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    args = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    rendered = with_tables(text)
    if args.check and rendered != text:
        sys.exit("README.md and results/*.csv disagree: run `python benchmarks/render.py`.")
    if not args.check:
        README.write_text(rendered, encoding="utf-8")


def with_tables(text: str) -> str:
    """The text of a page with every marked table rendered anew."""
    return MARKED.sub(lambda match: f"{match[1]}{match[2]}{markdown(match[1])}\n", text)


def markdown(name: str) -> str:
    """The table of this name.

    Args:
        name: A key of `TABLES`, and the file `results/NAME.csv`.
    """
    table = TABLES[name]
    lines = read(HERE / "results" / f"{name}.csv")
    if table.more:
        lines += read(HERE / table.more)
    cells: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        key = " ".join(line[column] for column in table.columns)
        cells.setdefault((line[table.rows], key), []).append(line)
    rows = table.shown or tuple(dict.fromkeys(line[table.rows] for line in lines))
    bold = {(row, key) for key in table.best for row in best_rows(table, cells, rows, key)}
    header = [table.corner, *table.titles.values()]
    body = [
        [f"*{row}*" if row in table.references else row]
        + [text_of(table, cells.get((row, key)), bold=(row, key) in bold) for key in table.titles]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(words)} |" for words in [header, ["---"] * len(header), *body])


def read(file: Path) -> list[Line]:
    """Lines of a CSV file without its comments."""
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(line for line in opened if not line.startswith("#")))


def best_rows(
    table: Table, cells: Mapping[tuple[str, str], Sequence[Line]], rows: Sequence[str], key: str
) -> list[str]:
    """The rows whose first value in a column is best; several where they tie."""
    values = {
        row: float(cells[row, key][0]["value"])
        for row in rows
        if row not in table.references and (row, key) in cells
    }
    best = table.best[key](list(values.values()))
    return [row for row, value in values.items() if value == best]


def text_of(table: Table, lines: Sequence[Line] | None, *, bold: bool) -> str:
    """What a cell shows, nothing where nothing was measured."""
    if lines is None:
        return ""
    value, after = table.cell(lines)
    value = value.replace("-", "−")
    return (f"**{value}**" if bold else value) + after


if __name__ == "__main__":
    main()
