"""A cells-by-features matrix in blocks of rows, its values checked on the way."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from cellflow_cli.data.expression import Evidence, evidence
from cellflow_cli.data.normal_form import normal_form
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError

ROWS_PER_BLOCK = 2048
_LARGEST = 1e15  # beyond it, squares of distances are no longer finite in float32


class Block(NamedTuple):
    """Some rows of a matrix, with the requested columns, in their order.

    Attributes:
        rows: Positions in the matrix, shape [r].
        values: Dense or CSR, shape [r, columns]; never a view that writing could reach.
    """

    rows: np.ndarray
    values: Any


class Tally(NamedTuple):
    """Counts and range of the values of a matrix.

    Attributes:
        n_nonfinite: Values that are NaN, infinite or too large for float32.
        first: (row, column) of the first of them, or None.
        n_fraction: Finite values that are no whole number.
        lowest, highest: Over the finite values, zero included.
        n_beyond: Of `n_nonfinite`, the finite ones that float32 cannot hold.
    """

    n_nonfinite: int = 0
    first: tuple[int, int] | None = None
    n_fraction: int = 0
    lowest: float = 0.0
    highest: float = 0.0
    n_beyond: int = 0

    def plus(self, other: "Tally") -> "Tally":
        """The tally of both parts, this one first."""
        return Tally(
            self.n_nonfinite + other.n_nonfinite,
            self.first or other.first,
            self.n_fraction + other.n_fraction,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.n_beyond + other.n_beyond,
        )

    @property
    def fault(self) -> str:
        """What the values counted in `n_nonfinite` are."""
        return "NaN, infinite or beyond 1e15" if self.n_beyond else "NaN or infinite"


def is_sparse(matrix: Any) -> bool:
    """True for scipy's sparse matrices and arrays."""
    return bool(sp.issparse(matrix))


def blocks(matrix: Any, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> Iterator[Block]:
    """Row blocks of a dense or sparse matrix; only they are ever copied.

    Args:
        matrix: Dense, CSR or CSC, shape [n, g]; a sparse one is brought to normal form once.
        rows: Positions of rows, default all.
        columns: Positions of columns in the order wanted, default all as they stand.

    Raises:
        DataError: If it is no matrix of numbers, or a sparse one contradicts itself.
    """
    matrix = normal_form(matrix, "the matrix", "")
    matrix = matrix if is_sparse(matrix) else np.asarray(matrix)
    chosen = np.arange(matrix.shape[0]) if rows is None else np.asarray(rows)
    for start in range(0, len(chosen), ROWS_PER_BLOCK):
        part = chosen[start : start + ROWS_PER_BLOCK]
        values = matrix[part]
        yield Block(part, values if columns is None else values[:, columns])


def tally(block: Block) -> Tally:
    """Count what is in one block; zeros of a sparse block are never expanded."""
    data = np.asarray(block.values.data if is_sparse(block.values) else block.values)
    finite = _is_finite(data)
    bad = int(data.size - finite.sum())
    known = data if bad == 0 else data[finite]
    if known.size == 0:
        known = np.zeros(1)
    fractions = 0 if known.dtype.kind in "biu" else int((known != np.floor(known)).sum())
    first = _first_bad(block, finite) if bad else None
    beyond = int(np.isfinite(data).sum() - finite.sum()) if bad else 0
    return Tally(bad, first, fractions, min(0.0, float(known.min())), float(known.max()), beyond)


def _is_finite(data: np.ndarray) -> np.ndarray:
    """True where a value stays finite in float32, in which cells are trained."""
    if data.dtype.kind != "f":
        return np.ones(data.shape, dtype=bool)
    return np.abs(data) <= _LARGEST


def checked_blocks(
    parts: Iterator[Block],
    cells: Any,
    names: Any,
    place: str,
    *,
    fault: Callable[[Tally, Evidence], Finding | None] | None = None,
) -> Iterator[Block]:
    """Pass blocks on as long as their values are finite and what `expression` says.

    Args:
        parts: Blocks of a matrix.
        cells: Names of all its rows.
        names: Names of the columns of the blocks.
        place: Where the matrix is, for the message.
        fault: Called as `fault(tally, evidence)`, what is wrong with the kind of values, if anything is.

    Raises:
        DataError: At the first block with a wrong value; the count is that of all blocks left.
    """
    for block in parts:
        total = tally(block)
        if total.n_nonfinite:
            raise _nonfinite(total, parts, cells, names, place)
        if fault and fault(total, Evidence()) and (finding := fault(total, evidence(block.values))):
            raise finding.error()
        yield block


def _nonfinite(total: Tally, rest: Iterator[Block], cells: Any, names: Any, place: str) -> DataError:
    for block in rest:
        total = total.plus(tally(block))
    row, column = total.first or (0, 0)
    return DataError(
        f"Expected finite values, found {total.n_nonfinite} that are {total.fault}, the first in cell "
        f"{cells[row]!r}, feature {names[column]!r}.{place} Remove or impute these cells or features."
    )


def normalised(counts: Any, total: float) -> Any:
    """log1p of the counts of each cell scaled to `total`; cells without counts stay zero.

    Sums of whole numbers in float64 are exact, so the order of the genes cannot matter.
    """
    if not is_sparse(counts):
        dense = np.asarray(counts, dtype=np.float64)
        return np.log1p(dense * _factors(dense, total)[:, None])
    scaled = sp.csr_matrix(counts, dtype=np.float64, copy=True)
    scaled.data = np.log1p(scaled.data * np.repeat(_factors(scaled, total), np.diff(scaled.indptr)))
    return scaled


def _factors(counts: Any, total: float) -> np.ndarray:
    sums = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    return np.divide(total, sums, out=np.zeros_like(sums), where=sums > 0)


def dense(block: Any) -> np.ndarray:
    """A block as a dense float32 array."""
    return np.asarray(block.toarray() if is_sparse(block) else block, dtype=np.float32)


def _first_bad(block: Block, finite: np.ndarray) -> tuple[int, int]:
    at = int(np.flatnonzero(~finite.ravel())[0])
    if is_sparse(block.values):
        row = int(np.searchsorted(block.values.indptr, at, side="right")) - 1
        return int(block.rows[row]), int(block.values.indices[at])
    row, column = divmod(at, block.values.shape[1])
    return int(block.rows[row]), column
