"""A prediction as a file or in memory: one writer, part by part, into arrays on disk or in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from cellflow_cli.files import replaced_file
from cellflow_cli.prediction.file import CONTROL, KEY
from cellflow_cli.prediction.obs import joined_obs
from cellflow_cli.prediction.part import Counts
from cellflow_cli.prediction.plan import Prediction, plan_prediction
from cellflow_cli.prediction.request import PredictionRequest

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.prediction.trained_model import TrainedModel

OnRows = Callable[[int, int], None]


class _Sink(Protocol):
    """Where elements of an AnnData go, by their place in it, such as `"layers/control"`."""

    def array(self, place: str, n: int, width: int) -> Any:
        """A float32 array of zeros whose rows are assigned part by part, shape [n, width]."""
        ...

    def put(self, place: str, value: Any) -> None:
        """A whole element: a table, a sparse matrix, a nested mapping."""
        ...


def predict(model: "TrainedModel", adata: "anndata.AnnData", request: PredictionRequest) -> "anndata.AnnData":
    """Carry control cells to treatments, in memory.

    Args:
        model: A trained model.
        adata: Holds control cells of one or more samples; not modified.
        request: What to predict.

    Returns:
        One row per control cell and condition, and the control rows, in the layout that `prediction.file`
        describes. Cells that come from noise have no source cell: NaN in `layers["control"]`, no cell type,
        names of the sample.

    Raises:
        BundleError, ConfigError, DataError: If model, data and request do not fit.
        NumericalError: If a cell is no longer finite.
    """
    sink = _Memory()
    _write(plan_prediction(model, adata, request), sink, None)
    return sink.adata()


def write_prediction(
    prediction: Prediction, path: Path, *, force: bool, on_rows: OnRows | None = None
) -> Counts:
    """Compute a prediction and write it as h5ad, whole or not at all; memory does not grow with its rows.

    Args:
        prediction: From `plan_prediction`.
        path: The h5ad file.
        force: Whether an existing file may be replaced.
        on_rows: Called as `(rows done, rows in all)` after each part.

    Returns:
        What was counted on the way.

    Raises:
        OutputError: If the file exists without `force`, or cannot be written.
        NumericalError: If a cell is no longer finite.
    """
    import h5py

    with replaced_file(path, force=force) as temporary, h5py.File(temporary, "w") as file:
        return _write(prediction, _H5ad(file), on_rows)


def _write(prediction: Prediction, sink: _Sink, on_rows: OnRows | None) -> Counts:
    """All elements of the file, in the layout that `prediction.file` describes."""
    transform, n = prediction.model.transform, prediction.n_rows
    expression = sink.array("X", n, len(transform.genes))
    control = sink.array(f"layers/{CONTROL}", n, len(transform.genes))
    key = transform.obsm_key
    flow = None if key is None else sink.array(f"obsm/{key}", n, transform.n_features)
    frames, done, counts = [], 0, Counts()
    for part in prediction.parts():
        rows = slice(done, done + len(part.obs))
        expression[rows], control[rows] = part.expression, part.control
        if flow is not None:
            flow[rows] = part.flow
        frames.append(part.obs)
        done, counts = rows.stop, counts.plus(part.counts)
        if on_rows is not None:
            on_rows(done, n)
    sink.put("obs", joined_obs(frames))
    sink.put("var", pd.DataFrame(index=pd.Index(transform.genes, dtype=object)))
    for name, axes in transform.varm().items():
        sink.put(f"varm/{name}", axes)
    layer = prediction.counts_layer()
    if layer is not None:
        sink.put("layers/counts", layer)
    sink.put(f"uns/{KEY}", prediction.uns(counts))
    return counts


class _Memory:
    """Elements of an AnnData in memory."""

    def __init__(self) -> None:
        self._elements: dict[str, Any] = {}

    def array(self, place: str, n: int, width: int) -> np.ndarray:
        return self._elements.setdefault(place, np.zeros((n, width), dtype=np.float32))

    def put(self, place: str, value: Any) -> None:
        self._elements[place] = value

    def adata(self) -> "anndata.AnnData":
        import anndata

        tables: dict[str, Any] = {name: self._elements[name] for name in ("X", "obs", "var")}
        for place, value in self._elements.items():
            group, slash, name = place.partition("/")
            if slash:
                tables.setdefault(group, {})[name] = value
        return anndata.AnnData(**tables)


class _H5ad:
    """Elements of an open h5ad file."""

    def __init__(self, file: Any) -> None:
        from anndata.io import write_elem

        self._file = file
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for group in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
            write_elem(file, group, {})

    def array(self, place: str, n: int, width: int) -> Any:
        rows = max(1, min(n, 2**18 // max(1, width)))
        dataset = self._file.create_dataset(
            place,
            (n, width),
            dtype=np.float32,
            chunks=(rows, width),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        dataset.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        return dataset

    def put(self, place: str, value: Any) -> None:
        import anndata
        from anndata.io import write_elem

        with anndata.settings.override(allow_write_nullable_strings=True):
            write_elem(self._file, place, value)
