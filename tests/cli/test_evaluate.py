"""`cellflow evaluate` as it is typed."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.catalog import Catalog
from cellflow_cli.cli.evaluate import evaluate
from cellflow_cli.published_metrics import metrics_of

QUICK = ("--metrics", "energy,r2-mean", "--metrics", "variance-ratio")


@pytest.fixture
def files(tmp_path, truth, predict):
    truth.write_h5ad(tmp_path / "truth.h5ad")
    predict(truth).write_h5ad(tmp_path / "pred.h5ad")
    return tmp_path


def run(folder, *options, pred="pred.h5ad", truth="truth.h5ad", out="report"):
    app = typer.Typer()
    app.command()(evaluate)
    arguments = [folder / pred, folder / truth, "-o", folder / out, "--device", "cpu", "--no-page", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_table_files_and_comparison(files):
    result = run(files, *QUICK)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    text = result.stderr
    assert "Mean over 2 groups (6 conditions, 30 cells a side, features scaled)" in text
    assert "energy ↓" in text
    rows = [line.split()[0] for line in text.splitlines() if line.startswith(" ") and line.strip()]
    assert {"model", "identity", "mean-shift", "floor"} <= set(rows)
    assert set(rows) <= {"model", "floor", *Catalog("baselines").names(), *Catalog("metrics").names()}
    assert re.search(r"Better than \(groups, energy\): .*mean-shift on \d of 2", text)
    assert "Scoring 0/6, next P4, drug 0.1" in text  # plain progress, since this is no terminal
    assert str(files / "report" / "scores.csv") in text
    table = pd.read_csv(files / "report" / "scores.csv")
    assert set(table["metric"]) == {"energy", "r2-mean", "variance-ratio"}
    assert set(table["predictor"][~table["predictor"].str.startswith("audit:")]) == {
        "model",
        *Catalog("baselines").names(),
        "floor",
    }


def test_one_json_object_and_quiet(files):
    result = run(files, *QUICK, "--json", "--quiet")
    assert result.exit_code == 0
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["predictors"]["model"]["energy"]["n_groups"] == 2
    stored = json.loads((files / "report" / "summary.json").read_text("utf-8"))
    assert {name: found[name] for name in stored} == stored
    assert found["files"] == [str(files / "report" / name) for name in ("scores.csv", "summary.json")]


def test_all_metrics_by_default_and_same_seed_same_files(files):
    assert run(files, "--quiet").exit_code == 0
    assert run(files, "--quiet", out="again").exit_code == 0
    for name in ("scores.csv", "summary.json"):
        assert (files / "report" / name).read_bytes() == (files / "again" / name).read_bytes()
    assert len(json.loads((files / "report" / "summary.json").read_text("utf-8"))["metrics"]) >= 10


def test_definitions_of_others_stand_beside_ours(files):
    result = run(files, "--metrics", "energy", "--definitions", "cellot,pertpy", "--definitions", "cell-eval")
    assert result.exit_code == 0, result.output
    for text in (
        "As CellOT (bunnech/cellot, commit ",
        "As pertpy (release 1",
        "As cell-eval (",
        "r2-means ↑",
    ):
        assert text in result.stderr
    table = pd.read_csv(files / "report" / "scores.csv")
    theirs = {name for project in ("cellot", "pertpy", "cell-eval") for name in metrics_of(project)}
    assert set(table["metric"]) == {"energy"} | theirs
    found = json.loads((files / "report" / "summary.json").read_text("utf-8"))
    assert found["settings"]["definitions"] == ["cellot", "pertpy", "cell-eval"]
    assert found["metrics"]["energy"]["origin"] is None
    assert found["metrics"]["cellot:mmd"]["origin"].startswith("CellOT")
    # Normal cells are below zero, which cell-eval refuses: a reason, and no reason to fail.
    assert "cell-eval:overlap-at-n, cell-eval:precision-at-n of" in result.stderr
    model = table[
        (table["predictor"] == "model") & (table["sample"] == "P4") & (table["treatment"] == "other")
    ]
    by_name = model.set_index("metric")["value"]
    assert by_name["pertpy:mmd"] == pytest.approx(by_name["cellot:l2-means"] ** 2)  # unscaled, the same space
    assert by_name["cell-eval:discrimination-score-l1"] in (1 / 3, 2 / 3, 1)


def test_one_metric_of_a_project_by_its_full_name(files):
    assert run(files, "--metrics", "paper:w2").exit_code == 0
    assert set(pd.read_csv(files / "report" / "scores.csv")["metric"]) == {"paper:w2"}


def test_an_existing_report_is_kept_without_force(files):
    assert run(files, *QUICK).exit_code == 0
    result = run(files, *QUICK)
    assert result.exit_code == 8
    assert "--force" in result.stderr
    assert run(files, *QUICK, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--metrics", "energy,mmd-rfb"), 2, "Did you mean 'mmd-rbf'"),
        (("--metrics", "cellot:mdm"), 2, "Did you mean 'mmd'"),
        (("--definitions", "celott"), 2, "Did you mean 'cellot'"),
        (("--device", "gpu"), 2, "--device"),
        (("--max-cells", "1"), 2, "max-cells"),
    ],
)
def test_wrong_options_are_refused_before_any_work(files, options, code, text):
    result = run(files, *options)
    assert result.exit_code == code
    assert text in result.stderr
    assert not (files / "report").exists()


def test_wrong_files_are_refused(files):
    for changes in ({"pred": "truth.h5ad"}, {"truth": "missing.h5ad"}, {"pred": "broken.h5ad"}):
        (files / "broken.h5ad").write_bytes((files / "pred.h5ad").read_bytes()[:2000])
        result = run(files, *QUICK, **changes)
        assert result.exit_code == 3, result.stderr
        assert "Traceback" not in result.output
        assert not (files / "report").exists()


def test_a_metric_asked_for_that_has_no_value_ends_with_9(files, truth, predict):
    frozen = predict(truth)
    frozen.X[np.flatnonzero(frozen.obs["cellflow_is_predicted"])[:60]] = 1.0
    frozen.write_h5ad(files / "frozen.h5ad")
    result = run(files, "--metrics", "r-features", pred="frozen.h5ad")
    assert result.exit_code == 9
    assert "no value for 'r-features' in 1 places, first for P4, drug 0.1" in result.stderr
    assert "No value in 1 of 6 conditions: model: " in result.stderr
    assert (files / "report" / "scores.csv").exists()
    # Not asked for by name: the reason in the table is enough.
    assert run(files, pred="frozen.h5ad", out="all").exit_code == 0


def test_warnings_are_shown_and_stored(files, truth, predict):
    predict(truth, patients=("P1", "P4")).write_h5ad(files / "seen.h5ad")
    result = run(files, *QUICK, pred="seen.h5ad")
    assert result.exit_code == 0
    assert "Seen in training: 'P1'" in result.stderr
    assert json.loads((files / "report" / "summary.json").read_text("utf-8"))["seen_in_training"] == ["P1"]


KEYS = ("--treatment-key", "treatment", "--control", "DMSO", "--sample-key", "patient", "--dose-key", "dose")


@pytest.fixture
def foreign(files, truth, predict):
    """The prediction as a tool writes it that knows none of our conventions."""
    made = predict(truth)
    made = made[made.obs["cellflow_is_predicted"].to_numpy()].copy()
    made.obs = made.obs[["patient", "treatment", "dose"]]
    del made.uns["cellflow"]
    made.write_h5ad(files / "foreign.h5ad")
    return files


def test_a_prediction_of_another_tool_scores_like_our_own(foreign):
    told = (*KEYS, "--training", str(foreign / "truth.h5ad"), "--holdout", "patient=P4,P5")
    rows = {}
    for pred, options in (("pred.h5ad", ()), ("foreign.h5ad", told)):
        result = run(foreign, *QUICK, "--json", "--quiet", *options, pred=pred, out=f"of-{pred}")
        assert result.exit_code == 0, result.output
        rows[pred] = json.loads(result.stdout)["predictors"]
    for name in ("model", "identity", "mean-shift", "floor"):
        assert rows["pred.h5ad"][name] == rows["foreign.h5ad"][name]


def test_the_page_names_the_options_that_make_it_again(foreign):
    options = (*KEYS, "--predicted-in", "X", "--page")
    assert run(foreign, "--metrics", "energy", *options, pred="foreign.h5ad").exit_code == 0
    page = (
        (foreign / "report" / "report.html").read_text("utf-8").replace("<span>", "").replace("</span>", "")
    )
    assert "--control DMSO --sample-key patient --dose-key dose --predicted-in X" in page


@pytest.mark.parametrize(
    ("pred", "options", "code", "text"),
    [
        ("foreign.h5ad", (), 3, "`--treatment-key`, `--control` and `--sample-key`"),
        ("foreign.h5ad", KEYS[:4], 2, "Missing `--sample-key`"),
        ("foreign.h5ad", (*KEYS, "--holdout", "patient=P4"), 2, "Expected `--training` with `--holdout`"),
        ("foreign.h5ad", (*KEYS, "--predicted-obs", "drug"), 2, "`--predicted-obs NAME=VALUE`"),
        ("foreign.h5ad", (*KEYS, "--training", "absent.h5ad"), 3, "absent.h5ad"),
        ("pred.h5ad", ("--treatment-key", "drug"), 2, "PRED says 'treatment'"),
        ("pred.h5ad", ("--predicted-in", "X"), 2, "Expected no `--predicted-in X`"),
        ("pred.h5ad", ("--training", "truth.h5ad"), 2, "Expected no `--training truth.h5ad`"),
    ],
)
def test_what_was_not_told_or_contradicts_is_refused(foreign, pred, options, code, text):
    result = run(foreign, *QUICK, *options, pred=pred)
    assert result.exit_code == code, result.output
    assert text in result.stderr
    assert not (foreign / "report").exists()


def test_options_that_agree_with_our_own_prediction_are_no_error(foreign):
    assert run(foreign, *QUICK, *KEYS, pred="pred.h5ad").exit_code == 0


def test_the_command_says_what_is_flagged(files):
    found = run(files, "--metrics", "energy,r2-mean")
    assert found.exit_code == 0
    assert "Audit: some metrics rank a degenerate predictor first" in found.stderr
    assert "(r2-mean)" in found.stderr
    assert "Audit" not in run(files, "--metrics", "energy,r2-mean", "--no-audit", out="off").stderr
