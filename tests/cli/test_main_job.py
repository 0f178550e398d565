"""Train, predict, evaluate as a user would: in process and as processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cellflow_cli.catalog import Catalog
from cellflow_cli.cli.app import app

COLUMNS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "patient"]
QUICK = ["--steps", "6", "--set", "training.validate_every=3", "--device", "cpu"]


def cellflow(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_main_job_in_process(cohort_file: Path, tmp_path: Path) -> None:
    model, predicted, report = tmp_path / "model", tmp_path / "predicted.h5ad", tmp_path / "report"
    held = "patient=P3,P4"
    trained = cellflow("train", cohort_file, *COLUMNS, "--holdout", held, *QUICK, "-o", model, "--json")
    facts = json.loads(trained.stdout)
    assert facts["split"]["test"] == ["P3", "P4"]
    assert {"patient=P3,P4"} == set(facts["config"]["data"]["holdout"])
    assert sorted(p.suffix for p in model.iterdir()).count(".safetensors") == 2

    listed = json.loads(cellflow("predict", model, cohort_file, "-o", predicted, "--json").stdout)
    assert listed["samples"] == ["P3", "P4"]
    made = anndata.read_h5ad(predicted)
    assert set(made.obs["patient"]) == {"P3", "P4"}
    real = anndata.read_h5ad(cohort_file)
    controls = made[~made.obs["cellflow_is_predicted"]]
    np.testing.assert_array_equal(controls.X, real[controls.obs_names].X)

    summary = json.loads(cellflow("evaluate", predicted, cohort_file, "-o", report, "--json").stdout)
    assert {"model", "identity", "mean-shift"} <= set(summary["predictors"])
    assert "<html" in (report / "report.html").read_text(encoding="utf-8")
    assert {Path(name).name for name in summary["files"]} == {path.name for path in report.iterdir()}
    scores = pd.read_csv(report / "scores.csv")
    assert {"w1", "w2", "mmd-rbf", "r2-features", "r-features", "r2-mean", "energy", "variance-ratio"} <= set(
        scores["metric"]
    )
    assert set(scores["sample"]) == {"P3", "P4"}


def test_the_same_seed_gives_the_same_model_and_prediction(cohort_file: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        cellflow("train", cohort_file, *COLUMNS, "--holdout", "patient=P4", *QUICK, "-o", tmp_path / name)
        cellflow("predict", tmp_path / name, cohort_file, "-o", tmp_path / f"{name}.h5ad")
    first, second = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("a", "b"))
    np.testing.assert_array_equal(first.X, second.X)


def test_main_job_as_processes(cohort_file: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "cellflow_cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    model, predicted, report = tmp_path / "model", tmp_path / "predicted.h5ad", tmp_path / "report"
    steps = (
        ("train", cohort_file, *COLUMNS, "--holdout", "patient=P4", *QUICK, "-o", model),
        ("predict", model, cohort_file, "-o", predicted),
        ("evaluate", predicted, cohort_file, "-o", report),
    )
    for arguments in steps:
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""  # results for programs only with --json
    again = run("predict", model, cohort_file, "-o", predicted)
    assert again.returncode == 8
    assert "--force" in again.stderr


def test_dry_run_writes_nothing(cohort_file: Path, tmp_path: Path) -> None:
    result = cellflow(
        "train", cohort_file, *COLUMNS, "--holdout", "patient=P4", "-o", tmp_path / "m", "--dry-run", "--json"
    )
    assert json.loads(result.stdout)["split"]["test"] == ["P4"]
    assert not (tmp_path / "m").exists()


def test_a_configuration_file_and_options_mix(cohort_file: Path, tmp_path: Path) -> None:
    config = tmp_path / "cellflow.toml"
    config.write_text(
        '[data]\ntreatment_key = "treatment"\ncontrol = ["control"]\nsample_key = ["patient"]\n'
        "[training]\nsteps = 500\n[method.embedder]\nfrequencies = 12\n"
    )
    result = cellflow(
        "train", cohort_file, "--config", config, "--set", "training.steps=40", "--steps", "7", "-o",
        tmp_path / "m", "--dry-run", "--json",
    )  # fmt: skip
    settings = json.loads(result.stdout)["config"]
    assert settings["training"]["steps"] == 7
    assert settings["method"]["embedder"]["frequencies"] == 12


def test_a_file_of_untreated_cells_alone(cohort_file: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    cellflow("train", cohort_file, *COLUMNS, *QUICK, "-o", model)
    real = anndata.read_h5ad(cohort_file)
    bare = real[(real.obs["patient"] == "P4") & (real.obs["treatment"] == "control")].copy()
    bare.obs = bare.obs[[]]
    bare.write_h5ad(tmp_path / "bare.h5ad")
    cellflow("predict", model, tmp_path / "bare.h5ad", "-o", tmp_path / "p.h5ad", code=3)
    cellflow(
        "predict",
        model,
        tmp_path / "bare.h5ad",
        "--assume-control",
        "--sample-name",
        "New",
        "-o",
        tmp_path / "p.h5ad",
    )
    made = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert set(made.obs["patient"]) == {"New"}
    assert set(made.obs["treatment"]) == {"control", "drug", "other"}


def test_inspect_and_list_answer_in_json(cohort_file: Path, tmp_path: Path) -> None:
    cellflow("train", cohort_file, *COLUMNS, "--holdout", "patient=P4", *QUICK, "-o", tmp_path / "m")
    facts = json.loads(cellflow("inspect", tmp_path / "m", "--json").stdout)
    assert facts["held_out"] == ["P4"]
    assert facts["treatments"] == ["drug", "other"]
    assert "P4" not in facts["trained_on"]
    assert "mfm" in json.loads(cellflow("list", "methods", "--json").stdout)
    cellflow("list", "method", code=2)


@pytest.mark.parametrize("method", Catalog("methods").names())
def test_every_method_runs_the_main_job(method: str, cohort_file: Path, tmp_path: Path) -> None:
    cellflow(
        "train",
        cohort_file,
        *COLUMNS,
        "--holdout",
        "patient=P4",
        *QUICK,
        "--method",
        method,
        "-o",
        tmp_path / "m",
    )
    cellflow("predict", tmp_path / "m", cohort_file, "--treatment", "drug", "-o", tmp_path / "p.h5ad")
    assert set(anndata.read_h5ad(tmp_path / "p.h5ad").obs["treatment"]) == {"control", "drug"}


def test_export_writes_a_folder_for_another_tool(
    cohort_file: Path, model_folder: Path, tmp_path: Path
) -> None:
    predicted, folder = tmp_path / "p.h5ad", tmp_path / "out"
    cellflow("predict", model_folder, cohort_file, "-o", predicted)
    told = json.loads(
        cellflow("export", predicted, cohort_file, "--for", "pertpy", "-o", folder, "--json").stdout
    )
    assert told["files"] == [str(folder / "cells.h5ad")]
    assert told["populations"] == 2
    assert anndata.read_h5ad(folder / "cells.h5ad").n_obs == told["cells"] == 40 * (1 + 2 * 2)
    again = cellflow("export", predicted, cohort_file, "--for", "pertpy", "-o", folder, code=8)
    assert "--force" in again.output
    refused = cellflow("export", predicted, cohort_file, "--for", "cell-eval", "-o", tmp_path / "c", code=3)
    assert "log1p expression" in refused.output
    assert not (tmp_path / "c").exists()
    cellflow("export", predicted, cohort_file, "--for", "pertyp", "-o", tmp_path / "c", code=2)
