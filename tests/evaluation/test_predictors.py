"""What each predictor needs: training cells, cell types, halves of the truth."""

import numpy as np
import pandas as pd
import pytest
import torch

import cellflow_cli as cf
from cellflow_cli.baselines import Summaries, summarise
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.prediction import predict as predict_with
from cellflow_cli.statistics.degenerate_ranks import remark
from cellflow_cli.types import Condition, Population, PopulationPair
from tests.evaluation.conftest import make_truth, score

KEYS = {"treatment_key": "treatment", "control": "DMSO", "sample_key": "patient", "dose_key": "dose"}

TYPED = DataSpec(**KEYS, cell_type_key="cell_type")


def lines(scores, predictor, metric="energy"):
    table = scores.table
    return table[(table["predictor"] == predictor) & (table["metric"] == metric)].reset_index(drop=True)


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


def test_baselines_that_need_cells_have_them_with_the_model(typed, predict):
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


def test_training_stores_what_every_predictor_needs(typed):
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


def test_what_each_metric_does_not_see(predict):
    """A model whose means and spreads are off: algebra says what each metric can tell of the rest."""
    rng, truth = np.random.default_rng(0), make_truth(n=400)

    def moved(cells, patient, key):
        return (1.5 * cells + rng.normal(size=cells.shape[1])).astype(np.float32)

    metrics = ["energy", "w1", "w2", "mmd-median", "r2-mean", "r2-delta", "variance-ratio"]
    found = score(predict(truth, moved=moved), truth, metrics=metrics, baselines=["identity"])
    summary = found.summary().audit
    assert summary.flagged.keys() == {"r2-mean", "r2-delta", "variance-ratio"}
    assert {"all-at-mean", "shuffled-features"} <= set(summary.flagged["r2-mean"])
    assert {"all-at-mean", "shuffled-features", "doubled-effect"} == set(summary.flagged["r2-delta"])
    assert {"doubled-effect", "shuffled-features"} == set(summary.flagged["variance-ratio"])
    copied = found.table[found.table["predictor"] == "audit:copied-controls"].value.to_numpy()
    identity = found.table[found.table["predictor"] == "identity"].value.to_numpy()
    np.testing.assert_array_equal(copied, identity)
    text = remark(summary)
    assert "every cell at the mean of the measured cells (r2-mean, r2-delta)" in text
    assert found.predictors == ("model", "identity", "floor")


def test_the_audit_leaves_all_other_numbers_alone_and_needs_cells(truth, predict):
    with_, without = (
        score(predict(truth), truth, metrics=["energy", "r2-mean"], baselines=["identity"], audit=on)
        for on in (True, False)
    )
    kept = with_.table[~with_.table["predictor"].str.startswith("audit:")].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, without.table)
    assert without.summary().audit.to_json() == {"reason": "no degenerate predictors were scored"}
    whole = score(predict(truth), truth, metrics=["energy"], all_cells=True).summary().audit
    assert "none are left" in whole.predictors["all-at-mean"]["energy"].reason
    assert whole.flagged == {}
    bare = truth[truth.obs["treatment"] != "DMSO"].copy()
    none = score(predict(truth, controls=False), bare, metrics=["energy"]).summary().audit
    assert "no control cells" in none.predictors["doubled-effect"]["energy"].reason


def test_undamaged_cells_are_the_first_split_of_the_floor(truth, predict):
    table = score(predict(truth), truth, metrics=["energy"], baselines=[], floor_splits=1).table
    by_row = table.groupby("predictor")["value"].apply(list)
    assert by_row["audit:undamaged"] == by_row["floor"]
