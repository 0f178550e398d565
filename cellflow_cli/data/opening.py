"""Opening AnnData files; one clear error for each that is missing, damaged or not AnnData."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from anndata.io import read_elem

from cellflow_cli.errors import DataError, listed, nearest
from cellflow_cli.files import address_of

_ZARR_MARKS = (".zgroup", "zarr.json", ".zmetadata")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The h5py or zarr group of an AnnData file, open for reading.

    Raises:
        DataError: If the file is missing, truncated, not HDF5 or zarr, or holds no AnnData; also if
            reading inside the block fails because the file is damaged.
    """
    check_exists(path)
    handle = _open_zarr(path) if path.is_dir() else _open_h5ad(path)
    try:
        _check_anndata(handle, path)
        yield handle
    except (OSError, KeyError, RuntimeError) as error:
        raise DataError(
            f"Expected a whole AnnData file, found one that cannot be read ({_first_line(error)}). "
            f"File `{path}`. Copy or write it again."
        ) from error
    finally:
        if isinstance(handle, h5py.File):
            handle.close()


def checked_paths(paths: Sequence[Path | str]) -> list[Path]:
    """The paths, as long as there is one, none is given twice, and all are local.

    Raises:
        DataError: Otherwise.
    """
    if addresses := [address for path in paths if (address := address_of(path))]:
        raise DataError(
            f"Expected a local path, found the address `{addresses[0]}`. Download it first, or mount it as a "
            "folder."
        )
    checked = [Path(path) for path in paths]
    if not checked:
        raise DataError("Expected at least one file, found none. Name an `.h5ad` file or a `.zarr` folder.")
    resolved = [path.resolve() for path in checked]
    if repeated := sorted({str(path) for path in checked if resolved.count(path.resolve()) > 1}):
        raise DataError(f"Expected each file once, found {listed(repeated)} more than once. Name it once.")
    return checked


def check_exists(path: Path) -> None:
    """Refuse a path that does not exist, naming the AnnData files beside it.

    Raises:
        DataError: If it does not exist.
    """
    if path.exists():
        return
    folder = path.parent
    if not folder.is_dir():
        raise DataError(f"Expected a file `{path}`, found no folder `{folder}`. Check the path.")
    known = sorted(p.name for p in folder.iterdir() if p.suffix in {".h5ad", ".zarr"})
    hint = nearest(path.name, known)
    found = f"the AnnData files {listed(known)}" if known else "no AnnData file"
    raise DataError(f"Expected a file `{path}`, found {found} in `{folder}`.{hint} Check the path.")


def _open_h5ad(path: Path) -> h5py.File:
    try:
        is_hdf5 = h5py.is_hdf5(path)
        return h5py.File(path, "r")
    except OSError as error:
        if path.stat().st_size == 0:
            found = "an empty file"
        elif is_hdf5 or "truncated" in str(error):
            found = f"a file that is truncated or damaged ({_first_line(error)})"
        else:
            found = "a file that is not HDF5"
        raise DataError(
            f"Expected an `.h5ad` file, found {found}. File `{path}`. Copy or write it again."
        ) from error


def _open_zarr(path: Path) -> Any:
    if not any((path / mark).is_file() for mark in _ZARR_MARKS):
        inside = sorted(p.name for p in path.iterdir() if p.suffix in {".h5ad", ".zarr"})
        hint = f" It holds {listed(inside)}." if inside else ""
        raise DataError(
            "Expected an `.h5ad` file or a `.zarr` folder, found a folder that is no zarr store: "
            f"`{path}`.{hint} Name the file itself."
        )
    import zarr

    try:
        return zarr.open_group(str(path), mode="r")
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"Expected a whole zarr store, found one that cannot be opened ({_first_line(error)}). "
            f"Folder `{path}`. Copy or write it again."
        ) from error


def _check_anndata(group: Any, path: Path) -> None:
    if absent := [name for name in ("obs", "var") if name not in group]:
        raise DataError(
            f"Expected an AnnData file with `obs` and `var`, found no {listed(absent)} among "
            f"{listed(sorted(group)) or 'nothing'}. File `{path}`. Save it with `adata.write_h5ad(...)`."
        )
    if "encoding-type" not in group["obs"].attrs:
        raise DataError(
            f"Expected a file of anndata 0.7 or newer, found an older layout of `obs`. File `{path}`. "
            "Save it again: `anndata.read_h5ad(old).write_h5ad(new)`."
        )


def load(element: Any) -> Any:
    """Read an element of an open file into memory.

    Raises:
        OSError: For anything that anndata stumbles over, since damaged data can raise any exception;
            `opened` turns it into an error that names the file.
    """
    try:
        return read_elem(element)
    except Exception as error:
        raise OSError(_first_line(error)) from error


def frame(group: Any, name: str, path: Path) -> pd.DataFrame:
    """Obs or var of an open file, its index as text; `attrs["files"]` remembers the file for messages.

    Raises:
        DataError: If obs has no row.
    """
    table = load(group[name])
    table.index = pd.Index([str(value) for value in table.index], dtype=object)
    table.attrs["files"] = [path.name]
    if (table.index == "").any():
        raise OSError(f"the names of {name} are incomplete")
    if name == "obs" and len(table) == 0:
        raise DataError(
            f"Expected cells, found none (0 rows of obs). File `{path}`. Choose a file with cells."
        )
    return table


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].strip("'\"") or type(error).__name__
