"""Predictions that are incomplete, changed, or too good; measured cells that do not fit them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd

from tests.robustness.case import RUNS, SAME, Case, Right, refused, warned
from tests.robustness.sound import Sound, command_line, markers, write

KIND = "predictions"
USERS = ("evaluate", "export")
BAD = refused("", codes=(3,))


def _line(command: str, files: list[str], sound: Sound) -> list[str]:
    words = command_line(command, "markers", files[1:], sound)
    words[1] = files[0]
    return words


def changed(edit: Callable[[anndata.AnnData], object], base: str = "markers") -> Callable:
    """A maker: our prediction, edited in memory, and the measured cells."""

    def make(folder: Path, sound: Sound) -> list[str]:
        adata = anndata.read_h5ad(sound.predicted(base))
        other = edit(adata)
        with np.errstate(all="ignore"):
            write(other if isinstance(other, anndata.AnnData) else adata, folder / "pred.h5ad")
        return ["pred.h5ad", str(sound.folder / f"{base}.h5ad")]

    return make


def opened(edit: Callable[[h5py.File], object], base: str = "markers") -> Callable:
    """A maker: our prediction, edited with h5py."""

    def make(folder: Path, sound: Sound) -> list[str]:
        (folder / "pred.h5ad").write_bytes(sound.predicted(base).read_bytes())
        with h5py.File(folder / "pred.h5ad", "a") as file:
            edit(file)
        return ["pred.h5ad", str(sound.folder / f"{base}.h5ad")]

    return make


def truth(edit: Callable[[anndata.AnnData], object]) -> Callable:
    """A maker: our prediction, and measured cells that were edited."""

    def make(folder: Path, sound: Sound) -> list[str]:
        adata = markers()
        other = edit(adata)
        write(other if isinstance(other, anndata.AnnData) else adata, folder / "truth.h5ad")
        return [str(sound.predicted("markers")), "truth.h5ad"]

    return make


def _drop(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


def _put(name: str, value: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value
        file[name].attrs.update(
            {
                "encoding-type": "string" if isinstance(value, str) else "numeric-scalar",
                "encoding-version": "0.2.0",
            }
        )

    return edit


def _text(name: str, edit_value: Callable[[dict], object]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        path = f"uns/cellflow/{name}"
        value = json.loads(file[path][()].decode())
        new = edit_value(value)
        _put(path, json.dumps(value if new is None else new))(file)

    return edit


def copied(noise: float, share: float = 1.0) -> Callable[[anndata.AnnData], None]:
    """The measured cells in place of the predicted ones."""

    def edit(adata: anndata.AnnData) -> None:
        measured = markers()
        rng = np.random.default_rng(0)
        predicted = adata.obs["cellflow_is_predicted"].to_numpy(bool)
        for treatment in ("drug", "other"):
            rows = np.flatnonzero(predicted & (adata.obs["treatment"] == treatment).to_numpy())
            rows = rows[: int(share * len(rows))]
            cells = measured[(measured.obs["patient"] == "P5") & (measured.obs["treatment"] == treatment)].X
            adata.X[rows] = (
                cells[: len(rows)] + rng.normal(0, noise, (len(rows), 8)) if noise else cells[: len(rows)]
            )

    return edit


def _predicted(adata: anndata.AnnData) -> np.ndarray:
    return adata.obs["cellflow_is_predicted"].to_numpy(bool)


UNS = ("command", "input_hashes", "method", "model", "model_id", "population", "seed", "settings", "spec", "summaries",
       "summaries_json", "train_groups", "transform", "transform_json", "version", "warnings", "n_evaluations")  # fmt: skip
NEEDED = {"spec", "transform", "transform_json", "train_groups", "summaries", "summaries_json"}
CHANGED = {
    "NaN": (lambda a: a.X.__setitem__((40, 2), np.nan), BAD),
    "infinity": (lambda a: a.X.__setitem__((40, 2), np.inf), BAD),
    "all NaN": (lambda a: a.X.fill(np.nan), BAD),
    "1e38": (lambda a: a.X.__setitem__((40, 2), 1e38), BAD | RUNS),
    "all zero": (lambda a: a.X.fill(0), RUNS | BAD),
    "float64": (lambda a: setattr(a, "X", a.X.astype("f8")), SAME),
    "texts in obs": (lambda a: a.obs.__setitem__("note", "x"), SAME),
    "no predicted cells": (lambda a: a[~_predicted(a)].copy(), BAD),
    "no controls": (lambda a: a[_predicted(a)].copy(), RUNS | BAD),
    "one predicted cell": (lambda a: a[(~_predicted(a)) | (np.arange(a.n_obs) == 40)].copy(), RUNS | refused("", codes=(3, 9))),
    "no cells": (lambda a: a[:0].copy(), BAD),
    "no features": (lambda a: a[:, :0].copy(), refused("", codes=(3, 4))),
    "a feature less": (lambda a: a[:, 1:].copy(), refused("M0", codes=(3, 4))),
    "other names": (lambda a: a.var.__setattr__("index", pd.Index([f"X{i}" for i in range(8)])), refused("", codes=(3, 4))),
    "names twice": (lambda a: a.var.__setattr__("index", pd.Index(["M0"] * 8)), refused("", codes=(3, 4))),
    "features backwards": (lambda a: a[:, ::-1].copy(), SAME | refused("", codes=(3, 4))),
    "another patient": (lambda a: a.obs.__setitem__("patient", "P9"), refused("P9")),
    "other treatments": (lambda a: a.obs.__setitem__("treatment", a.obs["treatment"].astype(str).replace({"drug": "x", "other": "y"})), BAD),
    "one treatment renamed": (lambda a: a.obs.__setitem__("treatment", a.obs["treatment"].astype(str).replace({"drug": "x"})), BAD | warned("x") | RUNS),
    "no treatments": (lambda a: a.obs.__delitem__("treatment"), refused("treatment")),
    "no patients": (lambda a: a.obs.__delitem__("patient"), refused("patient")),
    "no roles": (lambda a: a.obs.__delitem__("cellflow_is_predicted"), BAD),
    "roles of texts": (lambda a: a.obs.__setitem__("cellflow_is_predicted", "yes"), BAD),
    "roles missing": (lambda a: a.obs.__setitem__("cellflow_is_predicted", np.full(a.n_obs, np.nan)), BAD),
    "no uns": (lambda a: a.uns.clear(), BAD),
    "X copied from the measured cells": (copied(0), refused("copy|same|measured|floor|identical") | warned("copy|same|measured|floor|identical")),
    "X copied with noise": (copied(1e-4), refused("copy|same|measured|floor|close") | warned("copy|same|measured|floor|close")),
    "half of X copied": (copied(0, 0.5), refused("copy|same|measured|floor|identical") | warned("copy|same|measured|floor|identical") | RUNS),
    "controls as predictions": (lambda a: a.X.__setitem__(slice(25, None), np.tile(a.X[:25], (2, 1))), RUNS),
}  # fmt: skip
OPENED = {
    "no X": (_drop("X"), refused("X")),
    "no obs": (_drop("obs"), refused("obs")),
    "no var": (_drop("var"), refused("var")),
    "no uns": (_drop("uns"), BAD),
    "X of texts": (lambda f: (_drop("X")(f), f.__setitem__("X", np.full((75, 8), b"a"))), BAD),
    "fewer rows of X": (lambda f: (_drop("X")(f), f.__setitem__("X", np.zeros((70, 8), "f4"))), BAD),
    "no layer": (_drop("layers/control"), SAME),
    "spec of a list": (_text("spec", lambda v: [1]), BAD),
    "spec of a number": (_put("uns/cellflow/spec", 5), BAD),
    "spec cut": (_put("uns/cellflow/spec", '{"a":'), BAD),
    "spec nested": (_put("uns/cellflow/spec", "[" * 10**5), BAD),
    "spec of 5,000 digits": (_put("uns/cellflow/spec", "9" * 5000), BAD),
    "spec with another key": (_text("spec", lambda v: v.update(treatment_key="x")), BAD),
    "spec with key null": (_text("spec", lambda v: v.update(treatment_key=None)), BAD),
    "spec with key of a list": (_text("spec", lambda v: v.update(treatment_key=[1])), BAD),
    "spec with an unknown key": (_text("spec", lambda v: v.update(more=1)), BAD | SAME),
    "spec with huge min_cells": (_text("spec", lambda v: v.update(min_cells=10**30)), BAD | SAME),
    "transform of a list": (_put("uns/cellflow/transform_json", "[1]"), BAD),
    "transform null": (_put("uns/cellflow/transform_json", "null"), BAD),
    "transform cut": (_put("uns/cellflow/transform_json", "{"), BAD),
    "transform with other genes": (_text("transform_json", lambda v: v.update(input_genes=["a"])), BAD),
    "transform with genes backwards": (_text("transform_json", lambda v: v.update(input_genes=v["input_genes"][::-1])), BAD | SAME),
    "summaries cut": (_put("uns/cellflow/summaries_json", "{"), BAD),
    "summaries of a later format": (_text("summaries_json", lambda v: v.update(format=99)), BAD),
    "summaries without samples": (_text("summaries_json", lambda v: v.pop("samples")), BAD),
    "summaries of fewer groups": (_text("summaries_json", lambda v: v.update(groups=v["groups"][:-1])), BAD),
    "summaries with conditions of numbers": (_text("summaries_json", lambda v: v.update(conditions=[5] * 99)), BAD),
    "settings cut": (_put("uns/cellflow/settings", "{"), BAD | SAME),
    "cellflow a text": (lambda f: (_drop("uns/cellflow")(f), _put("uns/cellflow", "x")(f)), BAD),
    "mean of another shape": (lambda f: (_drop("uns/cellflow/transform/mean")(f), f.__setitem__("uns/cellflow/transform/mean", np.zeros(3))), BAD),
    "mean NaN": (lambda f: f["uns/cellflow/transform/mean"].__setitem__(0, np.nan), BAD | SAME),
    "scale zero": (lambda f: f["uns/cellflow/transform/scale"].__setitem__(slice(None), 0.0), BAD | SAME),
    "scale negative": (lambda f: f["uns/cellflow/transform/scale"].__setitem__(0, -1.0), BAD | SAME),
}  # fmt: skip
TRUTHS = {
    "raw": (lambda a: setattr(a, "X", (np.sinh(a.X) * 5).astype("f4")), warned("scale|values|control|other|differ") | BAD),
    "shifted": (lambda a: setattr(a, "X", a.X + 5), warned("scale|values|control|other|differ") | BAD),
    "standardised": (lambda a: setattr(a, "X", (a.X - a.X.mean(0)) / a.X.std(0)), warned("scale|values|control|other|differ") | BAD),
    "without controls": (lambda a: a[a.obs["treatment"] != "control"].copy(), SAME | RUNS),
    "without the patient": (lambda a: a[a.obs["patient"] != "P5"].copy(), refused("P5")),
    "without treated cells": (lambda a: a[a.obs["treatment"] == "control"].copy(), BAD),
    "one treatment only": (lambda a: a[a.obs["treatment"] != "other"].copy(), RUNS),
    "three cells": (lambda a: a[::8].copy(), RUNS | BAD | refused("", codes=(3, 9))),
    "shuffled": (lambda a: a[np.random.default_rng(0).permutation(a.n_obs)].copy(), RUNS),
    "other cell names": (lambda a: a.obs.__setattr__("index", pd.Index([f"z{i}" for i in range(a.n_obs)])), SAME | RUNS),
    "patient in lower case": (lambda a: a.obs.__setitem__("patient", a.obs["patient"].str.lower()), refused("P5|p5") | SAME),
    "treatment with blanks": (lambda a: a.obs.__setitem__("treatment", a.obs["treatment"] + " "), BAD | SAME),
    "more patients": (lambda a: a.obs.__setitem__("patient", a.obs["patient"].replace({"P1": "P77"})), SAME),
}  # fmt: skip


def cases() -> Iterator[Case]:
    """All of this kind."""
    for name, (edit, right) in CHANGED.items():
        commands = ("evaluate",) if "copied" in name else USERS
        yield Case(KIND, name, changed(edit), dict.fromkeys(commands, right), line=_line)
    for name, (edit, right) in OPENED.items():
        yield Case(KIND, f"file: {name}", opened(edit), dict.fromkeys(USERS, right), line=_line)
    for key in UNS:
        right = BAD if key in NEEDED else SAME | BAD
        yield Case(
            KIND,
            f"without {key}",
            opened(_drop(f"uns/cellflow/{key}")),
            dict.fromkeys(USERS, right | SAME | (RUNS if key.startswith("summaries") else SAME)),
            line=_line,
        )
        for name, value in (("a number", 5), ("a text", "x")):
            yield Case(KIND, f"{key} {name}", opened(_put(f"uns/cellflow/{key}", value)),
                       dict.fromkeys(USERS, BAD | SAME | RUNS), line=_line)  # fmt: skip
    for name, (edit, right) in TRUTHS.items():
        commands = ("evaluate",) if right.warns else USERS
        yield Case(KIND, f"measured cells {name}", truth(edit), dict.fromkeys(commands, right), line=_line)
    swapped = lambda f, s: [str(s.folder / "markers.h5ad"), str(s.predicted("markers"))]  # noqa: E731
    yield Case(KIND, "swapped", swapped, dict.fromkeys(USERS, BAD), line=_line)
    twice = lambda f, s: [str(s.predicted("markers"))] * 2  # noqa: E731
    yield Case(
        KIND, "as measured cells", twice, dict.fromkeys(USERS, refused("predicted|measured")), line=_line
    )
    other = lambda f, s: [str(s.predicted("counts")), str(s.folder / "markers.h5ad")]  # noqa: E731
    yield Case(KIND, "of other cells", other, dict.fromkeys(USERS, refused("", codes=(3, 4))), line=_line)
    yield Case(KIND, "components without obsm", opened(_drop("obsm"), "counts"), {"evaluate": BAD, "export": BAD},
               line=_line_counts, base="counts")  # fmt: skip
    yield Case(KIND, "components of NaN", opened(_nan_components, "counts"), {"evaluate": BAD, "export": BAD},
               line=_line_counts, base="counts")  # fmt: skip
    yield Case(KIND, "components without X", opened(_drop("X"), "counts"), {"evaluate": BAD, "export": BAD},
               line=_line_counts, base="counts")  # fmt: skip


def _nan_components(file: h5py.File) -> None:
    name = next(iter(file["obsm"]))
    file[f"obsm/{name}"][3, 0] = np.nan


def _line_counts(command: str, files: list[str], sound: Sound) -> list[str]:
    words = command_line(command, "counts", files[1:], sound)
    words[1] = files[0]
    return words


__all__ = ["Right", "cases"]
