"""Several files as one object: cells below one another, on the features that all files have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellflow_cli.data.blocks import is_sparse
from cellflow_cli.data.feature_source import NAMED_SLOTS
from cellflow_cli.data.names import name_difference
from cellflow_cli.errors import DataError, listed


def joined(parts: Sequence[anndata.AnnData]) -> anndata.AnnData:
    """Objects below one another on the features that all have, in the order of the first.

    Raises:
        DataError: If they share no feature.
    """
    names = common_features([list(part.var_names) for part in parts])
    if not names and any(part.n_vars for part in parts):
        fix = name_difference(parts[0].var_names, parts[1].var_names, parts[1].var, first="the first file")
        raise DataError(
            f"Expected features that all files share, found none: {listed(parts[0].var_names, 3)} in "
            f"`{parts[0].obs.attrs['files'][0]}`, {listed(parts[1].var_names, 3)} in "
            f"`{parts[1].obs.attrs['files'][0]}`. {fix}"
        )
    aligned = [part[:, names] if list(part.var_names) != names else part for part in parts]
    matrices = {
        slot: {
            name: _stacked([getattr(part, slot)[name] for part in aligned]) for name in _shared(aligned, slot)
        }
        for slot in NAMED_SLOTS
    }
    x = [part.X for part in aligned]
    raw = None if any(part.raw is None for part in parts) else _joined_raw([part.raw for part in parts])
    return anndata.AnnData(
        X=None if any(matrix is None for matrix in x) else _stacked(x),
        obs=joined_obs([part.obs for part in parts]),
        var=parts[0].var.loc[names],
        raw=raw,
        **matrices,
    )


def _joined_raw(parts: Sequence[Any]) -> dict[str, Any] | None:
    """What `raw` of the objects holds on the genes that all have; None if they share none."""
    names = common_features([list(part.var_names) for part in parts])
    if not names:
        return None
    columns = [part.var_names.get_indexer(pd.Index(names)) for part in parts]
    matrices = [part.X[:, at] for part, at in zip(parts, columns, strict=True)]
    return {"X": _stacked(matrices), "var": parts[0].var.loc[names]}


def joined_obs(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Obs tables below one another; names prefixed by file when they collide across files."""
    if len(tables) == 1:
        return tables[0]
    total = sum(len(table) for table in tables)
    collide = len(set().union(*(table.index for table in tables))) < total
    stems = _stems([Path(table.attrs["files"][0]) for table in tables])
    parts = []
    for stem, table in zip(stems, tables, strict=True):
        part = table.copy()
        part.attrs = {}
        part.index = pd.Index([f"{stem}-{name}" for name in table.index]) if collide else table.index
        parts.append(part)
    obs = pd.concat(parts, join="outer")
    for key in ("files", "paths"):
        obs.attrs[key] = [name for table in tables for name in table.attrs.get(key, ())]
    obs.attrs["unread"] = {
        column: why for table in tables for column, why in table.attrs.get("unread", {}).items()
    }
    obs.attrs["reading"] = [finding for table in tables for finding in table.attrs.get("reading", ())]
    return obs


def common_features(names: Sequence[Sequence[str]]) -> list[str]:
    """Names that all lists share, in the order of the first."""
    shared = set(names[0]).intersection(*names[1:])
    return [name for name in names[0] if name in shared]


def _shared(parts: Sequence[anndata.AnnData], slot: str) -> list[str]:
    """Entries that all parts have; obsm entries only where their widths agree."""
    shared = common_features([list(getattr(part, slot)) for part in parts])
    return [name for name in shared if len({getattr(part, slot)[name].shape[1] for part in parts}) == 1]


def _stacked(matrices: Sequence[Any]) -> Any:
    if any(is_sparse(matrix) for matrix in matrices):
        return sp.vstack([sp.csr_matrix(matrix) for matrix in matrices], format="csr")
    return np.concatenate([np.asarray(matrix) for matrix in matrices])


def _stems(paths: Sequence[Path]) -> list[str]:
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return [f"{stem}{i + 1}" for i, stem in enumerate(stems)]
