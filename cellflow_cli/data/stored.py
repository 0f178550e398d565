"""What the storage of an array says of it: its file, and chunks that were never written or are lost."""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cellflow_cli.data.validation.finding import Finding


def place_of(element: Any) -> str:
    """The file of an element, as " File `plate3.h5ad`."; empty where it has none."""
    if isinstance(element, h5py.Group | h5py.Dataset):
        return f" File `{Path(str(element.file.filename)).name}`."
    root = _root(element)
    return f" File `{root.name}`." if root else ""


def unwritten(array: Any) -> list[tuple[int, int]]:
    """Rows (first, last + 1) of the chunks that are not in the file and would be read as zeros.

    In HDF5 they were never written. In zarr they are lost, or hold zeros throughout.
    """
    if not array.shape or math.prod(array.shape) == 0:
        return []
    if isinstance(array, h5py.Dataset):
        return _of_hdf5(array)
    return [] if array.nchunks_initialized >= array.nchunks else _of_zarr(array)


def unwritten_finding(array: Any, name: str, place: str) -> Finding | None:
    """The warning that chunks of a dense matrix are not there."""
    if not hasattr(array, "dtype") or not (rows := unwritten(array)):
        return None
    first, last = rows[0][0], max(stop for _, stop in rows) - 1
    what = (
        f"Expected all chunks of `{name}`, found {len(rows)} not in the file, which are read as zeros, "
        f"between the cells at positions {first:,} and {last:,}.{place}"
    )
    return Finding("warning", what, "Unless these values are zero, copy the file again.")


def _of_hdf5(array: h5py.Dataset) -> list[tuple[int, int]]:
    n_rows = array.shape[0]
    if array.chunks is None:
        return [(0, n_rows)] if array.id.get_storage_size() == 0 and not array.external else []
    sizes = zip(array.shape, array.chunks, strict=True)
    n_there = array.id.get_num_chunks()
    if n_there >= math.prod(math.ceil(size / chunk) for size, chunk in sizes):
        return []
    step = array.chunks[0]
    there = {array.id.get_chunk_info(i).chunk_offset[0] for i in range(n_there)}
    lost = [start for start in range(0, n_rows, step) if start not in there] if there else []
    return [(start, min(start + step, n_rows)) for start in lost] or [(0, n_rows)]


def _of_zarr(array: Any) -> list[tuple[int, int]]:
    size = getattr(array, "shards", None) or array.chunks
    encode = getattr(getattr(array, "metadata", None), "encode_chunk_key", None)
    root = _root(array)
    if root is None or encode is None:
        return [(0, array.shape[0])]
    folder = root / str(array.path)
    grid = tuple(math.ceil(length / step) for length, step in zip(array.shape, size, strict=True))
    lost = [at for at in np.ndindex(grid) if not (folder / encode(at)).exists()]
    return [(at[0] * size[0], min((at[0] + 1) * size[0], array.shape[0])) for at in lost]


def _root(element: Any) -> Path | None:
    """The folder of a zarr store."""
    store = getattr(element, "store", None)
    root = getattr(store, "root", None) or getattr(store, "path", None)
    return Path(str(root)) if root else None
