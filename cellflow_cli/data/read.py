"""AnnData files into memory: `.h5ad` and `.zarr`, one or several joined on their common features.

Only what later rooms use is read: obs, var, X, layers, obsm, and of a single file varm and uns.
Nothing is densified here.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anndata
import pandas as pd

from cellflow_cli.data.blocks import is_sparse
from cellflow_cli.data.columns import where
from cellflow_cli.data.feature_source import NAMED_SLOTS, Matrix, parse_features
from cellflow_cli.data.joining import joined, joined_obs
from cellflow_cli.data.opening import check_exists, checked_paths, frame, load, opened
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError, listed, nearest

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
    return parts[0] if len(parts) == 1 else joined(parts)


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
    """The matrix that `features` reads: X (also for pca:K), a layer, or an obsm entry; not copied.

    Raises:
        DataError: If the object has no such matrix, or it is not numeric and two-dimensional.
    """
    matrix = _stored(adata, parse_features(features).matrix)
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


def _stored(adata: anndata.AnnData, source: Matrix) -> Any:
    if source.slot == "X":
        if adata.X is None:
            others = [f"{slot}/{name}" for slot in NAMED_SLOTS for name in getattr(adata, slot)]
            raise DataError(
                f"Expected `X`, found none.{where(adata.obs)} Choose another matrix with `--features`; "
                f"there is {listed(others) or 'none'}."
            )
        return adata.X
    known = list(getattr(adata, source.slot))
    if source.name not in known:
        raise missing_matrix(source, known, where(adata.obs)).error()
    return getattr(adata, source.slot)[source.name]


def feature_names(adata: anndata.AnnData, features: str) -> list[str]:
    """Names of the columns of `values(adata, features)`: var names, or `NAME_1`, `NAME_2` for obsm."""
    source = parse_features(features).matrix
    if source.slot != "obsm":
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


def missing_matrix(source: Matrix, known: Sequence[str], place: str) -> Finding:
    """The finding that `layers` or `obsm` has no entry of this name."""
    return Finding(
        "error",
        f"Expected `{source.slot}[{source.name!r}]`, found {listed(sorted(known)) or 'none'}.{place}",
        f"{nearest(source.name, known)} Choose it with `--features`.".strip(),
    )


def _read_one(path: Path, features: str | None) -> anndata.AnnData:
    with opened(path) as group:
        obs, var = frame(group, "obs", path), frame(group, "var", path)
        _raise_duplicates([obs], "obs")
        _raise_duplicates([var], "var")
        wanted = _wanted(features)
        matrices = {
            slot: {name: _matrix(group[slot][name]) for name in group.get(slot, ()) if wanted(slot, name)}
            for slot in NAMED_SLOTS
        }
        return anndata.AnnData(
            X=_matrix(group["X"]) if "X" in group and wanted("X", "") else None,
            obs=obs,
            var=var,
            varm={name: load(group["varm"][name]) for name in group.get("varm", ())},
            uns=load(group["uns"]) if "uns" in group else None,
            **matrices,
        )


def _wanted(features: str | None) -> Callable[[str, str], bool]:
    if features is None:
        return lambda slot, name: True
    source = parse_features(features).matrix
    return lambda slot, name: (slot, name) == source


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
