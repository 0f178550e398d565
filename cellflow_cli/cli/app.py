"""The command `cellflow`: its commands, put together; imports nothing heavy."""

import os
import sys
from typing import Annotated

import typer

from cellflow_cli.cli import console, simulate
from cellflow_cli.cli.check import check
from cellflow_cli.cli.compare import compare
from cellflow_cli.cli.evaluate import evaluate
from cellflow_cli.cli.export import export
from cellflow_cli.cli.inspect import inspect
from cellflow_cli.cli.list import list_entries
from cellflow_cli.cli.predict import predict
from cellflow_cli.cli.train import train
from cellflow_cli.errors import OutputError

app = typer.Typer(
    name="cellflow",
    help="Predict how the cells of an unseen patient respond to a treatment, from their untreated cells.",
    epilog="Start with `cellflow check DATA`, then train, predict, evaluate. See `cellflow COMMAND --help`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from cellflow_cli._version import __version__

        sys.stdout.write(f"cellflow {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Predict how the cells of an unseen patient respond to a treatment, from their untreated cells."""


app.command("check")(check)
app.command("train")(train)
app.command("predict")(predict)
app.command("evaluate")(evaluate)
app.command("compare")(compare)
app.command("export")(export)
app.command("inspect")(inspect)
app.command("list")(list_entries)
app.add_typer(simulate.app, name="simulate")


def main() -> None:
    """Entry point of the command."""
    # Threads that wait for work asleep, not spinning: on a shared machine this is several times faster.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    console.make_lenient()
    try:
        app()
    except SystemExit as end:
        if end.code == OutputError.exit_code:  # HDF5 crashes as it closes a file on a full disk once more
            sys.stderr.flush()
            os._exit(OutputError.exit_code)
        raise
