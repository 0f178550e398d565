"""What every command does alike: `--quiet`, `--debug`, and errors as one message with an exit code."""

import functools
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from cellflow_cli.cli import console
from cellflow_cli.errors import CellflowError

INTERRUPTED = 130

_Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print errors only.", show_default=False, rich_help_panel="Output")
]
_Debug = Annotated[
    bool,
    typer.Option(
        "--debug", help="Show the traceback of an error.", show_default=False, rich_help_panel="Compute"
    ),
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """The function with the options `--quiet` and `--debug`, its errors turned into messages.

    An error that cellflow raises on purpose ends with its exit code, an interrupt (Ctrl-C, or the
    SIGTERM of a cluster) with 130; any other exception is our bug and keeps its traceback.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, quiet: bool = False, debug: bool = False, **kwargs: Any) -> None:
        console.set_quiet(quiet)
        try:
            with _terminable():
                function(*args, **kwargs)
        except CellflowError as error:
            if debug:
                raise
            console.fail(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            console.fail(str(interrupt) or "Interrupted. Nothing was written.")
            raise typer.Exit(INTERRUPTED) from interrupt

    extra = [
        inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Quiet),
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Debug),
    ]
    signature = inspect.signature(function, eval_str=True)
    wrapped.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *extra])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {
        **inspect.get_annotations(function, eval_str=True),
        "quiet": _Quiet,
        "debug": _Debug,
    }
    return wrapped


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM acts like Ctrl-C inside the block, so that a cancelled job cleans up too.

    An interrupt that falls into a finalizer is printed and forgotten by Python; it is sent again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def again(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            hook(lost)
            return
        resent.append(threading.Timer(0.05, _send_term, (threading.get_ident(),)))
        resent[-1].daemon = True
        resent[-1].start()

    resent: list[threading.Timer] = []
    before, hook = signal.signal(signal.SIGTERM, interrupt), sys.unraisablehook
    sys.unraisablehook = again
    try:
        yield
    finally:
        for timer in resent:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook


def _send_term(thread: int) -> None:
    """SIGTERM to one thread, which also ends what it waits for; it is heard where SIGINT is ignored."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)
