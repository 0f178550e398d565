"""What a matrix holds, from one pass over it in blocks of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, Block, Tally, is_sparse, tally
from cellflow_cli.data.choice import Choice, nameless
from cellflow_cli.data.columns import where
from cellflow_cli.data.digest import digests, weights
from cellflow_cli.data.elements import element_of
from cellflow_cli.data.expression import Evidence, evidence
from cellflow_cli.data.feature_source import Matrix, parse_features
from cellflow_cli.data.matrices import kinds_of, of_group
from cellflow_cli.data.normal_form import SPARSE, DiskRows, from_disk, layout_finding, normal_form
from cellflow_cli.data.opening import frame, load, opened
from cellflow_cli.data.profile import Profile, ProfileTally
from cellflow_cli.data.read import (
    duplicate_names,
    feature_names,
    feature_table,
    has_named_columns,
    missing_matrix,
    values,
)
from cellflow_cli.data.stored import unwritten_finding
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError

if TYPE_CHECKING:
    import anndata

_ALL = Choice()


@dataclass(frozen=True, eq=False)
class FileSummary:
    """What a file holds.

    Attributes:
        obs: Its obs.
        var: Its var.
        names: Names of the features of its matrix.
        total: Tally over the values of all cells that training reads.
        aside: Tally over the values of the other cells, such as those of held-out groups.
        lowest, highest: Smallest and largest finite value per feature, each shape [d].
        n_empty: Cells whose values are all zero.
        n_bytes: Size of the matrix in memory.
        profile: Moments and range of its cells; None where there is no matrix.
        digests: One number per cell that equal cells share, shape [n].
        cells: What some training cells say of the scale.
        other: The same of cells that training does not read.
        kinds: What X, the layers and raw hold, where the values may be of the wrong kind.
        table: One row per feature, before the choice; None for obsm.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    names: tuple[str, ...] = ()
    total: Tally = Tally()
    aside: Tally = Tally()
    lowest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    highest: np.ndarray = field(default_factory=lambda: np.zeros(0))
    n_empty: int = 0
    n_bytes: int = 0
    profile: Profile | None = None
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    cells: Evidence = Evidence()
    other: Evidence = Evidence()
    kinds: Mapping[Matrix, str] = field(default_factory=dict)
    table: pd.DataFrame | None = None

    @property
    def file(self) -> str:
        """Name of the file; empty for an object that was made in memory."""
        return ", ".join(self.obs.attrs.get("files", ()))

    def other_cells(self) -> "FileSummary":
        """The same, its tally that of the cells which training does not read."""
        return replace(self, total=self.aside, cells=self.other, n_empty=0)


def summarised(
    path: Path, features: str, choice: Choice = _ALL, trained: np.ndarray | None = None
) -> tuple[FileSummary, list[Finding]]:
    """Read obs, var and, in blocks, the matrix that `features` names, of it the chosen features.

    Args:
        path: Of the file.
        features: The setting.
        choice: Which of its features.
        trained: Whether training reads each cell, shape [n]; default: all.

    Returns:
        The summary, of obs and var alone where there is no matrix, and the findings about it.

    Raises:
        DataError: If the file cannot be read, has no cells, or the choice names what is not there.
    """
    with opened(path) as group:
        obs, var = frame(group, "obs", path), frame(group, "var", path)
        source = parse_features(features).matrix
        names = [f for axis, table in (("obs", obs), ("var", var)) if (f := duplicate_names(table, axis))]
        element = element_of(group, source)
        if element is None:
            finding = missing_matrix(source, of_group(group), list(group.get("obsm", ())), obs)
            return FileSummary(obs, var), [finding, *names]
        table = None if source.slot == "obsm" else var
        table = frame(group["raw"], "var", path) if source.slot == "raw" else table
        if layout := _layout(element, source.text, obs, None if table is None else len(table)):
            return FileSummary(obs, var), [layout, *names]
        features_there = _names(element, source, var if table is None else table)
        if table is None and choice != _ALL and element.attrs.get("encoding-type") != "dataframe":
            raise nameless(features, where(obs))
        columns = choice.positions(features_there, table, where(obs))
        kinds = {} if source.slot == "obsm" else of_group(group)
        summary = _pass(_Rows(obs, var, features_there, columns, trained), _matrix(element))
        return replace(summary, kinds=kinds, table=table), names


def summarised_object(
    adata: "anndata.AnnData", features: str, choice: Choice = _ALL, trained: np.ndarray | None = None
) -> tuple[FileSummary, list[Finding]]:
    """The same of an object in memory."""
    obs, var = adata.obs, adata.var
    names = [f for axis, table in (("obs", obs), ("var", var)) if (f := duplicate_names(table, axis))]
    try:
        there, matrix = tuple(feature_names(adata, features)), values(adata, features)
        table = feature_table(adata, features)
        if choice != _ALL and not has_named_columns(adata, features):
            raise nameless(features, where(obs))
        columns = choice.positions(there, table, where(obs))
    except DataError as error:
        return FileSummary(obs, var), [Finding("error", str(error), ""), *names]
    kinds = {} if parse_features(features).matrix.slot == "obsm" else kinds_of(adata)
    summary = _pass(_Rows(obs, var, there, columns, trained), matrix)
    return replace(summary, kinds=kinds, table=table), names


def total_tally(files: Sequence[FileSummary]) -> Tally:
    """The tally over all files."""
    total = Tally()
    for part in files:
        total = total.plus(part.total)
    return total


def total_evidence(files: Sequence[FileSummary]) -> Evidence:
    """What some cells of all files say of the scale."""
    cells = Evidence()
    for part in files:
        cells = cells.plus(part.cells)
    return cells


def _layout(element: Any, name: str, obs: pd.DataFrame, columns: int | None) -> Finding | None:
    """The finding that it is no matrix of numbers of the cells; notes that chunks are not there."""
    if finding := layout_finding(element, name, len(obs), columns, where(obs)):
        return finding
    if finding := unwritten_finding(element, name, where(obs)):
        obs.attrs["reading"].append(finding)
    return None


def _matrix(element: Any) -> Any:
    """Something with rows to slice: an array on disk, a CSR matrix on disk, or a matrix in memory."""
    kind = element.attrs.get("encoding-type", "")
    if kind == "csr_matrix":
        return DiskRows(element)
    if kind == "csc_matrix":
        return from_disk(element)
    if kind == "dataframe":
        return normal_form(load(element), element.name.strip("/"), "")
    return element


def _names(element: Any, source: Matrix, var: pd.DataFrame) -> tuple[str, ...]:
    if source.slot != "obsm":
        return tuple(var.index)
    kind = element.attrs.get("encoding-type")
    if kind == "dataframe":
        return tuple(str(name) for name in load(element).columns)
    width = element.attrs["shape"][1] if kind in SPARSE else element.shape[1]
    return tuple(f"{source.name}_{i + 1}" for i in range(width))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Tables of a matrix, the columns that are chosen (None: all), and which rows training reads."""

    obs: pd.DataFrame
    var: pd.DataFrame
    all_names: tuple[str, ...]
    columns: np.ndarray | None
    trained: np.ndarray | None

    @property
    def names(self) -> tuple[str, ...]:
        if self.columns is None:
            return self.all_names
        return tuple(self.all_names[i] for i in self.columns)


def _pass(rows: _Rows, matrix: Any) -> FileSummary:
    """All facts of a matrix, in one pass."""
    names, total, aside, n_empty, n_bytes = rows.names, Tally(), Tally(), 0, 0
    lowest, highest = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    profile, weight, marks = ProfileTally(len(names)), weights(names), []
    cells, other = Evidence(), Evidence()
    for block in _slices(matrix):
        if rows.columns is not None:
            block = block._replace(values=block.values[:, rows.columns])
        ours = np.ones(len(block.rows), dtype=bool) if rows.trained is None else rows.trained[block.rows]
        if ours.any():
            part = _part(block, ours)
            total, cells = total.plus(tally(part)), cells.plus(evidence(part.values))
        if not ours.all():
            part = _part(block, ~ours)
            aside, other = aside.plus(tally(part)), other.plus(evidence(part.values))
        low, high = _range(block.values)
        lowest, highest = np.fmin(lowest, low), np.fmax(highest, high)
        n_empty += int((_n_nonzero(block.values) == 0).sum())
        n_bytes += _size(block.values)
        profile.add(block.values)
        marks.append(digests(block.values, weight))
    return FileSummary(
        obs=rows.obs, var=rows.var, names=names, total=total, aside=aside, lowest=lowest, highest=highest,
        n_empty=n_empty, n_bytes=n_bytes, profile=profile.profile(), cells=cells, other=other,
        digests=np.concatenate(marks) if marks else np.zeros(0, dtype=np.uint64),
    )  # fmt: skip


def _part(block: Block, chosen: np.ndarray) -> Block:
    return block if chosen.all() else Block(block.rows[chosen], block.values[chosen])


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
