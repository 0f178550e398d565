"""`cellflow compare` as a user types it."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anndata
import pandas as pd
import pytest
from typer.testing import CliRunner

from cellflow_cli.cli.app import app

KEYS = ["--treatment-key", "treatment", "--control", "control", "--sample-key", "patient"]
SHORT = [
    "--set", "training.steps=4", "--set", "training.validate_every=2", "--set", "method.solver.steps=2",
    "--jobs", "1", "--device", "cpu", "--metrics", "energy",
]  # fmt: skip


def compare(*arguments: object):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_one_table_over_folds_that_resumes_where_it_was(cohort_file: Path, tmp_path: Path) -> None:
    command = [cohort_file, *KEYS, *SHORT, "--methods", "fm", "--folds", "2", "-o", tmp_path / "study"]
    first = compare(*command, "--json")
    assert first.exit_code == 0, first.stderr
    summary = json.loads(first.stdout)
    rows = {(r["predictor"], r["metric"]): r for r in summary["means"]}
    assert rows["fm", "energy"]["n_groups"] == rows["identity", "energy"]["n_groups"] == 4
    assert summary["settings"]["folds"]["1"] == {"held out": ["P1", "P2"]}
    for name in ("scores.csv", "means.csv", "paired.csv", "summary.json", "flows.png", "flows.svg"):
        assert (tmp_path / "study" / name).stat().st_size > 0
    assert len(pd.read_csv(tmp_path / "study" / "scores.csv").query("predictor == 'fm'")) == 8
    again = compare(*command)
    assert "2 trainings, 2 of them done" in again.stderr
    assert "trained in" not in again.stderr
    assert "better on" in again.stderr


def test_one_feature_has_a_figure_too(cohort_file: Path, tmp_path: Path) -> None:
    anndata.read_h5ad(cohort_file)[:, :1].copy().write_h5ad(tmp_path / "one.h5ad")
    found = compare(
        tmp_path / "one.h5ad", *KEYS, *SHORT, "--methods", "fm", "--folds", "2", "-o", tmp_path / "s"
    )
    assert found.exit_code == 0, found.stderr
    assert (tmp_path / "s" / "flows.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("setting", "said"),
    [("seed=7", "Expected no `seed`"), ("data.holdout=patient=P1", "Expected no `data.holdout`")],
)
def test_settings_that_would_be_ignored_are_refused(
    setting: str, said: str, cohort_file: Path, tmp_path: Path
) -> None:
    found = compare(cohort_file, *KEYS, *SHORT, "--set", setting, "--methods", "fm", "-o", tmp_path / "s")
    assert (found.exit_code, said in found.stderr) == (2, True), found.stderr


def test_published_scores_stand_beside(cohort_file: Path, tmp_path: Path) -> None:
    table = tmp_path / "paper.csv"
    table.write_text("# source\npredictor,part,metric,value\nthe paper,held out,energy,0.123\n")
    command = [cohort_file, *KEYS, *SHORT, "--methods", "fm", "--folds", "2", "-o", tmp_path / "study"]
    command += ["--baselines", "pooled-treated,ridge"]
    found = compare(*command, "--reference", table)
    assert found.exit_code == 0, found.stderr
    assert set(pd.read_csv(tmp_path / "study" / "scores.csv")["predictor"]) == {
        "fm", "floor", "pooled-treated", "ridge",
    }  # fmt: skip
    assert "Against pooled-treated" in found.stderr
    assert "the paper" in found.stderr
    assert "0.123" in found.stderr
    for text, said in (
        (
            "predictor,part,metric,value\nthe paper,held out,energy,.2±.01\n",
            "Expected numbers in the column value",
        ),
        (
            "predictor,part,metric,value,sd\nthe paper,held out,energy,.2,about 3\n",
            "numbers in the column sd",
        ),
        ("predictor,part,metric,value\n,held out,energy,.2\n", "Expected a name in every line"),
        ("predictor,part,metric,value\nfm,held out,energy,99\n", "Expected other predictors"),
        (
            "predictor,part,metric,value\nthe paper,test,energy,99\n",
            "Expected parts of the study ('held out')",
        ),
    ):
        table.write_text(text)
        wrong = compare(*command, "--reference", table)
        assert (wrong.exit_code, said in wrong.stderr) == (2, True), wrong.stderr
    table.write_text("predictor,part,metric,value\nthe paper,held out,energy,.2\nanother,test,energy,.3\n")
    partly = compare(*command, "--reference", table)
    assert partly.exit_code == 0, partly.stderr
    assert "has scores of 'test' too" in partly.stderr
    assert "another" not in partly.stderr
    assert " floor " in partly.stderr
    whole = compare(*command, "--all-cells")
    assert whole.exit_code == 0, whole.stderr
    assert " floor " not in whole.stderr  # no measured cells are left for it
    table.write_text("predictor,value\nthe paper,1\n")
    refused = compare(*command, "--reference", table)
    assert refused.exit_code == 2
    assert "found no 'metric', 'part'" in refused.stderr or "found no 'part', 'metric'" in refused.stderr


def test_a_dry_run_trains_nothing(cohort_file: Path, tmp_path: Path) -> None:
    found = compare(cohort_file, *KEYS, "--seeds", 2, "--dry-run", "--json", "-o", tmp_path / "study")
    assert found.exit_code == 0, found.stderr
    assert len(json.loads(found.stdout)["jobs"]) == 2 * 4 * 2  # two methods by default, a fold per patient
    assert not (tmp_path / "study").exists()


def test_what_cannot_be_scored_and_what_is_ignored_are_shown_before(
    cohort_file: Path, tmp_path: Path
) -> None:
    cells = anndata.read_h5ad(cohort_file)
    treatment = cells.obs["treatment"].astype(str)
    treatment[(cells.obs["patient"] == "P4") & (treatment != "control")] = "rare"
    cells.obs["treatment"] = treatment
    cells.write_h5ad(tmp_path / "rare.h5ad")
    (tmp_path / "cfg.toml").write_text('[method]\nname = "mfm"\nembedder = "mean"\nfield.width = 64\n')
    command = [tmp_path / "rare.h5ad", *KEYS, *SHORT, "--config", tmp_path / "cfg.toml"]
    found = compare(*command, "--dry-run", "--json", "-o", tmp_path / "s")
    assert found.exit_code == 0, found.stderr
    plan = json.loads(found.stdout)
    (untrained,) = plan["not_scored"]
    assert (untrained["fold"], untrained["group"], untrained["treatment"]) == ("4", "P4", "rare")
    assert plan["ignored_settings"] == {"fm": ["method.embedder"]}
    assert len(plan["jobs"]) == 2 * 3
    assert "fm: ignores 'method.embedder', which fm does not have" in found.stderr
    assert "no training group has the condition: 'P4, rare'" in found.stderr


def test_finished_jobs_are_shown_where_others_fail(cohort_file: Path, tmp_path: Path) -> None:
    """The first variant, which would have scored the baselines, learns in steps that end in NaN."""
    (tmp_path / "variants.toml").write_text('[fine]\nmethod = "fm"\ntraining.learning_rate = 1e-3\n')
    command = [
        cohort_file, *KEYS, *SHORT, "--methods", "fm", "--variants", tmp_path / "variants.toml", "--folds", 2,
        "--set", "training.learning_rate=1e30", "-o", tmp_path / "study",
    ]  # fmt: skip
    found = compare(*command, "--json")
    assert found.exit_code == 5, found.stderr
    summary = json.loads(found.stdout)
    assert [one["job"] for one in summary["failed"]] == [f"fm, fold {i}, seed 0" for i in (1, 2)]
    assert summary["failed"][0]["reason"]
    assert {"fine", "identity", "mean-shift"} <= {line["predictor"] for line in summary["means"]}
    (line,) = [line for line in summary["paired"] if line["predictor"] == "fine"]
    assert (line["n"], line["n_conditions"]) == (4, 8)
    assert "Not in the tables, since they failed: 'fm, fold 1, seed 0', 'fm, fold 2, seed 0'" in found.stderr
    assert "2 of 4 jobs failed" in found.stderr
    for name in ("scores.csv", "means.csv", "paired.csv", "summary.json", "flows.png"):
        assert (tmp_path / "study" / name).stat().st_size > 0


def test_where_nothing_is_finished_there_is_the_error_alone(cohort_file: Path, tmp_path: Path) -> None:
    found = compare(
        cohort_file, *KEYS, *SHORT, "--methods", "fm", "--folds", 2, "--set", "training.learning_rate=1e30",
        "-o", tmp_path / "study", "--json",
    )  # fmt: skip
    assert (found.exit_code, found.stdout) == (5, ""), found.stderr
    assert not (tmp_path / "study" / "means.csv").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--methods", "mfn"], 2, "Did you mean"),
        (["--folds", 9], 2, "between 2 and 4 folds"),
        (["--by", "patien"], 3, 'obs["patien"]'),
        (["--by", "patient", "--split-key", "patient"], 2, "`--by` or `--split-key`"),
        (["--folds", 2, "--set", "data.split_key=patient"], 2, "`--folds` or `--split-key`"),
        (["--split-key", "splt"], 3, 'obs["splt"]'),
        (["--score-training", "x"], 2, "`--split-key` with `--score-training`"),
        (["--split-key", "patient", "--set", "seed=7"], 2, "Expected no `seed`"),
        (["--metrics", "enrgy"], 2, "energy"),
        (["--against", "nobody"], 2, "nobody"),
        (["--variants", "nowhere.toml"], 2, "nowhere.toml"),
        (["--set", "training.stepz=2"], 2, "Did you mean 'steps'"),
    ],
)
def test_bad_input(cohort_file: Path, tmp_path: Path, options: list, code: int, message: str) -> None:
    found = compare(cohort_file, *KEYS, *SHORT, *options, "-o", tmp_path / "study")
    assert found.exit_code == code, found.stderr
    assert message in " ".join(found.stderr.split())


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_keeps_what_is_done(cohort_file: Path, tmp_path: Path, jobs: int) -> None:
    """The same as Ctrl-C at a terminal, which reaches the workers too."""
    command = [
        sys.executable, "-m", "cellflow_cli", "compare", cohort_file, *KEYS, *SHORT, "--methods", "fm",
        "--variants", tmp_path / "variants.toml", "--folds", "2", "--jobs", jobs, "-o", tmp_path / "study",
    ]  # fmt: skip
    (tmp_path / "variants.toml").write_text('[long]\nmethod = "fm"\ntraining.steps = 1000000\n')
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [str(part) for part in command], stderr=subprocess.PIPE, text=True, preexec_fn=listen,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    waited_for = {"fm, fold 1, seed 0: trained", "fm, fold 2, seed 0: trained"}  # in either order
    for line in process.stderr:
        waited_for -= {said for said in waited_for if said in line}
        if not waited_for:
            break
    os.killpg(process.pid, signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130, rest
    assert "Finished trainings are kept" in rest
    assert "Traceback" not in rest
    kept = sorted(path.name for path in (tmp_path / "study" / "jobs").iterdir())
    assert kept == ["fm_1_0", "fm_2_0"]


def test_options_of_scoring_arrive(cohort_file: Path, tmp_path: Path) -> None:
    command = [cohort_file, *KEYS, "--dry-run", "--json", "-o", tmp_path / "study"]
    usual = json.loads(compare(*command).stdout)["scoring"]
    assert (usual["all_cells"], usual["scale"], usual["max_cells"]) == (False, None, 2500)
    options = ["--all-cells", "--no-scale", "--max-cells", 77, "--metrics", "w1,w2", "--baselines", "ridge"]
    found = json.loads(compare(*command, *options).stdout)["scoring"]
    given = {"metrics": ["w1", "w2"], "baselines": ["ridge"], "max_cells": 77, "all_cells": True}
    assert found == {**usual, **given, "scale": False}


def test_paired_differences_are_against_the_named_predictor(cohort_file: Path, tmp_path: Path) -> None:
    command = [cohort_file, *KEYS, *SHORT, "--methods", "fm", "--folds", 2, "-o", tmp_path / "study"]
    found = compare(*command, "--baselines", "identity,ridge", "--against", "ridge", "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["settings"]["against"] == "ridge"
    assert "Against ridge" in found.stderr


@pytest.mark.parametrize("refit", [True, False])
def test_groups_that_a_refit_learns_from_are_not_scored(
    cohort_file: Path, tmp_path: Path, refit: bool
) -> None:
    cells = anndata.read_h5ad(cohort_file)
    part = {"P1": "train", "P2": "train", "P3": "val", "P4": "test"}
    cells.obs["part"] = cells.obs["patient"].map(part).astype(str)
    cells.obs["shown"] = (cells.obs["patient"] == "P2").to_numpy()
    cells.write_h5ad(tmp_path / "parts.h5ad")
    command = [tmp_path / "parts.h5ad", *KEYS, "--split-key", "part", "--score-training", "shown"]
    command += ["--set", f"training.refit={str(refit).lower()}", "--dry-run", "--json"]
    found = compare(*command, "-o", tmp_path / "study")
    assert found.exit_code == 0, found.stderr
    (fold,) = json.loads(found.stdout)["folds"].values()
    expected = {"train": ["P2"], "test": ["P4"], **({} if refit else {"val": ["P3"]})}
    assert fold == expected
