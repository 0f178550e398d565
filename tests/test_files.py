"""Outputs appear whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellflow_cli import files, leftovers
from cellflow_cli.errors import OutputError
from cellflow_cli.files import address_of, check_writable, lost_output, replaced_file, replaced_folder

MODEL = ("config.json", "weights")


@pytest.fixture
def folder(tmp_path):
    """A folder written before, with a marker."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text("old")
    (path / "weights").write_text("old")
    return path


def fails(output, error):
    """Write something into the temporary path, then raise."""
    with output as temporary:
        half = temporary / "config.json" if temporary.is_dir() else temporary
        half.write_text("half")
        raise error


def names(path):
    return sorted(p.name for p in path.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path):
    with replaced_file(tmp_path / "a.txt", force=False) as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
        assert temporary.parent == tmp_path  # on the same disk, so that the rename is one
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_whose_block_fails_leaves_nothing(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error):
        fails(replaced_file(tmp_path / "a.txt", force=True), error)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"able to write `.*a\.txt`, found: No space left.*--output"):
        fails(replaced_file(tmp_path / "a.txt", force=False), OSError(28, "No space left on device"))
    assert names(tmp_path) == []


@pytest.mark.parametrize("replaced", [replaced_file, replaced_folder])
def test_what_exists_stays_without_force(tmp_path, replaced):
    (tmp_path / "a").mkdir()
    with (
        pytest.raises(OutputError, match=r"existing one: `.*a`.*--force"),
        replaced(tmp_path / "a", force=False),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["a"]


def test_a_file_is_replaced_with_force(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with replaced_file(tmp_path / "a.txt", force=True) as temporary:
        temporary.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_is_never_replaced_by_a_file(folder):
    with (
        pytest.raises(OutputError, match="path of a file, found a folder"),
        replaced_file(folder, force=True),
    ):
        pytest.fail("the block must not run")
    assert names(folder) == ["config.json", "weights"]


def test_a_folder_appears_when_the_block_ends(tmp_path):
    with replaced_folder(tmp_path / "model", force=False) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "a").write_text("new")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "deep" / "a").read_text() == "new"
    assert names(tmp_path) == ["model"]


def test_a_folder_is_swapped_as_a_whole(folder):
    with replaced_folder(folder, force=True, holds=MODEL) as temporary:
        (temporary / "config.json").write_text("new")
        assert names(folder) == ["config.json", "weights"]
    assert names(folder) == ["config.json"]
    assert (folder / "config.json").read_text() == "new"
    assert names(folder.parent) == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_folder_whose_block_fails_leaves_the_old_one(folder, error):
    with pytest.raises((error, OutputError)):
        fails(replaced_folder(folder, force=True), error)
    assert (folder / "config.json").read_text() == "old"
    assert names(folder.parent) == ["model"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_stopped_between_the_two_renames_the_old_folder_comes_back(folder, monkeypatch, error):
    original, calls = Path.replace, []

    def replace(self, target):
        calls.append(self)
        if len(calls) == 2:
            raise error
        return original(self, target)

    monkeypatch.setattr(files, "exchange", lambda one, other: False)  # as on systems that cannot
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises((error, OutputError)), replaced_folder(folder, force=True) as temporary:
        (temporary / "config.json").write_text("new")
    assert len(calls) == 3
    assert (folder / "config.json").read_text() == "old"
    assert names(folder.parent) == ["model"]


def test_force_does_not_replace_somebody_else_s_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.json").write_text("{}")
    (tmp_path / "data" / "plate.h5ad").write_text("years of work")
    message = r"a folder of 'config\.json', 'weights'.*found 'plate\.h5ad' in it too\. Nothing was changed"
    with pytest.raises(OutputError, match=message):
        check_writable(tmp_path / "data", force=True, holds=MODEL)
    with (
        pytest.raises(OutputError, match=message),
        replaced_folder(tmp_path / "data", force=True, holds=MODEL),
    ):
        pytest.fail("the block must not run")
    (tmp_path / "plate.h5ad").write_text("years of work")
    with pytest.raises(OutputError, match="found a file"):
        check_writable(tmp_path / "plate.h5ad", force=True, holds=MODEL)


def test_force_replaces_an_empty_folder(tmp_path):
    (tmp_path / "model").mkdir()
    with replaced_folder(tmp_path / "model", force=True, holds=MODEL) as temporary:
        (temporary / "config.json").write_text("new")
    assert names(tmp_path / "model") == ["config.json"]


def test_folders_above_are_made(tmp_path):
    check_writable(tmp_path / "a" / "b" / "c.txt", force=False)
    with replaced_file(tmp_path / "a" / "b" / "c.txt", force=False) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a" / "b" / "c.txt").exists()


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_text("")
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        with pytest.raises(OutputError, match=r"able to write `.*--output"):
            check_writable(path, force=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="able to write"):
        check_writable(tmp_path / "locked" / "a.txt", force=False)


def test_checking_changes_nothing(folder):
    check_writable(folder, force=True, holds=MODEL)
    check_writable(folder.parent / "other", force=False)
    assert names(folder.parent) == ["model"]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("s3://bucket/a.h5ad", "s3://bucket/a.h5ad"),
        (Path("http://host/a"), "http://host/a"),
        ("C:/data/a.h5ad", None),
        ("plates/a:b.h5ad", None),
    ],
)
def test_addresses_are_told_from_paths(path, address):
    assert address_of(path) == address


def test_an_address_cannot_be_written():
    with pytest.raises(OutputError, match="found the address `s3://bucket/model`"):
        check_writable(Path("s3://bucket/model"), force=True)


def test_a_file_that_only_looks_like_an_address_is_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "a.h5ad").write_text("")
    assert address_of(Path("s3:/a.h5ad")) is None


KILLED = """
import os, sys
from pathlib import Path
from cellflow_cli import files
files.exchange = lambda one, other: {exchange}
replace, calls = Path.replace, []
def replaced(self, target):
    calls.append(self)
    if len(calls) == {dies_at}:
        os._exit(9)
    return replace(self, target)
Path.replace = replaced
with files.replaced_folder(Path(sys.argv[1]), force=True, holds=("config.json", "weights")) as temporary:
    (temporary / "config.json").write_text("new")
    if {dies_at} == 0:
        os._exit(9)
"""


def killed(path, *, dies_at, exchange="False"):
    """A process that is killed in the block (0), or before the rename with this number."""
    code = KILLED.format(dies_at=dies_at, exchange=exchange)
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9


def test_a_kill_between_two_renames_is_named_and_mended(folder):
    killed(folder, dies_at=2)
    assert not folder.exists()
    aside = next(folder.parent.glob(".model.old-*"))
    assert f"put it back with `mv {aside} {folder}`" in lost_output(folder)
    with pytest.raises(
        OutputError, match=r"existing one.*was killed had left it as `\.model\.old-.*it is back"
    ):
        check_writable(folder, force=False)
    assert (folder / "weights").read_text() == "old"
    with replaced_folder(folder, force=True, holds=MODEL) as temporary:
        (temporary / "config.json").write_text("new")
    assert names(folder.parent) == ["model"]  # the temporary of the dead run is gone too
    assert lost_output(folder) == ""


def test_what_a_killed_run_began_is_swept(folder):
    killed(folder, dies_at=0)
    assert len(names(folder.parent)) == 2
    check_writable(folder, force=True, holds=MODEL)
    assert len(names(folder.parent)) == 2  # checking changes nothing
    with replaced_folder(folder, force=True, holds=MODEL):
        pass
    assert names(folder.parent) == ["model"]


def test_what_a_living_run_writes_stays(folder):
    with replaced_folder(folder, force=True) as first, replaced_folder(folder, force=True) as second:
        (first / "config.json").write_text("first")
        (second / "config.json").write_text("second")
    assert (folder / "config.json").read_text() == "first"  # its block ended last
    assert names(folder.parent) == ["model"]


def test_what_another_machine_left_is_swept_after_a_week(folder):
    left = folder.parent / ".model.new-0123abcd-1-0123abcd"
    left.mkdir()
    leftovers.sweep(folder)
    assert left.exists()
    os.utime(left, (0, 0))
    leftovers.sweep(folder)
    assert not left.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2")
def test_folders_are_exchanged_at_once(folder, tmp_path):
    (tmp_path / "other").mkdir()
    assert leftovers.exchange(folder, tmp_path / "other")
    assert names(folder) == []
    assert names(tmp_path / "other") == ["config.json", "weights"]
    with pytest.raises(FileExistsError):
        leftovers.rename_new(folder, tmp_path / "other")


def test_an_output_that_somebody_else_finished_meanwhile_stays(tmp_path):
    output = replaced_file(tmp_path / "a.txt", force=False)
    output.__enter__().write_text("mine")
    (tmp_path / "a.txt").write_text("theirs")
    with pytest.raises(OutputError, match="existing one"):
        output.__exit__(None, None, None)
    assert (tmp_path / "a.txt").read_text() == "theirs"
    assert names(tmp_path) == ["a.txt"]


def test_a_system_that_cannot_exchange_renames_twice(folder, monkeypatch):
    def cannot(*arguments):
        leftovers.ctypes.set_errno(errno.ENOSYS)
        return -1

    monkeypatch.setattr(leftovers, "_system_function", lambda name: cannot)
    with replaced_folder(folder, force=True, holds=MODEL) as temporary:
        (temporary / "config.json").write_text("new")
    assert (folder / "config.json").read_text() == "new"
    assert names(folder.parent) == ["model"]


@pytest.mark.parametrize("path", ["", ".", "..", "/", "sub/..", "a/../.."])
def test_the_folder_one_is_in_is_no_output(tmp_path, monkeypatch, path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputError, match=r"new output, found .*folder.*Nothing was changed"):
        check_writable(Path(path), force=True)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_names_that_no_disk_takes(tmp_path, name):
    with pytest.raises(OutputError, match=r"NUL|name too long"):
        check_writable(tmp_path / name, force=True)


def test_a_name_as_long_as_the_disk_takes(tmp_path):
    with replaced_file(tmp_path / ("x" * 250), force=False) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["x" * 250]


@pytest.mark.parametrize("mark", ["SHA256SUMS", ".zgroup", "zarr.json"])
def test_nothing_is_written_into_a_model_or_a_zarr_store(tmp_path, mark):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / mark).touch()
    for path in (tmp_path / "m" / "sub", tmp_path / "m" / "sub" / "deep.h5ad"):
        with pytest.raises(OutputError, match="outside of other outputs"):
            check_writable(path, force=True)


def test_links_and_devices(tmp_path, folder):
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(OutputError, match="a link to nothing"):
        check_writable(tmp_path / "nowhere", force=True)
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((Path("/dev/null"), "a device"), (tmp_path / "pipe", "a named pipe")):
        with pytest.raises(OutputError, match=f"found {kind}"):
            check_writable(path, force=True)
    (tmp_path / "link").symlink_to(folder)
    with replaced_folder(tmp_path / "link", force=True, holds=MODEL) as temporary:
        (temporary / "config.json").write_text("new")
    assert (folder / "config.json").read_text() == "new"  # where the link leads
    assert (tmp_path / "link").is_symlink()


def test_what_hdf5_says_of_a_disk_is_told_in_its_own_words(tmp_path):
    said = "Unable to extend file (errno = 28, error message = 'No space left on device', buf = 0x5)"

    def write():
        with replaced_file(tmp_path / "cells.h5ad", force=False) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(said)

    with pytest.raises(OutputError, match=r"write `.*cells.h5ad`, found: No space left on device\. Nothing"):
        write()
    assert list(tmp_path.iterdir()) == []
