"""Files that are not read: each with its true cause, and none that waits."""

import gzip
import os
import socket
import subprocess
import sys

import h5py
import numpy as np
import pytest

from cellflow_cli.data import causes
from cellflow_cli.data.opening import opened
from cellflow_cli.data.read import read, rename_columns
from cellflow_cli.data.unchanged import check_unchanged, file_hashes
from cellflow_cli.data.validation.check import check
from cellflow_cli.errors import DataError, OutputError
from cellflow_cli.files import check_apart


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.h5ad.gz", gzip.compress(b"x", mtime=0), r"gzip archive.*gunzip"),
        ("x.h5ad", b"PK\x03\x04rest", r"zip archive.*unzip"),
        ("x.zst", b"\x28\xb5\x2f\xfdrest", "zstd archive"),
        ("x.tar", b"\0" * 257 + b"ustar\0", "tar archive"),
        ("x.csv", b"a,b\n1,2\n", r"text table.*read_csv"),
        ("x.h5ad", b"a\tb\n1\t2\n", "text, a file that is not HDF5"),
        ("x.h5ad", b"<!DOCTYPE html>", "web page"),
        ("x.h5ad", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("x.fcs", b"FCS3.1  ", "cytometer"),
        ("x.parquet", b"PAR1\0", "Parquet"),
        ("x.h5ad", b"", "empty file"),
    ],
)
def test_other_files_are_named(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=match):
        read([tmp_path / name])


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        (["mod/rna"], r"MuData.*write_h5ad"),
        (["matrix/barcodes"], "read_10x_h5"),
        (["matrix", "row_attrs", "col_attrs"], "Loom"),
        (["assays", "meta.data"], "Seurat"),
    ],
)
def test_other_hdf5_files_are_named(tmp_path, groups, match):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in groups:
            file.create_group(name)
    with pytest.raises(DataError, match=match):
        read([tmp_path / "x.h5"])


def test_a_folder_of_10x_matrices(tmp_path):
    (tmp_path / "matrix.mtx.gz").touch()
    with pytest.raises(DataError, match="read_10x_mtx"):
        read([tmp_path])


def test_what_would_wait_for_ever_is_refused(cohort, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket has a short name
    os.mkfifo("pipe.h5ad")
    (tmp_path / "loop.h5ad").symlink_to("loop.h5ad")
    (tmp_path / "dangling.h5ad").symlink_to("nowhere")
    store = saved(cohort, "cells.zarr")
    os.mkfifo(store / "X" / "9.9")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.h5ad")
        for name, found in {
            "pipe.h5ad": "named pipe",
            "socket.h5ad": "socket",
            "/dev/zero": "device",
            "cells.zarr": "named pipe",
            "loop.h5ad": "leads to itself",
            "dangling.h5ad": "link to `nowhere`",
        }.items():
            with pytest.raises(DataError, match=found):
                read([name])


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be played by root only")
@pytest.mark.parametrize("name", ["cells.h5ad", "cells.zarr"])
def test_a_file_that_the_user_may_not_read(cohort, saved, name):
    path = saved(cohort, name)
    path.chmod(0)
    os.seteuid(65534)
    try:
        with pytest.raises(DataError, match="no permission"):
            read([path])
    finally:
        os.seteuid(0)


def test_a_file_that_is_open_for_writing(cohort, saved):
    path = saved(cohort)
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'a'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(DataError, match=r"locked: another program.*HDF5_USE_FILE_LOCKING"):
            read([path])
        other.communicate(b"\n")


def test_a_filter_that_is_not_installed_is_named(cohort, saved, monkeypatch):
    path = saved(cohort)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code != h5py.h5z.FILTER_DEFLATE)
    with h5py.File(path, "a") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        stored = file.create_dataset("X", (300, 6), "f4", chunks=(300, 6), compression="gzip")
        stored.attrs.update(attributes)
        stored.id.write_direct_chunk((0, 0), b"nothing that unpacks")
    with pytest.raises(DataError, match=r"'deflate \(1\)'.*pip install hdf5plugin"):
        read([path])


def test_memory_that_runs_out_is_no_damage(cohort, saved):
    path = saved(cohort)
    with pytest.raises(DataError, match="enough memory to read") as caught, opened(path):
        raise MemoryError("Unable to allocate 9 GiB for an array")
    assert "9 GiB" in str(caught.value)
    assert "Copy" not in str(caught.value)
    assert "cannot be read" in str(causes.unreadable(OSError("eof"), None, path))


def of_a_later_version(path, *names):
    with h5py.File(path, "a") as file:
        for name in names:
            file.require_group(name) if name not in file else None
            file[name].attrs.update({"encoding-type": "of-a-later-anndata", "encoding-version": "9"})


def test_what_nobody_needs_stops_nothing(cohort, saved, spec):
    cohort.layers["raw"] = cohort.X.copy()
    cohort.obsm["X_old"] = cohort.X.copy()
    cohort.obs["note"] = range(cohort.n_obs)
    path = saved(cohort)
    of_a_later_version(path, "uns/future", "obs/note", "layers/raw", "obsm/X_old")
    notes = [f.what for f in check([path], spec).findings if "note" in f.what]
    assert not check([path], spec).stops
    assert "`obs['note']` cannot be read" in notes[0]
    for features in ("X", None):
        found = read([path], features=features)
        np.testing.assert_array_equal(found.X, cohort.X)
        assert list(found.obs) == ["patient", "treatment", "well"]
    with pytest.raises(DataError, match="'layers/raw'|`layers/raw`"):
        read([path], features="layers/raw")
    with pytest.raises(DataError, match=r"`obs\[\"note\"\]`, found a column that cannot be read"):
        rename_columns(found, {"donor": "note"})


@pytest.mark.parametrize("code", [77, -2])
def test_codes_without_a_category_are_damage(cohort, saved, spec, code):
    cohort.obs["patient"] = cohort.obs["patient"].astype("category")
    path = saved(cohort)
    with h5py.File(path, "a") as file:
        file["obs/patient/codes"][5] = code
    (error,) = [f for f in check([path], spec).findings if f.level == "error"]
    assert 'read `obs["patient"]`, found a column that cannot be read' in error.what


def test_names_that_are_not_there(cohort, saved):
    path = saved(cohort)
    with h5py.File(path, "a") as file:
        file["obs"].attrs["_index"] = "nowhere"
    with pytest.raises(DataError, match="names of obs are missing"):
        read([path])


def test_outputs_lie_apart_from_inputs(cohort, saved, tmp_path):
    store = saved(cohort, "cells.zarr")
    (tmp_path / "link").symlink_to(store)
    for output in (store, store / "model", tmp_path / "link" / "model", tmp_path):
        with pytest.raises(OutputError, match="apart from the input"):
            check_apart(output, [store])
    check_apart(tmp_path / "model", [store, saved(cohort)])


def test_files_of_one_name_have_their_own_hashes(cohort, saved, tmp_path):
    first, second = saved(cohort), tmp_path / "other" / "cells.h5ad"
    second.parent.mkdir()
    cohort[:50].copy().write_h5ad(second)
    paths = [first.rename(tmp_path / "cells.h5ad"), second]
    hashes = list(file_hashes(paths).values())
    assert len(set(hashes)) == 2
    check_unchanged(paths, hashes)
    second.write_bytes(paths[0].read_bytes())
    with pytest.raises(DataError, match="other/cells.h5ad' changed since it began"):
        check_unchanged(paths, hashes)
