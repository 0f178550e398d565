"""Prediction: the output contract, what may be asked for, and what must not matter."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest

from cellflow_cli.errors import BundleError, ConfigError, DataError
from cellflow_cli.prediction import (
    PredictionRequest,
    plan_prediction,
    predict,
    requested_conditions,
    write_prediction,
)
from tests.model.conftest import make_cohort


def part(made, predicted=True):
    return made[(made.obs["cellflow_is_predicted"] == predicted).to_numpy()]


def moved(made):
    """Predicted values by source cell and condition, in a canonical order."""
    rows = part(made)
    keys = rows.obs["cellflow_source_cell"].astype(str) + ":" + rows.obs["treatment"].astype(str)
    keys += rows.obs["dose"].astype(str)
    return pd.DataFrame(np.asarray(rows.X), index=keys.to_numpy()).sort_index()


@pytest.fixture(scope="module")
def made(model, cohort):
    return model.predict(cohort)


def test_unseen_samples_and_trained_conditions_by_default(made):
    assert set(made.obs["patient"]) == {"P5"}
    labels = part(made).obs["treatment"].astype(str) + part(made).obs["dose"].map(" {:g}".format)
    assert labels.value_counts().to_dict() == {"drug 0.1": 24, "drug 1": 24, "other nan": 24}


def test_columns(made):
    assert list(made.obs) == ["patient", "treatment", "dose", "cellflow_source_cell", "cellflow_is_predicted"]
    assert made.obs["cellflow_is_predicted"].dtype == bool
    assert made.obs["dose"].dtype == float
    assert list(made.var_names) == ["m0", "m1", "m2", "m3"]
    assert made.X.dtype == np.float32


def test_names_are_unique_and_tell_their_source(made, cohort):
    assert made.obs_names.is_unique
    predicted = part(made).obs
    assert set(predicted["cellflow_source_cell"]) <= set(cohort.obs_names)
    expected = predicted["cellflow_source_cell"].astype(str) + ":other"
    other = (predicted["treatment"] == "other").to_numpy()
    assert list(predicted.index[other]) == list(expected[other])


def test_controls_are_the_data_bit_for_bit(made, cohort):
    controls = part(made, predicted=False)
    assert set(controls.obs["treatment"]) == {"DMSO"}
    assert np.array_equal(controls.X, cohort[controls.obs_names].X)
    assert np.array_equal(controls.layers["control"], controls.X)
    assert list(controls.obs["cellflow_source_cell"]) == list(controls.obs_names)
    assert controls.obs["dose"].isna().all()


def test_the_control_layer_is_the_source_cell(made, cohort):
    rows = part(made)
    assert np.array_equal(rows.layers["control"], cohort[rows.obs["cellflow_source_cell"].astype(str)].X)
    assert np.abs(rows.X - rows.layers["control"]).max() > 0.01


def test_provenance(made, model):
    told = made.uns["cellflow"]
    assert told["model_id"] == model.id
    assert told["n_evaluations"] == 2 * model.config.method.config.solver.steps
    assert told["seed"] == 0
    assert json.loads(told["spec"])["sample_key"] == ["patient"]
    assert json.loads(told["transform_json"]) == model.transform.to_json()
    assert list(told["train_groups"]) == ["P1", "P2", "P3", "P4"]
    assert json.loads(told["summaries_json"])["groups"]
    assert "cells" not in told["summaries"]
    assert len(told["warnings"]) == 0


def test_data_are_left_as_they_were(model, cohort):
    adata = cohort.copy()
    model.predict(adata)
    assert np.array_equal(adata.X, cohort.X)
    pd.testing.assert_frame_equal(adata.obs, cohort.obs)


def test_no_controls(model, cohort):
    made = model.predict(cohort, controls=False)
    assert made.obs["cellflow_is_predicted"].all()
    assert made.n_obs == 3 * 24


def test_seen_samples_can_be_asked_for(model, cohort):
    assert set(model.predict(cohort, samples="all").obs["patient"]) == {"P1", "P2", "P3", "P4", "P5"}
    assert set(model.predict(cohort, samples={"patient": ["P2", "P5"]}).obs["patient"]) == {"P2", "P5"}


def test_nothing_unseen(model, cohort):
    seen = cohort[(cohort.obs["patient"] != "P5").to_numpy()]
    with pytest.raises(
        DataError, match=r"never trained on, found only trained ones: 'P1'.*--holdout.*--samples all"
    ):
        model.predict(seen)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ({"patient": ["P9"]}, DataError, r"'P9'.*found 'P1'.*Did you mean 'P5'\?|'P9'.*found 'P1'"),
        ({"patent": ["P5"]}, DataError, r'obs\["patent"\].*patient'),
        ("none", ConfigError, r"'unseen', 'all' or COLUMN=VALUE"),
        ({"treatment": ["drug"]}, DataError, "control cells among the chosen samples"),
    ],
)
def test_samples_that_are_not_there(model, cohort, samples, error, message):
    with pytest.raises(error, match=message):
        model.predict(cohort, samples=samples)


def test_the_control_is_no_treatment(model, cohort):
    with pytest.raises(
        ConfigError, match=r"found the control 'DMSO'. The control cells are part of the output"
    ):
        model.predict(cohort, treatments=["DMSO"])


def test_an_unknown_treatment(model, cohort):
    with pytest.raises(
        ConfigError, match=r"'drug', 'other'\), found 'othr'. Did you mean 'other'\?.*--treatment"
    ):
        model.predict(cohort, treatments=["othr"])


def test_treatments_and_doses_can_be_chosen(model, cohort):
    made = part(model.predict(cohort, treatments=["drug"], doses=[1.0]))
    assert set(made.obs["treatment"]) == {"drug"}
    assert set(made.obs["dose"]) == {1.0}
    assert made.n_obs == 24


def test_a_dose_asked_for_twice_is_predicted_once(model, cohort):
    assert part(model.predict(cohort, treatments=["drug"], doses=[1.0, 1.0, 1 + 1e-9])).n_obs == 24


def test_a_dose_between_trained_ones_is_warned_about(model, cohort):
    made = model.predict(cohort, treatments=["drug"], doses=[0.3])
    (warning,) = made.uns["cellflow"]["warnings"]
    assert "0.3 µM lies between the trained doses: 'drug' was trained at 0.1, 1.0 µM" in warning
    ends = [moved(model.predict(cohort, treatments=["drug"], doses=[d])).to_numpy() for d in (0.1, 0.3, 1.0)]
    assert not np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[1], ends[2])


def test_a_dose_beyond_trained_ones_is_warned_about(model):
    request = PredictionRequest(treatments=["drug"], doses=[1.0, 50.0])
    conditions, (warning,) = requested_conditions(model, request)
    assert [c.dose for c in conditions] == [1.0, 50.0]
    assert "OUTSIDE" in warning


@pytest.mark.parametrize("dose", [-1.0, np.inf, np.nan])
def test_doses_without_sense(model, cohort, dose):
    with pytest.raises(ConfigError, match="dose of zero or more"):
        model.predict(cohort, treatments=["drug"], doses=[dose])


def test_a_dose_for_a_treatment_without_doses(model, cohort):
    with pytest.raises(ConfigError, match=r"'other' was trained without doses.*--treatment"):
        model.predict(cohort, doses=[0.1])


def like(model, cohort, measured, **settings):
    return predict(model, cohort, PredictionRequest(like=measured, **settings))


def test_like_predicts_what_was_measured(model, cohort):
    obs = cohort.obs
    measured = obs[((obs["patient"] == "P5") & (obs["dose"] == 1.0)) | (obs["patient"] == "P4")]
    made = part(like(model, cohort, measured))
    assert made.obs[["patient", "treatment", "dose"]].drop_duplicates().to_numpy().tolist() == [
        ["P5", "drug", 1.0]
    ]


def test_like_goes_by_sample(model, cohort):
    obs = cohort.obs
    measured = obs[
        ((obs["patient"] == "P5") & (obs["treatment"] == "other"))
        | ((obs["patient"] == "P4") & (obs["dose"] == 0.1))
    ]
    made = part(like(model, cohort, measured, samples="all")).obs
    assert made.groupby(["patient", "treatment"], observed=True).size().to_dict() == {
        ("P4", "drug"): 24,
        ("P5", "other"): 24,
    }


def test_like_something_unrelated(model, cohort):
    with pytest.raises(
        DataError, match=r"measured ones, found none: samples here 'P5', measured 'P4'.*--like"
    ):
        like(model, cohort, cohort.obs[cohort.obs["patient"] == "P4"])
    with pytest.raises(DataError, match=r'obs\["dose"\].*--like'):
        like(model, cohort, cohort.obs.drop(columns="dose"))


def untreated(cohort, columns):
    adata = cohort[((cohort.obs["patient"] == "P5") & (cohort.obs["treatment"] == "DMSO")).to_numpy()].copy()
    adata.obs = adata.obs[columns]
    return adata


def test_a_file_of_untreated_cells_alone(model, cohort, made):
    adata = untreated(cohort, ["patient"])
    with pytest.raises(DataError, match="--assume-control"):
        model.predict(adata)
    found = predict(model, adata, PredictionRequest(assume_control=True))
    assert moved(found).equals(moved(made))
    assert set(part(found, predicted=False).obs["treatment"]) == {"DMSO"}


def test_a_file_without_sample_column(model, cohort):
    adata = untreated(cohort, ["culture"])
    with pytest.raises(DataError, match="--sample-name"):
        predict(model, adata, PredictionRequest(assume_control=True))
    found = predict(model, adata, PredictionRequest(assume_control=True, sample_name="new"))
    assert set(found.obs["patient"]) == {"new"}
    assert found.n_obs == 4 * 24


def test_the_order_of_rows_does_not_matter(model, cohort, made, rng):
    import torch

    order = torch.randperm(cohort.n_obs, generator=rng).numpy()
    # the population is embedded from the same cells in the same order; batches round alike
    assert np.allclose(moved(model.predict(cohort[order].copy())), moved(made), atol=1e-6)


def test_other_samples_do_not_matter(model, cohort, made):
    alone = cohort[(cohort.obs["patient"] == "P5").to_numpy()].copy()
    assert moved(model.predict(alone)).equals(moved(made))
    everybody = model.predict(cohort, samples="all")
    assert moved(everybody[(everybody.obs["patient"] == "P5").to_numpy()]).equals(moved(made))


def test_treated_cells_in_the_file_do_not_matter(model, cohort, made):
    changed = cohort.copy()
    changed.X[(changed.obs["treatment"] != "DMSO").to_numpy()] = 99.0
    assert np.array_equal(model.predict(changed).X, made.X)


@pytest.mark.parametrize("chunk", [5, 24, 1000])
def test_the_size_of_chunks_does_not_matter(model, cohort, made, chunk):
    found = predict(model, cohort, PredictionRequest(chunk=chunk))
    assert list(found.obs_names) == list(made.obs_names)
    assert np.allclose(found.X, made.X, atol=1e-5)  # float32 products of other shapes round otherwise


def test_the_own_population_matters(model, cohort, made):
    """The same cells in the company of others are predicted otherwise."""
    crowded = cohort.copy()
    p5 = ((crowded.obs["patient"] == "P5") & (crowded.obs["treatment"] == "DMSO")).to_numpy()
    half = np.flatnonzero(p5)[12:]
    crowded.X[half] += 2.0
    rows = [name for name in moved(made).index if name.split(":")[0] in set(cohort.obs_names[p5][:12])]
    assert np.abs(moved(model.predict(crowded)).loc[rows] - moved(made).loc[rows]).to_numpy().max() > 1e-4


def test_features_in_another_order_and_more_of_them(model, cohort, made):
    wide = anndata.AnnData(
        np.concatenate([np.asarray(cohort.X)[:, ::-1], np.ones((cohort.n_obs, 2), np.float32)], axis=1),
        obs=cohort.obs,
        var=pd.DataFrame(index=["m3", "m2", "m1", "m0", "x", "y"]),
    )
    assert np.array_equal(model.predict(wide).X, made.X)


def test_missing_features(model, cohort):
    thin = cohort[:, ["m0", "m2", "m3"]].copy()
    with pytest.raises(BundleError, match=r"all 4 features.*missing are 'm1'.*--min-feature-coverage"):
        plan_prediction(model, thin, PredictionRequest())  # before anything is computed
    found = predict(model, thin, PredictionRequest(min_coverage=0.7))
    assert np.isfinite(found.X).all()
    controls = part(found, predicted=False)
    assert np.allclose(controls.X[:, 1], model.transform.mean[1], atol=1e-6)


def test_a_file_equals_the_prediction_in_memory(model, pca_model, cohort, counts, tmp_path):
    for name, trained, adata in (("markers", model, cohort), ("counts", pca_model, counts)):
        request = PredictionRequest(chunk=10)
        done = []
        planned = plan_prediction(trained, adata, request, {"command": "cellflow predict"})
        write_prediction(planned, tmp_path / name, force=False, on_rows=lambda *a, done=done: done.append(a))
        written, expected = anndata.read_h5ad(tmp_path / name), predict(trained, adata, request)
        assert done[-1] == (expected.n_obs, expected.n_obs)
        assert np.array_equal(written.X, expected.X)
        pd.testing.assert_frame_equal(written.obs, expected.obs)
        assert list(written.var_names) == list(expected.var_names)
        assert set(written.layers) == set(expected.layers)
        assert np.array_equal(written.layers["control"], expected.layers["control"])
        assert set(written.obsm) == set(expected.obsm)
        told = written.uns["cellflow"]
        assert told.pop("command") == "cellflow predict"
        assert set(told) == set(expected.uns["cellflow"])
        assert told["n_evaluations"] == expected.uns["cellflow"]["n_evaluations"]
        assert told["n_clipped"] == expected.uns["cellflow"]["n_clipped"]
        assert told["spec"] == expected.uns["cellflow"]["spec"]


def test_a_prediction_can_be_written_twice(pca_model, counts, tmp_path):
    planned = plan_prediction(pca_model, counts, PredictionRequest())
    for name in ("a", "b"):
        write_prediction(planned, tmp_path / name, force=False)
    first, second = (anndata.read_h5ad(tmp_path / name).uns["cellflow"] for name in ("a", "b"))
    assert first["n_clipped"] == second["n_clipped"] > 0
    assert first["fraction_clipped"] == second["fraction_clipped"]
    assert first["n_evaluations"] == second["n_evaluations"]


def test_a_failed_prediction_leaves_no_file(model, cohort, tmp_path):
    adata = cohort.copy()
    adata.X[(adata.obs["patient"] == "P5").to_numpy().nonzero()[0][5], 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        write_prediction(plan_prediction(model, adata, PredictionRequest()), tmp_path / "p.h5ad", force=False)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def decoded(pca_model, counts):
    return pca_model.predict(counts)


def test_principal_components_travel_along(decoded, pca_model, counts):
    assert decoded.obsm["X_pca"].shape == (decoded.n_obs, 3)
    assert decoded.varm["PCs"].shape == (30, 3)
    control = part(decoded, predicted=False)
    raw = counts[control.obs_names].X.toarray()
    logs = np.log1p(1e4 * raw / raw.sum(1, keepdims=True))
    assert np.allclose(control.X, logs, atol=1e-4)  # float32 of values up to 8
    projected = (logs - pca_model.transform.mean) @ control.varm["PCs"]
    assert np.allclose(control.obsm["X_pca"], projected, atol=1e-4)


def test_predicted_expression_is_decoded_and_clipped(decoded, pca_model):
    rows = part(decoded)
    values = rows.obsm["X_pca"] @ rows.varm["PCs"].T + pca_model.transform.mean
    assert np.allclose(rows.X, np.maximum(values, 0), atol=1e-4)
    assert (rows.X >= 0).all()
    assert decoded.uns["cellflow"]["n_clipped"] == pytest.approx((values < 0).sum(), abs=3)
    expected = decoded.uns["cellflow"]["n_clipped"] / rows.X.size
    assert decoded.uns["cellflow"]["fraction_clipped"] == pytest.approx(expected)


def test_counts_of_controls_travel_along(decoded, counts):
    control = part(decoded, predicted=False)
    assert (control.layers["counts"] != counts[control.obs_names].X).nnz == 0
    assert part(decoded).layers["counts"].nnz == 0


def test_counts_follow_their_genes(pca_model, counts):
    shuffled = counts[:, counts.var_names[::-1]].copy()
    made = pca_model.predict(shuffled)
    control = part(made, predicted=False)
    assert list(made.var_names) == list(counts.var_names)
    assert (control.layers["counts"] != counts[control.obs_names].X).nnz == 0


def test_no_counts_without_controls(pca_model, counts):
    assert "counts" not in pca_model.predict(counts, controls=False).layers


def test_names_that_would_collide(model):
    """A control cell is already called what a predicted one would be."""
    cohort = make_cohort()
    names = cohort.obs_names.to_numpy().copy()
    p5 = np.flatnonzero(((cohort.obs["patient"] == "P5") & (cohort.obs["treatment"] == "DMSO")).to_numpy())
    names[p5[1]] = f"{names[p5[0]]}:other"
    names[p5[2]] = f"{names[p5[0]]}:other-1"
    cohort.obs_names = names
    made = model.predict(cohort)
    assert made.obs_names.is_unique
    assert set(names[p5]) <= set(made.obs_names)
