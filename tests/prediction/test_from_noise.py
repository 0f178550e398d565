"""Predicted cells that come from noise carry nothing of a control cell."""

import dataclasses

import anndata
import numpy as np
import pytest

from cellflow_cli.export._matched import matched
from cellflow_cli.model import ContextAblation
from cellflow_cli.prediction import (
    PredictionFile,
    PredictionRequest,
    plan_prediction,
    predict,
    write_prediction,
)
from tests.evaluation.conftest import score
from tests.model.conftest import make_model, make_spec, tiny_method


def trained(cohort, **columns):
    method = tiny_method()
    method = dataclasses.replace(method, config=dataclasses.replace(method.config, source="noise"))
    spec = make_spec(holdout="patient=P4,P5", cell_type_key="cell_type", **columns)
    return make_model(cohort, spec, method=method)


@pytest.fixture(scope="module")
def model(cohort):
    return trained(cohort, covariate_key="culture")


@pytest.fixture(scope="module")
def made(model, cohort):
    return predict(model, cohort, PredictionRequest())


def predicted(made):
    return made[made.obs["cellflow_is_predicted"].to_numpy()]


def test_rows_keep_what_is_true_of_the_sample_alone(made, cohort):
    rows = predicted(made)
    assert np.isnan(rows.layers["control"]).all()
    assert np.isfinite(rows.X).all()
    assert rows.obs["cell_type"].isna().all()
    assert (rows.obs["cellflow_source_cell"] == "").all()
    assert dict(rows.obs[["patient", "culture"]].drop_duplicates().to_numpy()) == {
        "P4": "culture0",
        "P5": "culture1",
    }
    controls = made[~made.obs["cellflow_is_predicted"].to_numpy()]
    assert list(controls.obs["cell_type"]) == list(cohort.obs["cell_type"][controls.obs_names])
    assert np.array_equal(controls.layers["control"], controls.X)


def test_names_are_of_the_sample_and_no_control_cell(made, cohort):
    names = list(predicted(made).obs_names)
    assert made.obs_names.is_unique
    assert names[0] == "P4-predicted-0000:drug 0.1"
    assert names[-1] == "P5-predicted-0023:other"
    assert not {name.split(":")[0] for name in names} & set(cohort.obs_names)


def test_chunks_make_no_difference(model, cohort, made):
    assert list(predict(model, cohort, PredictionRequest(chunk=5)).obs_names) == list(made.obs_names)


def test_the_warnings_say_it_in_one_sentence(model, cohort, made):
    (warning,) = plan_prediction(model, cohort, PredictionRequest()).warnings
    assert "starts from noise" in warning
    assert '`layers["control"]`' in warning
    assert '`obs["cell_type"]`' in warning
    assert list(made.uns["cellflow"]["warnings"]) == [warning]


def test_what_controls_are_pooled_over_is_not_known(cohort):
    """A column of the sample that its controls do not agree on is a fact of single cells here."""
    torn = cohort.copy()
    torn.obs["plate"] = np.where(np.arange(torn.n_obs) % 2, "one", "two")
    model = trained(torn, sample_key=("patient", "plate"), match_key="patient", min_cells=2)
    rows = predicted(predict(model, torn, PredictionRequest())).obs
    assert rows["plate"].isna().all()
    assert set(rows["patient"]) == {"P4", "P5"}


def test_a_type_that_is_part_of_the_sample_stays(cohort):
    model = trained(cohort, sample_key=("patient", "cell_type"), group_key="patient", min_cells=2)
    rows = predicted(predict(model, cohort, PredictionRequest())).obs
    assert set(rows["cell_type"]) == {"B", "T"}
    assert rows.index[0] == "P4-B-predicted-0000:drug 0.1"


@pytest.mark.parametrize("controls", [True, False])
def test_other_commands_take_the_file(model, cohort, tmp_path, controls):
    planned = plan_prediction(model, cohort, PredictionRequest(controls=controls))
    write_prediction(planned, tmp_path / "p.h5ad", force=False)
    found = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert predicted(found).obs["cell_type"].isna().all()
    extra = ContextAblation(model, PredictionFile.read(found)).predictions if controls else None
    scores = score(found, cohort, metrics=["energy"], extra_predictions=extra)
    rows = ["model", "identity", *(extra or ())]
    assert scores.table[scores.table["predictor"].isin(rows)]["value"].notna().all()
    assert "starts from noise" in scores.summary().cell_types.reason
    assert matched(found, cohort).n_obs == 2 * (1 + 2 * 3) * 24
