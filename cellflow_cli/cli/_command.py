"""What all commands share: options from dataclasses, `--quiet`, `--debug`, and how errors end."""

import functools
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from cellflow_cli.cli import console
from cellflow_cli.cli._failures import explained, is_full_disk
from cellflow_cli.cli._fields import COMPUTE, OUTPUT, OptionsOf

INTERRUPTED, BROKEN_PIPE = 130, 141


def _switch(name: str, text: str, panel: str) -> inspect.Parameter:
    option = typer.Option(f"--{name}", help=text, show_default=False, rich_help_panel=panel)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=False, annotation=Annotated[bool, option])


_COMMON = (
    _switch("quiet", "Print errors only.", OUTPUT),
    _switch("debug", "Show the traceback of an error.", COMPUTE),
)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A function as a command: with the options that its signature stands for, `--quiet` and `--debug`.

    A parameter annotated with `OptionsOf` becomes one option for each field of a dataclass. An error that
    cellflow raises on purpose ends with its exit code, an interrupt (Ctrl-C, or the SIGTERM of a cluster)
    with 130; memory or a disk that ran out ends as `_failures` says; any other exception is our bug and keeps
    its traceback.
    """
    signature = inspect.signature(function, eval_str=True)
    groups = {name: group for name, p in signature.parameters.items() if (group := _group(p)) is not None}

    @functools.wraps(function)
    def wrapped(*, quiet: bool = False, debug: bool = False, **arguments: Any) -> None:
        console.set_quiet(quiet)
        try:
            with _terminable():
                own = {name: arguments[name] for name in signature.parameters if name not in groups}
                function(**own, **{name: group.gathered(arguments) for name, group in groups.items()})
                console.flush()
        except BrokenPipeError as error:  # whoever read the output has seen enough
            console.drop_output()
            raise typer.Exit(BROKEN_PIPE) from error
        except Exception as error:
            known = None if debug else explained(error, signature.parameters)
            if known is None:
                raise
            console.fail(str(known))
            raise typer.Exit(known.exit_code) from error
        except KeyboardInterrupt as interrupt:
            console.fail(str(interrupt) or "Interrupted. Nothing was written.")
            raise typer.Exit(INTERRUPTED) from interrupt

    parameters = [*_expanded(signature.parameters.values()), *_COMMON]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return wrapped


def _group(parameter: inspect.Parameter) -> OptionsOf | None:
    """The mark of a parameter that stands for several options."""
    marks = getattr(parameter.annotation, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, OptionsOf)), None)


def _expanded(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """Each parameter, passed by name, or those that it stands for."""
    for parameter in parameters:
        group = _group(parameter)
        if group is None:
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        else:
            yield from group.parameters()


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
        if is_full_disk(lost.exc_value):
            return  # whoever wrote the file says so
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            hook(lost)
            return
        resent.append(threading.Timer(0.05, _send_term, (threading.get_ident(),)))
        resent[-1].daemon = True
        resent[-1].start()

    resent: list[threading.Timer] = []
    before, hook = signal.signal(signal.SIGTERM, interrupt), sys.unraisablehook
    sys.unraisablehook = again
    show, sys.excepthook = sys.excepthook, _shown_unless_disk  # h5py prints what it ignores through both
    try:
        yield
    finally:
        for timer in resent:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook, sys.excepthook = hook, show


def _shown_unless_disk(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if not is_full_disk(error):
        sys.__excepthook__(kind, error, traceback)


def _send_term(thread: int) -> None:
    """SIGTERM to one thread, which also ends what it waits for; it is heard where SIGINT is ignored."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGTERM)
    else:
        signal.raise_signal(signal.SIGTERM)
