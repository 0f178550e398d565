"""Which files a command was given, by their content, and whether they are still the same."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from cellflow_cli.data.opening import check_exists
from cellflow_cli.errors import DataError, listed
from cellflow_cli.files import printable


def file_hashes(paths: Sequence[Path | str]) -> dict[str, str]:
    """SHA-256 of each file's content, by its name, or by its path where names repeat.

    Of a zarr folder, of the names and contents of its sorted files.
    """
    names = [Path(path).name for path in paths]
    return {
        printable(name if names.count(name) == 1 else str(path)): _sha256(Path(path))
        for name, path in zip(names, paths, strict=True)
    }


def check_unchanged(paths: Sequence[Path | str], hashes: Sequence[str]) -> None:
    """Refuse files that have changed since `file_hashes` read them.

    Args:
        paths: The files.
        hashes: The values of `file_hashes`, in this order.

    Raises:
        DataError: Naming those that changed.
    """
    now = file_hashes(paths)
    changed = [name for (name, found), known in zip(now.items(), hashes, strict=True) if found != known]
    if changed:
        raise DataError(
            f"Expected data that stay as they are while the command runs, found {listed(changed)} changed "
            "since it began. Results of both would stand in one table. Start again with another `--output`."
        )


def _sha256(path: Path) -> str:
    check_exists(path)
    digest = hashlib.sha256()
    files: Iterable[Path] = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
