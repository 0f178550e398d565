"""Rows beside the model: floor over several splits, decoded truth, baselines that need cells or types."""

import math
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import cellflow_cli as cf
from cellflow_cli.baselines import Summaries, summarise
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.evaluation.floor import averaged
from cellflow_cli.metrics import MetricValue
from cellflow_cli.prediction import predict as predict_with
from cellflow_cli.types import Condition, Population, PopulationPair
from tests.evaluation.conftest import SPEC, score

KEYS = {"treatment_key": "treatment", "control": "DMSO", "sample_key": "patient", "dose_key": "dose"}
TYPED = DataSpec(**KEYS, cell_type_key="cell_type")
PCA = DataSpec(**KEYS, features="pca:3", expression="as-is")


def lines(scores, row, metric="energy"):
    table = scores.table
    return table[(table["predictor"] == row) & (table["metric"] == metric)].reset_index(drop=True)


def test_the_floor_is_a_mean_over_splits_with_an_error():
    value, se = averaged([MetricValue(v, "of some features") for v in (1.0, 2.0, 6.0)])
    assert value == (3.0, "of some features")
    assert se == pytest.approx(math.sqrt(7) / math.sqrt(3))  # variance ((-2)^2 + (-1)^2 + 3^2) / 2
    one, unknown = averaged([MetricValue(2.0), MetricValue(None, "why")])
    assert one == (2.0, "")
    assert math.isnan(unknown)


def test_the_floor_has_a_value_where_the_rows_can_have_one():
    """Without a value on the split of all rows: means over populations would be of different ones."""
    assert averaged([MetricValue(None, "why"), MetricValue(2.0)])[0] == (None, "why")
    assert averaged([MetricValue(None, "why"), MetricValue(None, "else")])[0] == (None, "why")


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


def test_effects_are_told_apart_and_controls_rank_by_chance(truth, fresh, predict):
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


def test_one_treatment_cannot_be_told_from_others(truth, predict):
    alone = truth[truth.obs["treatment"].isin(["DMSO", "other"])].copy()
    some = predict(truth, conditions=(("other", np.nan),))
    found = lines(score(some, alone, metrics=["discrimination"], baselines=[]), "model", "discrimination")
    assert found.value.isna().all()
    assert found.reason.str.contains("needs a second measured condition").all()


def population(truth, patient, treatment, dose, typed):
    obs = truth.obs
    fits = obs["dose"].isna() if dose is None else obs["dose"] == dose
    rows = np.flatnonzero((obs["patient"] == patient) & (obs["treatment"] == treatment) & fits)
    hot = torch.eye(2)[torch.as_tensor((obs["cell_type"].iloc[rows] == "T").to_numpy().astype(int))]
    return Population(
        sample=(patient,), group=patient, cells=torch.as_tensor(truth.X[rows]),
        condition=None if treatment == "DMSO" else Condition(treatment, dose),
        **({"node_features": hot} if typed else {}),
    )  # fmt: skip


def whole_summaries(truth, typed=False) -> Summaries:
    pairs = [
        PopulationPair(
            source=population(truth, patient, "DMSO", None, typed),
            target=population(truth, patient, treatment, dose, typed),
        )
        for patient in ("P1", "P2", "P3")
        for treatment, dose in (("drug", 0.1), ("drug", 1.0), ("other", None))
    ]
    train = np.flatnonzero(truth.obs["patient"].isin(["P1", "P2", "P3"]))
    scale = torch.as_tensor(fit_features(truth, DataSpec(**KEYS), train).scale)
    rng = torch.Generator().manual_seed(0)
    return summarise(pairs, scale, rng, cell_types=("B", "T") if typed else ())


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


def test_rows_that_need_cells_have_them_with_the_model(typed, predict):
    prediction = predict(typed)
    light = score(prediction, typed, metrics=["energy"], floor_splits=1)
    whole = score(prediction, typed, metrics=["energy"], floor_splits=1, summaries=whole_summaries(typed))
    for name in ("ot-neighbour", "pooled-treated"):
        assert lines(light, name)["reason"].str.contains("--model MODEL").all()
        assert lines(whole, name)["value"].notna().all()
    rest = [name for name in light.baselines if name not in ("ot-neighbour", "pooled-treated")]
    for name in ("model", "floor", *rest):
        pd.testing.assert_series_equal(lines(light, name)["value"], lines(whole, name)["value"])


def test_cell_types_of_controls_reach_the_baseline(typed, predict):
    prediction = predict(typed, spec=TYPED)
    scores = score(
        prediction, typed, metrics=["energy"], floor_splits=1, summaries=whole_summaries(typed, typed=True)
    )
    per_type, plain = (lines(scores, name)["value"] for name in ("mean-shift-per-type", "mean-shift"))
    assert per_type.notna().all()
    # Types differ in nothing but their response, so only the row that knows them splits the cells.
    assert per_type.mean() < 0.5 * plain.mean()
    bare = prediction.copy()
    bare.obs = bare.obs.drop(columns="cell_type")
    again = score(
        bare, typed, metrics=["energy"], floor_splits=1, summaries=whole_summaries(typed, typed=True)
    )
    assert lines(again, "mean-shift-per-type")["reason"].str.contains("cell types of the control cells").all()
    untyped = score(prediction, typed, metrics=["energy"], floor_splits=1)
    assert lines(untyped, "mean-shift-per-type")["reason"].str.contains("--cell-type-key").all()


def test_training_stores_what_every_row_needs(typed):
    spec = DataSpec(**KEYS, cell_type_key="cell_type", holdout="patient=P4,P5")
    training = cf.TrainingConfig(steps=2, refit=False)
    model = cf.train(typed, spec, method="fm", training=training, seed=0, device="cpu")
    assert model.summaries.types.names == ("B", "T")
    prediction = predict_with(model, typed, cf.PredictionRequest())
    scores = score(prediction, typed, metrics=["energy"], floor_splits=2, summaries=model.summaries)
    assert scores.table["value"].notna().all()
    # The file alone knows means per type, and no cells.
    light = score(prediction, typed, metrics=["energy"], floor_splits=2).table
    assert set(light[light["value"].isna()]["predictor"]) == {"ot-neighbour", "pooled-treated"}


def test_a_missing_value_of_any_measured_cell_is_refused_before_scoring(truth, predict):
    """Whatever cells the seed would draw, and before any condition is scored."""
    prediction = predict(truth)
    row = np.flatnonzero((truth.obs["patient"] == "P5") & (truth.obs["treatment"] == "other"))[7]
    truth.X[row, 2] = np.nan
    seen = []
    with pytest.raises(DataError, match="1 that are NaN or infinite"):
        score(
            prediction, truth, metrics=["energy"], max_cells=5, floor_splits=1,
            on_progress=lambda done, total, what="": seen.append(done),
        )  # fmt: skip
    assert seen == []


def test_a_prediction_on_disk_scores_like_one_in_memory(truth, predict, tmp_path):
    prediction = predict(truth)
    prediction.write_h5ad(tmp_path / "p.h5ad")
    whole = score(prediction, truth, metrics=["energy"]).table
    backed = anndata.read_h5ad(tmp_path / "p.h5ad", backed="r")
    pd.testing.assert_frame_equal(score(backed, truth, metrics=["energy"]).table, whole)


def test_types_are_not_ranked_among_means_of_all_types(truth, predict):
    spec = replace(SPEC, cell_type_key="cell_type")
    truth.obs["cell_type"] = pd.Categorical(np.where(np.arange(truth.n_obs) % 2, "T", "B"))
    scores = score(
        predict(truth, spec=spec), truth, metrics=["cell-eval:discrimination-score-l1"], baselines=[]
    )
    assert scores.by_type.metrics == ()


@pytest.mark.parametrize("metric", ["r2-delta", "cell-eval:pearson-delta"])
def test_changes_have_no_scale_from_null_to_floor(truth, predict, metric):
    found = score(predict(truth), truth, metrics=[metric], baselines=["identity"]).summary()
    assert found.normalised["model"][metric].value is None
    assert "change of zero" in found.normalised["model"][metric].reason
