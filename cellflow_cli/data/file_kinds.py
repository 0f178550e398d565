"""What a file is that is no AnnData file, and what to do with it: by its first bytes, then by its name."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

from cellflow_cli.errors import DataError

_WRITE = "make an AnnData object of it in Python and save it with `adata.write_h5ad(...)`"
_UNPACK = "Unpack it first{how}, then name the `.h5ad` file or `.zarr` folder inside."
_MAGIC = (  # first bytes, what it is, what to do
    (b"\x1f\x8b", "a gzip archive", _UNPACK.format(how=" (`gunzip FILE`, for .tar.gz `tar -xf FILE`)")),
    (b"PK\x03\x04", "a zip archive", _UNPACK.format(how=" (`unzip FILE`)")),
    (b"BZh", "a bzip2 archive", _UNPACK.format(how=" (`bunzip2 FILE`)")),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK.format(how=" (`unzstd FILE`)")),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK.format(how=" (`unxz FILE`)")),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK.format(how="")),
    (b"Rar!", "a rar archive", _UNPACK.format(how="")),
    (b"\x04\x22\x4d\x18", "an lz4 archive", _UNPACK.format(how=" (`unlz4 FILE`)")),
    (
        b"version https://git-lfs",
        "a git-lfs pointer, not the file itself",
        "Fetch the file with `git lfs pull`.",
    ),
    (b"FCS", "an FCS file of a cytometer", f"Read it with a package such as pytometry, {_WRITE}."),
    (b"PAR1", "a Parquet table", f"Read it with `pandas.read_parquet`, {_WRITE}."),
    (b"ARROW1", "an Arrow table", f"Read it with `pandas.read_feather`, {_WRITE}."),
    (b"%%MatrixMarket", "a Matrix Market file", f"Read it with `scanpy.read_mtx(FILE).T`, {_WRITE}."),
    (b"RDX", "an R file", "Save it from R as an `.h5ad` file, for example with anndataR or sceasy."),
    (b"X\n", "an R file", "Save it from R as an `.h5ad` file, for example with anndataR or sceasy."),
    (b"\x80\x04", "a Python pickle", f"Open it where you trust it, {_WRITE}."),
    (b"\x80\x05", "a Python pickle", f"Open it where you trust it, {_WRITE}."),
)
_SUFFIX = {
    ".csv": ("a text table", f"Read it with `pandas.read_csv`, {_WRITE}."),
    ".tsv": ("a text table", f"Read it with `pandas.read_csv(FILE, sep='\\t')`, {_WRITE}."),
    ".txt": ("a text file", f"If it is a table, read it with pandas, {_WRITE}."),
    ".mtx": ("a Matrix Market file", f"Read it with `scanpy.read_mtx(FILE).T`, {_WRITE}."),
    ".rds": ("an R file", "Save it from R as an `.h5ad` file, for example with anndataR or sceasy."),
    ".xlsx": ("a spreadsheet", f"Read it with `pandas.read_excel`, {_WRITE}."),
}
_TEN_X = {"matrix.mtx", "matrix.mtx.gz"}


def check_regular(path: Path) -> None:
    """Refuse what may not be read, and pipes, sockets and devices, without opening them.

    Raises:
        DataError: Naming which; a path that does not exist is none of these.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb"):
                return
        if stat.S_ISDIR(mode):
            with os.scandir(path):
                return
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError as error:
        raise no_permission(path) from error
    except (OSError, ValueError) as error:
        loops = getattr(error, "errno", None) == errno.ELOOP
        found = "a link that leads to itself" if loops else getattr(error, "strerror", None) or str(error)
        raise DataError(f"Expected a file `{path}`, found {found}. Name the file itself.") from error
    raise DataError(
        f"Expected a file, found {_special(mode)}: `{path}`. Save the data in an `.h5ad` file and name that."
    )


def no_permission(path: Path) -> DataError:
    """The error that the user may not read something."""
    return DataError(
        f"Expected to be allowed to read `{path}`, found no permission. Ask its owner for it, or for the "
        f"folders above it (`chmod +r`; folders need `+rx`)."
    )


def check_members(folder: Path) -> None:
    """Refuse a folder that holds pipes, sockets or devices, on which reading would wait for ever.

    Raises:
        DataError: Naming the first.
    """
    for parent, _, _ in os.walk(folder):
        with os.scandir(parent) as entries:
            plain = (os.DirEntry.is_file, os.DirEntry.is_dir)
            odd = [e.name for e in entries if not any(test(e, follow_symlinks=False) for test in plain)]
        for name in odd:
            check_regular(Path(parent) / name)


def what_it_is(path: Path) -> tuple[str, str] | None:
    """What a file is that is no HDF5 file, and what to do; None where it is not known."""
    with path.open("rb") as handle:
        head = handle.read(512)
    if not head:
        return "an empty file", "Copy or write it again."
    for magic, found, fix in _MAGIC:
        if head.startswith(magic):
            return found, fix
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK.format(how=" (`tar -xf FILE`)")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, as a failed download leaves", "Download the file itself again."
    if kind := _SUFFIX.get(path.suffix.lower()):
        return kind
    if text and not any(byte < 9 or 13 < byte < 32 for byte in head):  # no control characters
        return "text, a file that is not HDF5", f"If it is a table, read it with pandas, {_WRITE}."
    return None


def what_folder(path: Path) -> tuple[str, str] | None:
    """What a folder is that is no zarr store, and what to do; None where it is not known."""
    names = {entry.name for entry in path.iterdir()}
    if names & _TEN_X:
        return "a folder of 10x matrices", f"Read it with `scanpy.read_10x_mtx(FOLDER)`, {_WRITE}."
    if "weights.safetensors" in names:
        return "a model folder", "The data come after the model: name an `.h5ad` file or a `.zarr` folder."
    if not names:
        return "an empty folder", "Name an `.h5ad` file or a `.zarr` folder."
    return None


def what_layout(group: Any, path: Path) -> tuple[str, str] | None:
    """What an HDF5 file or zarr store is that is no AnnData, by the names at its top."""
    names = set(group)
    if "mod" in names:
        fix = 'Save one modality: `mudata.read(FILE)["rna"].write_h5ad(...)`, by the name of yours.'
        return "several modalities (MuData)", fix
    if {"matrix", "row_attrs", "col_attrs"} <= names:
        return "a Loom file", "Convert it: `anndata.io.read_loom(FILE).write_h5ad(...)`."
    if "matrix" in names and "barcodes" in getattr(group["matrix"], "keys", list)():
        fix = "Convert it: `scanpy.read_10x_h5(FILE).write_h5ad(...)`, and add the columns of obs."
        return "a matrix of 10x Cell Ranger", fix
    if {"assays", "meta.data"} & names or path.suffix.lower() == ".h5seurat":
        return "a Seurat object", "Convert it in R: `SeuratDisk::Convert(FILE, dest = 'h5ad')`."
    return None


def _special(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in kinds if test(mode)), "a device")
