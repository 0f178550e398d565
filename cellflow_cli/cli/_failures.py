"""Memory, disk or depth that ran out, as errors that say what to do in the command that was typed."""

from collections.abc import Collection

from cellflow_cli.errors import (
    HDF5_DISK,
    CellflowError,
    DataError,
    NumericalError,
    OutputError,
    is_out_of_memory,
)

_SAVERS = {
    "chunk": "a smaller `--chunk`",
    "features": "`--features pca:50` in place of all genes",
    "assignments": "a smaller network or fewer cells a step with `--set`",
    "max_cells": "a smaller `--max-cells`",
    "jobs": "fewer in parallel with `--jobs 1`",
    "page": "`--no-page`",
    "size": "a smaller `--size`",
}


def explained(error: Exception, options: Collection[str]) -> CellflowError | None:
    """What happened, in our words; None if it is nothing that the machine did.

    Args:
        error: What a command raised.
        options: Names of the parameters of the command, so that only options that it has are named.
    """
    if isinstance(error, CellflowError):
        return error
    if is_out_of_memory(error):
        return NumericalError(_memory_text(error, options))
    if isinstance(error, RecursionError):
        return DataError(
            "Expected files of a few levels, found one that is nested too deep to be read. It is damaged, "
            "or was not written by cellflow. Write it again."
        )
    if isinstance(error, RuntimeError) and (found := HDF5_DISK.search(str(error))):
        return explained(OSError(int(found[1]), found[2]), options)
    if isinstance(error, OSError):
        place = "" if error.filename is None else f" File `{error.filename}`."
        return OutputError(
            f"Expected to be able to read and write files, found: {error.strerror or error}.{place} Make "
            "room and permissions there, or choose another folder."
        )
    return None


def is_full_disk(error: BaseException | None) -> bool:
    """Whether HDF5 could not write, as it says again for every part of a file that is closed."""
    return isinstance(error, OSError | RuntimeError) and HDF5_DISK.search(str(error)) is not None


def _memory_text(error: BaseException, options: Collection[str]) -> str:
    known = ["a part of the cells", *(text for name, text in _SAVERS.items() if name in options)]
    return (
        f"Expected enough memory, found too little ({_first_line(error)}). Use a machine with more, or take "
        f"{', '.join(known[:-1])}{' or ' if len(known) > 1 else ''}{known[-1]}."
    )


def _first_line(error: BaseException) -> str:
    """How much was wanted, without the place in somebody's source."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    line = line.rsplit("] . ", 1)[-1].removeprefix(". ")
    return line.rstrip(".") if len(line) <= 200 else f"{line[:200]}..."
