"""Columns of obs as labels and doses, with errors that name column, cells and file.

Labels are text whatever the column holds, so that `--holdout patient=7` finds the patient 7 of an
integer, a float or a categorical column alike. `spelling` says which texts are one label.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import alike, canonical, column_option, text
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import listed, nearest

IS_PREDICTED = "cellflow_is_predicted"
"""Column of obs that is true for predicted cells, false for controls."""
FILL_IN = "Fill in the values, or remove these cells from the file."


def where(table: pd.DataFrame) -> str:
    """The file of an obs or var table that came from `read`, as " File `plate3.h5ad`."; else empty."""
    files = [str(name) for name in table.attrs.get("files", ())]
    if not files:
        return ""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f" {'File' if len(files) == 1 else 'Files'} {', '.join(f'`{f}`' for f in files[:3])}{more}."


def declared_columns(spec: DataSpec) -> list[tuple[str, str]]:
    """Every (column of obs, option) that the specification names, in the order of the options."""
    columns = [(spec.treatment_key, "--treatment-key")]
    columns += [(key, "--sample-key") for key in spec.sample_key]
    columns += [(key, "--covariate-key") for key in spec.covariate_key]
    single = ("group_key", "batch_key", "dose_key", "cell_type_key", "pairs_key", "split_key")
    for name in single:
        if key := getattr(spec, name):
            columns.append((key, f"--{name.replace('_', '-')}"))
    return columns


def missing_column(obs: pd.DataFrame, column: str, option: str, hint: str = "") -> Finding | None:
    """The finding that `column` is not in obs, with the nearest name, a `hint` and all names."""
    if n_columns := list(obs.columns).count(column):
        return _repeated(obs, column) if n_columns > 1 else None
    if finding := unread_column(obs, column):
        return finding
    known = listed(sorted(map(str, obs.columns)), limit=10) or "none"
    several = [part.strip() for part in column.split(",")]
    if len(several) > 1 and all(part in obs.columns for part in several):
        hint = f"Give several columns one by one: `{' '.join(f'{option} {part}' for part in several)}`. "
    if near := near_columns(obs, column):
        hint = f"Read it under that name with `{column_option(column, near[0])}`. "
    return Finding(
        "error",
        f'Expected `obs["{column}"]`, found the columns {known}.{where(obs)}',
        f"{nearest(column, obs.columns)} {hint}Choose the column with `{option}`.".strip(),
    )


def near_columns(obs: pd.DataFrame, column: str) -> list[str]:
    """Columns whose names are that of `column` written in another way: blanks, case, Unicode."""
    names = {canonical(name): str(name) for name in obs.columns}
    wanted = canonical(column)
    return [names[wanted]] if wanted in names else [names[other] for _, other in alike([wanted], names)]


def _repeated(obs: pd.DataFrame, column: str) -> Finding:
    what = f'Expected one column `obs["{column}"]`, found several of this name.{where(obs)}'
    return Finding("error", what, "Rename or remove all but one in the file.")


def unread_column(obs: pd.DataFrame, column: str) -> Finding | None:
    """The finding that a column is in the file and cannot be read."""
    why = obs.attrs.get("unread", {}).get(column)
    if why is None or column in obs.columns:
        return None
    return Finding(
        "error",
        f'Expected to read `obs["{column}"]`, found a column that cannot be read ({why}).{where(obs)}',
        "Choose another column, or write this one again in Python.",
    )


def is_missing(column: pd.Series) -> np.ndarray:
    """True where a value is NaN, None or empty text, shape [n]."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        blank = np.flatnonzero(_is_blank(column.cat.categories.to_series()))
        return np.isin(codes, [-1, *blank])
    return _is_blank(column)


def missing_values(obs: pd.DataFrame, column: str, rows: np.ndarray | None = None) -> Finding | None:
    """The finding that cells (of `rows`, default all) have no value in `column`."""
    table = obs if rows is None else obs.iloc[rows]
    missing = is_missing(table[column])
    if not missing.any():
        return None
    return Finding(
        "error",
        f'Expected a value in `obs["{column}"]` for every cell, found none for {int(missing.sum())} of '
        f"{len(table)} cells, e.g. {listed(table.index[missing][:2])}.{where(obs)}",
        FILL_IN,
    )


def labels(column: pd.Series) -> np.ndarray:
    """Canonical labels (`spelling.canonical`), shape [n], dtype object; empty where a value is missing."""
    return _each(column, canonical)


def texts(column: pd.Series) -> np.ndarray:
    """Values as the file spells them, as text, shape [n], dtype object; "7" for the number 7.0."""
    return _each(column, text)


def dose_values(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Doses as numbers and where they are not numbers.

    Doses are rounded to six significant digits, so that 0.1 stored as float32 and 0.1 + 0.2 are the
    doses that people typed.

    Returns:
        doses: float64, NaN where missing or not a number, shape [n].
        is_wrong: True where text is no number, a dose is negative or beyond float32, shape [n].
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.full(len(column), np.nan), np.ones(len(column), dtype=bool)
    codes, values = pd.factorize(column)
    numbers = pd.to_numeric(pd.Series(np.asarray(values, dtype=object)), errors="coerce").to_numpy(
        dtype=float
    )
    rounded = np.append([float(f"{number:.6g}") for number in numbers], np.nan)
    empty = ("", "nan")  # a column of numbers turned into text has the word
    blank = np.append(np.array([str(value).strip().lower() in empty for value in values], dtype=bool), True)
    wrong = ~blank & ~((rounded >= 0) & (rounded <= np.finfo(np.float32).max))
    return rounded[codes], wrong[codes]


def is_control(obs: pd.DataFrame, spec: DataSpec) -> np.ndarray:
    """True for untreated cells, shape [n]."""
    return pd.Series(labels(obs[spec.treatment_key])).isin(spec.control).to_numpy()


def distinct(values: Iterable[str]) -> list[str]:
    """Sorted distinct labels; labels that are all whole numbers sort as numbers."""
    different = set(values)
    return sorted(different, key=int) if all(v.isdecimal() for v in different) else sorted(different)


def _each(column: pd.Series, function: Callable[[object], str]) -> np.ndarray:
    """A function of each distinct value, shape [n], dtype object; empty text where a value is missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True).startswith("mixed"):
            column = column.map(text, na_action="ignore")  # True is 1 to a hash, and a list has none
        codes, values = pd.factorize(column)
    names = np.array([function(value) for value in values], dtype=object)
    return np.append(names, "")[codes]


def _is_blank(values: pd.Series) -> np.ndarray:
    blank = values.isna().to_numpy(dtype=bool)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        blank |= labels(values) == ""
    return blank
