"""The tables of benchmarks/README.md are those of the CSV files, and each number says how it was made."""

import csv
import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from cellflow_cli.cli.app import app
from cellflow_cli.config import from_dict, merged, parse_assignments

FOLDER = Path(__file__).parents[2] / "benchmarks"
RESULTS = sorted(file for file in (FOLDER / "results").glob("*.csv") if file.stem != "runs")
PAGES = [FOLDER / "README.md", *sorted((FOLDER / "notes").glob("*.md"))]
COMMON = {"data": {"treatment_key": "treatment", "control": "control", "sample_key": "sample"}}


def lines(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


RUNS = {run["run"]: run for run in lines(FOLDER / "results" / "runs.csv")}


def test_tables_are_those_of_the_results(run):
    run("render", "--check")


def test_a_changed_number_is_found():
    """The test above can fail."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    changed = page.replace("| **.092** |", "| **.093** |")
    assert changed != page
    assert runpy.run_path(str(FOLDER / "render.py"))["with_tables"](changed) == page


def test_every_file_of_results_is_a_table_of_the_page():
    marked = re.findall(r"<!-- table: ([\w-]+) -->", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(marked) == [file.stem for file in RESULTS]


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_every_number_is_a_number_of_a_run(file):
    for line in lines(file):
        assert line["run"] in RUNS, line
        assert re.fullmatch(r"-?[\d,]*\.?\d+", line["value"]), line


def test_runs_are_used_and_complete():
    assert {line["run"] for file in RESULTS for line in lines(file)} == set(RUNS)
    for run in RUNS.values():
        assert re.fullmatch(r"[0-9a-f]{7}", run["commit"]), run
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", run["date"]), run
        assert run["machine"], run


@pytest.mark.parametrize("name", RUNS)
def test_commands_are_understood(name):
    for text in RUNS[name]["command"].split(" && "):
        program, *words = shlex.split(text)
        if program == "python":
            assert (FOLDER.parent / words[0]).exists(), words[0]
        if program == "cellflow":
            check_options(words)
        settings = [after for word, after in zip(words, words[1:], strict=False) if word == "--set"]
        from_dict(merged(COMMON, parse_assignments(settings)))


def check_options(words):
    """Options of a command exist, and so do the files of this repository that it names."""
    command, names = typer.main.get_command(app), iter(words)
    while hasattr(command, "commands"):
        command = command.commands[next(names)]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known, words
    assert all((FOLDER.parent / word).exists() for word in words if word.startswith("benchmarks/"))


@pytest.mark.parametrize(
    "page", [FOLDER / "README.md", *(FOLDER / "notes").glob("*.md")], ids=lambda p: p.stem
)
def test_paragraphs_are_short(page):
    parts = re.split(r"\n\s*\n|\n(?=[|<])", page.read_text(encoding="utf-8"))
    assert max(len(part.split()) for part in parts) <= 120
