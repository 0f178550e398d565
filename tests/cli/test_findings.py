"""`check` and `train` say the same and stop at the same."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cellflow_cli as cf
from cellflow_cli.cli.app import app
from cellflow_cli.errors import DataError
from tests.cli.conftest import small_cohort

COLUMNS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "patient"]


def nan_in(patient):
    adata = small_cohort()
    adata.X[np.flatnonzero(adata.obs["patient"] == patient)[0], 1] = np.nan
    return adata


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize(("held_out", "code"), [("P2", 0), ("P1", 3)])
def test_check_and_train_agree_on_a_fault(tmp_path: Path, held_out: str, code: int) -> None:
    path = tmp_path / "cells.h5ad"
    nan_in("P2").write_h5ad(path)
    options = [path, *COLUMNS, "--holdout", f"patient={held_out}"]
    checked = run("check", *options)
    trained = run("train", *options, "--dry-run", "-o", tmp_path / "m")
    assert (checked.exit_code, trained.exit_code) == (code, code)
    for line in checked.stderr.splitlines():
        if line.startswith(("warning:", "note:")):
            assert line in trained.stderr
    assert ("not trained on (patient 'P2')" in trained.stderr) is (code == 0)


def test_all_errors_are_shown(tmp_path: Path) -> None:
    adata = nan_in("P2")
    adata.obs["patient"] = adata.obs["patient"].astype(object)
    adata.obs.iloc[3, adata.obs.columns.get_loc("patient")] = None
    path = tmp_path / "cells.h5ad"
    adata.write_h5ad(path)
    result = run("train", path, *COLUMNS, "--dry-run", "-o", tmp_path / "m")
    assert result.exit_code == 3
    assert result.stderr.count("error: ") == 2
    assert "Error: Expected data that can be trained on, found 2 errors" in result.stderr


def test_python_says_it_too() -> None:
    columns = {"treatment_key": "treatment", "control": "control", "sample_key": "patient"}
    one_step = cf.TrainingConfig(steps=1)
    with pytest.raises(DataError, match="1 that are NaN or infinite"):
        cf.train(nan_in("P2"), cf.DataSpec(**columns, holdout="patient=P1"), training=one_step, device="cpu")
    spec = cf.DataSpec(**columns, holdout="patient=P2")
    model = cf.train(nan_in("P2"), spec, training=one_step, device="cpu")
    assert "not trained on (patient 'P2')" in model.run["warnings"][0]
