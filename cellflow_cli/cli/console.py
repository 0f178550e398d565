"""Where text leaves the program: people read stderr, programs read stdout."""

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellflow_cli.errors import OutputError
from cellflow_cli.files import printable

_state: dict[str, bool] = {"quiet": False}


def set_quiet(quiet: bool) -> None:
    """Silence everything but errors and the one JSON object of `--json`."""
    _state["quiet"] = quiet


def stderr() -> Console:
    """A console on standard error: colours and tables in a terminal, plain wide lines in a log."""
    console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty(), quiet=_state["quiet"])
    if not console.is_terminal:
        console.width = max(console.width, 400)
    return console


def say(text: str, style: str | None = None) -> None:
    """One line for people; markup is not interpreted, so that labels with brackets survive."""
    stderr().print(text, style=style, markup=False)


class OnProgress(Protocol):
    """What long work calls now and then."""

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """`done` of `total` are done; next comes `what`."""


@contextmanager
def progress(doing: str) -> Iterator[OnProgress]:
    """A live bar with the time left in a terminal; in a log a plain line at most every ten seconds.

    Args:
        doing: Such as "Scoring".
    """
    screen = stderr()
    if not screen.is_terminal:
        yield _PlainProgress(doing)
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def report(done: int, total: int, what: str = "") -> None:
            bar.update(task, completed=done, total=total, description=what or doing)

        yield report


class _PlainProgress:
    """Lines such as `Scoring 12/100, next P09, agonist 1; 3 min left`."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._started = time.monotonic()
        self._next = 0.0

    def __call__(self, done: int, total: int, what: str = "") -> None:
        spent = time.monotonic() - self._started
        if spent < self._next or done >= total:
            return
        self._next = spent + 10
        then = f", next {what}" if what else ""
        left = f"; {duration(spent / done * (total - done))} left" if done else ""
        say(f"{self._doing} {done:,}/{total:,}{then}{left}")


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes above."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def emit_json(value: Any) -> None:
    """One JSON object on standard output; letters that it cannot show are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False, default=str)
    with _writing():
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def flush() -> None:
    """Write out what standard output holds, while an error can still be shown.

    Raises:
        OutputError: If it cannot be written.
        BrokenPipeError: If its reader is gone.
    """
    with _writing():
        if sys.stdout is not None:
            sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    """What goes wrong with standard output names it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        drop_output()
        why = getattr(error, "strerror", None) or error
        raise OutputError(
            f"Expected to be able to write to standard output, found: {why}. Send it to another file."
        ) from error


def drop_output() -> None:
    """Give up what standard output still holds, so that the interpreter does not try again as it ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_lenient() -> None:
    """Letters that a stream has no code for are escaped, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def command_line(words: Sequence[str]) -> str:
    """Words as a line for a shell, quoted where needed; bytes that are no text are escaped."""
    return printable(shlex.join(words))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: ruled in a terminal, aligned plain columns elsewhere; numbers to four digits."""
    console = stderr()
    table = Table(title=Text(title), title_justify="left", box=None if not console.is_terminal else _box())
    for index, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _box() -> Any:
    from rich import box

    return box.SIMPLE_HEAD


def _cell(value: object) -> Text:
    """Text in which no markup is read."""
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    return Text("" if value is None else str(value))


def say_out(text: str, bold: bool = False) -> None:
    """One line of a result, on standard output; empty text prints nothing."""
    if text:
        with _writing():
            Console(highlight=False, soft_wrap=True).print(text, style="bold" if bold else None, markup=False)


def fail(message: str) -> None:
    """An error for people; shown even when quiet."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("Error:", style="bold red", end=" ")
    console.print(message, markup=False)
