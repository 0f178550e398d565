"""Memory, disk, pipe and encoding: one message, and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._failures import explained
from cellflow_cli.errors import is_out_of_memory

MEMORY = [
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("f8")),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    OSError(12, "Cannot allocate memory"),
]
DISK = RuntimeError("Set slist enabled failed (errno = 28, error message = 'No space left on device')")


@pytest.mark.parametrize("error", MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_ran_out_names_options_of_the_command_alone(error: Exception) -> None:
    known = explained(error, ["data", "chunk", "seed"])
    assert known is not None
    assert known.exit_code == 5
    assert "`--chunk`" in str(known)
    assert "--features" not in str(known)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("no"), OSError(28, "full")])
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), 5), (RecursionError(), 3), (OSError(28, "No space left"), 8), (DISK, 8)],
)
def test_a_command_ends_with_a_message(error: Exception, code: int) -> None:
    app = typer.Typer()

    @app.command()
    @command
    def fail() -> None:
        raise error

    ended = CliRunner().invoke(app, [])
    assert (ended.exit_code, ended.stderr.startswith("Error: Expected")) == (code, True)
    assert CliRunner().invoke(app, ["--debug"]).exception is error


@pytest.mark.parametrize("name", ["[bold]x[/]", "[/]", "[red]"])
def test_markup_in_labels_is_printed_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.say(name)
    console.show_table(name, [name, "n"], [[name, 1.5]])
    console.say_out(name)
    console.fail(name)
    written = capsys.readouterr()
    assert written.err.count(name) == 5
    assert name in written.out


def test_words_of_a_command_are_quoted() -> None:
    line = console.command_line(["cellflow", "predict", "a b", "$x", "it's", "\udcff"])
    assert line == "cellflow predict 'a b' '$x' 'it'\"'\"'s' '\\udcff'"


def run(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(
        [sys.executable, "-m", "cellflow_cli", *words],
        check=False, text=True, stderr=subprocess.PIPE, timeout=60, env=environment, **options,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        ended = run("list", "metrics", "--json", stdout=full)
    assert ended.returncode == 8
    assert "standard output" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reader_that_is_gone_ends_the_command_silently() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = run("list", "metrics", "--json", stdout=writer)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_letters_that_the_stream_lacks_are_escaped() -> None:
    code = (
        "from cellflow_cli.cli import console; console.make_lenient();"
        "console.emit_json({'a': 'Müller µM'}); console.say('Müller µM'); console.say_out('µM')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "TERM": "dumb", "NO_COLOR": "1"},
    )  # fmt: skip
    assert json.loads(ended.stdout.rpartition("}")[0] + "}") == {"a": "Müller µM"}
    assert "M\\xfcller" in ended.stderr
