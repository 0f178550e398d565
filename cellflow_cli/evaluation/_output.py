"""A folder of text files that appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cellflow_cli.errors import OutputError, listed

REPORT_FILES = ("scores.csv", "summary.json")


def check_folder(folder: Path, force: bool) -> None:
    """Whether a report may be written to `folder`, asked before the work and not after it.

    Raises:
        OutputError: If something is there and `force` is off, if `folder` is a file or holds things
            that are no report, or if the folder above it cannot be written to.
    """
    if folder.is_dir():
        inside = sorted(path.name for path in folder.iterdir())
        foreign = [name for name in inside if name not in REPORT_FILES]
        if foreign:
            raise OutputError(
                f"Expected a new folder for the report, found `{folder}` with {listed(foreign)} in it. "
                "Choose another with `-o`."
            )
        if inside and not force:
            raise OutputError(
                f"Expected a new folder for the report, found `{folder}` with a report. Choose another with "
                "`-o`, or replace it with `--force`."
            )
    elif folder.exists():
        raise OutputError(
            f"Expected a folder for the report, found the file `{folder}`. Choose another with `-o`."
        )
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"Expected to write into `{above}`, found no permission. Choose another with `-o`.")


def write_folder(folder: Path, files: Mapping[str, str], force: bool) -> None:
    """Write text files by name into `folder` through a temporary sibling that takes its place.

    Raises:
        OutputError: As `check_folder`, or if writing fails.
    """
    check_folder(folder, force)
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
        try:
            for name, text in files.items():
                _write_synced(fresh / name, text)
            fresh.chmod(0o777 & ~_umask())
            _swap(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"Expected to write `{folder}`, found {error}. Choose another folder with `-o`."
        ) from error


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`; what was there is moved aside first and removed last."""
    if not folder.exists():
        fresh.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    old = folder.rename(aside / folder.name)
    try:
        fresh.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
