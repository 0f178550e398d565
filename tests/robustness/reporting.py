"""What came of all cases, as a table: printed after the slow tests, and written with `--tally FILE`."""

import collections
from pathlib import Path

KINDS = ("columns", "labels", "matrices", "files", "scale", "features", "options", "outputs", "predictions",
         "folders", "kills")  # fmt: skip
WORDS = (
    "refused",
    "warned",
    "same",
    "traceback",
    "hang",
    "silent",
    "lost",
    "unclear",
    "refused wrongly",
    "disagreement",
)
HEADS = ("refused", "warned", "same", "tracebacks", "hangs", "silently wrong", "lost", "unclear", "refused wrongly",
         "disagreements")  # fmt: skip
START, END = "<!-- tally -->", "<!-- end of tally -->"
Counts = collections.Counter[tuple[str, str]]


class Tally:
    """Counts what slow tests recorded, in the process that gathers the reports."""

    def __init__(self, target: str | None) -> None:
        self.target, self.counts = target, Counts()

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" and "slow" in report.keywords:
            for name, value in report.user_properties:
                if name == "robustness":
                    kind, _, what = value.partition("|")
                    self.counts[kind, what] += 1

    def pytest_terminal_summary(self, terminalreporter) -> None:
        if not self.counts:
            return
        terminalreporter.section("robustness")
        terminalreporter.write_line(table(self.counts))
        if self.target:
            write(Path(self.target), self.counts)


def table(counts: Counts) -> str:
    """Counts as a table of Markdown: a row for each kind, and their sum."""
    lines = ["| kind | runs | " + " | ".join(HEADS) + " |", "|---|" + "---|" * (len(HEADS) + 1)]
    for kind in (*KINDS, "all"):
        row = [sum(counts[k, word] for k in (KINDS if kind == "all" else (kind,))) for word in WORDS]
        lines.append(f"| {kind} | {sum(row[:-1]):,} | " + " | ".join(f"{n:,}" for n in row) + " |")
    return "\n".join(lines)


def write(page: Path, counts: Counts) -> None:
    """Put the table between its marks in a page."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{table(counts)}\n\n{END}{after}", "utf-8")


def rows(page: Path) -> dict[str, list[int]]:
    """The numbers of a page, by kind."""
    _, _, rest = page.read_text("utf-8").partition(START)
    found = {}
    for line in rest.partition(END)[0].strip().splitlines()[2:]:
        kind, *numbers = [part.strip() for part in line.strip("|").split("|")]
        found[kind] = [int(number.replace(",", "")) for number in numbers]
    return found
