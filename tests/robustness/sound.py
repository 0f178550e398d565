"""Sound data, models and predictions, from which all broken ones are made, and how outputs are held against them."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from tests.robustness.warm import Outcome, Warm

COLUMNS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "patient"]
PCA = ["--features", "pca:3", "--expression", "counts"]
SMALL = [f"method.field.{name}" for name in ("width=16", "n_blocks=1", "time_features=4")]
SMALL += ["method.solver.steps=2", "training.validate_every=1", "training.validation_cells=20"]
SMALL += ["training.cells_per_population=16", "training.refit=false"]
SET = [word for text in SMALL for word in ("--set", text)]
QUICK = ["--method", "fm", "--steps", "2", *SET, "--device", "cpu"]
SCORE = ["--metrics", "energy", "--floor-splits", "1", "--no-audit", "--device", "cpu"]
HOLDOUT = ["--holdout", "patient=P5"]


def markers(n_cells: int = 25) -> anndata.AnnData:
    """Arcsinh-like values of 8 markers: 5 patients x control, drug, other x 25 cells."""
    rng = np.random.default_rng(0)
    rows = [(f"P{p}", t) for p in range(1, 6) for t in ("control", "drug", "other") for _ in range(n_cells)]
    obs = pd.DataFrame(rows, columns=["patient", "treatment"], index=[f"c{i}" for i in range(len(rows))])
    base = np.repeat(rng.normal(3, 0.4, (5, 8)), 3 * n_cells, axis=0)
    shift = obs["treatment"].map({"control": 0.0, "drug": 0.9, "other": -0.5}).to_numpy()[:, None]
    x = np.clip(base + rng.normal(0, 0.5, base.shape) + shift * np.linspace(0.2, 1, 8), 0, None)
    return anndata.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"M{i}" for i in range(8)]))


def counts(n_cells: int = 25) -> anndata.AnnData:
    """Counts of 40 genes for the same patients, CSR."""
    rng = np.random.default_rng(1)
    adata = markers(n_cells)
    rate = np.exp(np.clip(adata.X @ rng.normal(0, 0.25, (8, 40)), -2, 3)) + 0.2
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(40)])
    return anndata.AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)), obs=adata.obs, var=var)


def write(adata: anndata.AnnData, path: Path) -> Path:
    """Write h5ad, or zarr by the ending."""
    adata.strings_to_categoricals()
    with np.errstate(all="ignore"):
        adata.write_zarr(path) if path.suffix == ".zarr" else adata.write_h5ad(path)
    return path


class Sound:
    """A folder of sound files, and the outputs of each command on them.

    Attributes:
        folder: Holds markers.h5ad, counts.h5ad, model, model_pca, predicted.h5ad and predicted_pca.h5ad.
        warm: Runs commands.
    """

    def __init__(self, folder: Path, warm: Warm) -> None:
        self.folder, self.warm = folder, warm
        folder.chmod(0o755)
        self.references: dict[tuple[str, str], object] = {}
        for base in ("markers", "counts"):
            write(markers() if base == "markers" else counts(), folder / f"{base}.h5ad")
            for command in ("train", "predict"):
                done = warm.run(command_line(command, base, [f"{base}.h5ad"], self), folder, timeout_s=60)
                assert done.code == 0, done.text
                suffix = "" if base == "markers" else "_pca"
                made = folder / output_of(command)
                made.rename(folder / (f"model{suffix}" if command == "train" else f"predicted{suffix}.h5ad"))

    def model(self, base: str) -> Path:
        return self.folder / ("model" if base == "markers" else "model_pca")

    def predicted(self, base: str) -> Path:
        return self.folder / ("predicted.h5ad" if base == "markers" else "predicted_pca.h5ad")

    def reference(self, command: str, base: str, options: tuple[str, ...]) -> object:
        """What a command makes of the sound file."""
        key = (command, base, *options)
        if key not in self.references:
            with workplace() as folder:
                file = self.folder / f"{base}.h5ad"
                done = self.warm.run(
                    command_line(command, base, [str(file)], self, options), folder, timeout_s=60
                )
                assert done.code == 0, (command, base, options, done.text)
                self.references[key] = result(command, folder, done)
        return self.references[key]


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder below /tmp that any user may enter and write."""
    folder = Path(tempfile.mkdtemp(prefix="cellflow-odd-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def output_of(command: str) -> str:
    """Name of what a command writes."""
    names = {"train": "out", "predict": "out.h5ad", "evaluate": "out", "export": "out", "compare": "out"}
    return names.get(command, "")


def command_line(command: str, base: str, files: list[str], sound: Sound, options=()) -> list[str]:
    """The usual words of a command for data files that stand where they do for it."""
    pca = PCA if base == "counts" else []
    if command == "check":
        words = ["check", *files, *COLUMNS, *pca, *HOLDOUT]
    elif command == "train":
        words = ["train", *files, *COLUMNS, *pca, *HOLDOUT, *QUICK, "-o", "out"]
    elif command == "predict":
        words = ["predict", str(sound.model(base)), *files, "-o", "out.h5ad", "--device", "cpu"]
    elif command == "evaluate":
        words = ["evaluate", str(sound.predicted(base)), *files, *SCORE, "--no-page", "-o", "out"]
    elif command == "export":
        words = ["export", str(sound.predicted(base)), *files, "--for", "pertpy", "-o", "out"]
    else:
        words = ["compare", *files, *COLUMNS, *pca, "--methods", "fm", "--folds", "2", "--metrics", "energy"]
        words += [*SET, "--set", "training.steps=2", "--jobs", "1", "--device", "cpu", "-o", "out"]
        words += ["--baselines", "identity,mean-shift"]
    return [*words, *options]


def result(command: str, folder: Path, done: Outcome) -> object:
    """What is compared with the sound output: numbers in an order that does not depend on names."""
    out = folder / output_of(command)
    if command == "check":
        return [
            line
            for line in done.stdout.splitlines()
            if line.split() and line.split()[0] in ("control", "drug")
        ]
    if command == "predict":
        return np.asarray(anndata.read_h5ad(out).to_df(), dtype=np.float64)
    if command == "train":
        from safetensors.numpy import load_file

        tensors = load_file(out / "weights.safetensors")
        return np.concatenate([np.ravel(tensors[name]).astype(np.float64) for name in sorted(tensors)])
    if command == "evaluate":
        return np.sort(pd.read_csv(out / "scores.csv")["value"].dropna().to_numpy(dtype=np.float64))
    if command == "export":
        return [np.asarray(anndata.read_h5ad(p).to_df(), np.float64) for p in sorted(out.glob("*.h5ad"))]
    tables = [pd.read_csv(path) for path in sorted(out.rglob("scores.csv"))]
    return np.concatenate([np.sort(table["value"].dropna().to_numpy(np.float64)) for table in tables])


def alike(left: object, right: object, tolerance: float = 1e-5) -> bool:
    """Whether two results are the same but for rounding."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(alike(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, str):
        return left == right
    a, b = np.asarray(left), np.asarray(right)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))


def as_json(text: str) -> object:
    """The JSON object that a command printed."""
    return json.loads(text[text.index("{") :])
