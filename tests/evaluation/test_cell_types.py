"""Scores of each cell type by itself."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.schema import DataSpec
from tests.evaluation.conftest import SPEC, make_truth, score

TYPED = DataSpec(
    treatment_key="treatment", control="DMSO", sample_key="patient", dose_key="dose", cell_type_key="kind"
)


@pytest.fixture
def typed():
    """Two common types that respond in opposite directions, and a rare one."""
    truth = make_truth(n=200)
    at = np.tile(np.arange(200), len(truth) // 200)
    truth.obs["kind"] = pd.Categorical(np.select([at < 90, at < 190], ["up", "down"], "rare"))
    treated = (truth.obs["treatment"] != "DMSO").to_numpy()
    sign = truth.obs["kind"].map({"up": 1.0, "down": -1.0, "rare": 0.0}).astype(float).to_numpy()
    truth.X[:, 2] += (4 * treated * sign).astype(np.float32)
    return truth


def right_for_up(cells, patient, key):
    """All cells move as those of type `up` do."""
    return cells + np.array([2.0, 2.0, 4.0, 0, 0], dtype=np.float32)


def test_a_model_that_is_right_for_one_type_alone_is_found_out(typed, predict):
    found = score(
        predict(typed, spec=TYPED, moved=right_for_up, conditions=(("drug", 1.0),)), typed,
        metrics=["energy", "w1"], baselines=["identity", "mean-shift"],
    )  # fmt: skip
    summary = found.summary().cell_types.types
    assert list(summary) == ["down", "rare", "up"]
    energy = {name: part.predictors["model"]["energy"].mean for name, part in summary.items()}
    assert energy["up"] < 0.2 < 1 < energy["down"]
    assert summary["up"].n_cells == (45, 45)  # half of the measured cells of the type
    assert summary["rare"].predictors["model"]["energy"].mean is None
    reason = summary["rare"].predictors["model"]["energy"].reason
    assert reason == (
        "fewer than 10 cells of the type a side: half of 10 measured, 10 predicted, 10 control cells"
    )
    assert set(found.by_type.table["metric"]) == {"energy"}  # no exact transport by type
    assert set(found.by_type.table["predictor"]) == {"model", "identity", "mean-shift", "floor"}


def test_each_row_of_a_type_is_made_of_cells_of_that_type(typed, predict):
    """Types lie 100 apart: one cell of another type in ten would be an energy of more than 10."""
    typed.X[:, 4] += typed.obs["kind"].map({"up": 100.0, "down": 0.0, "rare": 0.0}).astype(np.float32)
    found = score(
        predict(typed, spec=TYPED),
        typed,
        metrics=["energy"],
        baselines=["identity", "mean-shift"],
        scale=False,
    )
    table = found.by_type.table[found.by_type.table["cell_type"] != "rare"]
    assert table["value"].notna().all()
    assert table["value"].max() < 10


def test_types_leave_all_other_numbers_alone(typed, predict):
    with_, without = (
        score(predict(typed, spec=TYPED), typed, metrics=["energy"], cell_types=on) for on in (True, False)
    )
    pd.testing.assert_frame_equal(with_.table, without.table)
    assert without.summary().cell_types.to_json() == {"reason": "cell types were not requested"}


def test_why_there_are_no_types(typed, predict):
    def reason(prediction, truth):
        return score(prediction, truth, metrics=["energy"], baselines=[]).summary().cell_types.reason

    assert "no cell types were named" in reason(predict(typed, spec=SPEC), typed)
    plain = typed.copy()
    del plain.obs["kind"]
    assert reason(predict(typed, spec=TYPED), plain) == 'no column `obs["kind"]` in the truth'
    assert reason(predict(plain, spec=TYPED), typed) == 'no column `obs["kind"]` in the prediction'
    noise = predict(typed, spec=TYPED)
    noise.obs["cellflow_source_cell"] = ""
    assert "starts from noise" in reason(noise, typed)


def test_files(typed, predict, tmp_path):
    found = score(predict(typed, spec=TYPED), typed, metrics=["energy"], baselines=["identity"])
    assert found.files == ("scores.csv", "scores_by_type.csv", "summary.json")
    found.save(tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == set(found.files)
    table = pd.read_csv(tmp_path / "report" / "scores_by_type.csv")
    assert list(table.columns) == ["cell_type", *found.table.columns]
    assert not table.duplicated(["cell_type", "sample", "treatment", "dose", "predictor", "metric"]).any()
    json.loads((tmp_path / "report" / "summary.json").read_text("utf-8"))
    found.save(tmp_path / "report", force=True)


def test_types_are_not_ranked_among_means_of_all_types(truth, predict):
    spec = replace(SPEC, cell_type_key="cell_type")
    truth.obs["cell_type"] = pd.Categorical(np.where(np.arange(truth.n_obs) % 2, "T", "B"))
    scores = score(
        predict(truth, spec=spec), truth, metrics=["cell-eval:discrimination-score-l1"], baselines=[]
    )
    assert scores.by_type.metrics == ()
