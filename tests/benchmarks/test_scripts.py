"""Each benchmark runs at toy size, so that none rots."""

import json

import pandas as pd
import pytest

from cellflow_cli.config import read_toml


def test_step_time(run, folder, tmp_path):
    sizes = [
        "--populations",
        2,
        "--points",
        20,
        "--cells",
        60,
        "--predicted",
        20,
        "--steps",
        1,
        "--rounds",
        1,
    ]
    run("step_time", *sizes, "--json", tmp_path / "cost.json")
    costs = json.loads((tmp_path / "cost.json").read_text())["variants"]
    assert list(costs) == list(read_toml(folder / "letters.toml"))
    assert all(cost["step_ms"] > 0 and cost["predict_s"] > 0 for cost in costs.values())


def test_scoring_cost(run, tmp_path):
    run("scoring_cost", "--cells", 60, "--features", 3, "--rounds", 1, "--json", tmp_path / "cost.json")
    result = json.loads((tmp_path / "cost.json").read_text())
    ours, plain = result["values"].pop("all metrics together"), result["values"]
    assert {name: ours[name] for one in plain.values() for name in one} == pytest.approx(
        {name: value for one in plain.values() for name, value in one.items()}, rel=1e-9
    )


def test_letters_floor(run, tmp_path):
    letters = ["--alphabet", "ABXY", "--validation", "X", "--test", "Y", "--rotations", 1, "--size", 12]
    run("letters_floor", *letters, "-o", tmp_path / "floor.csv")
    table = pd.read_csv(tmp_path / "floor.csv")
    assert list(table.columns) == ["predictor", "part", "metric", "value"]
    assert table.groupby(["predictor", "part"]).size().eq(3).all()


@pytest.mark.slow
def test_unseen_patients(run, tmp_path):
    toy = ["--folds", 1, "--max-cells", 50, "--other", "--json", tmp_path / "scores.json"]
    printed = run("unseen_patients", "cohort", *toy, "--", "--set", "training.steps=2")
    (fold,) = json.loads((tmp_path / "scores.json").read_text())["folds"]
    assert fold["best_step"] == 2
    assert {"mfm", "mfm, other population", "mean-shift"} <= {line["predictor"] for line in fold["scores"]}
    assert "mfm better than mean-shift on" in printed
