"""Predictions with planted faults held against the truth; every predictor, every reason, every refusal."""

import json
import math

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from cellflow_cli.baselines import Summaries
from cellflow_cli.catalog import Catalog
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.statistics.means import Count
from cellflow_cli.statistics.summary import Unmatched
from tests.evaluation.conftest import SPEC, score

BASELINES = tuple(Catalog("baselines").names())

# A prediction file holds no training cells, and the cohort has no cell types.
NEED_MORE = {"ot-neighbour", "pooled-treated", "mean-shift-per-type"}

FAST = ("energy", "variance-ratio", "r2-mean", "r2-delta")

PCA = DataSpec(
    treatment_key="treatment", control="DMSO", sample_key="patient", dose_key="dose", features="pca:3",
    expression="as-is",
)  # fmt: skip


def value(scores, row, metric, sample="P4", treatment="other", dose=None):
    table = scores.table
    lines = table[(table["predictor"] == row) & (table["metric"] == metric) & (table["sample"] == sample)]
    lines = lines[lines["treatment"] == treatment]
    lines = lines if dose is None else lines[lines["dose"] == dose]
    assert len(lines) == 1
    return lines["value"].item()


def without(adata, name):
    """The prediction without one entry of `uns["cellflow"]`."""
    made = adata.copy()
    made.uns["cellflow"] = {k: v for k, v in adata.uns["cellflow"].items() if not k.startswith(name)}
    return made


def test_every_condition_has_every_predictor_and_metric(truth, predict):
    scores = score(predict(truth), truth, audit=False)
    names = Catalog("metrics").names()
    assert scores.predictors == ("model", *BASELINES, "floor")
    assert len(scores.table) == 2 * 3 * (len(BASELINES) + 2) * len(names)
    assert not scores.table.duplicated(["sample", "treatment", "dose", "predictor", "metric"]).any()
    missing = scores.table[scores.table["value"].isna()]
    assert set(missing["predictor"]) == NEED_MORE
    assert len(missing) == 2 * 3 * len(NEED_MORE) * len(names)
    assert set(scores.table["n"]) == {30}  # half of 60 measured cells
    assert scores.unmatched == Unmatched()
    assert scores.seen_in_training == scores.warnings == ()
    assert scores.table[scores.table["treatment"] == "other"]["dose"].isna().all()


def test_a_perfect_prediction_is_as_good_as_the_floor(truth, fresh, predict, rows_of):
    perfect = predict(truth, moved=lambda cells, patient, key: fresh.X[rows_of(fresh, patient, key)])
    summary = score(perfect, truth, metrics=["w1", "energy", "mmd-rbf"]).summary()
    for metric, found in summary.predictors["model"].items():
        floor = summary.predictors["floor"][metric].mean
        identity = summary.predictors["identity"][metric].mean
        assert abs(found.mean - floor) < 0.3 * (identity - floor)
        assert summary.better_than["identity"][metric] == Count(2, 2)


def test_the_predictors_are_what_they_say(truth, predict):
    unmoved = predict(truth, moved=lambda cells, patient, key: cells)
    shifted = predict(truth, moved=lambda cells, patient, key: cells + 100)
    near, far = (score(p, truth, metrics=["energy", "variance-ratio"]) for p in (unmoved, shifted))
    baseline_rows = near.table["predictor"] != "model"
    pd.testing.assert_frame_equal(near.table[baseline_rows], far.table[baseline_rows])
    assert value(far, "model", "energy") > 10 * value(near, "model", "energy")
    # The model that moves nothing is identity, up to which control cells were drawn.
    assert value(near, "model", "energy") == pytest.approx(value(near, "identity", "energy"), rel=0.5)
    # A shift moves cells and keeps their spread.
    ratio = value(near, "identity", "variance-ratio")
    assert value(near, "mean-shift", "variance-ratio") == pytest.approx(ratio, rel=1e-5)
    assert value(near, "mean-shift", "energy") < 0.5 * value(near, "identity", "energy")


def test_the_number_of_cells_is_one_for_all_predictors(truth, predict):
    few = predict(truth, moved=lambda cells, patient, key: cells[:21])
    scores = score(few, truth, metrics=["energy"])
    assert set(scores.table["n"]) == {21}
    assert set(score(few, truth, metrics=["energy"], max_cells=10).table["n"]) == {10}
    without_most_controls = few[
        (few.obs["patient"] != "P4") | few.obs["cellflow_is_predicted"] | (np.arange(few.n_obs) < 7)
    ]
    table = score(without_most_controls.copy(), truth, metrics=["energy"]).table
    assert set(table[table["sample"] == "P4"].n) == {7}
    assert set(table[table["sample"] == "P5"].n) == {21}


def test_all_measured_cells_can_be_compared_and_then_none_are_left_for_a_floor(truth, predict):
    prediction = predict(truth, moved=lambda cells, patient, key: cells)
    half = score(prediction, truth, metrics=["energy"])
    whole = score(prediction, truth, metrics=["energy"], all_cells=True, audit=False)
    assert set(whole.table["n"]) == {2 * n for n in half.table["n"]}
    assert whole.table[whole.table["predictor"] == "floor"].value.isna().all()
    assert (
        whole.table["reason"].str.contains("none are left").sum()
        == (whole.table["predictor"] == "floor").sum()
    )
    assert whole.settings.all_cells
    # with every cell in use there is nothing to draw
    other = score(prediction, truth, metrics=["energy"], all_cells=True, seed=1, audit=False)
    np.testing.assert_allclose(whole.table["value"], other.table["value"], rtol=1e-6)


def test_the_seed_draws_the_cells(truth, predict):
    prediction = predict(truth)
    first, again, other = (score(prediction, truth, metrics=["energy"], seed=s).table for s in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first.value, other.value)


def test_other_samples_and_features_in_the_file_change_nothing(truth, predict):
    prediction = predict(truth)
    alone = truth[truth.obs["patient"] == "P5", ["m4", "m2", "m5", "m3", "m1"]].copy()
    wide = anndata.AnnData(
        np.concatenate([np.full((alone.n_obs, 2), 7, dtype=np.float32), alone.X], axis=1),
        obs=alone.obs, var=pd.DataFrame(index=["extra1", "extra2", *alone.var_names]),
    )  # fmt: skip
    whole = score(prediction, truth, metrics=FAST).table
    part = score(prediction[prediction.obs["patient"] == "P5"].copy(), wide, metrics=FAST).table
    pd.testing.assert_frame_equal(whole[whole["sample"] == "P5"].reset_index(drop=True), part)


def test_scaling_divides_by_the_training_spread(truth, predict):
    prediction = predict(truth)
    scaled, plain = (score(prediction, truth, metrics=["energy", "r2-mean"], scale=s) for s in (None, False))
    assert scaled.settings.scaled
    assert not plain.settings.scaled
    assert value(scaled, "identity", "energy") < value(plain, "identity", "energy")
    assert value(scaled, "model", "r2-mean") == value(plain, "model", "r2-mean")
    # Multiplying one marker by 1,000 in all files leaves scaled distances as they are.
    bigger = truth.copy()
    bigger.X = truth.X * np.array([1000, 1, 1, 1, 1], dtype=np.float32)

    def moved(cells, patient, key):
        shift = {0.1: 1.0, 1.0: 2.0}.get(key[1], -1.5)
        return cells + shift * np.array([1000, 1, 0, 0, 0])

    again = score(predict(bigger, moved=moved), bigger, metrics=["energy"])
    assert value(again, "model", "energy") == pytest.approx(value(scaled, "model", "energy"), rel=1e-4)


def test_components_are_compared_unscaled_and_genes_as_genes(truth, predict):
    def moved(cells, patient, key):
        return cells * 0.5

    prediction = predict(truth, spec=PCA, moved=moved)
    scores = score(prediction, truth, metrics=["energy", "r2-mean", "variance-ratio"])
    assert not scores.settings.scaled
    assert scores.settings.n_features == 3
    assert scores.settings.n_genes == 5
    # Half of all components is a quarter of the variance of identity, drawn from the same controls.
    quarter = 0.25 * value(scores, "identity", "variance-ratio")
    assert value(scores, "model", "variance-ratio") == pytest.approx(quarter, rel=0.5)
    prediction.X = prediction.X[:, ::-1].copy()  # other genes, same components
    other = score(prediction, truth, metrics=["energy", "r2-mean"])
    assert value(other, "model", "energy") == value(scores, "model", "energy")
    assert value(other, "model", "r2-mean") != pytest.approx(value(scores, "model", "r2-mean"), rel=1e-3)
    on_request = score(prediction, truth, metrics=["energy"], scale=True)
    assert value(on_request, "model", "energy") != value(scores, "model", "energy")


def test_an_unknown_dose_leaves_a_reason_for_the_mean_shift_alone(truth, predict):
    new = truth.copy()
    new.obs.loc[(new.obs["dose"] == 1.0) & new.obs["patient"].isin(["P4", "P5"]), "dose"] = 3.0
    prediction = predict(truth)
    prediction.obs.loc[prediction.obs["dose"] == 1.0, "dose"] = 3.0
    scores = score(prediction, new, metrics=["energy"], audit=False)
    lines = scores.table[scores.table["dose"] == 3.0].set_index(["sample", "predictor"])
    assert math.isnan(lines.loc[("P4", "mean-shift"), "value"])
    assert "'drug 3'" in lines.loc[("P4", "mean-shift"), "reason"]
    # two patients, and everything but the rows that learn a shift of this very dose
    assert lines["value"].notna().groupby("predictor").all().loc[["model", "identity", "floor"]].all()
    assert lines["value"].notna().sum() == 6
    found = scores.summary().predictors["mean-shift"]["energy"]
    assert (found.n_groups, found.n_missing) == (2, 2)


def test_without_summaries_the_predictors_stay_and_say_why(truth, predict):
    prediction = predict(truth)
    scores = score(without(prediction, "summaries"), truth, metrics=["energy"])
    missing = scores.table[scores.table["predictor"] == "mean-shift"]
    assert missing["value"].isna().all()
    assert (missing["reason"] != "").all()
    assert "--model" in scores.warnings[0]
    given = Summaries.from_parts(
        json.loads(prediction.uns["cellflow"]["summaries_json"]),
        prediction.uns["cellflow"]["summaries"],
    )
    again = score(without(prediction, "summaries"), truth, metrics=["energy"], summaries=given)
    pd.testing.assert_frame_equal(again.table, score(prediction, truth, metrics=["energy"]).table)


def test_controls_come_from_the_truth_where_the_prediction_has_none(truth, predict):
    prediction = predict(truth, controls=False)
    with_controls = score(predict(truth), truth, metrics=["energy", "r2-delta"]).table
    pd.testing.assert_frame_equal(
        score(prediction, truth, metrics=["energy", "r2-delta"]).table, with_controls
    )
    treated = truth[truth.obs["treatment"] != "DMSO"].copy()
    scores = score(prediction, treated, metrics=["energy", "r2-delta"])
    reasons = scores.table.set_index(["predictor", "metric"])["reason"].sort_index()
    assert (reasons.loc[("identity", "energy")] == "no control cells of the sample in either file").all()
    assert (reasons.loc[("model", "r2-delta")] == "no control cells to measure changes against").all()
    assert (reasons.loc[("model", "energy")] == "").all()


def test_a_population_of_one_cell_has_no_halves(truth, predict):
    at = np.flatnonzero((truth.obs["patient"] == "P4") & (truth.obs["treatment"] == "other"))
    scores = score(predict(truth), truth[np.setdiff1d(np.arange(truth.n_obs), at[1:])].copy(), metrics=FAST)
    lines = scores.table[(scores.table["sample"] == "P4") & (scores.table["treatment"] == "other")]
    assert lines["value"].isna().all()
    assert set(lines["reason"]) == {"fewer than two measured cells: no halves"}


@pytest.mark.parametrize("spec", [None, PCA])
@pytest.mark.parametrize("row", [0, -1])  # a control, a predicted cell
def test_one_value_that_is_not_finite_is_refused_whatever_is_drawn(truth, predict, spec, row):
    prediction = predict(truth, spec=spec or SPEC, moved=lambda cells, *_: cells + 1)
    cells = prediction.obsm["X_pca"] if spec else prediction.X
    cells[row, 1] = np.nan
    cell = f"row{row % prediction.n_obs}"
    with pytest.raises(DataError, match=f"found 1 that are NaN or infinite, the first in cell '{cell}'"):
        score(prediction, truth, metrics=["energy"], max_cells=2)


def test_cells_without_a_label_are_counted(truth, predict):
    prediction, holes = predict(truth), truth.copy()
    at = np.flatnonzero((holes.obs["patient"] == "P4") & (holes.obs["treatment"] == "other"))[:7]
    holes.obs.iloc[at, holes.obs.columns.get_loc("treatment")] = np.nan
    assert "7 cells of the truth are left out" in " ".join(
        score(prediction, holes, metrics=["energy"]).warnings
    )


def test_seen_groups_are_named(truth, predict):
    scores = score(predict(truth, patients=("P1", "P4")), truth, metrics=["energy"])
    assert scores.seen_in_training == ("P1",)
    assert "Seen in training: 'P1'" in scores.warnings[0]


def test_a_prediction_survives_the_disk(truth, predict, tmp_path):
    prediction = predict(truth, spec=PCA, moved=lambda cells, patient, key: cells + 1)
    prediction.write_h5ad(tmp_path / "pred.h5ad")
    stored = anndata.read_h5ad(tmp_path / "pred.h5ad")
    first, second = (score(p, truth, metrics=FAST) for p in (prediction, stored))
    pd.testing.assert_frame_equal(first.table, second.table)
    assert second.settings.prediction == {"version": "0.1.0", "model_id": "abc", "seed": 0}


def test_progress_is_reported(truth, predict):
    reports = []
    score(predict(truth), truth, metrics=["r2-mean"], on_progress=lambda *what: reports.append(what))
    assert reports[0] == (0, 6, "P4, drug 0.1")
    assert reports[-1] == (6, 6, "")
    assert len(reports) == 7


def test_what_is_no_prediction_is_refused(truth, predict):
    with pytest.raises(DataError, match=r"Expected a prediction with `uns\['cellflow'\]`.*cellflow predict"):
        score(truth, predict(truth))
    newer = predict(truth)
    newer.uns["cellflow"] = {**newer.uns["cellflow"], "spec": '{"unheard_of": 1}'}
    with pytest.raises(DataError, match="as this version of cellflow writes it"):
        score(newer, truth)
    with pytest.raises(DataError, match=r"Expected a transform in the prediction.*--model"):
        score(without(predict(truth), "transform"), truth)


def test_files_that_do_not_fit_are_refused(truth, predict):
    prediction = predict(truth)
    with pytest.raises(DataError, match="in the truth, found 1 missing: 'm2'"):
        score(prediction, truth[:, ["m1", "m3", "m4", "m5"]].copy())
    with pytest.raises(
        DataError, match="of the model in the prediction, 'm1', 'm2', 'm3' and 2 more, found 2"
    ):
        score(prediction[:, ["m2", "m1"]].copy(), truth)
    with pytest.raises(DataError, match="summaries of 5 features, found 3"):
        score(prediction, truth, summaries=Summaries.empty(3))


def test_unknown_names_are_refused(truth, predict):
    with pytest.raises(ConfigError, match="Did you mean 'energy'"):
        score(predict(truth), truth, metrics=["energi"])
    with pytest.raises(ConfigError, match="Did you mean 'mean-shift'"):
        score(predict(truth), truth, baselines=["mean-shft"])
    with pytest.raises(ConfigError, match="at least 2, found 1"):
        score(predict(truth), truth, max_cells=1)


def test_one_name_is_a_list_of_one_and_no_name_is_refused(truth, predict):
    prediction = predict(truth)
    found = score(prediction, truth, metrics="energy", baselines="identity")
    assert (found.metrics, found.baselines) == (("energy",), ("identity",))
    with pytest.raises(ConfigError, match="at least one metric"):
        score(prediction, truth, metrics=[])
    with pytest.raises(TypeError, match=r"`truth` is a str.*cf\.read"):
        score(prediction, "truth.h5ad")


def test_features_in_another_order_are_no_other_features(truth, predict):
    prediction = predict(truth)
    with pytest.raises(DataError, match="found all of them in another, 'm5', 'm4', 'm3' and 2 more"):
        score(prediction[:, ::-1].copy(), truth)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_agrees_with_cpu(truth, predict):
    prediction = predict(truth)
    cpu, gpu = (score(prediction, truth, device=torch.device(name)).table for name in ("cpu", "cuda"))
    pd.testing.assert_frame_equal(cpu, gpu, rtol=1e-6)


def test_populations_of_a_few_cells_are_named(truth, predict):
    prediction = predict(truth)
    small = score(prediction, truth, metrics=["energy"], baselines=[], max_cells=19)
    assert any("Compared on fewer than 20 cells a side" in text for text in small.warnings)
    enough = score(prediction, truth, metrics=["energy"], baselines=[], max_cells=20)
    assert not any("fewer than 20" in text for text in enough.warnings)


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
