"""`cellflow evaluate` as it is typed."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.catalog import Catalog
from cellflow_cli.cli._command import command
from cellflow_cli.cli.evaluate import evaluate

QUICK = ("--metrics", "energy,r2-mean", "--metrics", "variance-ratio")


@pytest.fixture
def files(tmp_path, truth, predict):
    truth.write_h5ad(tmp_path / "truth.h5ad")
    predict(truth).write_h5ad(tmp_path / "pred.h5ad")
    return tmp_path


def run(folder, *options, pred="pred.h5ad", truth="truth.h5ad", out="report"):
    app = typer.Typer()
    app.command()(command(evaluate))
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
    assert "1/6 P4, drug 0.1" in text  # plain progress, since this is no terminal
    assert str(files / "report" / "scores.csv") in text
    table = pd.read_csv(files / "report" / "scores.csv")
    assert set(table["metric"]) == {"energy", "r2-mean", "variance-ratio"}
    assert set(table["row"][~table["row"].str.startswith("audit:")]) == {
        "model",
        *Catalog("baselines").names(),
        "floor",
    }


def test_one_json_object_and_quiet(files):
    result = run(files, *QUICK, "--json", "--quiet")
    assert result.exit_code == 0
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["rows"]["model"]["energy"]["n_groups"] == 2
    stored = json.loads((files / "report" / "summary.json").read_text("utf-8"))
    assert {name: found[name] for name in stored} == stored
    assert found["files"] == [str(files / "report" / name) for name in ("scores.csv", "summary.json")]


def test_all_metrics_by_default_and_same_seed_same_files(files):
    assert run(files, "--quiet").exit_code == 0
    assert run(files, "--quiet", out="again").exit_code == 0
    for name in ("scores.csv", "summary.json"):
        assert (files / "report" / name).read_bytes() == (files / "again" / name).read_bytes()
    assert len(json.loads((files / "report" / "summary.json").read_text("utf-8"))["metrics"]) >= 10


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
    broken = predict(truth)
    broken.X[np.flatnonzero(broken.obs["cellflow_is_predicted"])[:60]] = np.nan
    broken.write_h5ad(files / "nan.h5ad")
    result = run(files, "--metrics", "energy", pred="nan.h5ad")
    assert result.exit_code == 9
    assert "no value for 'energy' in 1 places, first for P4, drug 0.1" in result.stderr
    assert "No value in 1 of 6 conditions: model: " in result.stderr
    assert (files / "report" / "scores.csv").exists()
    # Not asked for by name: the reason in the table is enough.
    assert run(files, pred="nan.h5ad", out="all").exit_code == 0


def test_warnings_are_shown_and_stored(files, truth, predict):
    predict(truth, patients=("P1", "P4")).write_h5ad(files / "seen.h5ad")
    result = run(files, *QUICK, pred="seen.h5ad")
    assert result.exit_code == 0
    assert "Seen in training: 'P1'" in result.stderr
    assert json.loads((files / "report" / "summary.json").read_text("utf-8"))["seen_in_training"] == ["P1"]
