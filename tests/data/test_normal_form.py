"""Matrices are brought to one normal form or refused, from disk and from memory alike."""

import shutil
import warnings

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from cellflow_cli.data.blocks import Block, blocks, tally
from cellflow_cli.data.normal_form import normal_form
from cellflow_cli.data.read import read, values
from cellflow_cli.data.validation.check import check
from cellflow_cli.errors import DataError


def in_halves(matrix):
    """The same matrix, each entry stored in two parts and out of order."""
    rows, columns, data = sp.find(matrix)
    rows, columns, data = np.r_[rows, rows], np.r_[columns, columns], np.r_[data - 1, np.ones_like(data)]
    order = np.argsort(rows, kind="stable")
    indptr = np.r_[0, np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))]
    return sp.csr_matrix((data[order], columns[order], indptr), shape=matrix.shape)


def replaced(path, name, value):
    with h5py.File(path, "a") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=value).attrs.update(attributes)


def refused(path, spec, match):
    (error,) = [f for f in check([path], spec).findings if f.level == "error"]
    with pytest.raises(DataError, match=match) as caught:
        read([path], features="X")
    assert str(caught.value) in (f"{error.what} {error.fix}", error.what)


def test_entries_in_several_parts_are_summed(counts, saved):
    halves = counts.copy()
    halves.X = in_halves(counts.X)
    found = read([saved(halves)]).X
    assert found.has_canonical_format
    assert (found != counts.X).nnz == 0


def test_an_object_in_memory_is_summed_and_left_alone(counts):
    halves = counts.copy()
    halves.X = in_halves(counts.X)
    before = [part.copy() for part in (halves.X.data, halves.X.indices, halves.X.indptr)]
    assert (values(halves, "X") != counts.X).nnz == 0
    after = (halves.X.data, halves.X.indices, halves.X.indptr)
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    assert sum(block.values.nnz for block in blocks(halves.X)) == counts.X.nnz
    assert values(counts, "X") is counts.X


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize(
    ("part", "value", "match"),
    [("indptr", 10**6, "falls from 1000000"), ("indices", 9999, "to 9999"), ("indices", -3, "from -3")],
)
def test_a_sparse_matrix_that_points_outside(cohort, saved, spec, form, part, value, match):
    cohort.X = form(cohort.X)
    path = saved(cohort)
    with h5py.File(path, "a") as file:
        file[f"X/{part}"][3] = value
    refused(path, spec, match)
    parts = [cohort.X.data, cohort.X.indices, cohort.X.indptr]
    parts[("data", "indices", "indptr").index(part)][3] = value
    with pytest.raises(DataError, match=match):
        normal_form(cohort.X, "X", "")


@pytest.mark.parametrize(
    "shape", [(299, 6), (301, 6), (300, 5), (300, 7), (300,), (300, 6, 2), ()], ids=lambda shape: str(shape)
)
def test_another_shape(cohort, saved, spec, shape):
    path = saved(cohort)
    replaced(path, "X", np.ones(shape, dtype=np.float32))
    refused(path, spec, r"300 cells of obs and 6 features|dimension")


@pytest.mark.parametrize("dtype", ["c8", "S3", [("a", "f4")]], ids=["complex", "text", "records"])
def test_values_that_are_no_real_numbers(cohort, saved, spec, dtype):
    path = saved(cohort)
    replaced(path, "X", np.zeros((300, 6), dtype=dtype))
    refused(path, spec, "matrix of numbers")


@pytest.mark.parametrize("dtype", [">f8", "f2", "i8", "?"])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_other_numbers_are_read(cohort, saved, spec, dtype, form):
    expected = (cohort.X > 0).astype(dtype)
    cohort.X = form((cohort.X > 0).astype(np.float32))
    path = saved(cohort)
    name = "X" if form is np.asarray else "X/data"
    with h5py.File(path) as file:
        stored = file[name][...]
    replaced(path, name, stored.astype(dtype))
    found = read([path]).X
    dense = found.toarray() if sp.issparse(found) else found
    np.testing.assert_array_equal(dense.astype(float), expected.astype(float))
    assert not check([path], spec).stops


def test_a_matrix_of_very_many_rows_is_refused_at_once(cohort, saved, spec):
    path = saved(cohort)
    with h5py.File(path, "a") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", (10**12, 6), "f4", chunks=(100, 6)).attrs.update(attributes)
    refused(path, spec, "found 1,000,000,000,000 x 6")


def test_a_value_beyond_float32():
    total = tally(Block(np.arange(2), np.array([[1.0, 2.0], [3.0, 1e300]])))
    assert (total.n_nonfinite, total.first, total.n_beyond) == (1, (1, 1), 1)
    assert "beyond 1e15" in total.fault
    assert tally(Block(np.arange(1), np.array([[3e38]]))).n_nonfinite == 0
    assert tally(Block(np.arange(1), np.array([[6e4]], dtype=np.float16))).n_nonfinite == 0


def test_masked_values_are_missing():
    found = normal_form(np.ma.masked_greater(np.array([[1, 9]]), 5), "X", "")
    assert found[0, 0] == 1
    assert np.isnan(found[0, 1])


def _chunks(folder):
    return [f for f in folder.rglob("*") if f.is_file() and not f.name.startswith((".z", "zarr"))]


def test_lost_chunks_of_a_dense_zarr_are_a_warning(cohort, tmp_path, spec):
    path = tmp_path / "cells.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anndata, about the version of zarr
        cohort.write_zarr(path, chunks=(100, 6))
    assert not [f for f in check([path], spec).findings if "chunks" in f.what]
    sorted(_chunks(path / "X"))[1].unlink()
    (warning,) = [f for f in check([path], spec).findings if "chunks" in f.what]
    assert warning.level == "warning"
    assert "found 1 not in the file" in warning.what
    assert "between the cells at positions 100 and 199" in warning.what


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_lost_chunks_of_a_sparse_zarr_are_an_error(cohort, saved, spec, part):
    cohort.X = sp.csr_matrix(cohort.X)
    path = saved(cohort, "cells.zarr")
    for file in _chunks(path / "X" / part):
        file.unlink()
    refused(path, spec, f"chunk.*'{part}'")


def test_rows_that_were_never_written_are_a_warning(cohort, saved, spec):
    path = saved(cohort)
    with h5py.File(path, "a") as file:
        x, attributes = file["X"][...], dict(file["X"].attrs)
        del file["X"]
        stored = file.create_dataset("X", x.shape, "f4", chunks=(100, 6))
        stored[:200] = x[:200]
        stored.attrs.update(attributes)
    (warning,) = [f for f in check([path], spec).findings if "chunks" in f.what]
    assert "positions 200 and 299" in warning.what


def test_a_list_of_contents_that_is_older_than_a_zarr_store(cohort, saved, spec):
    path = saved(cohort, "cells.zarr")
    shutil.rmtree(path / "X")
    assert check([path], spec).stops
