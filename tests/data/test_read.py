import os
import shutil
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellflow_cli.data.read import (
    feature_names,
    read,
    read_obs,
    rename_columns,
    unique_feature_names,
    values,
)
from cellflow_cli.data.unchanged import file_hashes
from cellflow_cli.errors import DataError


def _dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        *((kind, ".h5ad") for kind in (np.asarray, sp.csr_matrix, sp.csc_matrix)),
        *((kind, ".zarr") for kind in (np.asarray, sp.csc_matrix)),
    ],
)
def test_what_was_written_is_read(cohort, saved, suffix, kind):
    cohort.layers["raw"] = kind(cohort.X * 2)
    cohort.obsm["X_pca"] = cohort.X[:, :2].copy()
    cohort.uns["note"] = "kept"
    cohort.X = kind(cohort.X)
    found = read([saved(cohort, f"cells{suffix}")])
    np.testing.assert_array_equal(_dense(found.X), _dense(cohort.X))
    np.testing.assert_array_equal(_dense(found.layers["raw"]), _dense(cohort.layers["raw"]))
    np.testing.assert_array_equal(found.obsm["X_pca"], cohort.obsm["X_pca"])
    assert list(found.obs_names) == list(cohort.obs_names)
    assert list(found.obs["patient"]) == list(cohort.obs["patient"])
    assert found.uns["note"] == "kept"
    assert not sp.issparse(found.X) or found.X.format == "csr"


def test_only_the_named_matrix_is_read(cohort, saved):
    cohort.layers["raw"] = cohort.X * 2
    found = read([saved(cohort)], features="layers/raw")
    assert found.X is None
    assert list(found.layers) == ["raw"]
    assert list(read([saved(cohort)], features="X").layers) == []


def test_obs_alone_is_read_like_the_whole(cohort, saved):
    path = saved(cohort)
    pd.testing.assert_frame_equal(read_obs([path]), read([path]).obs)


def test_a_file_that_was_read_can_be_written(cohort, saved):
    found = read([saved(cohort)])
    assert saved(found, "again.h5ad").is_file()


def test_files_join_on_common_features_in_the_order_of_the_first(cohort, saved):
    other = cohort[:, [3, 1, 5]].copy()
    other.obs_names = [f"other{i}" for i in range(other.n_obs)]
    other.obs["site"] = "B"
    found = read([saved(cohort, "a.h5ad"), saved(other, "b.h5ad")])
    assert list(found.var_names) == ["marker1", "marker3", "marker5"]
    assert found.n_obs == 2 * cohort.n_obs
    expected = np.concatenate([cohort[:, ["marker1", "marker3", "marker5"]].X] * 2)
    np.testing.assert_array_equal(found.X, expected)
    assert found.obs_names[0] == "cell0"
    assert found.obs["site"].isna().sum() == cohort.n_obs


def test_a_sparse_and_a_dense_file_join(cohort, saved):
    other = cohort.copy()
    other.X = sp.csc_matrix(other.X)
    found = read([saved(cohort, "a.h5ad"), saved(other, "b.zarr")])
    np.testing.assert_array_equal(found.X.toarray(), np.concatenate([cohort.X] * 2))


def test_colliding_cells_carry_the_name_of_their_file(cohort, saved):
    found = read([saved(cohort, "plate1.h5ad"), saved(cohort, "plate2.h5ad")])
    assert found.obs_names[0] == "plate1-cell0"
    assert found.obs_names[cohort.n_obs] == "plate2-cell0"
    assert found.obs_names.is_unique


def test_joined_categories_stay_labels(cohort, saved):
    first, second = cohort[:75].copy(), cohort[75:].copy()
    for part in (first, second):
        part.obs["patient"] = part.obs["patient"].astype(str).astype("category")
    found = read([saved(first, "a.h5ad"), saved(second, "b.h5ad")])
    assert list(found.obs["patient"]) == list(cohort.obs["patient"])


def test_files_without_a_common_feature(cohort, saved):
    other = cohort.copy()
    other.var_names = [f"ENSG{i}" for i in range(other.n_vars)]
    with pytest.raises(DataError, match=r"'marker0'.*`a.h5ad`, 'ENSG0'.*`b.h5ad`"):
        read([saved(cohort, "a.h5ad"), saved(other, "b.h5ad")])


def test_one_file_twice(cohort, saved):
    path = saved(cohort)
    with pytest.raises(DataError, match="more than once"):
        read([path, path.parent / "." / path.name])


@pytest.mark.parametrize("address", ["s3://bucket/plate.h5ad", "https://example.org/plate.zarr"])
def test_an_address_is_refused(address):
    with pytest.raises(DataError, match=f"Expected a local path, found the address `{address}`. Download"):
        read([Path(address)])


def test_a_missing_file_names_its_neighbour(cohort, saved):
    path = saved(cohort, "plate3.h5ad")
    with pytest.raises(DataError, match=r"Did you mean 'plate3.h5ad'"):
        read([path.with_name("plate33.h5ad")])
    with pytest.raises(DataError, match="no folder"):
        read([path.parent / "nowhere" / "plate3.h5ad"])


@pytest.mark.parametrize("reader", [read, read_obs])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file(cohort, saved, reader, keep):
    path = saved(cohort)
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(DataError, match=r"empty file|truncated or damaged|not HDF5"):
        reader([path])


def test_a_damaged_block(cohort, tmp_path):
    path = tmp_path / "damaged.h5ad"
    cohort.write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        offset = file["X"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(b"\xff" * 40)
    with pytest.raises(DataError, match=r"cannot be read.*damaged.h5ad"):
        read([path])


def test_text_is_no_h5ad(tmp_path):
    path = tmp_path / "cells.h5ad"
    path.write_text("a,b\n1,2\n" * 300)
    with pytest.raises(DataError, match="not HDF5"):
        read([path])


def test_hdf5_that_is_no_anndata(tmp_path):
    path = tmp_path / "matrix.h5"
    with h5py.File(path, "w") as file:
        file["matrix"] = np.zeros(3)
    with pytest.raises(DataError, match=r"found no 'obs', 'var' among 'matrix'"):
        read([path])


def test_a_folder_that_is_no_zarr(cohort, saved, tmp_path):
    saved(cohort, "inside.h5ad")
    with pytest.raises(DataError, match=r"no zarr store.*It holds 'inside.h5ad'"):
        read([tmp_path])


@pytest.mark.parametrize("part", ["obs", "obs/_index", "X"])
def test_a_zarr_that_lacks_a_part(cohort, saved, part):
    path = saved(cohort, "cells.zarr")
    shutil.rmtree(path / part)
    (path / ".zmetadata").unlink(missing_ok=True)
    with pytest.raises(DataError, match="cells.zarr"):
        values(read([path]), "X")


def test_a_zarr_whose_names_were_not_copied(cohort, saved):
    path = saved(cohort, "cells.zarr")
    for file in (path / "obs" / "_index").rglob("*"):
        if file.is_file() and not file.name.startswith((".z", "zarr")):
            file.unlink()
    with pytest.raises(DataError, match="names of obs are incomplete"):
        read([path])


def test_no_cells(cohort, saved):
    with pytest.raises(DataError, match="Expected cells, found none"):
        read([saved(cohort[:0].copy())])


def test_duplicate_cells_and_features(cohort, saved):
    twice = cohort.copy()
    twice.obs_names = ["same", "same", *cohort.obs_names[2:]]
    with pytest.raises(DataError, match=r"unique obs names, found 1.*'same'.*obs_names_make_unique"):
        read([saved(twice, "obs.h5ad")])
    twice = cohort.copy()
    twice.var_names = ["CD3", "CD3", *cohort.var_names[2:]]
    with pytest.raises(
        DataError, match=r"unique var names, found 1.*'CD3'.*`var.h5ad`.*var_names_make_unique"
    ):
        read([saved(twice, "var.h5ad")])


def test_values_are_named(cohort):
    cohort.layers["raw"] = cohort.X * 2
    cohort.obsm["X_scvi"] = cohort.X[:, :2].copy()
    cohort.obsm["frame"] = pd.DataFrame(cohort.X[:, :2], columns=["a", "b"], index=cohort.obs_names)
    assert values(cohort, "X") is cohort.X
    np.testing.assert_array_equal(values(cohort, "layers/raw"), cohort.X * 2)
    assert feature_names(cohort, "obsm/X_scvi") == ["X_scvi_1", "X_scvi_2"]
    assert feature_names(cohort, "obsm/frame") == ["a", "b"]
    np.testing.assert_array_equal(values(cohort, "obsm/frame"), cohort.X[:, :2])
    assert unique_feature_names(cohort, "pca:3") == list(cohort.var_names)


def test_a_matrix_that_is_not_there(cohort):
    cohort.layers["counts"] = cohort.X
    with pytest.raises(DataError, match=r"Did you mean 'counts'.*--layer"):
        values(cohort, "layers/count")
    with pytest.raises(DataError, match=r"`obsm\['X_pca'\]`, found none"):
        values(cohort, "obsm/X_pca")
    empty = anndata.AnnData(obs=cohort.obs.copy(), var=cohort.var.copy(), layers={"raw": cohort.X})
    with pytest.raises(DataError, match=r"Expected `X`, found `layers/raw`.*--layer layers/raw"):
        values(empty, "X")


def test_renaming_leaves_the_input_alone(cohort):
    renamed = rename_columns(cohort, {"donor": "patient"})
    assert "donor" in renamed.obs
    assert "patient" not in renamed.obs
    assert "patient" in cohort.obs
    assert renamed.X is cohort.X
    swapped = rename_columns(cohort.obs, {"well": "patient", "patient": "well"})
    assert list(swapped["well"]) == list(cohort.obs["patient"])


def test_renaming_what_is_not_there(cohort):
    with pytest.raises(DataError, match="Did you mean 'patient'"):
        rename_columns(cohort, {"donor": "patiend"})
    with pytest.raises(DataError, match="to be free"):
        rename_columns(cohort, {"well": "patient"})


def test_hashes_follow_the_content(cohort, saved):
    path, store = saved(cohort, "a.h5ad"), saved(cohort, "a.zarr")
    before = file_hashes([path, store])
    assert set(before) == {"a.h5ad", "a.zarr"}
    assert file_hashes([path, store]) == before
    with path.open("ab") as handle:
        handle.write(b"x")
    (store / "extra").write_text("x")
    after = file_hashes([path, store])
    assert all(after[name] != before[name] for name in before)
