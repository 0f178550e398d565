"""What may be wrong with the matrix of a file, from one pass over it in blocks of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata.io import sparse_dataset

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, Block, Tally, expression_fault, is_sparse, tally
from cellflow_cli.data.columns import where
from cellflow_cli.data.feature_source import Matrix, parse_features
from cellflow_cli.data.joining import common_features
from cellflow_cli.data.opening import frame, load, opened
from cellflow_cli.data.read import missing_matrix
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import listed


@dataclass(frozen=True, eq=False)
class FileSummary:
    """What a file holds.

    Attributes:
        obs: Its obs.
        var: Its var.
        names: Names of the features of its matrix.
        total: Tally over all their values.
        lowest, highest: Smallest and largest finite value per feature, each shape [d].
        n_empty: Cells whose values are all zero.
        n_bytes: Size of the matrix in memory.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    names: tuple[str, ...] = ()
    total: Tally = Tally()
    lowest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    highest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    n_empty: int = 0
    n_bytes: int = 0


def summarised(path: Path, features: str) -> tuple[FileSummary, list[Finding]]:
    """Read obs, var and, in blocks, the matrix that `features` names.

    Returns:
        The summary, of obs and var alone where there is no matrix, and the findings about it.

    Raises:
        DataError: If the file cannot be read or has no cells.
    """
    with opened(path) as group:
        obs, var = frame(group, "obs", path), frame(group, "var", path)
        source = parse_features(features).matrix
        element, finding = _element(group, source, where(obs))
        if finding:
            return FileSummary(obs, var), [finding]
        names = _names(element, source, var)
        summary = _pass(obs, var, names, _matrix(element))
    return summary, _nonfinite(summary)


def total_tally(files: Sequence[FileSummary]) -> Tally:
    """The tally over all files."""
    total = Tally()
    for part in files:
        total = total.plus(part.total)
    return total


def matrix_findings(files: Sequence[FileSummary], features: str, expression: str | None) -> list[Finding]:
    """Findings about the features of all files together."""
    names = common_features([part.names for part in files])
    findings = _shared_findings(files, names)
    if names:
        findings += _value_findings(files, names, features, expression)
        findings += _constant_findings(files, names)
    return findings


def _shared_findings(files: Sequence[FileSummary], names: Sequence[str]) -> list[Finding]:
    counts = {str(part.obs.attrs["files"][0]): len(part.names) for part in files}
    if len(files) < 2 or max(counts.values()) == len(names):
        return []
    what = f"Expected the same features in all files, found {len(names)} in common, of {counts}."
    if not names:
        return [Finding("error", what, "Use the same feature names in all files.")]
    return [Finding("warning", what, "Only the common ones are used.")]


def _value_findings(
    files: Sequence[FileSummary], names: Sequence[str], features: str, expression: str | None
) -> list[Finding]:
    source, total = parse_features(features), total_tally(files)
    if source.entry.needs_expression:
        return _expression_findings(files, features, expression)
    looks, span = total.looks_like, _span(total)
    if source.max_genes is not None and len(names) > source.max_genes:
        what = f"Expected at most {source.max_genes} features in {features!r}, found {len(names)} ({span})."
        fix = f"Reduce them: `--features pca:50 --expression {looks}` (looks like {looks})."
        return [Finding("error", what, fix)]
    if looks == "counts":
        what = f"Expected transformed values in {features!r}, found whole numbers only ({span}): raw counts?"
        return [Finding("warning", what, "Transform them first (log1p, arcsinh), or use `--features pca:K`.")]
    likeness = "" if looks == "as-is" else f", which look like {looks},"
    return [Finding("note", f"{features!r} holds {span}{likeness} and is taken as it is.", "")]


def _expression_findings(
    files: Sequence[FileSummary], features: str, expression: str | None
) -> list[Finding]:
    """Values that are not what `--expression` says, and cells without counts."""
    total = total_tally(files)
    taken = Finding("note", f"{features} of X taken as {expression}, {_span(total)}.", "")
    findings = [expression_fault(total, expression or "as-is", "") or taken]
    n_empty = sum(part.n_empty for part in files) if expression == "counts" else 0
    if n_empty:
        what = f"Expected every cell to have counts, found {n_empty} cells without any."
        findings.append(Finding("warning", what, "Remove empty cells before training."))
    return findings


def _span(total: Tally) -> str:
    return f"values from {total.lowest:g} to {total.highest:g}"


def _constant_findings(files: Sequence[FileSummary], names: Sequence[str]) -> list[Finding]:
    if any(len(set(part.names)) < len(part.names) for part in files):
        return []
    columns = [pd.Index(part.names).get_indexer(pd.Index(names)) for part in files]
    low = np.min([part.lowest[at] for part, at in zip(files, columns, strict=True)], axis=0)
    high = np.max([part.highest[at] for part, at in zip(files, columns, strict=True)], axis=0)
    constant = [name for name, same in zip(names, low == high, strict=True) if same]
    if not constant:
        return []
    what = f"{len(constant)} of {len(names)} features are constant: {listed(constant)}."
    return [Finding("warning", what, "They carry no information; remove them if they are not needed.")]


def _element(group: Any, source: Matrix, place: str) -> tuple[Any, Finding | None]:
    if source.slot != "X":
        known = list(group.get(source.slot, ()))
        if source.name not in known:
            return None, missing_matrix(source, known, place)
        return group[source.slot][source.name], None
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


def _names(element: Any, source: Matrix, var: pd.DataFrame) -> tuple[str, ...]:
    if source.slot != "obsm":
        return tuple(var.index)
    if element.attrs.get("encoding-type") == "dataframe":
        return tuple(str(name) for name in load(element).columns)
    matrix = _matrix(element)
    return tuple(f"{source.name}_{i + 1}" for i in range(matrix.shape[1]))


def _pass(obs: pd.DataFrame, var: pd.DataFrame, names: tuple[str, ...], matrix: Any) -> FileSummary:
    total, n_empty, n_bytes = Tally(), 0, 0
    lowest, highest = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for block in _slices(matrix):
        total = total.plus(tally(block))
        low, high = _range(block.values)
        lowest, highest = np.fmin(lowest, low), np.fmax(highest, high)
        n_empty += int((_n_nonzero(block.values) == 0).sum())
        n_bytes += _size(block.values)
    return FileSummary(obs, var, names, total, lowest, highest, n_empty, n_bytes)


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


def _nonfinite(file: FileSummary) -> list[Finding]:
    if not file.total.first:
        return []
    row, column = file.total.first
    what = (
        f"Expected finite values, found {file.total.n_nonfinite} that are NaN or infinite, the first in "
        f"cell {file.obs.index[row]!r}, feature {file.names[column]!r}.{where(file.obs)}"
    )
    return [Finding("error", what, "Remove or impute these cells or features.")]
