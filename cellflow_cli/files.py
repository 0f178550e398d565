"""Outputs appear whole or not at all: written to a sibling, synced, then renamed into place.

What is there already is exchanged in one step where the system can (see `leftovers.py`).
"""

import contextlib
import errno
import os
import re
import shlex
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from cellflow_cli.errors import HDF5_DISK, OutputError, listed
from cellflow_cli.leftovers import absolute, aside, exchange, remove, rename_new, sibling, sweep

CLOSED = ("SHA256SUMS", ".zgroup", ".zattrs", "zarr.json")
"""Files by which a folder is known that nothing else is written into: a model, a zarr store."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.+)")  # two letters or more: C:/ is a drive


def address_of(path: Path | str) -> str | None:
    """The address, such as `s3://bucket/cells.h5ad`, that a path was given as; None if it is local.

    A `Path` has lost one of the two slashes.
    """
    match = _ADDRESS.fullmatch(str(path))
    if not match:
        return None
    return None if os.path.lexists(path) else f"{match[1]}://{match[2]}"


def printable(text: str) -> str:
    """Text that can be written as UTF-8: bytes of file names that are none are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_regular(path: Path, max_bytes: int, *, follow: bool = False) -> bytes:
    """All bytes of a regular file; pipes, devices and links are refused, not waited for.

    Args:
        path: The file.
        max_bytes: Larger files are refused before they are read.
        follow: Whether a link to a regular file is one.

    Raises:
        OSError: If it is no regular file, too large, or unreadable; `strerror` says which.
    """
    facts = path.stat() if follow else path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        what = "a link, which may lead anywhere; copy the folder with `cp -rL`"
        raise OSError(errno.ELOOP, what, str(path))
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", *(() if follow else ("O_NOFOLLOW",))):
        flags |= getattr(os, name, 0)
    if stat.S_ISREG(facts.st_mode):
        with os.fdopen(os.open(path, flags), "rb") as handle:
            facts = os.fstat(handle.fileno())
            if stat.S_ISREG(facts.st_mode) and facts.st_size <= max_bytes:
                return handle.read(facts.st_size)
    if stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EFBIG, f"{facts.st_size:,} bytes, above the limit of {max_bytes:,}", str(path))
    what = f"{_KINDS.get(stat.S_IFMT(facts.st_mode), 'something else')}, no regular file"
    raise OSError(errno.EINVAL, what, str(path))


def lost_output(path: Path) -> str:
    """How to put back an output that a killed run left aside, as a sentence; empty if there is none."""
    left = aside(absolute(path))
    if left is None:
        return ""
    command = f"mv {shlex.quote(str(left))} {shlex.quote(str(path))}"
    return f" A run that was killed while it replaced it has left it aside: put it back with `{command}`."


def check_writable(path: Path, *, force: bool, holds: Collection[str] | None = None) -> None:
    """Refuse an output that exists or whose folder cannot be written, before any work is done.

    Args:
        path: File or folder to be written.
        force: Whether an existing one may be replaced.
        holds: Names of all files that a folder of this kind may hold; a folder with anything else in
            it is never replaced, nor is a file by a folder, so that `--force` with a slip in the path
            costs nobody their data.

    Raises:
        OutputError: If it exists and may not be replaced, its parent is missing or read-only, it lies within
            a model folder or a zarr store, or it is an address, a device, or a folder in use.
    """
    path = Path(path)
    if address := address_of(path):
        raise OutputError(
            f"Expected a local path for the output, found the address `{address}`. Write to a local folder "
            "and upload the result, or mount it."
        )
    try:
        _check_place(path)
        target = _resolved(path)
        if (left := aside(target)) is not None:
            left.rename(target)  # a run that was killed between two renames
            if not force:
                raise _exists(path, f" A run that was killed had left it as `{left.name}`; it is back.")
        if target.exists():
            _check_replaceable(path, force, holds)
        if file := next((above for above in target.parents if above.is_file()), None):
            raise OSError(errno.ENOTDIR, f"`{file}` above it is a file, no folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
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
    target = _resolved(path)
    sweep(target)
    temporary = sibling(target)
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        if force:
            temporary.replace(target)
        else:
            rename_new(temporary, target)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        remove(temporary)


@contextlib.contextmanager
def replaced_folder(path: Path, *, force: bool, holds: Collection[str] | None = None) -> Iterator[Path]:
    """A temporary sibling folder to fill; it takes the place of `path` if the block ends well.

    A folder that exists is exchanged with it. Where the system cannot, it is moved aside first and removed
    last; what a kill between the two renames leaves is found by the next run.

    Args:
        path: The folder.
        force: Whether an existing one may be replaced.
        holds: Names of the files that an existing folder may hold (see `check_writable`).

    Raises:
        OutputError: If `path` exists and may not be replaced, or writing fails for reasons of the disk.
    """
    path = Path(path)
    check_writable(path, force=force, holds=holds)
    target = _resolved(path)
    sweep(target)
    temporary, old = sibling(target), sibling(target, "old")
    try:
        temporary.mkdir()
        yield temporary
        _sync(temporary)
        if target.exists():
            _check_replaceable(path, force, holds)  # again: it may be new
            if not exchange(temporary, target):
                target.replace(old)
                temporary.replace(target)
        else:
            rename_new(temporary, target)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if old.exists() and not target.exists():  # stopped between the two renames
            old.replace(target)
        remove(temporary)
        remove(old)


def _sync(folder: Path) -> None:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


def _resolved(path: Path) -> Path:
    """Where an output goes: what a link leads to, else the absolute path."""
    return path.resolve() if path.is_symlink() else absolute(path)


def _check_place(path: Path) -> None:
    """Refuse places that no output may take, whatever `force` says."""
    text = str(path)
    if "\0" in text:
        raise OSError(errno.EINVAL, "a name with the character NUL")
    here, there = Path.cwd(), absolute(path)
    if there == here or there in here.parents:
        what = "the folder you are in" if there == here else "a folder that holds the one you are in"
        raise OutputError(
            f"Expected the path of a new output, found {what}: `{text}`. Nothing was changed. Name it with "
            "`--output`, for example `--output result`."
        )
    if path.is_symlink() and not path.exists():
        raise OutputError(
            f"Expected a path that can be written, found a link to nothing: `{text}` leads to "
            f"`{path.readlink()}`. Nothing was changed. Remove the link, or choose another `--output`."
        )
    if os.path.lexists(path) and not (path.is_file() or path.is_dir()):
        kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode), "something else")
        raise OutputError(
            f"Expected a path for a new file or folder, found {kind}: `{text}`. Nothing was changed. Choose "
            "another with `--output`."
        )
    for folder in _resolved(path).parents:
        if mark := next((name for name in CLOSED if os.path.lexists(folder / name)), None):
            what = "a model folder" if mark == CLOSED[0] else "a zarr store"
            raise OutputError(
                f"Expected an output outside of other outputs, found `{text}` inside {what}, `{folder}`. "
                "Nothing was changed. Choose another with `--output`."
            )


def _exists(path: Path, why: str = "") -> OutputError:
    return OutputError(
        f"Expected a new path for the output, found an existing one: `{path}`.{why} "
        "Nothing was changed. Choose another with `--output`, or replace it with `--force`."
    )


def _check_replaceable(path: Path, force: bool, holds: Collection[str] | None) -> None:
    if not force:
        raise _exists(path)
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


def _unwritable(path: Path, error: OSError) -> OutputError:
    of_hdf5 = HDF5_DISK.search(str(error))
    reason = of_hdf5[2] if of_hdf5 else error.strerror or error
    return OutputError(
        f"Expected to be able to write `{path}`, found: {reason}. "
        "Nothing was left behind. Choose another `--output`, or make room and permissions there."
    )


def check_apart(output: Path, inputs: Iterable[Path | str]) -> None:
    """Refuse an output that lies in an input folder, such as a zarr store, or that an input lies in.

    Raises:
        OutputError: Even with `--force`: data are not to be mixed with what is made of them.
    """
    at = _without_links(Path(output))
    for given in inputs:
        if address_of(given):
            continue
        data = _without_links(Path(given))
        in_store = data in at.parents and any((data / mark).is_file() for mark in (*CLOSED, ".zmetadata"))
        if at == data or in_store or at in data.parents:
            inside = "an input itself" if at == data else "one inside the other"
            raise OutputError(
                f"Expected an output apart from the input `{given}`, found {inside}: `{output}`. Nothing was "
                "changed. Choose another `--output`."
            )


def _without_links(path: Path) -> Path:
    """Without links; as it stands where a link leads to itself."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
