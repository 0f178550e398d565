"""Every matrix in one normal form as it is read: numbers, cells by features, sparse ones canonical CSR.

Nothing else works on `.data` of a sparse matrix, since an entry may be stored in several parts there, and
sizes that disagree would let compiled code read outside of its arrays.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellflow_cli.data.stored import place_of, unwritten
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError

SPARSE = ("csr_matrix", "csc_matrix")
_PARTS = ("data", "indices", "indptr")
_REAL = "biuf"


class _Parts(NamedTuple):
    """What a sparse matrix is stored as."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


class DiskRows:
    """A CSR matrix on disk of which row blocks are read, each in normal form.

    Args:
        element: Its group in an open file; `layout_finding` has none about it.

    Raises:
        DataError: If the matrix is damaged, here or where the damaged rows are read.
    """

    def __init__(self, element: Any) -> None:
        self.shape: tuple[int, int] = _sparse_shape(element)
        self._element, self._indptr = element, np.asarray(element["indptr"][...])
        self._name, self._place = element.name, place_of(element)
        fault = _pointer_fault(self._indptr, self.shape[0], int(element["data"].shape[0]))
        if fault:
            raise _damaged(fault, self._name, self._place)

    def __getitem__(self, rows: slice) -> sp.csr_matrix:
        first, last, _ = rows.indices(self.shape[0])
        start, stop = int(self._indptr[first]), int(self._indptr[last])
        data, indices = (np.asarray(self._element[part][start:stop]) for part in ("data", "indices"))
        parts = _Parts(data, indices, self._indptr[first : last + 1] - start)
        return _canonical(parts, (last - first, self.shape[1]), "csr", self._name, self._place)


def layout_finding(element: Any, name: str, rows: int, columns: int | None, place: str) -> Finding | None:
    """The finding that a stored matrix is no matrix of numbers of the cells and features of its file.

    Reads no value.

    Args:
        element: Dataset or group of an open file.
        name: What a message calls it.
        rows: Number of cells.
        columns: Number of features, None where any will do.
        place: Where it is, for the message.
    """
    kind = str(element.attrs.get("encoding-type", ""))
    if kind == "dataframe":
        return None
    version = str(element.attrs.get("encoding-version", ""))
    if version.split(".")[0] not in ("", "0", "1"):
        what = f"Expected `{name}` as anndata writes it today, found its encoding {version}.{place}"
        return Finding("error", what, "Update anndata, or save the file again with this version.")
    if kind in SPARSE:
        if fault := _parts_fault(element):
            return _damaged_finding(fault, name, place)
        shape, dtype = _sparse_shape(element), element["data"].dtype
    elif hasattr(element, "dtype") and kind in ("", "array", "string-array", "rec-array"):
        shape, dtype = tuple(element.shape), element.dtype
    else:
        what = f"Expected `{name}` to be a matrix of numbers, found {kind or 'a group'!r}.{place}"
        return Finding("error", what, "Choose another matrix, or update anndata.")
    return array_finding(shape, dtype, name, rows, columns, place)


def array_finding(
    shape: tuple[int, ...], dtype: Any, name: str, rows: int, columns: int | None, place: str
) -> Finding | None:
    """The finding that a shape or type is not that of a matrix of numbers of these cells and features."""
    if len(shape) != 2 or getattr(dtype, "kind", "") not in _REAL:
        what = f"found {len(shape)} dimension(s) of {_type_name(dtype)}"
        return Finding(
            "error",
            f"Expected `{name}` to be a matrix of numbers, cells by features, {what}.{place}",
            "Save it as floats, or choose another.",
        )
    wanted = (rows, shape[1] if columns is None else columns)
    if shape != wanted:
        return Finding(
            "error",
            f"Expected `{name}` to have the {wanted[0]:,} cells of obs and "
            f"{wanted[1]:,} features, found {shape[0]:,} x {shape[1]:,}.{place}",
            "Which row is which cell is not known then: make the file again from its source.",
        )
    return None


def from_disk(element: Any) -> Any:
    """A stored matrix as a whole in normal form: dense, CSR, or a data frame for one of obsm.

    Args:
        element: Dataset or group of an open file, about which `layout_finding` has no finding.

    Raises:
        DataError: If a sparse matrix is damaged.
    """
    if str(element.attrs.get("encoding-type", "")) not in SPARSE:
        return np.asarray(element[...])
    name, place = element.name, place_of(element)
    if fault := _parts_fault(element):
        raise _damaged(fault, name, place)
    parts = _Parts(*(np.asarray(element[part][...]) for part in _PARTS))
    return _canonical(parts, _sparse_shape(element), _format(element), name, place)


def normal_form(matrix: Any, name: str, place: str) -> Any:
    """A matrix in memory in normal form; itself where it is in it already, never modified.

    Args:
        matrix: Dense or sparse, shape [n, g].
        name: What a message calls it.
        place: Where it is, for the message.

    Returns:
        A dense array, or a CSR matrix whose indices are sorted and occur once.

    Raises:
        DataError: If it is not two-dimensional or no numbers, or if a sparse one contradicts itself.
    """
    if isinstance(matrix, pd.DataFrame):
        matrix = matrix.to_numpy()
    if np.ma.isMaskedArray(matrix):  # a masked value is a missing one
        matrix = np.ma.filled(matrix.astype(np.result_type(matrix.dtype, np.float32)), np.nan)
    if fault := array_finding(tuple(matrix.shape), matrix.dtype, name, matrix.shape[0], None, place):
        raise fault.error()
    if not bool(sp.issparse(matrix)):
        return matrix
    if matrix.format not in ("csr", "csc"):
        matrix = matrix.tocsr()
    parts = _Parts(matrix.data, matrix.indices, matrix.indptr)
    normal = _canonical(parts, matrix.shape, matrix.format, name, place)
    is_kept = matrix.format == "csr" and np.may_share_memory(normal.data, matrix.data)
    return matrix if is_kept else normal


def _canonical(parts: _Parts, shape: tuple[int, int], kind: str, name: str, place: str) -> sp.csr_matrix:
    """CSR of checked parts, sorted, each entry once; shares the arrays where nothing has to change."""
    n_major, n_minor = shape if kind == "csr" else shape[::-1]
    fault = _pointer_fault(parts.indptr, n_major, len(parts.data)) or _index_fault(
        parts.indices, len(parts.data), n_minor
    )
    if fault:
        raise _damaged(fault, name, place)
    indices, indptr = (_plain_index(part) for part in (parts.indices, parts.indptr))
    form = sp.csr_matrix if kind == "csr" else sp.csc_matrix
    matrix = form((_plain_data(parts.data), indices, indptr), shape=shape, copy=False)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix.tocsr()


def _pointer_fault(indptr: np.ndarray, n_major: int, n_stored: int) -> str:
    if indptr.ndim != 1 or indptr.dtype.kind not in "iu" or len(indptr) != n_major + 1:
        return f"`indptr` of shape {indptr.shape} and {indptr.dtype} for {n_major:,} rows or columns"
    if indptr[0] != 0 or indptr[-1] != n_stored:
        return f"`indptr` from {indptr[0]} to {indptr[-1]} for {n_stored:,} values"
    if (indptr[1:] < indptr[:-1]).any():
        at = int(np.flatnonzero(indptr[1:] < indptr[:-1])[0])
        return f"`indptr` that falls from {indptr[at]} to {indptr[at + 1]} at {at}"
    return ""


def _index_fault(indices: np.ndarray, n_stored: int, n_minor: int) -> str:
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or len(indices) != n_stored:
        return f"`indices` of shape {indices.shape} and {indices.dtype} for {n_stored:,} values"
    if len(indices) and (indices.min() < 0 or indices.max() >= n_minor):
        return f"`indices` from {indices.min()} to {indices.max()}, where 0 to {n_minor - 1} are possible"
    return ""


def _parts_fault(element: Any) -> str:
    """What is wrong with the parts of a stored sparse matrix, as far as it shows without reading them."""
    if absent := [part for part in _PARTS if part not in element]:
        return f"no {absent[0]!r}"
    if "shape" not in element.attrs or np.shape(element.attrs["shape"]) != (2,):
        return "no `shape` of two numbers"
    sizes = {part: tuple(element[part].shape) for part in _PARTS}
    if sizes["data"] != sizes["indices"] or len(sizes["data"]) != 1:
        return f"`data` of shape {sizes['data']} and `indices` of {sizes['indices']}"
    n_minor = _sparse_shape(element)[1 if _format(element) == "csr" else 0]
    if sizes["data"] == (0,):
        return ""
    for part in _PARTS if n_minor > 1 else ("data", "indptr"):  # those that cannot be zero throughout
        if chunks := unwritten(element[part]):
            return f"{len(chunks)} chunk(s) of {part!r} that are not there"
    return ""


def _sparse_shape(element: Any) -> tuple[int, int]:
    rows, columns = (int(size) for size in element.attrs["shape"])
    return rows, columns


def _format(element: Any) -> str:
    return str(element.attrs["encoding-type"])[:3]


def _plain_index(index: np.ndarray) -> np.ndarray:
    return index if index.dtype in (np.dtype(np.int32), np.dtype(np.int64)) else index.astype(np.int64)


def _plain_data(data: np.ndarray) -> np.ndarray:
    """In a type that compiled code knows: the byte order of the machine, no half precision."""
    if data.dtype == np.float16:
        return data.astype(np.float32)
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


def _type_name(dtype: Any) -> str:
    kinds = {"O": "text or objects", "U": "text", "S": "text", "T": "text", "V": "records", "c": "complex"}
    return kinds.get(getattr(dtype, "kind", ""), str(dtype))


def _damaged_finding(fault: str, name: str, place: str) -> Finding:
    return Finding(
        "error",
        f"Expected `{name.strip('/')}` to be a whole sparse matrix, found {fault}.{place}",
        "It is damaged: copy the file again, or write it again from its source.",
    )


def _damaged(fault: str, name: str, place: str) -> DataError:
    return _damaged_finding(fault, name, place).error()
