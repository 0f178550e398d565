"""AnnData files into memory: `.h5ad` and `.zarr`, one or several joined on their common features.

With `features`, only what is used is read: obs, var and the matrix. Without, all that can be read; what
cannot, and nobody needs, is left out with a note. Nothing is densified here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anndata
import pandas as pd

from cellflow_cli.data.columns import unread_column, where
from cellflow_cli.data.elements import readable, wanted_matrices, wanted_raw
from cellflow_cli.data.expression import likeness
from cellflow_cli.data.feature_source import Matrix, parse_features
from cellflow_cli.data.joining import joined, joined_obs
from cellflow_cli.data.matrices import kinds_of
from cellflow_cli.data.normal_form import normal_form
from cellflow_cli.data.opening import checked_paths, frame, opened
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
    """The matrix that `features` reads: X (also for pca:K), a layer, or an obsm entry, in normal form.

    It is copied only where it is not in normal form yet; the object stays as it is.


    Raises:
        DataError: If the object has no such matrix, or it is not numeric and two-dimensional.
    """
    matrix = _stored(adata, parse_features(features).matrix)
    if hasattr(matrix, "to_memory"):  # sparse X of an object opened with backed="r"
        matrix = matrix.to_memory()
    return normal_form(matrix, features, where(adata.obs))


def _stored(adata: anndata.AnnData, source: Matrix) -> Any:
    if source.slot in ("X", "raw"):
        held = adata.X if source.slot == "X" else None if adata.raw is None else adata.raw.X
        if held is None:
            raise missing_matrix(source, kinds_of(adata), list(adata.obsm), adata.obs).error()
        return held
    if source.name not in getattr(adata, source.slot):
        raise missing_matrix(source, kinds_of(adata), list(adata.obsm), adata.obs).error()
    return getattr(adata, source.slot)[source.name]


def feature_names(adata: anndata.AnnData, features: str) -> list[str]:
    """Names of the columns of `values(adata, features)`: var names, or `NAME_1`, `NAME_2` for obsm."""
    source = parse_features(features).matrix
    if source.slot == "raw" and adata.raw is not None:
        return [str(name) for name in adata.raw.var_names]
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
        if finding := unread_column(obs, old):
            raise finding.error()
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


def missing_matrix(
    source: Matrix, kinds: Mapping[Matrix, str], obsm: Sequence[str], obs: pd.DataFrame
) -> Finding:
    """The finding that a matrix is not there, with those that are.

    Args:
        source: The matrix that is wanted.
        kinds: What X, the layers and raw hold, as `kinds_of` says.
        obsm: Names of obsm.
        obs: Says where it is, and which options name a layer and features here.
    """
    if source.slot == "obsm":
        option = obs.attrs.get("features_option", "--features")
        advice = f"Choose it with `{option}`." if option else "Add it to the file: the model needs it."
        fix = f"{nearest(source.name, obsm)} {advice}".strip()
        what = f"Expected `obsm[{source.name!r}]`, found {listed(sorted(obsm)) or 'none'}.{where(obs)}"
        return Finding("error", what, fix)
    wanted = f"layers[{source.name!r}]" if source.slot == "layers" else source.text
    held = ", ".join(f"`{matrix.text}` ({likeness(kind)})" for matrix, kind in kinds.items())
    what = f"Expected `{wanted}`, found {held or 'no matrix of genes'}.{where(obs)}"
    hint = nearest(source.name, [matrix.name for matrix in kinds]) if source.name else ""
    option = obs.attrs.get("layer_option", "--layer")
    name = next(iter(kinds)).layer if len(kinds) == 1 else "NAME"
    return Finding("error", what, f"{hint} Say where the values are with `{option} {name}`.".strip())


def feature_table(adata: anndata.AnnData, features: str) -> pd.DataFrame | None:
    """One row for each feature of `values(adata, features)`; None for an entry of obsm."""
    slot = parse_features(features).matrix.slot
    if slot == "obsm":
        return None
    return adata.raw.var if slot == "raw" and adata.raw is not None else adata.var


def has_named_columns(adata: anndata.AnnData, features: str) -> bool:
    """Whether the features have names of their own: all but an array in obsm."""
    source = parse_features(features).matrix
    return source.slot != "obsm" or isinstance(adata.obsm.get(source.name), pd.DataFrame)


def _read_one(path: Path, features: str | None) -> anndata.AnnData:
    with opened(path) as group:
        obs, var = frame(group, "obs", path), frame(group, "var", path)
        _raise_duplicates([obs], "obs")
        _raise_duplicates([var], "var")
        matrices = wanted_matrices(group, features, obs, var)
        return anndata.AnnData(
            X=matrices.pop("X", {}).get(""),
            obs=obs,
            var=var,
            varm=readable(group, "varm", obs) if features is None else {},
            uns=readable(group, "uns", obs) if features is None else {},
            raw=wanted_raw(group, features, obs, path),
            **matrices,
        )


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
        raw=None if adata.raw is None else {"X": adata.raw.X, "var": adata.raw.var},
    )  # fmt: skip
