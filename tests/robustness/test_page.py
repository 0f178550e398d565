"""docs/reliability.md says what the suite holds."""

from collections import Counter
from pathlib import Path

from tests.robustness import reporting
from tests.robustness.catalogue import all_cases
from tests.robustness.kills import kills
from tests.robustness.tampering import tampered

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_the_page_counts_the_cases_that_there_are(sound):
    runs = Counter()
    for case in all_cases():
        runs[case.kind] += len(case.right)
    runs["folders"] = len(tampered(sound.folder / "model"))
    runs["kills"] = len(kills(100))
    shown = reporting.rows(PAGE)
    assert {kind: numbers[0] for kind, numbers in shown.items() if kind != "all"} == dict(runs)
    assert shown["all"][0] == sum(runs.values())


def test_a_table_is_read_as_it_is_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{reporting.START}\n{reporting.END}\n\nAfter.\n")
    reporting.write(page, reporting.Counts({("files", "refused"): 1200, ("kills", "lost"): 3}))
    rows = reporting.rows(page)
    assert rows["files"][:2] == [1200, 1200]
    assert rows["kills"][:5] == [3, 0, 0, 0, 0]
    assert rows["all"][0] == 1203
    assert page.read_text().startswith("Before.")
    assert page.read_text().endswith("After.\n")
