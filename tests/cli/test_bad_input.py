"""Bad input ends with one message (expected, found, what to do), the right exit code, and nothing written."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

from cellflow_cli.cli.app import app
from tests.cli.conftest import small_cohort

COLUMNS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "patient"]
Edit = Callable[[anndata.AnnData], anndata.AnnData | None]


def refused(tmp_path: Path, code: int, *arguments: object, says: tuple[str, ...] = ()) -> str:
    """Run a command that must fail with `code`, say all of `says`, and leave the folder as it was."""
    before = {p: p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*"))}
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.stderr
    for text in says:
        assert text in result.stderr
    assert {p: p.stat().st_mtime_ns for p in sorted(tmp_path.rglob("*"))} == before
    return result.stderr


def written(tmp_path: Path, edit: Edit) -> Path:
    adata = small_cohort()
    changed = edit(adata)
    path = tmp_path / "edited.h5ad"
    with np.errstate(all="ignore"):
        (adata if changed is None else changed).write_h5ad(path)
    return path


def train(tmp_path: Path, file: Path, *options: object) -> tuple[object, ...]:
    return ("train", file, *COLUMNS, "--steps", "4", "--device", "cpu", "-o", tmp_path / "model", *options)


def test_a_missing_column(cohort_file: Path, tmp_path: Path) -> None:
    says = ('obs["treatmen"]', "'treatment'", "--treatment-key")
    refused(tmp_path, 3, *train(tmp_path, cohort_file, "--treatment-key", "treatmen"), says=says)


def test_an_unknown_control_label(cohort_file: Path, tmp_path: Path) -> None:
    columns = ("--treatment-key", "treatment", "--control", "DMSO", "--sample-key", "patient")
    says = ("'DMSO'", "'drug'", "--control", "cohort.h5ad")
    refused(tmp_path, 3, "train", cohort_file, *columns, "-o", tmp_path / "m", says=says)


def test_columns_not_declared(cohort_file: Path, tmp_path: Path) -> None:
    says = ("Missing `--treatment-key`", "`--control`", "`--sample-key`", "cellflow check DATA")
    refused(tmp_path, 2, "train", cohort_file, "-o", tmp_path / "m", says=says)


@pytest.mark.parametrize("name", ["data", "output", "model"])
def test_addresses_are_no_paths(cohort_file: Path, model_folder: Path, tmp_path: Path, name: str) -> None:
    address = "s3://bucket/x.h5ad"
    code, arguments = {
        "data": (3, train(tmp_path, Path(address))),
        "output": (8, train(tmp_path, cohort_file, "-o", address)),
        "model": (4, ("predict", address, cohort_file, "-o", tmp_path / "p.h5ad")),
    }[name]
    refused(tmp_path, code, *arguments, says=(f"found the address `{address}`",))


def _without_control(adata: anndata.AnnData) -> anndata.AnnData:
    return adata[~((adata.obs["patient"] == "P2") & (adata.obs["treatment"] == "control"))].copy()


def test_a_treated_population_without_control(tmp_path: Path) -> None:
    file = written(tmp_path, _without_control)
    refused(tmp_path, 3, *train(tmp_path, file), says=("P2", "--drop-unpaired"))
    assert CliRunner().invoke(app, list(map(str, train(tmp_path, file, "--drop-unpaired")))).exit_code == 0


def _three_cells(adata: anndata.AnnData) -> anndata.AnnData:
    chosen = np.flatnonzero((adata.obs["patient"] == "P2") & (adata.obs["treatment"] == "drug"))
    return adata[np.setdiff1d(np.arange(adata.n_obs), chosen[3:])].copy()


def test_a_sample_of_three_cells_is_named_and_can_be_dropped(tmp_path: Path) -> None:
    file = written(tmp_path, _three_cells)
    refused(tmp_path, 3, *train(tmp_path, file), says=("P2", "drug", "3", "--drop-small"))
    result = CliRunner().invoke(app, list(map(str, train(tmp_path, file, "--drop-small"))))
    assert result.exit_code == 0, result.output
    assert "P2, drug" in result.stderr


def test_more_neighbours_than_cells(cohort_file: Path, tmp_path: Path) -> None:
    options = ("--set", "method.embedder.name=knn-graph", "--set", "method.embedder.k=300")
    refused(tmp_path, 2, *train(tmp_path, cohort_file, *options), says=("k = 300", "reference_cells = 256"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value: float, tmp_path: Path) -> None:
    def edit(adata: anndata.AnnData) -> None:
        adata.X[7, 2] = value

    refused(tmp_path, 3, *train(tmp_path, written(tmp_path, edit)), says=("finite", "m2", "edited.h5ad"))


@pytest.mark.parametrize("axis", ["obs", "var"])
def test_duplicate_names(axis: str, tmp_path: Path) -> None:
    def edit(adata: anndata.AnnData) -> None:
        names = list(getattr(adata, f"{axis}_names"))
        names[1] = names[0]
        getattr(adata, axis).index = names

    refused(tmp_path, 3, *train(tmp_path, written(tmp_path, edit)), says=(f"{axis} names", "edited.h5ad"))


def test_a_truncated_file(cohort_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.h5ad"
    file.write_bytes(cohort_file.read_bytes()[:3000])
    refused(tmp_path, 3, *train(tmp_path, file), says=("cut.h5ad",))


def test_a_file_that_is_no_h5ad(tmp_path: Path) -> None:
    file = tmp_path / "table.h5ad"
    file.write_text("a,b\n1,2\n")
    refused(tmp_path, 3, *train(tmp_path, file), says=("table.h5ad",))


def test_no_such_file(cohort_file: Path, tmp_path: Path) -> None:
    missing = cohort_file.with_name("cohrt.h5ad")
    refused(tmp_path, 3, *train(tmp_path, missing), says=("cohrt.h5ad", "cohort.h5ad"))


def test_genes_in_another_order_give_the_same_prediction(
    model_folder: Path, cohort_file: Path, tmp_path: Path
) -> None:
    real = anndata.read_h5ad(cohort_file)
    real[:, ::-1].copy().write_h5ad(tmp_path / "turned.h5ad")
    for file, name in ((cohort_file, "a.h5ad"), (tmp_path / "turned.h5ad", "b.h5ad")):
        done = CliRunner().invoke(app, ["predict", str(model_folder), str(file), "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    first, second = anndata.read_h5ad(tmp_path / "a.h5ad"), anndata.read_h5ad(tmp_path / "b.h5ad")
    assert list(first.var_names) == list(second.var_names) == list(real.var_names)
    np.testing.assert_array_equal(first.X, second.X)


def test_a_gene_missing_at_prediction(model_folder: Path, tmp_path: Path) -> None:
    file = written(tmp_path, lambda adata: adata[:, [0, 1, 3, 4]].copy())
    arguments = ("predict", model_folder, file, "-o", tmp_path / "p.h5ad")
    refused(tmp_path, 4, *arguments, says=("'m2'", "--min-feature-coverage"))
    done = CliRunner().invoke(app, [*map(str, arguments), "--min-feature-coverage", "0.8"])
    assert done.exit_code == 0, done.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(cohort_file: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refused(tmp_path, 8, *train(tmp_path, cohort_file)[:-1], closed / "model", says=("closed",))


def test_an_output_below_a_file(cohort_file: Path, tmp_path: Path) -> None:
    """What root meets too: the parent of the output is no folder."""
    (tmp_path / "file").write_text("")
    refused(tmp_path, 8, *train(tmp_path, cohort_file)[:-1], tmp_path / "file" / "model", says=("file",))


def test_existing_outputs_stay_as_they_are(model_folder: Path, cohort_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("keep me")
    refused(tmp_path, 8, *train(tmp_path, cohort_file), says=("--force",))
    (tmp_path / "p.h5ad").write_text("keep me")
    refused(tmp_path, 8, "predict", model_folder, cohort_file, "-o", tmp_path / "p.h5ad", says=("--force",))


def test_predicting_the_control_or_an_unknown_treatment(
    model_folder: Path, cohort_file: Path, tmp_path: Path
) -> None:
    arguments = ("predict", model_folder, cohort_file, "-o", tmp_path / "p.h5ad")
    refused(tmp_path, 2, *arguments, "--treatment", "control", says=("'control'",))
    refused(tmp_path, 2, *arguments, "--treatment", "durg", says=("Did you mean 'drug'?",))
    refused(tmp_path, 3, *arguments, "--samples", "patient=P44", says=("'P44'", "'P4'"))


def test_a_folder_that_is_no_model(cohort_file: Path, tmp_path: Path) -> None:
    refused(
        tmp_path, 4, "predict", tmp_path, cohort_file, "-o", tmp_path / "p.h5ad", says=("cellflow train",)
    )
    refused(tmp_path, 4, "inspect", tmp_path / "nothing", says=("nothing",))


def test_an_interrupted_run_leaves_a_partial_model(cohort_file: Path, tmp_path: Path) -> None:
    """The same as Ctrl-C: the model so far is kept aside and can predict; the output is not there."""
    command = [
        sys.executable,
        "-m",
        "cellflow_cli",
        *map(str, train(tmp_path, cohort_file)),
        "--steps",
        "1000000",
    ]
    # whoever runs the tests in the background has them ignore the signal, and their children with them
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    assert process.stderr is not None
    for line in process.stderr:  # the first steps are done
        if line.startswith("Training 1/"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert "model.partial" in rest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.partial"]
    arguments = ["predict", str(tmp_path / "model.partial"), str(cohort_file), "--samples", "all"]
    assert CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "p.h5ad")]).exit_code == 0


def test_damaged_model_folders(model_folder: Path, cohort_file: Path, tmp_path: Path) -> None:
    import shutil

    for name, content in (
        ("config.json", b"{"),
        ("weights.safetensors", b"\x00\x01"),
        ("features.json", b"[]"),
    ):
        folder = tmp_path / name
        shutil.copytree(model_folder, folder)
        (folder / name).write_bytes(content)
        refused(tmp_path, 4, "predict", folder, cohort_file, "-o", tmp_path / "p.h5ad", says=(name,))


def test_evaluating_without_anything_in_common(model_folder: Path, cohort_file: Path, tmp_path: Path) -> None:
    predicted = tmp_path / "p.h5ad"
    done = CliRunner().invoke(app, ["predict", str(model_folder), str(cohort_file), "-o", str(predicted)])
    assert done.exit_code == 0, done.output
    file = written(tmp_path, lambda adata: adata[adata.obs["patient"] != "P4"].copy())
    refused(tmp_path, 3, "evaluate", predicted, file, "-o", tmp_path / "r", says=("P4", "P1"))
    refused(tmp_path, 3, "evaluate", cohort_file, predicted, "-o", tmp_path / "r", says=("cellflow predict",))
    refused(
        tmp_path, 2, "evaluate", predicted, cohort_file, "--metrics", "w3", "-o", tmp_path / "r", says=("w1",)
    )


def test_the_output_is_never_an_input(model_folder: Path, tmp_path: Path) -> None:
    """Measured cells are not replaced by predicted ones, `--force` or not."""
    file = written(tmp_path, lambda adata: adata)
    refused(tmp_path, 8, "predict", model_folder, file, "-o", file, "--force", says=("none of the inputs",))


def test_a_folder_with_other_files_is_never_replaced(cohort_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"name": "a web page"}')
    (tmp_path / "model" / "thesis.txt").write_text("keep me")
    refused(tmp_path, 8, *train(tmp_path, cohort_file, "--force"), says=("thesis.txt",))


def test_predictions_are_not_taken_for_measured_cells(
    model_folder: Path, cohort_file: Path, tmp_path: Path
) -> None:
    predicted = tmp_path / "p.h5ad"
    done = CliRunner().invoke(app, ["predict", str(model_folder), str(cohort_file), "-o", str(predicted)])
    assert done.exit_code == 0, done.output
    refused(tmp_path, 3, *train(tmp_path, predicted), says=("predicted by `cellflow predict`",))
    refused(tmp_path, 3, "evaluate", predicted, predicted, "-o", tmp_path / "r", says=("measured cells",))


def test_options_that_would_do_nothing_are_refused(
    model_folder: Path, cohort_file: Path, tmp_path: Path
) -> None:
    arguments = ("predict", model_folder, cohort_file, "-o", tmp_path / "p.h5ad")
    refused(tmp_path, 3, *arguments, "--assume-control", says=('obs["treatment"]', "--assume-control"))
    refused(tmp_path, 3, *arguments, "--sample-name", "P9", says=("--sample-name",))
