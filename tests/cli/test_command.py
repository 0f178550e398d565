"""What all commands share: errors, interrupts, options from dataclasses."""

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import OptionsOf
from cellflow_cli.errors import DataError


def test_an_interrupt_lost_in_a_finalizer_is_sent_again() -> None:
    code = (
        "import signal, time, typer\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests may run in the background
        "from cellflow_cli.cli._command import command\n"
        "class Late:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGINT); time.sleep(0)\n"
        "@command\n"
        "def wait() -> None:\n"
        "    '''Wait.'''\n"
        "    late = Late()\n"
        "    del late\n"
        "    time.sleep(60)\n"
        "    print('not interrupted')\n"
        "typer.run(wait)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert "Interrupted. Nothing was written." in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_ends_with_its_exit_code_and_debug_keeps_the_traceback() -> None:
    app = typer.Typer()

    @app.command()
    @command
    def fail() -> None:
        raise DataError("Expected cells, found none.")

    ended = CliRunner().invoke(app, [])
    assert (ended.exit_code, ended.stderr) == (3, "Error: Expected cells, found none.\n")
    assert isinstance(CliRunner().invoke(app, ["--debug"]).exception, DataError)


def test_two_options_of_one_name_are_a_bug() -> None:
    @dataclass(frozen=True)
    class Settings:
        seed: int = field(default=0, metadata={"help": "Seed."})

    def run(settings: Annotated[Settings, OptionsOf(Settings)], seed: int = 0) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'seed'"):
        command(run)
