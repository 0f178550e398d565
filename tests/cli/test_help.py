"""Help is quick, loads nothing heavy, and typos are met with a suggestion."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cellflow_cli.cli.app import app

COMMANDS = ("check", "train", "predict", "evaluate", "compare", "export", "inspect", "list", "simulate")


def test_help_is_quick() -> None:
    """Half a second of processor time, best of eight.

    On a machine whose cores are shared everything takes longer: there it may take twice as long as the
    libraries that it cannot do without.
    """
    seconds, libraries = [], []
    while len(seconds) < 8 and not (seconds and min(seconds) < 0.5):
        seconds.append(processor_time("-m", "cellflow_cli", "--help"))
        libraries.append(processor_time("-c", "import typer, typer.rich_utils"))
    assert min(seconds) < max(0.5, 2 * min(libraries))


def processor_time(*arguments: str) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_loads_no_heavy_module(command: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from cellflow_cli.cli.app import app\n"
        f"try: app({[*command, '--help']!r})\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'anndata', 'scanpy', 'sklearn', 'h5py', 'ot'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["trian"], "train"),
        (["train", "x.h5ad", "--treatment-kye", "a"], "--treatment-key"),
        (["list", "metric"], "metrics"),
    ],
)
def test_typos_are_met_with_a_suggestion(arguments: list[str], suggestion: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert suggestion in result.output


def test_options_stand_in_groups_with_defaults() -> None:
    text = (
        CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).output
    )
    for group in ("Input", "Output", "Model", "Compute"):
        assert f" {group} " in text
    assert "[default: auto]" in text


def test_definitions_are_listed_with_their_metrics() -> None:
    text = CliRunner().invoke(app, ["list", "published-metrics"]).stdout
    assert "  cellot:r2-means " in text
    assert "not squared in spite of its name" in text
    found = json.loads(CliRunner().invoke(app, ["list", "published-metrics", "--json"]).stdout)
    assert {"paper", "cellot", "cellflow", "pertpy", "cell-eval", "pertpy:mmd"} <= set(found)
