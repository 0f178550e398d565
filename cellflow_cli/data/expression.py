"""What the values of a matrix are: counts, log1p of normalised counts, or something else.

Evidence comes from cells, since ranges alone mislead. Normalised counts have equal totals. Where genes were
chosen afterwards they have not, but within a cell they are still 1, 2, 3, ... times the smallest of them.
"""

from typing import Any, NamedTuple

import numpy as np

from cellflow_cli.data.schema import COUNTS
from cellflow_cli.data.validation.finding import Finding

_BASES = {"log1p": np.e, "log2": 2.0, "log10": 10.0}
_LARGEST_LOG = 30.0  # expm1 of it is 1e13: no cell holds that many molecules
_CELLS = 256  # of each block
_VALUES = 2_000_000  # at most, of each block
_ENOUGH = 5  # values above zero that a cell must have to be clear
_ALIKE = 0.02  # spread of totals that are equal but for rounding


class Evidence(NamedTuple):
    """What some cells say of the scale of their values.

    Attributes:
        totals: Sums of the values of each cell, and of base^value - 1 per base, shape [n] each.
        n_clear: Cells with enough different values above zero.
        n_steps: Those of them whose values are whole multiples of the smallest.
        n_log_steps: The same of base^value - 1, per base.
    """

    totals: dict[str, np.ndarray] = {}  # noqa: RUF012 - never written to
    n_clear: int = 0
    n_steps: int = 0
    n_log_steps: dict[str, int] = {}  # noqa: RUF012

    def plus(self, other: "Evidence") -> "Evidence":
        """The evidence of both parts."""
        names = {**self.totals, **other.totals}
        none = np.zeros(0)
        return Evidence(
            {n: np.concatenate([self.totals.get(n, none), other.totals.get(n, none)]) for n in names},
            self.n_clear + other.n_clear,
            self.n_steps + other.n_steps,
            {n: self.n_log_steps.get(n, 0) + other.n_log_steps.get(n, 0) for n in _BASES},
        )

    @property
    def log_base(self) -> str | None:
        """`"log1p"`, `"log2"` or `"log10"` where the values are logs of normalised counts, else None."""
        if self._most(self.n_steps) and not _alike(self.totals.get("log1p", np.zeros(0))):
            return None
        for name in _BASES:
            if name in self.totals and (_alike(self.totals[name]) or self._most(self.n_log_steps[name])):
                return name
        return None

    @property
    def is_normalised(self) -> bool:
        """Whether the values are normalised counts without a log."""
        return self._most(self.n_steps) or _alike(self.totals.get("plain", np.zeros(0)))

    def _most(self, n: int) -> bool:
        return self.n_clear > 0 and n > 0.8 * self.n_clear


def evidence(values: Any) -> Evidence:
    """Evidence of the first cells of a block, dense or CSR, without a look at values that are not finite."""
    part = values[: max(8, min(_CELLS, _VALUES // max(1, values.shape[1])))]
    dense = np.asarray(part.toarray() if hasattr(part, "toarray") else part, dtype=np.float64)
    if dense.ndim != 2 or not dense.size or not np.isfinite(dense).all() or (dense < 0).any():
        return Evidence()
    dense = dense[(dense > 0).any(axis=1)]
    is_log_range = dense.size > 0 and dense.max() <= _LARGEST_LOG
    unlogged = {name: base**dense - 1 for name, base in _BASES.items()} if is_log_range else {}
    clear = np.array([len(np.unique(row[row > 0])) >= _ENOUGH for row in dense], dtype=bool)
    return Evidence(
        {"plain": dense.sum(axis=1), **{name: rows.sum(axis=1) for name, rows in unlogged.items()}},
        int(clear.sum()),
        sum(_steps(row) for row in dense[clear]),
        {name: sum(_steps(row) for row in rows[clear]) for name, rows in unlogged.items()},
    )


def looks_like(total: Any, cells: Evidence) -> str:
    """What the values are, as far as they tell.

    Args:
        total: Tally over the values.
        cells: Evidence of some cells.

    Returns:
        `"counts"`, `"log1p"`, `"log2"`, `"log10"`, `"normalised"` (not logged), `"scaled"` (below zero) or
        `"other"` for fractions that none of these explains.
    """
    if total.lowest < 0 or total.n_nonfinite:
        return "scaled"
    if total.n_fraction == 0:
        return "counts" if total.highest > 1 else "other"
    if base := cells.log_base:
        return base
    return "normalised" if cells.is_normalised else "other"


_WORDS = {
    "counts": "counts, all whole numbers",
    "log1p": "log1p of normalised counts",
    "log2": "log2(1 + x) of normalised counts",
    "log10": "log10(1 + x) of normalised counts",
    "normalised": "normalised counts without a log, such as CPM",
    "scaled": "scaled or transformed values, some below zero",
    "other": "fractions of unknown kind",
}


def likeness(kind: str) -> str:
    """A kind of `looks_like` in words."""
    return _WORDS[kind]


def expression_fault(
    total: Any, expression: str, place: str, cells: Evidence, *, matrix: str = "X", of_model: bool = False
) -> Finding | None:
    """The finding that values are not what `expression` says.

    Args:
        total: Tally over the values.
        expression: One of `EXPRESSIONS`.
        place: Where the matrix is, for the message.
        cells: Evidence of some cells.
        matrix: Name of the matrix.
        of_model: Whether a trained model asks for this kind, so that no option can say otherwise.
    """
    span = f"lowest {total.lowest:g}, highest {total.highest:g}"
    kind = looks_like(total, cells)
    by = " that the model was trained on" if of_model else ""
    if expression in COUNTS and (total.lowest < 0 or (expression == "counts" and total.n_fraction)):
        wanted = "whole numbers of at least 0" if expression == "counts" else "at least 0"
        present = "negative values" if total.lowest < 0 else f"{total.n_fraction} fractions"
        what = f"Expected counts ({wanted}){by} in `{matrix}`, found {present}, {span}.{place}"
        return Finding("error", what, _model_advice(kind) if of_model else _counts_advice(kind))
    is_log = total.lowest >= 0 and total.highest <= _LARGEST_LOG and kind != "counts"
    if expression == "log1p" and not is_log:
        what = (
            f"Expected log1p values{by} in `{matrix}` (fractions from 0 to about 10), found "
            f"{total.lowest:g} to {total.highest:g}{'' if total.n_fraction else ', all whole'}.{place}"
        )
        return Finding("error", what, _log1p_model_advice(kind) if of_model else _log1p_advice(kind))
    return None


def log1p_remark(total: Any, cells: Evidence) -> Finding | None:
    """The warning that values said to be log1p do not show it, or None."""
    kind = looks_like(total, cells)
    if kind in ("normalised", "log2", "log10"):
        found = f"Expected log1p of normalised counts, found what looks like {likeness(kind)}."
        return Finding("warning", found, _log1p_advice(kind).split(": ", 1)[1].capitalize())
    sums = cells.totals.get("log1p", ())
    if kind != "other" or not len(sums):
        return None
    return Finding(
        "warning",
        f"Expected log1p of normalised counts: sums of expm1 that are alike over cells; found sums from "
        f"{min(sums):.3g} to {max(sums):.3g}.",
        "Fine if genes were chosen or values corrected after normalisation; wrong for counts with fractions: "
        "say `--expression fractional-counts` for these.",
    )


def _counts_advice(kind: str) -> str:
    looks = f"They look like {likeness(kind)}:"
    if kind == "log1p":
        return f"{looks} choose `--expression log1p`, or give the counts."
    if kind in ("log2", "log10"):
        return f"{looks} give the counts, or natural log1p with `--expression log1p`."
    if kind == "normalised":
        return f"{looks} log1p them first and say `--expression log1p`, or give the counts."
    if kind == "scaled":
        return f"{looks} choose `--expression as-is`, or give the counts."
    return (
        "If they are counts with fractions (alevin, STARsolo EM, SoupX), round them, or say `--expression "
        "fractional-counts`; else say `--expression log1p` or `--expression as-is`."
    )


def _log1p_advice(kind: str) -> str:
    looks = f"They look like {likeness(kind)}:"
    if kind == "counts":
        return f"{looks} choose `--expression counts`."
    if kind == "normalised":
        return f"{looks} log1p them first."
    if kind in ("log2", "log10"):
        return f"{looks} multiply them by ln {kind[3:]}, or choose `--expression as-is`."
    if kind == "scaled":
        return f"{looks} choose `--expression as-is`."
    return (
        "If they are counts with fractions, choose `--expression fractional-counts`; if transformed in "
        "another way, `--expression as-is`."
    )


def _model_advice(kind: str) -> str:
    if kind == "other":
        return "Give the counts; if these are counts with fractions, round them."
    return f"They look like {likeness(kind)}: give the counts."


def _log1p_model_advice(kind: str) -> str:
    verb = "normalise and log1p" if kind == "counts" else "transform"
    return f"They look like {likeness(kind)}: {verb} them as the training data."


def _alike(sums: np.ndarray) -> bool:
    """Whether most of three sums or more lie within two percent of their median."""
    if len(sums) < 3:
        return False
    middle = float(np.median(sums))
    return middle > 0 and float((np.abs(sums - middle) <= _ALIKE * middle).mean()) > 0.8


def _steps(row: np.ndarray) -> bool:
    """Whether the values above zero are whole multiples of the smallest, up to the rounding of float32."""
    ratios = row[row > 0] / row[row > 0].min()
    return bool(
        (np.abs(ratios - np.round(ratios)) < 2e-3 * np.maximum(1, ratios / 20)).mean() > 0.98
        and ratios.max() > 1.5
    )
