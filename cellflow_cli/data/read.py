"""AnnData files into memory: `.h5ad` and `.zarr`, one or several joined on their common features.

Only what later rooms use is read: obs, var, X, layers, obsm, and of a single file varm and uns.
Nothing is densified here.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellflow_cli.data.blocks import is_sparse
from cellflow_cli.data.columns import where
from cellflow_cli.data.findings import Finding
from cellflow_cli.data.opening import check_exists, checked_paths, frame, load, opened
from cellflow_cli.data.schema import parse_features
from cellflow_cli.errors import DataError, listed, nearest

_MATRICES = ("layers", "obsm")
_Data = TypeVar("_Data", anndata.AnnData, pd.DataFrame)


def read(paths: Sequence[Path | str], features: str | None = None) -> anndata.AnnData:
    """Read files into one AnnData object.

    Several files are joined on their common features, in the order of the first file; columns of
    obs that a file lacks are empty for its cells. When obs names collide across files, every name
    is prefixed by the name of its file.

    Args:
        paths: `.h5ad` files or `.zarr` folders.
        features: Read only the matrix that this value of `--features` needs; None reads all.

    Returns:
        A new object in memory; sparse matrices are CSR.

    Raises:
        DataError: If a path is missing, truncated or not AnnData, has no cells, has duplicate names,
            or if several files share no feature.
    """
    parts = [_read_one(path, features) for path in checked_paths(paths)]
    return parts[0] if len(parts) == 1 else _joined(parts)


def read_obs(paths: Sequence[Path | str]) -> pd.DataFrame:
    """Obs of the files, joined as `read` joins them, without reading any matrix.

    Raises:
        DataError: As `read`.
    """
    tables = []
    for path in checked_paths(paths):
        with opened(path) as group:
            tables.append(frame(group, "obs", path))
    _raise_duplicates(tables, "obs")
    return joined_obs(tables)


def values(adata: anndata.AnnData, features: str) -> Any:
    """The matrix that `features` names: X (also for pca:K), a layer, or an obsm entry; not copied.

    Raises:
        DataError: If the object has no such matrix, or it is not numeric and two-dimensional.
    """
    source = parse_features(features)
    if source.kind in _MATRICES:
        known = list(getattr(adata, source.kind))
        if source.name not in known:
            raise missing_matrix(source.kind, source.name, known, where(adata.obs)).error()
        matrix = getattr(adata, source.kind)[source.name]
    else:
        matrix = adata.X
        if matrix is None:
            others = [f"{kind}/{name}" for kind in _MATRICES for name in getattr(adata, kind)]
            raise DataError(
                f"Expected `X`, found none.{where(adata.obs)} Choose another matrix with `--features`; "
                f"there is {listed(others) or 'none'}."
            )
    if isinstance(matrix, pd.DataFrame):
        matrix = matrix.to_numpy()
    if hasattr(matrix, "to_memory"):  # sparse X of an object opened with backed="r"
        matrix = matrix.to_memory()
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise DataError(
            f"Expected features {features!r} to be a matrix of numbers, found {matrix.ndim} dimension(s) of "
            f"{matrix.dtype}.{where(adata.obs)} Choose another with `--features`."
        )
    return matrix


def feature_names(adata: anndata.AnnData, features: str) -> list[str]:
    """Names of the columns of `values(adata, features)`: var names, or `NAME_1`, `NAME_2` for obsm."""
    source = parse_features(features)
    if source.kind != "obsm":
        return [str(name) for name in adata.var_names]
    matrix = adata.obsm[source.name] if source.name in adata.obsm else values(adata, features)
    if isinstance(matrix, pd.DataFrame):
        return [str(name) for name in matrix.columns]
    return [f"{source.name}_{i + 1}" for i in range(matrix.shape[1])]


def unique_feature_names(adata: anndata.AnnData, features: str) -> list[str]:
    """The same as `feature_names`, for those who look features up by name.

    Raises:
        DataError: If a name occurs more than once.
    """
    names = feature_names(adata, features)
    index = pd.Index(names)
    if not index.is_unique:
        repeated = index[index.duplicated()].unique()
        raise DataError(
            f"Expected unique feature names, found {len(repeated)} more than once, e.g. "
            f"{listed(repeated[:3])}.{where(adata.obs)} Make them unique in Python: "
            "`adata.var_names_make_unique()`."
        )
    return names


def rename_columns(data: _Data, names: Mapping[str, str]) -> _Data:
    """The same data with obs columns renamed, `{"new": "old"}`; the input stays as it is.

    Raises:
        DataError: If an old column does not exist or a new name is already taken.
    """
    obs = data if isinstance(data, pd.DataFrame) else data.obs
    for new, old in names.items():
        if old not in obs.columns:
            raise DataError(
                f"Expected `obs[{old!r}]` to rename it to {new!r}, found the columns "
                f"{listed(sorted(map(str, obs.columns)), 10)}.{where(obs)}{nearest(old, obs.columns)} "
                "Write `--rename new=old`."
            )
        if new in obs.columns and new not in names.values():
            raise DataError(
                f"Expected `obs[{new!r}]` to be free, found a column of this name beside {old!r}."
                f"{where(obs)} Leave out `--rename`, or rename the other column too."
            )
    renamed = obs.rename(columns={old: new for new, old in names.items()})
    return renamed if isinstance(data, pd.DataFrame) else _with_obs(data, renamed)


def file_hashes(paths: Sequence[Path | str]) -> dict[str, str]:
    """SHA-256 of each file's content; of a zarr folder, of the names and contents of its sorted files."""
    return {Path(path).name: _sha256(Path(path)) for path in paths}


def missing_matrix(kind: str, name: str, known: Sequence[str], place: str) -> Finding:
    """The finding that `layers` or `obsm` has no entry `name`."""
    return Finding(
        "error",
        f"Expected `{kind}[{name!r}]`, found {listed(sorted(known)) or 'none'}.{place}",
        f"{nearest(name, known)} Choose it with `--features`.".strip(),
    )


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
    obs.attrs["files"] = [name for table in tables for name in table.attrs["files"]]
    return obs


def common_features(names: Sequence[Sequence[str]]) -> list[str]:
    """Names that all lists share, in the order of the first."""
    shared = set(names[0]).intersection(*names[1:])
    return [name for name in names[0] if name in shared]


def _read_one(path: Path, features: str | None) -> anndata.AnnData:
    with opened(path) as group:
        obs, var = frame(group, "obs", path), frame(group, "var", path)
        _raise_duplicates([obs], "obs")
        _raise_duplicates([var], "var")
        wanted = _wanted(features)
        matrices = {
            kind: {name: _matrix(group[kind][name]) for name in group.get(kind, ()) if wanted(kind, name)}
            for kind in _MATRICES
        }
        return anndata.AnnData(
            X=_matrix(group["X"]) if "X" in group and wanted("X", "") else None,
            obs=obs,
            var=var,
            varm={name: load(group["varm"][name]) for name in group.get("varm", ())},
            uns=load(group["uns"]) if "uns" in group else None,
            **matrices,
        )


def _wanted(features: str | None) -> Any:
    if features is None:
        return lambda kind, name: True
    source = parse_features(features)
    target = (source.kind, source.name) if source.kind in _MATRICES else ("X", "")
    return lambda kind, name: (kind, name) == target


def _matrix(element: Any) -> Any:
    matrix: Any = load(element)
    return matrix.tocsr() if is_sparse(matrix) else matrix


def _raise_duplicates(tables: Sequence[pd.DataFrame], axis: str) -> None:
    for table in tables:
        if finding := duplicate_names(table, axis):
            raise finding.error()


def duplicate_names(table: pd.DataFrame, axis: str) -> Finding | None:
    """The finding that names of obs or var occur more than once."""
    if table.index.is_unique:
        return None
    repeated = table.index[table.index.duplicated()].unique()
    return Finding(
        "error",
        f"Expected unique {axis} names, found {len(repeated)} more than once, e.g. {listed(repeated[:3])}."
        f"{where(table)}",
        f"Make them unique in Python: `adata.{axis}_names_make_unique()`, and save the file.",
    )


def _joined(parts: Sequence[anndata.AnnData]) -> anndata.AnnData:
    names = common_features([list(part.var_names) for part in parts])
    if not names and any(part.n_vars for part in parts):
        raise DataError(
            f"Expected features that all files share, found none: {listed(parts[0].var_names, 3)} in "
            f"`{parts[0].obs.attrs['files'][0]}`, {listed(parts[1].var_names, 3)} in "
            f"`{parts[1].obs.attrs['files'][0]}`. Use the same feature names in all files."
        )
    aligned = [part[:, names] if list(part.var_names) != names else part for part in parts]
    matrices = {
        kind: {
            name: _stacked([getattr(part, kind)[name] for part in aligned]) for name in _shared(aligned, kind)
        }
        for kind in _MATRICES
    }
    x = [part.X for part in aligned]
    return anndata.AnnData(
        X=None if any(matrix is None for matrix in x) else _stacked(x),
        obs=joined_obs([part.obs for part in parts]),
        var=parts[0].var.loc[names],
        **matrices,
    )


def _shared(parts: Sequence[anndata.AnnData], kind: str) -> list[str]:
    """Entries that all parts have; obsm entries only where their widths agree."""
    shared = common_features([list(getattr(part, kind)) for part in parts])
    return [name for name in shared if len({getattr(part, kind)[name].shape[1] for part in parts}) == 1]


def _stacked(matrices: Sequence[Any]) -> Any:
    if any(is_sparse(matrix) for matrix in matrices):
        return sp.vstack([sp.csr_matrix(matrix) for matrix in matrices], format="csr")
    return np.concatenate([np.asarray(matrix) for matrix in matrices])


def _stems(paths: Sequence[Path]) -> list[str]:
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return [f"{stem}{i + 1}" for i, stem in enumerate(stems)]


def _with_obs(adata: anndata.AnnData, obs: pd.DataFrame) -> anndata.AnnData:
    """A new object with another obs that shares every matrix with `adata`."""
    return anndata.AnnData(
        X=adata.X, obs=obs, var=adata.var, uns=dict(adata.uns), layers=dict(adata.layers),
        obsm=dict(adata.obsm), varm=dict(adata.varm),
    )  # fmt: skip


def _sha256(path: Path) -> str:
    check_exists(path)
    digest = hashlib.sha256()
    files: Iterable[Path] = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
