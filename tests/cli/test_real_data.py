"""The main job on small subsamples of real data; skipped where the data are not at hand."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cellflow_cli.cli.app import app

FOLDER = Path(os.environ.get("CELLFLOW_DATA", Path(__file__).parents[3] / "shared" / "data"))
COLUMNS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "donor"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "held_out"),
    [
        ("small_bcrxl", [], "patient7,patient8"),
        ("small_kang2018", ["--features", "pca:10", "--expression", "log1p"], "101,1015"),
    ],
)
def test_main_job_beats_doing_nothing(name: str, options: list[str], held_out: str, tmp_path: Path) -> None:
    file = FOLDER / f"{name}.h5ad"
    if not file.exists():
        pytest.skip(f"no {file}; name the folder of the real data in CELLFLOW_DATA")
    model, predicted, report = tmp_path / "model", tmp_path / "predicted.h5ad", tmp_path / "report"
    commands = (
        ["train", file, *COLUMNS, *options, "--holdout", f"donor={held_out}", "--steps", "100", "-o", model],
        ["predict", model, file, "-o", predicted],
        ["evaluate", predicted, file, "-o", report, "--json"],
    )
    for command in commands:
        result = CliRunner().invoke(app, [str(part) for part in command])
        assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert list(summary["groups"]) == held_out.split(",")
    for metric in ("energy", "w1", "r2-mean"):
        assert summary["better_than"]["identity"][metric] == {"k": 2, "n": 2}
