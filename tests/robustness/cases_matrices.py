"""Matrices: sparse ones that are damaged or written in another way, shapes, dtypes, values, zarr chunks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import scipy.sparse as sp

from tests.robustness.case import RUNS, SAME, Case, Right, refused
from tests.robustness.sound import Sound, counts, markers, write

KIND = "matrices"
READERS = ("check", "train", "predict", "evaluate")
DAMAGED = refused("matrix|sparse|damaged|shape|rows|columns|cannot be read|`?X`?")


def on(right: Right, commands=READERS) -> dict[str, Right]:
    """The same for several commands."""
    return dict.fromkeys(commands, right)


def edited(
    edit: Callable[[h5py.File], None], base: str = "markers", form: Callable | None = None
) -> Callable:
    """A maker: the sound file in a form of X, then edited with h5py."""

    def make(folder: Path, sound: Sound) -> list[str]:
        adata = markers() if base == "markers" else counts()
        if form is not None:
            adata.X = form(adata.X)
        path = write(adata, folder / "odd.h5ad")
        with h5py.File(path, "a") as file:
            edit(file)
        return [path.name]

    return make


def changed(edit: Callable[[anndata.AnnData], anndata.AnnData | None], base: str = "markers") -> Callable:
    """A maker: the sound data, edited in memory."""

    def make(folder: Path, sound: Sound) -> list[str]:
        adata = markers() if base == "markers" else counts()
        with np.errstate(all="ignore"):
            other = edit(adata)
            write(adata if other is None else other, folder / "odd.h5ad")
        return ["odd.h5ad"]

    return make


def put(file: h5py.File, name: str, values: np.ndarray) -> None:
    """Replace a data set, with its attributes."""
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def _element(name: str, at: int, value: float) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        values = file[f"X/{name}"][:]
        if isinstance(value, int) and abs(value) > 2**31:
            values = values.astype(np.int64)
        values[at] = value
        put(file, f"X/{name}", values)

    return edit


def _cut(name: str, by: int) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        values = file[f"X/{name}"][:]
        put(file, f"X/{name}", values[:by] if by < 0 else np.r_[values, values[:by]])

    return edit


def _shape(*shape: int) -> Callable[[h5py.File], None]:
    return lambda file: file["X"].attrs.__setitem__("shape", np.array(shape, np.int64))


def _cast(name: str, dtype: str) -> Callable[[h5py.File], None]:
    return lambda file: put(file, f"X/{name}", file[f"X/{name}"][:].astype(dtype))


def _without(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


def _texts(file: h5py.File) -> None:
    del file["X/data"]
    file["X"].create_dataset("data", data=["a"] * len(file["X/indices"]))


SPARSE_DAMAGE = {
    "indptr far beyond": _element("indptr", 5, 10**6),
    "indptr beyond 32 bits": _element("indptr", 5, 2**40),
    "indptr negative": _element("indptr", 5, -3),
    "indptr falls": _element("indptr", 5, 0),
    "indptr does not start at 0": _element("indptr", 0, 1),
    "indptr ends early": _element("indptr", -1, 5),
    "indptr ends late": _element("indptr", -1, 10**7),
    "indptr one short": _cut("indptr", -1),
    "indptr one long": _cut("indptr", 1),
    "indptr half": _cut("indptr", -100),
    "indices beyond": _element("indices", 5, 99),
    "indices one beyond": _element("indices", 0, 8),
    "indices negative": _element("indices", 5, -3),
    "indices far beyond": _element("indices", -1, 2**31 - 1),
    "indices beyond 32 bits": _element("indices", 7, 2**40),
    "indices one short": _cut("indices", -1),
    "indices one long": _cut("indices", 1),
    "data one short": _cut("data", -1),
    "data one long": _cut("data", 1),
    "data half": _cut("data", -1000),
    "more rows declared": _shape(400, 8),
    "fewer rows declared": _shape(300, 8),
    "fewer columns declared": _shape(375, 3),
    "more columns declared": _shape(375, 80),
    "negative shape": _shape(-1, 8),
    "huge shape": _shape(10**12, 8),
    "shape of one number": _shape(375),
    "shape of three numbers": _shape(375, 8, 1),
    "no data": _without("X/data"),
    "no indices": _without("X/indices"),
    "no indptr": _without("X/indptr"),
    "indices of texts": lambda f: put(f, "X/indices", np.array([b"a"] * len(f["X/indices"]))),
    "data complex": _cast("data", "c8"),
    "data of texts": _texts,
    "indices with fractions": lambda f: put(f, "X/indices", f["X/indices"][:] + 0.5),
    "indptr with NaN": lambda f: put(f, "X/indptr", np.r_[np.nan, f["X/indptr"][1:]]),
    "data NaN": _element("data", 5, np.nan),
    "data infinite": _element("data", 5, np.inf),
    "data of two dimensions": lambda f: put(f, "X/data", f["X/data"][:].reshape(-1, 1)),
    "no shape": lambda f: f["X"].attrs.__delitem__("shape"),
    "another encoding": lambda f: f["X"].attrs.__setitem__("encoding-type", "coo_matrix"),
    "a later encoding": lambda f: f["X"].attrs.__setitem__("encoding-version", "9.9.9"),
}


def _split_in_two(matrix: sp.spmatrix) -> sp.csr_matrix:
    """Each value as two entries of one place."""
    x = sp.csr_matrix(matrix)
    half = np.floor(x.data / 2)
    order = np.argsort(np.r_[0 : x.nnz, 0 : x.nnz], kind="stable")
    data, indices = np.r_[half, x.data - half][order], np.r_[x.indices, x.indices][order]
    return sp.csr_matrix((data.astype("f4"), indices, 2 * x.indptr), shape=x.shape)


def _backwards(matrix: np.ndarray) -> sp.csr_matrix:
    x = sp.csr_matrix(matrix)
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        x.indices[start:end], x.data[start:end] = (
            x.indices[start:end][::-1].copy(),
            x.data[start:end][::-1].copy(),
        )
    x.has_sorted_indices = False
    return x


def _with_zeros(matrix: np.ndarray) -> sp.csr_matrix:
    dense = np.asarray(matrix.todense() if sp.issparse(matrix) else matrix)
    rows, columns = np.indices(dense.shape)
    return sp.csr_matrix(
        (dense.ravel(), columns.ravel(), np.arange(0, dense.size + 1, dense.shape[1])), dense.shape
    )


FORMS = {
    "CSR": sp.csr_matrix,
    "CSC": sp.csc_matrix,
    "unsorted CSR": _backwards,
    "explicit zeros": _with_zeros,
    "float64": lambda x: x.astype("f8"),
    "big-endian": lambda x: x.astype(">f4"),
    "Fortran order": np.asfortranarray,
}
COUNT_FORMS = {
    "CSC of counts": sp.csc_matrix,
    "dense counts": lambda x: x.toarray(),
    "counts split in two": _split_in_two,
    "explicit zeros of counts": _with_zeros,
    "unsorted counts": _backwards,
    "integer counts": lambda x: x.astype("i4"),
    "unsigned counts of 16 bits": lambda x: x.astype("u2"),
    "counts of 64 bits": lambda x: x.astype("f8"),
    "COO in CSR with duplicates of zero": lambda x: _split_in_two(x),
}


def _dense(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        new = values(file["X"][:])
        attributes = dict(file["X"].attrs)
        del file["X"]
        file["X"] = new
        file["X"].attrs.update(attributes)

    return edit


def _declared(rows: int, columns: int) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", shape=(rows, columns), dtype="f4", chunks=(min(rows, 1000), 8)).attrs.update(
            attributes
        )

    return edit


DENSE_DAMAGE = {
    "fewer rows": _dense(lambda x: x[:-20]),
    "more rows": _dense(lambda x: np.r_[x, x[:20]]),
    "one row less": _dense(lambda x: x[:-1]),
    "fewer columns": _dense(lambda x: x[:, :-1]),
    "more columns": _dense(lambda x: np.c_[x, x[:, :2]]),
    "transposed": _dense(lambda x: x.T.copy()),
    "one dimension": _dense(lambda x: x.ravel()),
    "three dimensions": _dense(lambda x: x[:, :, None]),
    "no dimension": _dense(lambda x: np.float32(1)),
    "no rows": _dense(lambda x: x[:0]),
    "complex": _dense(lambda x: x.astype("c8")),
    "texts": _dense(lambda x: x.astype("S8")),
    "records": _dense(lambda x: np.zeros(len(x), dtype=[("a", "f4"), ("b", "f4")])),
    "10^12 rows declared": _declared(10**12, 8),
    "10^9 columns declared": _declared(375, 10**9),
    "X missing": _without("X"),
    "X is a group": lambda f: (_without("X")(f), f.create_group("X")),
    "X links nowhere": lambda f: (_without("X")(f), f.__setitem__("X", h5py.SoftLink("/nowhere"))),
    "X links to itself": lambda f: (_without("X")(f), f.__setitem__("X", h5py.SoftLink("/X"))),
    "X links to another file": lambda f: (
        _without("X")(f), f.__setitem__("X", h5py.ExternalLink("gone.h5", "/X"))),
}  # fmt: skip

PLACES = {"a training control": 3, "a trained cell": 30, "a held-out control": 303, "a held-out cell": 333}
VALUES = {"NaN": np.nan, "inf": np.inf, "-inf": -np.inf, "1e300": 1e300, "-1e300": -1e300, "3e38": 3e38}


def _value(row: int, value: float) -> Callable[[anndata.AnnData], None]:
    def edit(adata: anndata.AnnData) -> None:
        x = adata.X.astype("f8") if abs(value) > 1e38 else adata.X
        x[row, 2] = value
        adata.X = x

    return edit


def _zarr(edit: Callable[[Path], None]) -> Callable:
    def make(folder: Path, sound: Sound) -> list[str]:
        path = folder / "odd.zarr"
        write(markers(), path)
        edit(path)
        return [path.name]

    return make


def _chunks(store: Path) -> list[Path]:
    files = [p for p in sorted((store / "X").rglob("*")) if p.is_file() and p.name not in METADATA]
    assert files
    return files


METADATA = {".zarray", ".zattrs", ".zgroup", "zarr.json"}


def _metadata(store: Path, edit: Callable[[dict], None]) -> None:
    path = next(p for p in ((store / "X" / "zarr.json"), (store / "X" / ".zarray")) if p.exists())
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


ZARR = {
    "a missing chunk": lambda s: [p.unlink() for p in _chunks(s)],
    "a chunk cut": lambda s: _chunks(s)[0].write_bytes(_chunks(s)[0].read_bytes()[:20]),
    "an empty chunk": lambda s: _chunks(s)[0].write_bytes(b""),
    "a chunk of noise": lambda s: _chunks(s)[0].write_bytes(b"\x07" * 999),
    "X without metadata": lambda s: [p.unlink() for p in (s / "X").iterdir() if p.name in METADATA],
    "metadata cut": lambda s: [
        p.write_text(p.read_text()[:20]) for p in (s / "X").iterdir() if p.name in METADATA - {".zattrs"}
    ],
    "another shape": lambda s: _metadata(s, lambda v: v.update(shape=[10, 8])),
    "a huge shape": lambda s: _metadata(s, lambda v: v.update(shape=[10**12, 8])),
    "a negative shape": lambda s: _metadata(s, lambda v: v.update(shape=[-1, 8])),
    "shape null": lambda s: _metadata(s, lambda v: v.update(shape=None)),
    "metadata a list": lambda s: [
        p.write_text("[]") for p in (s / "X").iterdir() if p.name in METADATA - {".zattrs"}
    ],
    "no obs": lambda s: __import__("shutil").rmtree(s / "obs"),
    "no var": lambda s: __import__("shutil").rmtree(s / "var"),
    "empty folder": lambda s: (__import__("shutil").rmtree(s), s.mkdir()),
}


def cases() -> Iterator[Case]:
    """All of this kind."""
    for name, edit in SPARSE_DAMAGE.items():
        right = refused() if "data NaN" in name or "infinite" in name else DAMAGED
        for form in (sp.csr_matrix, sp.csc_matrix):
            if form is sp.csc_matrix and not name.startswith(("indptr", "indices")):
                continue
            if form is sp.csc_matrix and name in ("indptr half", "indices one beyond", "indices beyond"):
                continue
            label = f"{form.__name__[:3].upper()} {name}"
            rights = on(right)
            if name != "indptr far beyond":  # rows that a command does not read may be as they are
                rights |= on(right | SAME, ("predict", "evaluate"))
            yield Case(KIND, label, edited(edit, form=form), rights)
    for name, form in FORMS.items():
        commands = (*READERS, "export") if name == "CSR" else READERS
        yield Case(KIND, name, changed(lambda a, f=form: setattr(a, "X", f(a.X))), on(SAME, commands))
    for name, form in COUNT_FORMS.items():
        make = changed(lambda a, f=form: setattr(a, "X", f(a.X)), "counts")
        yield Case(KIND, name, make, on(SAME), base="counts")
    for name, edit in DENSE_DAMAGE.items():
        yield Case(KIND, name, edited(edit), on(DAMAGED, (*READERS, "export") if "X" in name else READERS))
    for where, row in PLACES.items():
        for name, value in VALUES.items():
            right = on(refused("M2|finite|float32|large|1e300|3e38"), ("check", "train"))
            if name == "3e38":
                right = on(refused() | Right(warns="M2|range|far|large") | RUNS, ("check", "train"))
            elif "training control" not in where and "trained" not in where:
                right = on(
                    refused("M2|finite|float32|large|1e300") | Right(warns="held|P5|finite"),
                    ("check", "train"),
                )
            if where == "a held-out control":
                right["predict"] = refused("M2|finite|float32|large") | Right(
                    warns="M2|range|far|outside|scale"
                )
            yield Case(KIND, f"{name} in {where}", changed(_value(row, value)), right)
    zero = refused("vari|constant|zero") | Right(warns="vari|constant|zero")
    yield Case(KIND, "all zero", changed(lambda a: a.X.fill(0)), on(zero, ("check", "train")))
    yield Case(
        KIND, "all zero, components", changed(lambda a: setattr(a, "X", a.X * 0), "counts"),
        on(refused("vari|constant|zero|no counts"), ("check", "train")), base="counts",
    )  # fmt: skip
    yield Case(
        KIND, "all the same, components as they are",
        changed(lambda a: setattr(a, "X", np.full(a.shape, 3.0, "f4")), "markers"),
        on(refused("vari|constant"), ("check", "train")), options=("--features", "pca:3", "--expression", "as-is"),
    )  # fmt: skip
    one = Right(warns="M3|constant|vari") | RUNS
    yield Case(KIND, "one constant marker", changed(lambda a: a.X[:, 3].fill(2)), on(one, ("check", "train")))
    for name, edit in ZARR.items():
        yield Case(KIND, f"zarr: {name}", _zarr(edit), on(refused("odd.zarr|chunk|X|obs|var")))
    yield Case(KIND, "zarr", _zarr(lambda s: None), on(SAME, (*READERS, "compare")))
