"""Files of a model folder as bytes: which there are, that they are regular, that their checksums agree."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from cellflow_cli.errors import BundleError, listed
from cellflow_cli.files import lost_output, read_regular

MARKER = "config.json"
"""The file by which a model folder is known."""
SUMS = "SHA256SUMS"
FILES = (
    SUMS,
    MARKER,
    "features.json",
    "history.jsonl",
    "run.json",
    "summaries.json",
    "summaries.safetensors",
    "weights.safetensors",
)
"""All that a model folder holds; one with anything else in it is never replaced."""
_MAX_BYTES = {".json": 2**28, ".jsonl": 2**28, ".safetensors": 2**33, "": 2**16}
"""Largest file that is read, by its suffix."""


def checksums(contents: Mapping[str, bytes]) -> bytes:
    """Text of `SHA256SUMS` for files by name; `sha256sum -c SHA256SUMS` reads it too."""
    lines = [f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents)]
    return "".join(lines).encode()


def damaged(path: Path, expected: str, found: object) -> BundleError:
    """That a file is not `expected`, and what was found instead."""
    return BundleError(
        f"Expected {expected} `{path}`, found: {str(found).rstrip('.')}. Copy the whole model folder again."
    )


def check_listing(folder: Path) -> None:
    """Whether it is a model folder at all.

    Raises:
        BundleError: If it is unreadable or has no configuration.
    """
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise damaged(folder, "a readable folder", error.strerror or error) from error
    if MARKER not in names:
        raise BundleError(
            f"Expected a model folder with `{MARKER}`, found none in `{folder}`."
            f"{lost_output(folder) or ' Make one with `cellflow train`, or copy the whole folder again.'}"
        )


def check_foreign(folder: Path) -> None:
    """Refuse further files; hidden ones, which systems leave behind, do not count.

    Raises:
        BundleError: Naming them.
    """
    names = {entry.name for entry in os.scandir(folder)} - {*FILES, "Thumbs.db", "desktop.ini"}
    if foreign := sorted(name for name in names if not name.startswith(".")):
        raise BundleError(
            f"Expected nothing but a model in `{folder}`, found {listed(foreign)} too. Move it out of the "
            "folder."
        )


def check_sums(contents: Mapping[str, bytes], folder: Path) -> None:
    """Whether every file is the one that was written.

    Raises:
        BundleError: Naming those that are not.
    """
    found = checksums({name: content for name, content in contents.items() if name != SUMS})
    if found == contents[SUMS]:
        return
    changed = sorted(set(found.splitlines()) - set(contents[SUMS].splitlines()))
    names = [line.split()[-1].decode() for line in changed]
    what = f"other content of {listed(names, 8)}" if names else f"a `{SUMS}` that names other files"
    raise BundleError(
        f"Expected the files of `{folder}` as they were written (`{SUMS}`), found {what}. A copy was cut "
        "short, or somebody edited them. Copy the whole model folder again."
    )


def content_of(folder: Path, name: str) -> bytes:
    """All bytes of one file.

    Raises:
        BundleError: If it is missing, no regular file, too large, or unreadable.
    """
    try:
        return read_regular(folder / name, _MAX_BYTES[Path(name).suffix])
    except FileNotFoundError as error:
        raise BundleError(
            f"Expected a model folder with `{name}`, found none in `{folder}`. Copy the whole folder again."
        ) from error
    except (OSError, MemoryError) as error:
        raise damaged(folder / name, "a readable", getattr(error, "strerror", None) or error) from error
