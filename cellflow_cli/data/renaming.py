"""Columns and labels read under other names: `--rename NEW=OLD` and `--rename COLUMN:NEW=OLD`."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.data.columns import distinct, labels, where
from cellflow_cli.data.read import rename_columns
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import canonical, escaped, splits
from cellflow_cli.errors import ConfigError, DataError, listed, nearest

_Data = TypeVar("_Data", anndata.AnnData, pd.DataFrame)


def as_named(data: _Data, spec: DataSpec) -> _Data:
    """The data with the names and the sample that `spec.rename` and `spec.sample_name` say; a new object.

    Raises:
        ConfigError, DataError: As `rename`; if there are sample columns beside a sample name.
    """
    changed = rename(data, spec.rename) if spec.rename else data
    if spec.sample_name is None:
        return changed
    obs = obs_of(changed)
    missing = [key for key in spec.sample_key if key not in obs.columns]
    if not missing:
        raise DataError(
            "Expected a missing sample column with `--sample-name`, found "
            f"{listed(spec.sample_key)}.{where(obs)} Leave the option out: the columns name the samples."
        )
    return with_columns(changed, dict.fromkeys(missing, spec.sample_name))


def rename(data: _Data, names: Sequence[str]) -> _Data:
    """The same data with columns of obs and labels within them renamed; the input stays as it is.

    Args:
        data: Obs, or an object with obs.
        names: Texts such as `"treatment=drug_name"` (a column) and `"donor:P1=p1"` (a label of a column).

    Raises:
        ConfigError: If a text is neither.
        DataError: If a column or label does not occur, or the new name of a column is taken.
    """
    renamed: _Data = rename_all([data], names)[0]
    return renamed


def rename_all(tables: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """The same for several data: what is renamed must occur in one of them.

    Raises:
        ConfigError, DataError: As `rename`.
    """
    columns, of_labels = _sorted(tables, names)
    changed = _with_renamed_columns(tables, columns)
    masks: list[dict[str, list[tuple[np.ndarray, str]]]] = [{} for _ in changed]
    for words in of_labels:
        column, new, old = _label_of(changed, words)
        for table, of_table in zip(changed, masks, strict=True):
            if column in obs_of(table).columns:
                is_old = _is_label(labels(obs_of(table)[column]), old)
                of_table.setdefault(column, []).append((is_old, new))
    return [
        with_columns(
            table, {column: _relabelled(obs_of(table)[column], parts) for column, parts in mask.items()}
        )
        for table, mask in zip(changed, masks, strict=True)
    ]


def checked_names(names: "Sequence[str] | Mapping[str, str]") -> tuple[str, ...]:
    """The texts of `--rename`, from texts or from a table `{"new": "old"}`.

    Raises:
        ConfigError: If a text has no equals sign between two names.
    """
    given = [f"{new}={old}" for new, old in names.items()] if isinstance(names, Mapping) else list(names)
    for words in given:
        if next(splits(words, "="), None) is None:
            raise ConfigError(
                "Expected `--rename NEW=OLD` for a column or `--rename COLUMN:NEW=OLD` for a label, found "
                f"{words!r}."
            )
    return tuple(given)


def _sorted(tables: Sequence[Any], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Columns to rename, new to old, and the texts that rename labels."""
    known = [str(name) for table in tables for name in obs_of(table).columns]
    columns: dict[str, str] = {}
    of_labels = []
    for words in checked_names(names):
        cuts = list(splits(words, "="))
        fits = [(new.strip(), name) for new, old in cuts if (name := _column(old, known))]
        plain = [(new, old) for new, old in fits if ":" not in new]
        if ":" in cuts[-1][0] and not plain:
            of_labels.append(words)
            continue
        new, old = (plain or fits or [(cuts[0][0].strip(), cuts[0][1].strip())])[0]
        columns[new] = old
    return columns, of_labels


def _column(name: str, known: Sequence[str]) -> str | None:
    """The column of this name, or else the one whose name is the same label."""
    if name in known:
        return name
    return next((other for other in known if canonical(other) == canonical(name)), None)


def _with_renamed_columns(tables: Sequence[Any], columns: Mapping[str, str]) -> list[Any]:
    if len(tables) == 1:
        return [rename_columns(tables[0], columns)] if columns else list(tables)
    occurs = {old: [old in obs_of(table).columns for table in tables] for old in columns.values()}
    changed = []
    for i, table in enumerate(tables):
        taken = obs_of(table).columns
        own = {
            new: old
            for new, old in columns.items()
            if (occurs[old][i] and (new not in taken or i == 0)) or not any(occurs[old])
        }
        changed.append(rename_columns(table, own) if own else table)
    return changed


def _label_of(tables: Sequence[Any], words: str) -> tuple[str, str, str]:
    """Column, new label and old label that a text means: the first way to cut it that fits the data."""
    ways = [
        (name, new, old)
        for left, old in splits(words, "=")
        for column, new in splits(left, ":")
        for name in [_column(column, [str(n) for table in tables for n in obs_of(table).columns])]
        if name
    ]
    if not ways:
        left = next(splits(words, "="))[0]
        column = next(splits(left, ":"), (left, ""))[0]
        obs = obs_of(tables[0])
        raise DataError(
            f"Expected `obs[{column!r}]` to rename a label in it (`--rename {words}`), found the columns "
            f"{listed(sorted(map(str, obs.columns)), 10)}.{where(obs)}"
            f"{nearest(column, map(str, obs.columns))} Write `--rename COLUMN:NEW=OLD`, the column as it "
            "is called after other renames."
        )
    for column, new, old in ways:
        known = _known(tables, column)
        if _is_label(np.array(known, dtype=object), old).any():
            return column, _unescaped(new, known), old
    column, _, old = ways[0]
    known = _known(tables, column)
    raise DataError(
        f"Expected the label {old.strip()!r} in `obs[{column!r}]` to rename it (`--rename {words}`), found "
        f"{listed(known)}.{where(obs_of(tables[0]))}{nearest(old, known)} Write `--rename COLUMN:NEW=OLD`."
    )


def _known(tables: Sequence[Any], column: str) -> list[str]:
    have = [obs_of(table)[column] for table in tables if column in obs_of(table).columns]
    return distinct(label for values in have for label in labels(values) if label)


def _is_label(values: np.ndarray, name: str) -> np.ndarray:
    """True where a label is that of this name, or is what it stands for with escapes, shape [n]."""
    found = values == canonical(name)
    if "\\" in name and not found.any():
        found = np.array([escaped(value) == name.strip() for value in values], dtype=bool)
    return found


def _unescaped(new: str, known: Sequence[str]) -> str:
    return next((label for label in known if "\\" in new and escaped(label) == new.strip()), canonical(new))


def _relabelled(column: pd.Series, parts: Sequence[tuple[np.ndarray, str]]) -> pd.Series:
    values = column.astype(object)
    for is_old, new in parts:
        values = values.mask(is_old, new)
    return values


def with_columns(data: _Data, columns: Mapping[str, Any]) -> _Data:
    """The same data with other columns of obs."""
    if not columns:
        return data
    if isinstance(data, pd.DataFrame):
        return data.assign(**columns)
    changed = rename_columns(data, {})  # a new object that shares every matrix
    attrs = dict(changed.obs.attrs)
    changed.obs = changed.obs.assign(**columns)
    changed.obs.attrs.update(attrs)
    return changed


def obs_of(data: Any) -> pd.DataFrame:
    """Obs of the data."""
    return data if isinstance(data, pd.DataFrame) else data.obs
