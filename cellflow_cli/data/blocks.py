"""A cells-by-features matrix in blocks of rows, its values checked on the way."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError

ROWS_PER_BLOCK = 2048
_LARGEST_LOG1P = 30.0  # expm1 of it is 1e13: no cell holds that many molecules


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
        n_nonfinite: Values that are NaN or infinite.
        first: (row, column) of the first of them, or None.
        n_fraction: Finite values that are no whole number.
        lowest, highest: Over the finite values, zero included.
    """

    n_nonfinite: int = 0
    first: tuple[int, int] | None = None
    n_fraction: int = 0
    lowest: float = 0.0
    highest: float = 0.0

    def plus(self, other: "Tally") -> "Tally":
        """The tally of both parts, this one first."""
        return Tally(
            self.n_nonfinite + other.n_nonfinite,
            self.first or other.first,
            self.n_fraction + other.n_fraction,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    @property
    def looks_like(self) -> str:
        """`"counts"`, `"log1p"` or `"as-is"`, as far as values tell: whole and not negative, small, other."""
        if self.lowest < 0 or self.n_nonfinite:
            return "as-is"
        if self.n_fraction == 0 and self.highest > 1:
            return "counts"
        return "log1p" if self.highest <= _LARGEST_LOG1P else "as-is"


def is_sparse(matrix: Any) -> bool:
    """True for scipy's sparse matrices and arrays."""
    return bool(sp.issparse(matrix))


def blocks(matrix: Any, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> Iterator[Block]:
    """Row blocks of a dense or sparse matrix; only they are ever copied.

    Args:
        matrix: Dense, CSR or CSC, shape [n, g]; CSC is turned into CSR once.
        rows: Positions of rows, default all.
        columns: Positions of columns in the order wanted, default all as they stand.
    """
    matrix = matrix.tocsr() if is_sparse(matrix) else np.asarray(matrix)
    chosen = np.arange(matrix.shape[0]) if rows is None else np.asarray(rows)
    for start in range(0, len(chosen), ROWS_PER_BLOCK):
        part = chosen[start : start + ROWS_PER_BLOCK]
        values = matrix[part]
        yield Block(part, values if columns is None else values[:, columns])


def tally(block: Block) -> Tally:
    """Count what is in one block; zeros of a sparse block are never expanded."""
    data = np.asarray(block.values.data if is_sparse(block.values) else block.values)
    finite = np.isfinite(data)
    bad = int(data.size - finite.sum())
    known = data if bad == 0 else data[finite]
    if known.size == 0:
        known = np.zeros(1)
    fractions = 0 if known.dtype.kind in "biu" else int((known != np.floor(known)).sum())
    first = _first_bad(block, finite) if bad else None
    return Tally(bad, first, fractions, min(0.0, float(known.min())), float(known.max()))


def expression_fault(total: Tally, expression: str, place: str) -> Finding | None:
    """The finding that values are not what `expression` says: counts, log1p or as-is."""
    looks = total.looks_like
    if expression == "counts" and (total.lowest < 0 or total.n_fraction):
        present = f"{total.n_fraction} fractions" if total.n_fraction else "negative values"
        return Finding(
            "error",
            f"Expected counts (whole numbers of at least 0) in `X`, found {present}, lowest "
            f"{total.lowest:g}, highest {total.highest:g}.{place}",
            f"They look like {looks}: choose `--expression {looks}`, or put the counts into X.",
        )
    if expression == "log1p" and looks != "log1p":
        whole = ", all whole numbers" if total.n_fraction == 0 else ""
        return Finding(
            "error",
            f"Expected log1p values in `X` (fractions from 0 to about 10), found values from "
            f"{total.lowest:g} to {total.highest:g}{whole}.{place}",
            f"They look like {looks}: choose `--expression {looks}`.",
        )
    return None


def checked_blocks(
    parts: Iterator[Block], cells: Any, names: Any, expression: str | None, place: str
) -> Iterator[Block]:
    """Pass blocks on as long as their values are finite and what `expression` says.

    Args:
        parts: Blocks of a matrix.
        cells: Names of all its rows.
        names: Names of the columns of the blocks.
        expression: `"counts"`, `"log1p"`, `"as-is"`, or None where nothing was said.
        place: Where the matrix is, for the message.

    Raises:
        DataError: At the first block with a wrong value; the count is that of all blocks left.
    """
    for block in parts:
        total = tally(block)
        if total.n_nonfinite:
            raise _nonfinite(total, parts, cells, names, place)
        if expression and (fault := expression_fault(total, expression, place)):
            raise fault.error()
        yield block


def _nonfinite(total: Tally, rest: Iterator[Block], cells: Any, names: Any, place: str) -> DataError:
    for block in rest:
        total = total.plus(tally(block))
    row, column = total.first or (0, 0)
    return DataError(
        f"Expected finite values, found {total.n_nonfinite} that are NaN or infinite, the first in cell "
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
