"""Opening AnnData files; one clear error for each that is missing, damaged or not AnnData."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from anndata.io import read_elem

from cellflow_cli.data.causes import first_line, unreadable
from cellflow_cli.data.file_kinds import (
    check_members,
    check_regular,
    no_permission,
    what_folder,
    what_it_is,
    what_layout,
)
from cellflow_cli.data.stored import unwritten
from cellflow_cli.data.validation.finding import Finding
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
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, MemoryError) as error:
        raise unreadable(error, handle, path) from error
    except (ValueError, TypeError, AttributeError) as error:  # of zarr, for metadata that make no sense
        if isinstance(handle, h5py.File):
            raise
        raise unreadable(error, handle, path) from error
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
    resolved = [_resolved(path) for path in checked]
    if repeated := sorted({str(path) for path in checked if resolved.count(_resolved(path)) > 1}):
        raise DataError(f"Expected each file once, found {listed(repeated)} more than once. Name it once.")
    return checked


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself; it is refused where it is opened
        return path.absolute()


def check_exists(path: Path) -> None:
    """Refuse a path that does not exist, naming the AnnData files beside it.

    Raises:
        DataError: If it does not exist.
    """
    try:
        check_regular(path)
        there = path.exists()
    except OSError as error:
        raise DataError(
            f"Expected a file, found a name that the system refuses ({error.strerror}): `{str(path)[:60]}`. "
            "Check the path."
        ) from error
    if there:
        return
    if path.is_symlink():
        raise DataError(
            f"Expected a file `{path}`, found a link to `{path.readlink()}`, which is not there. "
            "Correct the link, or name the file itself."
        )
    folder = path.parent
    if not folder.is_dir():
        raise DataError(f"Expected a file `{path}`, found no folder `{folder}`. Check the path.")
    known = sorted(p.name for p in folder.iterdir() if p.suffix in {".h5ad", ".zarr"})
    hint = nearest(path.name, known)
    found = f"the AnnData files {listed(known)}" if known else "no AnnData file"
    raise DataError(f"Expected a file `{path}`, found {found} in `{folder}`.{hint} Check the path.")


def _open_h5ad(path: Path) -> h5py.File:
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  # registers the compression filters that it brings
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "unable to lock" in str(error):
            raise _locked(path) from error
        if not h5py.is_hdf5(path) and (kind := what_it_is(path)):
            found, fix = kind
            raise DataError(
                f"Expected an `.h5ad` file or a `.zarr` folder, found {found}. File `{path}`. {fix}"
            ) from error
        if h5py.is_hdf5(path) or "truncated" in str(error):
            found = f"a file that is truncated or damaged ({first_line(error)})"
        else:
            found = "a file that is not HDF5"
        raise DataError(
            f"Expected an `.h5ad` file, found {found}. File `{path}`. Copy or write it again."
        ) from error


def _locked(path: Path) -> DataError:
    return DataError(
        f"Expected to read `{path}`, found it locked: another program, such as a notebook, has it open for "
        "writing. Close it there (`adata.file.close()`, or end the program). On a network disk that cannot "
        "lock, set the environment variable HDF5_USE_FILE_LOCKING=FALSE."
    )


def _open_zarr(path: Path) -> Any:
    if not any((path / mark).is_file() for mark in _ZARR_MARKS):
        if kind := what_folder(path):
            raise DataError(
                f"Expected an `.h5ad` file or a `.zarr` folder, found {kind[0]}: `{path}`. {kind[1]}"
            )
        inside = sorted(p.name for p in path.iterdir() if p.suffix in {".h5ad", ".zarr"})
        hint = f" It holds {listed(inside)}." if inside else ""
        raise DataError(
            "Expected an `.h5ad` file or a `.zarr` folder, found a folder that is no zarr store: "
            f"`{path}`.{hint} Name the file itself."
        )
    import zarr

    check_members(path)
    try:
        if hasattr(zarr, "AsyncGroup"):  # zarr 3
            # what lies there, not what a list of it says: the list may be older
            return zarr.open_group(str(path), mode="r", use_consolidated=False)
        return zarr.open_group(str(path), mode="r")
    except PermissionError as error:
        raise no_permission(Path(error.filename or path)) from error
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"Expected a whole zarr store, found one that cannot be opened ({first_line(error)}). "
            f"Folder `{path}`. Copy or write it again."
        ) from error


def _check_anndata(group: Any, path: Path) -> None:
    if absent := [name for name in ("obs", "var") if name not in group]:
        if kind := what_layout(group, path):
            raise DataError(f"Expected an AnnData file, found {kind[0]}. File `{path}`. {kind[1]}")
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
        MemoryError: If it does not fit.
    """
    try:
        return read_elem(element)
    except MemoryError:
        raise
    except Exception as error:
        raise OSError(first_line(error)) from error


def frame(group: Any, name: str, path: Path) -> pd.DataFrame:
    """Obs or var of an open file, its index as text, without the columns that cannot be read.

    `attrs` remembers what messages need: `"files"`, names of the files; `"unread"`, column -> why; and
    `"reading"`, findings about the reading.

    Raises:
        DataError: If obs has no row.
    """
    table, unread = _columns(group[name])
    table.index = pd.Index([_text(value) for value in table.index], dtype=object)
    table.attrs["files"] = [path.name]
    table.attrs["unread"] = unread
    table.attrs["reading"] = [_unread_note(name, column, why, path) for column, why in unread.items()]
    table.attrs["paths"] = [str(path)]
    if (table.index == "").any():
        raise OSError(f"the names of {name} are incomplete")
    if name == "obs" and len(table) == 0:
        raise DataError(
            f"Expected cells, found none (0 rows of obs). File `{path}`. Choose a file with cells."
        )
    return table


def _columns(element: Any) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns that can be read, and why others cannot."""
    if element.attrs.get("encoding-type") != "dataframe" or element.attrs.get("encoding-version") != "0.2.0":
        return load(element), {}
    index = _index(element)
    columns: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for column in [str(name) for name in element.attrs["column-order"]]:
        try:
            columns[column] = _column(element, column, len(index))
        except (OSError, KeyError) as error:
            unread[column] = first_line(error)
    table = pd.DataFrame(columns, index=index)
    if (key := str(element.attrs["_index"])) != "_index":
        table.index.name = key
    return table, unread


def _index(element: Any) -> Any:
    key = element.attrs["_index"]
    if key not in element:
        raise OSError(f"the names of {element.name.strip('/')} are missing: no {key!r}")
    index = load(element[key])
    if getattr(index, "ndim", 1) != 1:
        raise OSError(f"the names of {element.name.strip('/')} are no list")
    return index


def _column(element: Any, name: str, n_rows: int) -> Any:
    """One column.

    Raises:
        OSError, KeyError: If it is missing, damaged, of another length, or of a kind that anndata does not
            know.
    """
    stored = element[name]
    if isinstance(stored, h5py.Dataset) and unwritten(stored):
        raise OSError("parts of it were never written")
    column = load(stored)
    if getattr(column, "ndim", 1) != 1 or len(column) != n_rows:
        raise OSError(f"it has shape {getattr(column, 'shape', (len(column),))} for {n_rows:,} rows")
    return column


def _unread_note(name: str, column: str, why: str, path: Path) -> Finding:
    return Finding("note", f"`{name}[{column!r}]` cannot be read ({why}). File `{path.name}`.", "")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
