"""One condition: splits of the floor, values out of range, decoded truth, ranks among conditions."""

import anndata
import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError
from tests.evaluation.conftest import score

KEYS = {"treatment_key": "treatment", "control": "DMSO", "sample_key": "patient", "dose_key": "dose"}

TYPED = DataSpec(**KEYS, cell_type_key="cell_type")

PCA = DataSpec(**KEYS, features="pca:3", expression="as-is")


def lines(scores, predictor, metric="energy"):
    table = scores.table
    return table[(table["predictor"] == predictor) & (table["metric"] == metric)].reset_index(drop=True)


@pytest.fixture
def typed(truth):
    """The cohort with two cell types; cells of type T do not respond."""
    truth.obs["cell_type"] = np.where(np.arange(truth.n_obs) % 2, "T", "B")
    still = (truth.obs["cell_type"] == "T").to_numpy()
    shifts = truth.obs["dose"].map({0.1: 1.0, 1.0: 2.0}).where(truth.obs["treatment"] == "drug", -1.5)
    shifts = shifts.where(truth.obs["treatment"] != "DMSO", 0.0).to_numpy()
    later = 1 + 0.1 * (truth.obs["patient"].str[1:].astype(int).to_numpy() - 1)
    x = truth.X.copy()
    x[still, :2] -= (shifts * later)[still, None]
    truth.X = x.astype(np.float32)
    return truth


def shares(scores):
    return scores.summary().collapse.out_of_range


def test_more_splits_change_the_floor_alone(truth, predict):
    prediction = predict(truth)
    one, five = (score(prediction, truth, metrics=["energy"], floor_splits=k) for k in (1, 5))
    is_floor = one.table["predictor"] == "floor"
    pd.testing.assert_frame_equal(one.table[~is_floor], five.table[~is_floor])
    assert (one.table[is_floor]["value"] != five.table[is_floor]["value"]).all()
    assert one.table["se"].isna().all()
    assert (five.table[is_floor]["se"] > 0).all()
    assert five.table[~is_floor]["se"].isna().all()
    # An unbiased distance between halves of one population is zero on average.
    assert abs(five.table[is_floor]["value"].mean()) < abs(one.table[is_floor]["value"]).max()
    assert five.settings.floor_splits == 5
    with pytest.raises(ConfigError, match="`floor_splits` to be at least 1, found 0"):
        score(prediction, truth, floor_splits=0)


def test_the_error_of_the_floor_shrinks_with_splits(truth, predict):
    few, many = (
        lines(score(predict(truth), truth, metrics=["energy"], baselines=[], floor_splits=k), "floor")["se"]
        for k in (4, 36)
    )
    assert many.mean() < 0.6 * few.mean()  # expected: one third


def test_truth_through_the_decoder_is_the_floor_in_components_and_less_in_genes(truth, predict):
    prediction = predict(truth, spec=PCA, moved=lambda cells, patient, key: cells)
    metrics = ["energy", "variance-ratio", "variance-ratio-genes", "r2-mean"]
    scores = score(prediction, truth, metrics=metrics, floor_splits=1)
    assert scores.predictors[-2:] == ("truth-decoded", "floor")
    for metric in ("energy", "variance-ratio"):  # the same cells in the space of the flow
        assert lines(scores, "truth-decoded", metric)["value"].tolist() == pytest.approx(
            lines(scores, "floor", metric)["value"].tolist(), abs=1e-5
        )
    kept = lines(scores, "truth-decoded", "variance-ratio-genes")["value"]
    floor = lines(scores, "floor", "variance-ratio-genes")["value"]
    assert (kept < floor).all()
    assert "truth-decoded" in scores.summary().predictors
    whole = score(prediction, truth, metrics=["energy"], all_cells=True)
    assert lines(whole, "truth-decoded")["reason"].str.contains("none are left").all()
    assert "truth-decoded" not in score(predict(truth), truth, metrics=["energy"]).predictors


def test_effects_are_distinguished_and_controls_rank_by_chance(truth, fresh, predict):
    truth = anndata.concat([truth, fresh], index_unique="-")
    shifts = {0.1: 1.35, 1.0: 2.7}  # those of the two patients, on average

    def moved(cells, patient, key):
        return cells + shifts.get(key[1], -2.0) * np.array([1, 1, 0, 0, 0])

    scores = score(predict(truth, moved=moved), truth, metrics=["discrimination"], baselines=["identity"])
    assert (lines(scores, "model", "discrimination")["value"] == 1).all()
    assert lines(scores, "floor", "discrimination")["value"].tolist() == [1] * 6
    identity = lines(scores, "identity", "discrimination")
    assert identity.value.tolist() == pytest.approx([1, 0, 0.5] * 2)  # shifts of 1, 2 and -1.5
    assert identity.reason[0] == "rank 1 of 3 conditions; 0.5 by chance"


def test_the_rank_is_among_all_measured_conditions_predicted_or_not(truth, predict):
    everything = score(predict(truth), truth, metrics=["discrimination"], baselines=[])
    some = score(
        predict(truth, conditions=(("other", np.nan),)), truth, metrics=["discrimination"], baselines=[]
    )
    whole, part = lines(everything, "model", "discrimination"), lines(some, "model", "discrimination")
    assert part.reason.str.contains("of 3 conditions").all()
    pd.testing.assert_series_equal(
        whole[whole["treatment"] == "other"].value.reset_index(drop=True), part.value
    )


def test_one_treatment_has_no_rank_among_others(truth, predict):
    alone = truth[truth.obs["treatment"].isin(["DMSO", "other"])].copy()
    some = predict(truth, conditions=(("other", np.nan),))
    found = lines(score(some, alone, metrics=["discrimination"], baselines=[]), "model", "discrimination")
    assert found.value.isna().all()
    assert found.reason.str.contains("needs a second measured condition").all()


@pytest.mark.parametrize("metric", ["r2-delta", "cell-eval:pearson-delta"])
def test_changes_have_no_scale_from_null_to_floor(truth, predict, metric):
    found = score(predict(truth), truth, metrics=[metric], baselines=["identity"]).summary()
    assert found.normalised["model"][metric].value is None
    assert "change of zero" in found.normalised["model"][metric].reason


def test_two_features_of_five_far_away_are_two_fifths(truth, predict):
    far = predict(truth, moved=lambda cells, patient, key: cells * [0, 0, 1, 1, 1] + [1e3, -1e3, 0, 0, 0])
    found = shares(score(far, truth, metrics=["energy"]))
    assert set(found) == {"model", "floor"}
    # the other three are those of control cells, of which the range is made
    assert found["model"] == pytest.approx(0.4)
    # 60 controls and 30 measured cells; 30 others, one feature in three beside the shift of the treatment
    assert 0.01 < found["floor"] < 0.08


def test_measured_cells_through_the_decoder_stand_beside_it(truth, predict):
    made = score(predict(truth, spec=PCA, moved=lambda cells, patient, key: cells), truth, metrics=["energy"])
    assert set(shares(made)) == {"model", "truth-decoded", "floor"}
    whole = score(predict(truth), truth, metrics=["energy"], all_cells=True)
    assert shares(whole)["floor"] is None


def test_groups_seen_in_training_do_not_count(truth, predict):
    far = predict(
        truth,
        patients=("P1", "P4"),
        moved=lambda cells, patient, key: cells + (1e3 if patient == "P1" else 0),
    )
    scores = score(far, truth, metrics=["energy"])
    assert shares(scores)["model"] < 0.1
    assert scores.out_of_range.query("sample == 'P1' and predictor == 'model'").value.eq(1).all()
