"""Scripts of `benchmarks/`, which is no package, run as somebody would type them."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def folder():
    return FOLDER


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a script in this process: `run("step_time", "--steps", 1)` returns what it prints."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(FOLDER / f"{script}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run
