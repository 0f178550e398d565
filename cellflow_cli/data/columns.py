"""Columns of obs as labels and doses, with errors that name column, cells and file.

Labels are text whatever the column holds, so that `--holdout patient=7` finds the patient 7 of an
integer, a float or a categorical column alike.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cellflow_cli.data.schema import DataSpec
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
    if column in obs.columns:
        return None
    known = listed(sorted(map(str, obs.columns)), limit=10) or "none"
    several = [part.strip() for part in column.split(",")]
    if len(several) > 1 and all(part in obs.columns for part in several):
        hint = f"Give several columns one by one: `{' '.join(f'{option} {part}' for part in several)}`. "
    return Finding(
        "error",
        f'Expected `obs["{column}"]`, found the columns {known}.{where(obs)}',
        f"{nearest(column, obs.columns)} {hint}Choose the column with `{option}`.".strip(),
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
    """Values as text, shape [n], dtype object; whole numbers without a decimal point ("7", not "7.0")."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = np.array([_label(value) for value in column.cat.categories], dtype=object)
        return np.append(names, "")[column.cat.codes.to_numpy()]
    codes, values = pd.factorize(column)
    names = np.array([_label(value) for value in values], dtype=object)
    return np.append(names, "")[codes]


def dose_values(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Doses as numbers and where they are not numbers.

    Doses are rounded to six significant digits, so that 0.1 stored as float32 and 0.1 + 0.2 are the
    doses that people typed.

    Returns:
        doses: float64, NaN where missing or not a number, shape [n].
        is_wrong: True where there is text that is no number, an infinity or a negative dose, shape [n].
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
    wrong = ~blank & ~(np.isfinite(rounded) & (rounded >= 0))
    return rounded[codes], wrong[codes]


def is_control(obs: pd.DataFrame, spec: DataSpec) -> np.ndarray:
    """True for untreated cells, shape [n]."""
    return pd.Series(labels(obs[spec.treatment_key])).isin(spec.control).to_numpy()


def distinct(values: Iterable[str]) -> list[str]:
    """Sorted distinct labels; labels that are all whole numbers sort as numbers."""
    different = set(values)
    return sorted(different, key=int) if all(v.isdecimal() for v in different) else sorted(different)


def _label(value: object) -> str:
    if isinstance(value, float | np.floating) and np.isfinite(value) and float(value).is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _is_blank(values: pd.Series) -> np.ndarray:
    blank = values.isna().to_numpy(dtype=bool)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        blank |= (values.astype(str).str.strip() == "").to_numpy(dtype=bool)
    return blank
