"""What can go wrong, as one tree of exceptions.

    CellflowError
      ConfigError       (also ValueError)         a setting: a value or key                      exit 2
      DataError         (also ValueError)         an AnnData file or its columns                 exit 3
      BundleError                                 a model folder: unreadable, other features     exit 4
      NumericalError    (also ArithmeticError)    non-finite loss, a solver gave up              exit 5
      MissingExtraError (also ImportError)        an optional dependency is not installed        exit 6
      GateError                                   ran well, but a bar the user set was missed    exit 7
      OutputError                                 cannot write, or would overwrite               exit 8
      MetricError                                 a requested metric could not be computed       exit 9

Only `cellflow_cli.cli.app` turns these into text and an exit code. A message says what was
expected, what was found, where, and what to do.
"""

import difflib
import errno
import re
from collections.abc import Iterable

HDF5_DISK = re.compile(r"errno = (\d+), error message = '([^']*)'")
"""Number and text of the cause, in what HDF5 says of a disk that takes no more."""


class CellflowError(Exception):
    """Root of every error that cellflow raises on purpose."""

    exit_code = 1


class ConfigError(CellflowError, ValueError):
    """A value or key of the settings makes no sense."""

    exit_code = 2


class DataError(CellflowError, ValueError):
    """An AnnData file, or a column of it, is not what was declared."""

    exit_code = 3


class BundleError(CellflowError):
    """A model folder is unreadable, incomplete, newer than this version, or has other features."""

    exit_code = 4


class NumericalError(CellflowError, ArithmeticError):
    """A number is not finite, or an iteration gave up."""

    exit_code = 5


class MissingExtraError(CellflowError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    exit_code = 6


class GateError(CellflowError):
    """The run went well, but a bar that the user set was missed."""

    exit_code = 7


class OutputError(CellflowError):
    """An output cannot be written, or would overwrite something."""

    exit_code = 8


class MetricError(CellflowError):
    """A requested metric could not be computed."""

    exit_code = 9


_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "allocation failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python, numpy, torch or HDF5 says that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    words = str(error).lower() if isinstance(error, OSError | RuntimeError) else ""
    return any(word in words for word in _NO_MEMORY)


def listed(values: Iterable[object], limit: int = 5) -> str:
    """Values as text for a message: at most `limit` of them as `repr`, shortened, then "and 37 more"."""
    items = list(values)
    shown = ", ".join(_short(repr(item)) for item in items[:limit])
    rest = len(items) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint " Did you mean 'x'?" for the known word closest to `word`, or an empty string."""
    names = [str(name) for name in known]
    folded = {name.lower(): name for name in names}
    known_short = [name for name in folded if len(name) <= 1000]
    close = difflib.get_close_matches(str(word).lower()[:1000], known_short, n=1, cutoff=0.65)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:80]}...{text[-20:]}"
