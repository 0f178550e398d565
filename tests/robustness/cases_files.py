"""Files: cut, with flipped bits, of another format, pipes, devices, locks, without permission."""

import gzip
import io
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from tests.robustness.case import SAME, Case, Right, refused, warned
from tests.robustness.cases_matrices import READERS, changed, edited, on
from tests.robustness.sound import Sound, markers, write

KIND = "files"
NAMED = refused(r"odd")


def written(content: Callable[[bytes], bytes], name: str = "odd.h5ad") -> Callable:
    """A maker: bytes made of those of the sound file."""

    def make(folder: Path, sound: Sound) -> list[str]:
        (folder / name).write_bytes(content((sound.folder / "markers.h5ad").read_bytes()))
        return [name]

    return make


def made(create: Callable[[Path, Path], None], name: str = "odd.h5ad") -> Callable:
    """A maker: something that is no plain file, from the path of the sound file."""

    def make(folder: Path, sound: Sound) -> list[str]:
        create(folder / name, sound.folder / "markers.h5ad")
        return [name]

    return make


def _flipped(seed: int, within: int) -> Callable[[bytes], bytes]:
    def content(sound: bytes) -> bytes:
        rng, data = np.random.default_rng(seed), bytearray(sound)
        for at in rng.integers(0, within, 3):
            data[at] ^= int(rng.integers(1, 256))
        return bytes(data)

    return content


def _zip(data: bytes) -> bytes:
    handle = io.BytesIO()
    with zipfile.ZipFile(handle, "w") as archive:
        archive.writestr("odd.h5ad", data)
    return handle.getvalue()


def _tar(data: bytes) -> bytes:
    handle = io.BytesIO()
    with tarfile.open(fileobj=handle, mode="w") as archive:
        info = tarfile.TarInfo("odd.h5ad")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return handle.getvalue()


def _npz(_: bytes) -> bytes:
    handle = io.BytesIO()
    np.savez(handle, X=np.zeros((3, 3)))
    return handle.getvalue()


def _hdf5(fill: Callable[[h5py.File], None]) -> Callable[[bytes], bytes]:
    def content(_: bytes) -> bytes:
        handle = io.BytesIO()
        with h5py.File(handle, "w") as file:
            fill(file)
        return handle.getvalue()

    return content


def _tenx(file: h5py.File) -> None:
    for name in ("data", "indices", "indptr", "shape", "barcodes"):
        file[f"matrix/{name}"] = np.arange(5)
    file["matrix/features/id"] = np.arange(5)


CONTENTS = {
    "empty": lambda b: b"",
    "one byte": lambda b: b"\x89",
    "text": lambda b: b"a,b\n1,2\n",
    "the HDF5 mark alone": lambda b: b[:8],
    "zeros": lambda b: bytes(len(b)),
    "noise": lambda b: np.random.default_rng(0).bytes(5000),
    "gzip under the name of h5ad": gzip.compress,
    "zip under the name of h5ad": _zip,
    "tar under the name of h5ad": _tar,
    "npz under the name of h5ad": _npz,
    "pickle under the name of h5ad": lambda b: pickle.dumps({"a": 1}),
    "a web page": lambda b: b"<!DOCTYPE html><html><body>404</body></html>",
    "a pointer of git-lfs": lambda b: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "10x HDF5": _hdf5(_tenx),
    "HDF5 without groups": _hdf5(lambda f: None),
    "HDF5 with X alone": _hdf5(lambda f: f.__setitem__("X", np.zeros((3, 3)))),
    "loom": _hdf5(lambda f: [f.__setitem__(n, np.zeros((3, 3))) for n in ("matrix", "row_attrs/Gene")]),
    "a model file": lambda b: b'{"format": 2}',
    "the file twice over": lambda b: b"x" * 100 + b,
}
NAMES = {
    "x.h5ad.gz": gzip.compress, "x.zip": _zip, "x.csv": lambda b: b"a,b\n1,2\n", "x.fcs": lambda b: b"FCS3.1    " * 9,
    "x.rds": lambda b: b"\x1f\x8b" + bytes(99), "x.loom": _hdf5(lambda f: None), "x.mtx": lambda b: b"%%MatrixMarket",
    "x.h5mu": _hdf5(lambda f: f.create_group("mod")), "x.tar.gz": lambda b: gzip.compress(_tar(b)),
    "x.xlsx": _zip, "x.txt": lambda b: b"a", "x": lambda b: b"a", "x.zarr.zip": _zip, "x.zarr": lambda b: b"no folder",
}  # fmt: skip
SOUND_NAMES = (
    "x.h5",
    "x y.h5ad",
    "müller.h5ad",
    "x'y\".h5ad",
    "[red]x.h5ad",
    "-x.h5ad",
    "x\n.h5ad",
    "%s{}.h5ad",
)


def _loop(path: Path, _: Path) -> None:
    path.symlink_to(path.name)


def _mode(mode: int) -> Callable[[Path, Path], None]:
    def create(path: Path, sound: Path) -> None:
        shutil.copy(sound, path)
        path.chmod(mode)

    return create


def _socket(path: Path, _: Path) -> None:
    import socket

    here = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


NO_FILES = {
    "a named pipe": lambda p, s: os.mkfifo(p),
    "a link to an endless device": lambda p, s: p.symlink_to("/dev/zero"),
    "a link to /dev/null": lambda p, s: p.symlink_to("/dev/null"),
    "a link to a terminal": lambda p, s: p.symlink_to("/dev/tty"),
    "a link to a pipe": lambda p, s: (os.mkfifo(p.with_name("pipe")), p.symlink_to("pipe")),
    "a link to itself": _loop,
    "a link to nothing": lambda p, s: p.symlink_to("nothing"),
    "a folder": lambda p, s: p.mkdir(),
    "a folder with files": lambda p, s: (p.mkdir(), (p / "a").write_text("a")),
    "a socket": _socket,
    "nothing": lambda p, s: None,
}
NOBODY = ("os.setgroups([])", "os.setegid(65534)", "os.seteuid(65534)")


class _Held:
    """Keeps files open for writing until the next one."""

    open_file: h5py.File | None = None


def _locked(folder: Path, sound: Sound) -> list[str]:
    shutil.copy(sound.folder / "markers.h5ad", folder / "odd.h5ad")
    if _Held.open_file is not None:
        _Held.open_file.close()
    _Held.open_file = h5py.File(folder / "odd.h5ad", "a")
    return ["odd.h5ad"]


def _unreadable(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        file.create_group(name).attrs.update(
            {"encoding-type": "of-a-later-anndata", "encoding-version": "0.1.0"}
        )

    return edit


def _note(encoding: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        file["obs/note"] = np.arange(375)
        file["obs/note"].attrs.update({"encoding-type": encoding, "encoding-version": "0.2.0"})
        file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], "note"]

    return edit


def _two(folder: Path, sound: Sound, first: slice, second: slice) -> list[str]:
    adata = markers()
    write(adata[first].copy(), folder / "one.h5ad")
    write(adata[second].copy(), folder / "two.h5ad")
    return ["one.h5ad", "two.h5ad"]


def _twice(folder: Path, sound: Sound) -> list[str]:
    write(markers(), folder / "one.h5ad")
    return ["one.h5ad", "one.h5ad"]


def _copy(rename: bool) -> Callable:
    def make(folder: Path, sound: Sound) -> list[str]:
        adata = markers()
        write(adata, folder / "one.h5ad")
        if rename:
            adata.obs_names = [f"x{name}" for name in adata.obs_names]
        write(adata, folder / "two.h5ad")
        return ["one.h5ad", "two.h5ad"]

    return make


def cases() -> Iterator[Case]:
    """All of this kind."""
    for share in (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        yield Case(KIND, f"cut at {share:.1%}", written(lambda b, s=share: b[: int(s * len(b))]), on(NAMED))
    for last in (1, 8, 100):
        yield Case(KIND, f"{last} bytes cut", written(lambda b, n=last: b[:-n]), on(NAMED | SAME))
    for seed in range(30):
        commands = ("check", "train", "predict") if seed % 3 == 0 else ("check", "train")
        within = 96 if seed < 10 else 2048
        yield Case(
            KIND, f"flipped bytes {seed}", written(_flipped(seed, within)), on(refused() | SAME, commands)
        )
    for name, content in CONTENTS.items():
        right = NAMED | SAME if name in ("the file twice over", "tar under the name of h5ad") else NAMED
        yield Case(KIND, name, written(content), on(right))
    for name, content in NAMES.items():
        yield Case(
            KIND,
            f"named {name}",
            written(content, name),
            on(refused(name.split(".")[0]), ("check", "predict")),
        )
    for name in SOUND_NAMES:
        if not name.startswith("-"):
            yield Case(
                KIND, f"named {name!r}", written(lambda b: b, name), on(SAME, ("check", "train", "predict"))
            )
    for name, create in NO_FILES.items():
        yield Case(KIND, name, made(create), on(NAMED, (*READERS, "compare")))
    yield Case(
        KIND, "no permission", made(_mode(0)), on(refused("permission", "odd"), READERS), before=NOBODY
    )
    yield Case(KIND, "only readable", made(_mode(0o444)), on(SAME, READERS), before=NOBODY)
    yield Case(KIND, "open in another program", _locked, on(refused("another|open|lock") | SAME))
    for where in ("uns/future", "varm/future", "obsm/future", "obsp/future", "layers/future", "raw"):
        yield Case(KIND, f"unreadable {where}", edited(_unreadable(where)), on(SAME, (*READERS, "export")))
    yield Case(
        KIND, "unreadable column of obs", edited(_note("of-a-later-anndata")), on(SAME, (*READERS, "export"))
    )
    for name, first, second in (
        ("two files", slice(0, 150), slice(150, None)),
        ("two files, one with the last cells", slice(0, 300), slice(300, None)),
        ("two files that cut a population", slice(0, 160), slice(160, None)),
    ):
        make = lambda f, s, a=first, b=second: _two(f, s, a, b)  # noqa: E731
        yield Case(KIND, name, make, on(SAME, ("check", "train", "predict")))
    right = refused("one.h5ad|twice|same|duplicate") | warned("twice|same|duplicate|copy")
    yield Case(KIND, "a file twice", _twice, on(right, ("check", "train", "predict")))
    for rename in (False, True):
        name = "a copy with other cell names" if rename else "a copy"
        yield Case(KIND, name, _copy(rename), on(right, ("check", "train", "predict")))
    for name in ("gzip", "lzf"):
        yield Case(KIND, f"compressed with {name}", _compressed(name), on(SAME))
    for address in ("s3://bucket/x.h5ad", "https://example.org/x.h5ad", "gs://b/x.zarr", "file:///x.h5ad"):
        yield Case(
            KIND, f"at {address}", lambda f, s, a=address: [a], on(refused("address|local|found"), READERS)
        )
    yield Case(KIND, "named nothing", lambda f, s: [""], on(refused("", codes=(2, 3, 8)), READERS))
    yield Case(KIND, "the current folder", lambda f, s: ["."], on(refused("", codes=(3, 8)), READERS))
    yield Case(KIND, "a name of 5,000 characters", lambda f, s: ["x" * 5000], on(refused(""), READERS))
    yield Case(
        KIND, "cells of nobody", changed(lambda a: a[:0].copy()), on(refused("cells|empty|no "), READERS)
    )


def _compressed(name: str) -> Callable:
    def make(folder: Path, sound: Sound) -> list[str]:
        markers().write_h5ad(folder / "odd.h5ad", compression=name)
        return ["odd.h5ad"]

    return make


__all__ = ["NOBODY", "Right", "cases"]
