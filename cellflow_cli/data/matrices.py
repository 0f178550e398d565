"""Which matrices of genes a file has, and which of them holds what is wanted; a few hundred cells of each."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd

from cellflow_cli.data.blocks import Block, Tally, tally
from cellflow_cli.data.columns import where
from cellflow_cli.data.expression import Evidence, evidence, expression_fault, looks_like
from cellflow_cli.data.feature_source import Matrix, parse_features
from cellflow_cli.data.normal_form import DiskRows
from cellflow_cli.data.schema import COUNTS
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError

_CELLS = 256


def kinds_of(adata: anndata.AnnData) -> dict[Matrix, str]:
    """Kind of X, of each layer and of raw: of the object, and of its file where it was read in part.

    Args:
        adata: `obs.attrs["paths"]` names its files.

    Returns:
        As `looks_like` says, by matrix; matrices that cannot be read are left out.
    """
    held: dict[Matrix, Any] = {Matrix("layers", name): layer for name, layer in adata.layers.items()}
    if adata.X is not None:
        held[Matrix("X")] = adata.X
    if adata.raw is not None:
        held[Matrix("raw")] = adata.raw.X
    kinds = {matrix: _kind(values) for matrix, values in held.items()}
    for path in adata.obs.attrs.get("paths", ())[:1]:
        kinds = {**of_file(Path(path)), **kinds}
    return {matrix: kind for matrix, kind in kinds.items() if kind}


def of_file(path: Path) -> dict[Matrix, str]:
    """`kinds_of` a file, empty if it cannot be read."""
    if path.is_dir():
        import zarr

        try:
            return of_group(zarr.open_group(str(path), mode="r"))
        except (OSError, KeyError, ValueError, TypeError):
            return {}
    try:
        with h5py.File(path, "r") as group:
            return of_group(group)
    except (OSError, KeyError, RuntimeError):
        return {}


def of_group(group: Any) -> dict[Matrix, str]:
    """`kinds_of` an open file."""
    elements = {Matrix("X"): group["X"]} if "X" in group else {}
    elements |= {Matrix("layers", name): group["layers"][name] for name in group.get("layers", ())}
    if has_raw(group):
        elements[Matrix("raw")] = group["raw"]["X"]
    kinds = {matrix: _kind(_first_rows(element)) for matrix, element in elements.items()}
    return {matrix: kind for matrix, kind in kinds.items() if kind}


def has_raw(group: Any) -> bool:
    """Whether a file holds `raw`, which is stored as an empty array where there is none."""
    return "raw" in group and hasattr(group["raw"], "keys") and "X" in group["raw"]


def layer_that_fits(kinds: Mapping[Matrix, str], expression: str | None, but: Matrix) -> Matrix | None:
    """The matrix that holds what is wanted: X first, then a layer called like it, then others."""
    wanted = "counts" if expression in COUNTS else expression
    fitting = [matrix for matrix, kind in kinds.items() if kind == wanted and matrix != but]
    order = {"counts": 0, "X": 1, "raw": 3}
    return min(fitting, key=lambda m: (order.get(m.name or m.slot, 2), m.name), default=None)


def layer_hint(adata: anndata.AnnData, expression: str | None, at: Matrix) -> str:
    """A sentence " `layers["counts"]` holds counts: choose it with `--layer counts`.", or nothing."""
    fits = layer_that_fits(kinds_of(adata), expression, at)
    return "" if fits is None else hint_text(fits, expression, adata.obs)


def hint_text(fits: Matrix, expression: str | None, obs: pd.DataFrame) -> str:
    """The sentence of `layer_hint`."""
    option = obs.attrs.get("layer_option", "--layer")
    what = "counts" if expression in COUNTS else expression
    return f" `{fits.text}` holds {what}: choose it with `{option} {fits.layer}`."


def fault_of(
    adata: anndata.AnnData, features: str, expression: str | None, *, of_model: bool = False
) -> Callable[[Tally, Evidence], Finding | None] | None:
    """What is wrong with the kind of values, for `checked_blocks`; None where nothing was said of it.

    The advice names a layer that fits, if there is one.
    """
    if expression is None:
        return None
    at, place = parse_features(features).matrix, where(adata.obs)

    def fault(total: Tally, cells: Evidence) -> Finding | None:
        found = expression_fault(total, expression, place, cells, matrix=at.text, of_model=of_model)
        if found is None or not cells.totals:
            return found
        return replace(found, fix=found.fix + layer_hint(adata, expression, at))

    return fault


def _first_rows(element: Any) -> Any:
    kind = element.attrs.get("encoding-type", "array")
    if kind == "csr_matrix":
        try:
            return DiskRows(element)[:_CELLS]
        except DataError:
            return None
    if kind == "array" and len(getattr(element, "shape", ())) == 2:
        return np.asarray(element[:_CELLS])
    return None


def _kind(values: Any) -> str:
    if hasattr(values, "to_memory"):
        values = values.to_memory()
    if values is None or getattr(values, "ndim", 0) != 2 or values.dtype.kind not in "biuf":
        return ""
    values = values.tocsr() if hasattr(values, "tocsr") else np.asarray(values)
    part = values[:_CELLS]
    if not min(part.shape):
        return ""
    return looks_like(tally(Block(np.arange(part.shape[0]), part)), evidence(part))
