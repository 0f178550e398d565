"""Cells on another scale than the rest: raw for arcsinh, another cofactor, standardised, logged twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.robustness.case import RUNS, Case, Right, refused, warned
from tests.robustness.cases_matrices import changed
from tests.robustness.sound import Sound, counts, markers, write

KIND = "scale"
FAR = warned("scale|range|outside|far|spread|differ|kind|transform") | refused(
    "scale|range|outside|far|differ|kind|zero"
)
MARKERS = {
    "raw instead of arcsinh": lambda x: np.sinh(x) * 5,
    "raw, cofactor 150": lambda x: np.sinh(x) * 150,
    "cofactor 150 for 5": lambda x: np.arcsinh(np.sinh(x) / 30),
    "log10 instead of arcsinh": lambda x: np.log10(np.sinh(x) * 5 + 1) * 4 + 10,
    "standardised": lambda x: (x - x.mean(0)) / x.std(0),
    "log twice": lambda x: np.log1p(np.log1p(x)) - 3,
    "exponentials": np.exp,
    "times 1,000": lambda x: x * 1000,
    "times 10": lambda x: x * 10,
    "a thousandth": lambda x: x / 1000,
    "shifted by 10": lambda x: x + 10,
    "negated": lambda x: -x,
    "all zero": lambda x: x * 0,
    "constant": lambda x: x * 0 + 3,
    "from 0 to 1": lambda x: (x - x.min()) / (x.max() - x.min()),
    "bits": lambda x: (x > 3) * 1.0,
    "one marker far away": lambda x: np.c_[x[:, :7], x[:, 7] + 1000],
    "one marker of time": lambda x: np.c_[x[:, :7], np.arange(len(x)) * 1000.0],
    "ten times wider": lambda x: (x - x.mean(0)) * 10 + x.mean(0),
    "20 bits": lambda x: np.rint(np.sinh(x) * 1000),
}
COUNTS = {
    "log1p instead of counts": lambda x: np.log1p(x / np.maximum(x.sum(1, keepdims=True), 1) * 1e4),
    "log1p without depth": np.log1p,
    "normalised without a log": lambda x: x / np.maximum(x.sum(1, keepdims=True), 1) * 1e4,
    "shares": lambda x: x / np.maximum(x.sum(1, keepdims=True), 1),
    "standardised": lambda x: (x - x.mean(0)) / (x.std(0) + 1e-3),
    "negative": lambda x: x - 5,
    "with fractions": lambda x: np.where(x > 0, x - 0.3, 0),
    "all zero": lambda x: x * 0,
    "square roots": np.sqrt,
    "empty cells": lambda x: x * (np.arange(len(x)) % 5 > 0)[:, None],
}


def scaled(change: Callable, base: str, rows: Callable | None = None) -> Callable:
    """A maker: values changed, in all cells or in the rows of a mask."""

    def edit(adata) -> None:
        x = np.asarray(adata.X.todense() if base == "counts" else adata.X, dtype=np.float64)
        chosen = np.ones(len(x), bool) if rows is None else rows(adata.obs).to_numpy()
        x[chosen] = change(x[chosen])
        adata.X = x.astype(np.float32)

    return changed(edit, base)


def _plates(change: Callable, base: str) -> Callable:
    def make(folder: Path, sound: Sound) -> list[str]:
        adata = markers() if base == "markers" else counts()
        first = adata.obs["patient"].isin(["P1", "P2", "P3"]).to_numpy()
        write(adata[first].copy(), folder / "plate1.h5ad")
        other = adata[~first].copy()
        x = np.asarray(other.X.todense() if base == "counts" else other.X, dtype=np.float64)
        other.X = change(x).astype(np.float32)
        write(other, folder / "plate2.h5ad")
        return ["plate1.h5ad", "plate2.h5ad"]

    return make


def cases() -> Iterator[Case]:
    """All of this kind."""
    for name, change in MARKERS.items():
        yield Case(KIND, f"new cells: {name}", scaled(change, "markers"), {"predict": FAR, "evaluate": FAR})
        mild = name in ("ten times wider", "times 10", "cofactor 150 for 5", "from 0 to 1", "bits")
        right = (
            FAR
            | refused("zero|constant|vari")
            | warned("zero|constant|vari|scale|range|differ|kind|far")
            | (RUNS if mild else Right())
        )
        yield Case(
            KIND, f"a second plate: {name}", _plates(change, "markers"), {"check": right, "train": right}
        )
    bad = refused("counts|log1p|expression|integer|negative|fraction|scale|zero")
    for name, change in COUNTS.items():
        right = bad | warned("counts|scale|zero|empty|cells")
        yield Case(
            KIND, f"counts, new cells: {name}", scaled(change, "counts"), {"predict": right}, base="counts"
        )
        yield Case(KIND, f"counts, a second plate: {name}", _plates(change, "counts"),
                   {"check": right, "train": right}, base="counts")  # fmt: skip
    held_out = lambda obs: obs["patient"] == "P5"  # noqa: E731
    for name in ("negative", "with fractions", "log1p without depth"):
        right = bad | warned("P5|held|counts")
        yield Case(KIND, f"counts, the held-out patient: {name}", scaled(COUNTS[name], "counts", held_out),
                   {"check": right, "train": right}, base="counts")  # fmt: skip
    for name in ("raw instead of arcsinh", "times 1,000", "all zero"):
        right = FAR | warned("P5|held")
        yield Case(KIND, f"the held-out patient: {name}", scaled(MARKERS[name], "markers", held_out),
                   {"check": right | RUNS, "train": right | RUNS, "predict": right})  # fmt: skip
