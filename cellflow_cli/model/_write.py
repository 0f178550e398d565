"""A prediction on disk, written part by part so that memory does not grow with cells times treatments."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellflow_cli.files import replaced_file
from cellflow_cli.model._predict import obs_table

if TYPE_CHECKING:
    from cellflow_cli.model._predict import Part, Prediction

OnRows = Callable[[int, int], None]


def write_prediction(
    prediction: "Prediction", path: Path, *, force: bool, on_rows: OnRows | None = None
) -> None:
    """Compute a prediction and write it as h5ad, whole or not at all.

    Args:
        prediction: From `prediction`.
        path: The h5ad file.
        force: Whether an existing file may be replaced.
        on_rows: Called as `(rows done, rows in all)` after each part.

    Raises:
        OutputError: If the file exists without `force`, or cannot be written.
        NumericalError: If a cell is no longer finite.
    """
    import h5py

    with replaced_file(path, force=force) as temporary, h5py.File(temporary, "w") as file:
        _write(prediction, file, on_rows)


def _write(prediction: "Prediction", file: Any, on_rows: OnRows | None) -> None:
    import anndata
    from anndata.io import write_elem

    n, g = prediction.n_rows, len(prediction.model.transform.genes)
    file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for group in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
        write_elem(file, group, {})
    arrays = {"X": _array(file, "X", n, g), "control": _array(file["layers"], "control", n, g)}
    if prediction.model.transform.kind == "pca":
        arrays["flow"] = _array(file["obsm"], "X_pca", n, prediction.model.transform.n_features)
    frames, done = [], 0
    for part in prediction.parts():
        _fill(arrays, part, done)
        frames.append(part.obs)
        done += len(part.obs)
        if on_rows is not None:
            on_rows(done, n)
    write_elem(file, "obs", obs_table(frames))
    write_elem(file, "var", pd.DataFrame(index=pd.Index(prediction.model.transform.genes, dtype=object)))
    for name, value in prediction.varm().items():
        write_elem(file["varm"], name, value)
    counts = prediction.counts()
    if counts is not None:
        write_elem(file["layers"], "counts", counts)
    with anndata.settings.override(allow_write_nullable_strings=True):
        write_elem(file["uns"], "cellflow", prediction.uns())


def _array(parent: Any, name: str, n: int, width: int) -> Any:
    rows = max(1, min(n, 2**18 // max(1, width)))
    made = parent.create_dataset(
        name,
        (n, width),
        dtype=np.float32,
        chunks=(rows, width),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return made


def _fill(arrays: dict[str, Any], part: "Part", start: int) -> None:
    rows = slice(start, start + len(part.obs))
    arrays["X"][rows] = part.expression
    arrays["control"][rows] = part.control
    if "flow" in arrays:
        arrays["flow"][rows] = part.flow
