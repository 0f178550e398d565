"""The real packages on exported files; their numbers agree with numpy on the files that went in.

They may live in an environment of their own: name its Python in CELLFLOW_INTEROP_PYTHON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from typer.testing import CliRunner

from cellflow_cli.cli.app import app

PYTHON = os.environ.get("CELLFLOW_INTEROP_PYTHON", sys.executable)
COHORT = Path(__file__).parents[2] / "example_data" / "cohort.h5ad"
HELD_OUT = ["P02", "P06"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def needs(package: str) -> None:
    done = subprocess.run([PYTHON, "-c", f"import {package}"], capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1]
        pytest.skip(f"NOT PROVEN: {package} cannot be imported by {PYTHON} ({last})")


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A model trained for 50 steps on the example cohort, and its prediction of two patients."""
    folder = tmp_path_factory.mktemp("interop")
    whole = anndata.read_h5ad(COHORT)
    whole[(whole.obs["patient"].astype(str) < "P10").to_numpy()].write_h5ad(folder / "cohort.h5ad")
    keys = ("--treatment-key", "treatment", "--control", "control", "--sample-key", "patient")
    run(
        "train", folder / "cohort.h5ad", *keys, "--dose-key", "dose", "--features", "pca:10",
        "--expression", "log1p", "--holdout", f"patient={','.join(HELD_OUT)}",
        "--set", "training.steps=50", "--device", "cpu", "-o", folder / "model",
    )  # fmt: skip
    run(
        "predict",
        folder / "model",
        folder / "cohort.h5ad",
        "-o",
        folder / "predicted.h5ad",
        "--device",
        "cpu",
    )
    return folder


def cells_of(folder: Path, patient: str, matrix: str) -> dict[str, dict[str, np.ndarray]]:
    """Predicted, measured and control cells by condition, from the files before the export."""
    predicted = anndata.read_h5ad(folder / "predicted.h5ad")
    truth = anndata.read_h5ad(folder / "cohort.h5ad")
    predicted, truth = (a[(a.obs["patient"] == patient).to_numpy()] for a in (predicted, truth))
    mean, axes = predicted.uns["cellflow"]["transform"]["mean"], predicted.varm["PCs"]
    truth_values = truth.X if matrix == "X" else (truth.X - mean) @ axes
    ours = predicted.X if matrix == "X" else predicted.obsm["X_pca"]
    found: dict[str, dict[str, np.ndarray]] = {"predicted": {}, "measured": {}, "control": {}}
    for label, dose in {("agonist", 1.0), ("chemo", 5.0), ("inhibitor", 0.3), ("inhibitor", 10.0)}:
        for role, adata, values in (("predicted", predicted, ours), ("measured", truth, truth_values)):
            rows = (adata.obs["treatment"] == label) & np.isclose(adata.obs["dose"].astype(float), dose)
            found[role][f"{label} {dose:g}"] = np.asarray(values)[rows.to_numpy()].astype(float)
    found["control"][""] = np.asarray(truth_values)[(truth.obs["treatment"] == "control").to_numpy()]
    return found


def test_cell_eval_computes_its_scores(files):
    needs("cell_eval")
    told = json.loads(
        run("export", files / "predicted.h5ad", files / "cohort.h5ad", "--for", "cell-eval",
            "-o", files / "for_cell_eval", "--json")
    )  # fmt: skip
    words = told["usage"].split()
    command = [PYTHON, "-m", "cell_eval", *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=files)
    assert done.returncode == 0, done.stderr
    for patient in HELD_OUT:
        table = pd.read_csv(
            files / "for_cell_eval-scores" / f"{patient}_results.csv", index_col="perturbation"
        )
        assert len(table) == 5
        cells = cells_of(files, patient, "X")
        control = cells["control"][""].mean(0)
        for condition, ours in cells["predicted"].items():
            theirs = cells["measured"][condition]
            changes = (ours.mean(0) - control, theirs.mean(0) - control)
            assert table.loc[condition, "pearson_delta"] == pytest.approx(
                np.corrcoef(*changes)[0, 1], abs=1e-4
            )
            error = ((ours.mean(0) - theirs.mean(0)) ** 2).mean()
            assert table.loc[condition, "mse"] == pytest.approx(error, rel=1e-3)
        assert table["overlap_at_N"].notna().all()


SCRIPT = """
import json, sys
import anndata, pertpy
cells = anndata.read_h5ad(sys.argv[1])
measured, predicted, control = "P02, chemo 5, measured", "P02, chemo 5, predicted", "P02, control"
found = {}
for metric in ("edistance", "wasserstein", "mmd", "mse"):
    distance = pertpy.tl.Distance(metric)
    groups = distance.onesided_distances(
        cells, groupby="cellflow_population", selected_group=measured, groups=[predicted, control],
        show_progressbar=False,
    )
    found[metric] = [float(groups[predicted]), float(groups[control])]
three = cells[cells.obs["cellflow_population"].isin([measured, predicted, control])].copy()
test = pertpy.tl.DistanceTest("edistance", n_perms=20, obsm_key="X_flow")
table = test(three, groupby="cellflow_population", contrast=measured, show_progressbar=False)
found["test"] = float(table.loc[predicted, "distance"])
print("FOUND", json.dumps(found))
"""


def test_pertpy_computes_its_distances(files):
    needs("pertpy")
    run(
        "export",
        files / "predicted.h5ad",
        files / "cohort.h5ad",
        "--for",
        "pertpy",
        "-o",
        files / "for_pertpy",
    )
    command = [PYTHON, "-c", SCRIPT, str(files / "for_pertpy" / "cells.h5ad")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.split("FOUND")[1])
    cells = cells_of(files, "P02", "X_pca")
    x, y, z = cells["predicted"]["chemo 5"], cells["measured"]["chemo 5"], cells["control"][""]
    for i, other in enumerate((x, z)):  # a V-statistic: the distance of a cell to itself counts too
        energy = 2 * cdist(other, y).mean() - cdist(other, other).mean() - cdist(y, y).mean()
        assert found["edistance"][i] == pytest.approx(energy, rel=1e-3)
        assert found["mse"][i] == pytest.approx(((other.mean(0) - y.mean(0)) ** 2).mean(), rel=1e-3)
    assert found["test"] == pytest.approx(found["edistance"][0], rel=1e-3)
    assert min(found["wasserstein"]) > 0
