"""Scales, copies and doubles: what makes scores meaningless is said before they are read."""

import anndata
import numpy as np
import pandas as pd
import pytest

from cellflow_cli.errors import DataError
from cellflow_cli.evaluation.same_cells import below_floor_remarks
from tests.evaluation.conftest import TEST, make_prediction, make_truth, score

QUICK = {"metrics": ("energy",), "baselines": ("identity",), "cell_types": False, "audit": False}


@pytest.fixture
def truth():
    return make_truth()


@pytest.fixture
def predicted(truth):
    made = make_prediction(truth)
    is_control = ~made.obs["cellflow_is_predicted"].to_numpy(dtype=bool)
    names = truth.obs_names[(truth.obs["patient"].isin(TEST) & (truth.obs["treatment"] == "DMSO")).to_numpy()]
    source = np.full(made.n_obs, "", dtype=object)
    source[is_control] = names
    made.obs["cellflow_source_cell"] = source
    return made


def errors(scores):
    return [warning for warning in scores.warnings if warning.startswith("Error")]


def measured(truth, patient, treatment, dose):
    same = truth.obs["dose"].isna() if np.isnan(dose) else truth.obs["dose"] == dose
    chosen = (truth.obs["patient"] == patient) & (truth.obs["treatment"] == treatment) & same
    return np.asarray(truth.X[chosen.to_numpy()])


def test_an_honest_prediction_has_no_error(truth, predicted):
    scores = score(predicted, truth, **QUICK)
    assert errors(scores) == []
    assert not any("control cells, unchanged" in w or "equal to another" in w for w in scores.warnings)


def test_the_same_controls_on_another_scale_are_refused(truth, predicted):
    other = truth.copy()
    other.X = np.sinh(other.X / 2).astype(np.float32)
    with pytest.raises(DataError, match="120 of 120 control cells that both hold with other values"):
        score(predicted, other, **QUICK)


@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_copies_of_measured_cells_are_an_error(truth, noise):
    rng = np.random.default_rng(0)

    def copied(cells, patient, condition):
        found = measured(truth, patient, *condition)
        return found[rng.permutation(len(found))] + rng.normal(0, noise, found.shape)

    found = errors(score(make_prediction(truth, moved=copied), truth, **QUICK))
    assert "predicted cells of 6 populations are cells of the truth" in found[0]


def test_unchanged_controls_are_named(truth):
    scores = score(make_prediction(truth, moved=lambda cells, patient, condition: cells), truth, **QUICK)
    assert errors(scores) == []
    assert any("6 populations are control cells, unchanged" in warning for warning in scores.warnings)


def test_measured_cells_that_occur_twice_are_counted(truth, predicted):
    rows = np.flatnonzero((truth.obs["patient"] == "P4") & (truth.obs["treatment"] == "other"))
    again = truth[rows].copy()
    again.obs_names = [f"again{i}" for i in range(again.n_obs)]
    twice = anndata.concat([truth, again])
    scores = score(predicted, twice, **QUICK)
    assert any(w.startswith("60 measured cells are equal to another one") for w in scores.warnings)


def table(gap, n=6, se=0.01):
    lines = []
    for i in range(n):
        for name, value in (("floor", 0.0), ("model", -gap), ("ridge", 0.01)):
            lines.append([f"P{i}", f"P{i}", "drug", np.nan, name, "energy", value, "", 50, se])
    columns = ["sample", "group", "treatment", "dose", "predictor", "metric", "value", "reason", "n", "se"]
    return pd.DataFrame(lines, columns=columns)


def test_a_row_far_below_the_floor_is_an_error():
    (found,) = below_floor_remarks(table(0.3), 5, ())
    assert found.startswith("Error: `model` lies far below the noise floor")
    assert below_floor_remarks(table(0.02), 5, ()) == []
    assert below_floor_remarks(table(0.3), 1, ()) == []  # no spread between splits
    assert below_floor_remarks(table(0.3), 5, [f"P{i}" for i in range(6)]) == []


def test_measured_cells_that_are_all_the_same_are_an_error(truth, predicted):
    treated = (truth.obs["patient"].isin(TEST) & (truth.obs["treatment"] != "DMSO")).to_numpy()
    truth.X[treated] = truth.X[treated][0]
    assert any("are all the same" in w for w in errors(score(predicted, truth, **QUICK)))
