"""Outputs appear whole or not at all: written to a sibling, synced, then renamed into place."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cellflow_cli.errors import OutputError


def check_writable(path: Path, *, force: bool) -> None:
    """Refuse an output that exists or whose folder cannot be written, before any work is done.

    Args:
        path: File or folder to be written.
        force: Whether an existing one may be replaced.

    Raises:
        OutputError: If it exists and `force` is not given, or its parent is missing or read-only.
    """
    path = Path(path)
    if path.exists() and not force:
        raise OutputError(
            f"Expected a new path for the output, found an existing one: `{path}`. "
            "Nothing was changed. Choose another with `--output`, or replace it with `--force`."
        )
    parent = path.absolute().parent
    if not parent.exists():
        try:
            parent.mkdir(parents=True)
        except OSError as error:
            raise _unwritable(path, error) from error
    if not parent.is_dir():
        raise OutputError(f"Expected a folder at `{parent}`, found a file. Choose another `--output`.")
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def replaced_file(path: Path, *, force: bool) -> Iterator[Path]:
    """A temporary sibling to write to; renamed to `path` if the block ends well, else removed.

    Raises:
        OutputError: If `path` exists without `force`, or writing fails for reasons of the disk.
    """
    path = Path(path)
    check_writable(path, force=force)
    temporary = _sibling(path)
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """A temporary sibling folder to fill; it takes the place of `path` if the block ends well.

    A folder that exists is moved aside first and removed last, so that at any moment one whole
    folder is there.

    Raises:
        OutputError: If `path` exists without `force`, or writing fails for reasons of the disk.
    """
    path = Path(path)
    check_writable(path, force=force)
    temporary, aside = _sibling(path), _sibling(path)
    try:
        temporary.mkdir()
        yield temporary
        for file in sorted(temporary.rglob("*")):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        if path.exists():
            path.replace(aside)
        temporary.replace(path)
    except OSError as error:
        if aside.exists() and not path.exists():
            aside.replace(path)
        raise _unwritable(path, error) from error
    finally:
        for left in (temporary, aside):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def _sibling(path: Path) -> Path:
    """A free hidden name beside `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Expected to be able to write `{path}`, found: {error.strerror or error}. "
        "Nothing was left behind. Choose another `--output`, or make room and permissions there."
    )
