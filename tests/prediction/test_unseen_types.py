"""Cell types and covariates of a new patient that training never saw."""

import numpy as np
import pytest
import torch

from cellflow_cli.data.populations import control_table
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.errors import DataError
from cellflow_cli.model import ContextAblation
from cellflow_cli.prediction import PredictionFile, PredictionRequest, plan_prediction, predict
from cellflow_cli.statistics.ablation import AVERAGE, OTHER
from tests.evaluation.conftest import score
from tests.model.conftest import make_cohort, make_model, make_spec

WARNING = (
    "the type of 2 of 48 control cells in `obs[\"cell_type\"]` was never trained on ('mast'): "
    "these cells enter without a type"
)


def trained(cohort, method="mfm", **columns):
    return make_model(cohort, make_spec(holdout="patient=P4,P5", **columns), method=method)


@pytest.fixture(scope="module")
def model(cohort):
    return trained(cohort, cell_type_key="cell_type")


@pytest.fixture
def rare():
    """Two control cells of the held-out P5 are of a type of their own, and so are treated cells of it."""
    cohort = make_cohort()
    p5 = (cohort.obs["patient"] == "P5").to_numpy()
    cohort.obs.loc[cohort.obs_names[np.flatnonzero(p5)[[0, 7]]], "cell_type"] = "mast"
    cohort.obs.loc[cohort.obs_names[np.flatnonzero(p5)[-3:]], "cell_type"] = "eosinophil"
    return cohort


@pytest.mark.parametrize("method", ["mfm", "fm"])
def test_a_type_that_training_never_saw_is_no_type(cohort, rare, method):
    model = trained(cohort, method, cell_type_key="cell_type")
    planned = plan_prediction(model, rare, PredictionRequest())
    assert planned.warnings == (WARNING,)  # before anything is computed
    made = predict(model, rare, PredictionRequest())
    assert list(made.uns["cellflow"]["warnings"]) == [WARNING]
    assert np.isfinite(made.X).all()
    assert (made.obs["cell_type"] == "mast").sum() == 2 * (1 + 3)


def test_only_the_unknown_types_are_zeros(model, rare):
    spec = model.config.data
    reader = PopulationReader(
        adata=rare, spec=spec, transform=model.transform, vocabulary=model.vocabulary,
        device=torch.device("cpu"),
    )  # fmt: skip
    control = next(c for c in control_table(rare.obs, spec) if c.group == "P5")
    features = reader.node_features(control)
    assert features.shape == (24, 2)
    kinds = rare.obs["cell_type"].to_numpy()[control.rows]
    for i, name in enumerate(("B", "T")):
        assert features[:, i].bool().tolist() == (kinds == name).tolist()


def test_known_types_are_not_remarked(model, cohort):
    assert plan_prediction(model, cohort, PredictionRequest()).warnings == ()


def test_another_population_can_be_context_all_the_same(model, rare):
    predicted = predict(model, rare, PredictionRequest())
    extra = ContextAblation(model, PredictionFile.read(predicted)).predictions
    scores = score(predicted, rare, metrics=["energy"], extra_predictions=extra)
    assert WARNING in scores.warnings
    for row in ("model", OTHER, AVERAGE, "mean-shift-per-type"):
        assert scores.table[scores.table["predictor"] == row]["value"].notna().all()
    assert "mast" in scores.summary().cell_types.types


def test_missing_types_are_refused_before_anything_is_computed(model, rare):
    rare.obs["cell_type"] = rare.obs["cell_type"].replace("mast", None)
    with pytest.raises(DataError, match=r'a value in `obs\["cell_type"\]` for every cell, found none for 2'):
        plan_prediction(model, rare, PredictionRequest())


def test_unseen_covariates_are_refused_before_anything_is_computed(cohort):
    model = trained(cohort, covariate_key="culture")
    other = make_cohort()
    other.obs.loc[other.obs["patient"] == "P5", "culture"] = "organoid"
    with pytest.raises(DataError, match=r"trained on \('culture0', 'culture1'\), found 'organoid'"):
        plan_prediction(model, other, PredictionRequest())
