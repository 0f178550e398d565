"""Outputs appear whole or not at all: written to a sibling, synced, then renamed into place."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from cellflow_cli.errors import OutputError, listed

_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.+)")  # two letters or more: C:/ is a drive


def address_of(path: Path | str) -> str | None:
    """The address, such as `s3://bucket/cells.h5ad`, that a path was given as; None if it is local.

    A `Path` has lost one of the two slashes.
    """
    match = _ADDRESS.fullmatch(str(path))
    return f"{match[1]}://{match[2]}" if match and not Path(path).exists() else None


def check_writable(path: Path, *, force: bool, holds: Collection[str] | None = None) -> None:
    """Refuse an output that exists or whose folder cannot be written, before any work is done.

    Args:
        path: File or folder to be written.
        force: Whether an existing one may be replaced.
        holds: Names of all files that a folder of this kind may hold; a folder with anything else in
            it is never replaced, nor is a file by a folder, so that `--force` with a slip in the path
            costs nobody their data.

    Raises:
        OutputError: If it exists and may not be replaced, its parent is missing or read-only, or it is an
            address.
    """
    path = Path(path)
    if address := address_of(path):
        raise OutputError(
            f"Expected a local path for the output, found the address `{address}`. Write to a local folder "
            "and upload the result, or mount it."
        )
    parent = path.absolute().parent
    try:
        if path.exists():
            _check_replaceable(path, force, holds)
        parent.mkdir(parents=True, exist_ok=True)
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
    if path.is_dir():
        raise OutputError(
            f"Expected the path of a file, found a folder: `{path}`. Nothing was changed. "
            "Choose another with `--output`."
        )
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
def replaced_folder(path: Path, *, force: bool, holds: Collection[str] | None = None) -> Iterator[Path]:
    """A temporary sibling folder to fill; it takes the place of `path` if the block ends well.

    A folder that exists is moved aside first and removed last, so that at any moment one whole
    folder is there.

    Args:
        path: The folder.
        force: Whether an existing one may be replaced.
        holds: Names of the files that an existing folder may hold (see `check_writable`).

    Raises:
        OutputError: If `path` exists and may not be replaced, or writing fails for reasons of the disk.
    """
    path = Path(path)
    check_writable(path, force=force, holds=holds)
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
        raise _unwritable(path, error) from error
    finally:
        if aside.exists() and not path.exists():  # stopped between the two renames
            aside.replace(path)
        for left in (temporary, aside):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def _check_replaceable(path: Path, force: bool, holds: Collection[str] | None) -> None:
    if not force:
        raise OutputError(
            f"Expected a new path for the output, found an existing one: `{path}`. "
            "Nothing was changed. Choose another with `--output`, or replace it with `--force`."
        )
    if holds is None:
        return
    foreign = sorted(p.name for p in path.iterdir() if p.name not in holds) if path.is_dir() else []
    if path.is_dir() and not foreign:
        return
    found = f"{listed(foreign)} in it too" if path.is_dir() else "a file"
    raise OutputError(
        f"Expected `{path}` to be a folder of {listed(sorted(holds), 10)}, which `--force` may replace, "
        f"found {found}. "
        "Nothing was changed. Choose another with `--output`, or remove it yourself."
    )


def _sibling(path: Path) -> Path:
    """A free hidden name beside `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Expected to be able to write `{path}`, found: {error.strerror or error}. "
        "Nothing was left behind. Choose another `--output`, or make room and permissions there."
    )
