"""One pass over the matrix of a file in blocks of rows: what is in it, without loading it whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata.io import sparse_dataset

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, Block, Tally, expression_fault, is_sparse, tally
from cellflow_cli.data.columns import where
from cellflow_cli.data.findings import Finding
from cellflow_cli.data.opening import frame, load, opened
from cellflow_cli.data.read import common_features, missing_matrix
from cellflow_cli.data.schema import MAX_PLAIN_FEATURES, parse_features
from cellflow_cli.errors import listed


@dataclass(frozen=True, eq=False)
class Survey:
    """What a file holds.

    Attributes:
        obs: Its obs.
        var: Its var.
        names: Names of the features that were looked at.
        total: Tally over all their values.
        lowest, highest: Smallest and largest finite value per feature, each shape [d].
        n_blank: Cells whose values are all zero.
        n_bytes: Size of the matrix in memory.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    names: tuple[str, ...] = ()
    total: Tally = Tally()
    lowest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    highest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    n_blank: int = 0
    n_bytes: int = 0


def survey(path: Path, features: str) -> tuple[Survey, list[Finding]]:
    """Look through obs, var and the matrix that `features` names.

    Returns:
        The survey, without the matrix where there is none, and the findings about it.

    Raises:
        DataError: If the file cannot be read or has no cells.
    """
    with opened(path) as group:
        obs, var = frame(group, "obs", path), frame(group, "var", path)
        element, fault = _element(group, features, where(obs))
        if fault:
            return Survey(obs, var), [fault]
        names = _names(element, features, var)
        found = _pass(obs, var, names, _matrix(element))
    return found, _nonfinite(found)


def total_tally(surveys: Sequence[Survey]) -> Tally:
    """The tally over all files."""
    total = Tally()
    for part in surveys:
        total = total.plus(part.total)
    return total


def matrix_findings(surveys: Sequence[Survey], features: str, expression: str | None) -> list[Finding]:
    """Findings about the features of all files together."""
    names = common_features([part.names for part in surveys])
    found = _shared_findings(surveys, names)
    if names:
        found += _kind_findings(surveys, names, features, expression)
        found += _constant_findings(surveys, names)
    return found


def _shared_findings(surveys: Sequence[Survey], names: Sequence[str]) -> list[Finding]:
    counts = {str(part.obs.attrs["files"][0]): len(part.names) for part in surveys}
    if len(surveys) < 2 or max(counts.values()) == len(names):
        return []
    what = f"Expected the same features in all files, found {len(names)} in common, of {counts}."
    if not names:
        return [Finding("error", what, "Use the same feature names in all files.")]
    return [Finding("warning", what, "Only the common ones are used.")]


def _kind_findings(
    surveys: Sequence[Survey], names: Sequence[str], features: str, expression: str | None
) -> list[Finding]:
    source, total = parse_features(features), total_tally(surveys)
    looks, span = total.looks_like, f"values from {total.lowest:g} to {total.highest:g}"
    if source.kind == "pca":
        fault = expression_fault(total, expression or "as-is", "")
        blank = sum(part.n_blank for part in surveys) if expression == "counts" else 0
        what = f"Expected every cell to have counts, found {blank} cells without any."
        blanks = [Finding("warning", what, "Remove empty cells before training.")] if blank else []
        return [fault or Finding("note", f"{features} of X taken as {expression}, {span}.", ""), *blanks]
    if source.kind in ("X", "layers") and len(names) > MAX_PLAIN_FEATURES:
        what = f"Expected at most {MAX_PLAIN_FEATURES} features in {features!r}, found {len(names)} ({span})."
        return [
            Finding(
                "error", what, f"Reduce them: `--features pca:50 --expression {looks}` (looks like {looks})."
            )
        ]
    if looks == "counts":
        what = f"Expected transformed values in {features!r}, found whole numbers only ({span}): raw counts?"
        return [Finding("warning", what, "Transform them first (log1p, arcsinh), or use `--features pca:K`.")]
    likeness = "" if looks == "as-is" else f", which look like {looks},"
    return [Finding("note", f"{features!r} holds {span}{likeness} and is taken as it is.", "")]


def _constant_findings(surveys: Sequence[Survey], names: Sequence[str]) -> list[Finding]:
    if any(len(set(part.names)) < len(part.names) for part in surveys):
        return []
    columns = [pd.Index(part.names).get_indexer(pd.Index(names)) for part in surveys]
    low = np.min([part.lowest[at] for part, at in zip(surveys, columns, strict=True)], axis=0)
    high = np.max([part.highest[at] for part, at in zip(surveys, columns, strict=True)], axis=0)
    constant = [name for name, same in zip(names, low == high, strict=True) if same]
    if not constant:
        return []
    what = f"{len(constant)} of {len(names)} features are constant: {listed(constant)}."
    return [
        Finding("warning", what, "They carry nothing; leave them out of the file if they are not needed.")
    ]


def _element(group: Any, features: str, place: str) -> tuple[Any, Finding | None]:
    source = parse_features(features)
    if source.kind in ("layers", "obsm"):
        known = list(group.get(source.kind, ()))
        if source.name not in known:
            return None, missing_matrix(source.kind, source.name, known, place)
        return group[source.kind][source.name], None
    if "X" not in group or group["X"].attrs.get("encoding-type") == "null":
        return None, Finding(
            "error", f"Expected `X`, found none.{place}", "Choose a layer or obsm entry with `--features`."
        )
    return group["X"], None


def _matrix(element: Any) -> Any:
    """Something with rows to slice: an array on disk, a sparse matrix on disk, or in memory."""
    kind = element.attrs.get("encoding-type", "")
    if kind == "csr_matrix":
        return sparse_dataset(element)
    if kind in ("csc_matrix", "dataframe"):
        matrix: Any = load(element)
        return matrix.to_numpy() if isinstance(matrix, pd.DataFrame) else matrix.tocsr()
    return element


def _names(element: Any, features: str, var: pd.DataFrame) -> tuple[str, ...]:
    source = parse_features(features)
    if source.kind != "obsm":
        return tuple(var.index)
    if element.attrs.get("encoding-type") == "dataframe":
        return tuple(str(name) for name in load(element).columns)
    matrix = _matrix(element)
    return tuple(f"{source.name}_{i + 1}" for i in range(matrix.shape[1]))


def _pass(obs: pd.DataFrame, var: pd.DataFrame, names: tuple[str, ...], matrix: Any) -> Survey:
    total, n_blank, n_bytes = Tally(), 0, 0
    lowest, highest = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for block in _slices(matrix):
        total = total.plus(tally(block))
        low, high = _range(block.values)
        lowest, highest = np.fmin(lowest, low), np.fmax(highest, high)
        n_blank += int((_n_nonzero(block.values) == 0).sum())
        n_bytes += _size(block.values)
    return Survey(obs, var, names, total, lowest, highest, n_blank, n_bytes)


def _slices(matrix: Any) -> Iterator[Block]:
    for start in range(0, matrix.shape[0], ROWS_PER_BLOCK):
        stop = min(start + ROWS_PER_BLOCK, matrix.shape[0])
        yield Block(np.arange(start, stop), matrix[start:stop])


def _range(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value per column; NaN where a column has nothing finite."""
    if is_sparse(values):
        columns = values.tocsc()
        return columns.min(axis=0).toarray().ravel(), columns.max(axis=0).toarray().ravel()
    return values.min(axis=0), values.max(axis=0)


def _n_nonzero(values: Any) -> np.ndarray:
    return values.getnnz(axis=1) if is_sparse(values) else np.count_nonzero(values, axis=1)


def _size(values: Any) -> int:
    if is_sparse(values):
        return int(values.data.nbytes + values.indices.nbytes + values.indptr.nbytes)
    return int(values.nbytes)


def _nonfinite(found: Survey) -> list[Finding]:
    if not found.total.first:
        return []
    row, column = found.total.first
    what = (
        f"Expected finite values, found {found.total.n_nonfinite} that are NaN or infinite, the first in "
        f"cell {found.obs.index[row]!r}, feature {found.names[column]!r}.{where(found.obs)}"
    )
    return [Finding("error", what, "Remove or impute these cells or features.")]
