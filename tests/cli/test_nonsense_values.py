"""Values that make no sense end with one message, and options that a message names exist in its command."""

import re
from pathlib import Path

import anndata
import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.cli.app import app
from cellflow_cli.data.feature_source import Matrix
from cellflow_cli.data.read import missing_matrix
from tests.cli.conftest import small_cohort

COLUMNS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "patient"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def failed(code: int, *words: object) -> str:
    """The message of a command that must fail with `code`; options in backticks are its own."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    known = {name for p in COMMANDS[str(words[0])].params for name in (*p.opts, *p.secondary_opts)}
    named = set(re.findall(r"`(--[a-z-]+)", result.stderr))
    assert named <= known, result.stderr
    return result.stderr


@pytest.mark.parametrize("n", [300, 10_000])
def test_names_that_are_too_long(cohort_file: Path, model_folder: Path, tmp_path: Path, n: int) -> None:
    name, out = "x" * n, tmp_path / "p.h5ad"
    failed(3, "check", name, *COLUMNS)
    failed(3, "predict", model_folder, cohort_file, "-o", out, "--like", name)
    failed(8, "predict", model_folder, cohort_file, "-o", f"{name}.h5ad")
    failed(8, "compare", cohort_file, *COLUMNS, "-o", name)
    failed(4, "inspect", name)


@pytest.mark.parametrize(
    "words", [("--seed", 10**20), ("--seed", -1), ("--chunk", 10**20), ("--chunk", 0), ("--dose", "nan")]
)
def test_numbers_out_of_range(
    cohort_file: Path, model_folder: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    failed(2, "predict", model_folder, cohort_file, "-o", tmp_path / "p.h5ad", *words)


def test_settings_that_are_no_table(cohort_file: Path, tmp_path: Path) -> None:
    words = ("train", cohort_file, *COLUMNS, "--dry-run", "-o", tmp_path / "m", "--steps", 2)
    assert "`training`, found 3" in failed(2, *words, "--set", "training=3")
    failed(2, *words, "--seed", "-1")
    failed(2, *words, "--pairs-key", "")
    failed(2, *words, "--device", "banana")


def test_doses_and_replicates(tmp_path: Path) -> None:
    adata: anndata.AnnData = small_cohort()
    adata.obs["dose"], adata.obs["batch"] = 1e300, None
    adata.obs["batch"] = adata.obs["batch"].astype(float)
    adata.write_h5ad(tmp_path / "c.h5ad")
    words = (tmp_path / "c.h5ad", *COLUMNS)
    for command in (("check",), ("train", "-o", tmp_path / "m")):
        assert "from 0 to 3e38" in failed(3, *command, *words, "--dose-key", "dose")
    result = CliRunner().invoke(app, ["check", *map(str, words), "--batch-key", "batch"])
    assert result.exit_code == 0
    assert "--batch-key" in result.stderr


def test_options_of_the_command(model_folder: Path, cohort_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.h5ad"
    failed(3, "predict", model_folder, cohort_file, "-o", out, "--layer", "nothing")
    failed(3, "check", cohort_file, *COLUMNS, "--features", "obsm/nothing")
    failed(3, "predict", model_folder, cohort_file, "-o", out, "--samples", "patient=P44")
    obs = small_cohort().obs
    obs.attrs["features_option"] = ""
    assert "--features" not in missing_matrix(Matrix("obsm", "emb"), {}, [], obs).fix
    assert (
        CliRunner().invoke(app, ["predict", str(model_folder), str(cohort_file), "-o", str(out)]).exit_code
        == 0
    )
    failed(3, "export", out, cohort_file, "--for", "pertpy", "-o", tmp_path / "x", "--truth-layer", "nothing")
    failed(3, "evaluate", out, cohort_file, "-o", tmp_path / "r", "--truth-layer", "nothing")
