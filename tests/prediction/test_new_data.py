"""Control cells are held against those of training before anything is computed."""

import numpy as np
import pytest

from cellflow_cli.errors import DataError
from cellflow_cli.prediction import PredictionRequest, plan_prediction
from tests.prediction.test_unseen_types import trained


def changed(cohort, change):
    new = cohort[(cohort.obs["patient"] == "P5").to_numpy()].copy()
    new.X = np.asarray(change(np.asarray(new.X)), dtype=np.float32)
    return new


@pytest.fixture(scope="module")
def positive(cohort):
    """Values of markers, whose means are a trait of the marker."""
    level = np.array([4.0, 5.0, 6.0, 7.0])[: cohort.n_vars]
    adata = cohort.copy()
    adata.X = np.maximum(np.asarray(adata.X) * 0.3 + level, 0).astype(np.float32)
    return adata


@pytest.fixture(scope="module")
def of_markers(positive):
    return trained(positive, "fm")


def warnings_of(model, adata):
    return plan_prediction(model, adata, PredictionRequest()).warnings


def test_a_patient_like_the_others(of_markers, positive):
    assert warnings_of(of_markers, positive) == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: 5 * np.sinh(x), "by a factor of"),
        (lambda x: np.arcsinh(np.sinh(x) / 30), "by a factor of"),
        (lambda x: 3 * x, "by a factor of"),
        (np.log1p, "by a factor of"),
        (lambda x: np.round(50 * x), "whole numbers only"),
        (lambda x: (x - x.mean(0)) / x.std(0), "below zero"),
    ],
)
def test_another_scale_is_named(of_markers, positive, change, says):
    (warning,) = warnings_of(of_markers, changed(positive, change))
    assert "'P5' are not on the scale of the training controls" in warning
    assert says in warning


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_cells_that_are_all_the_same_are_refused(of_markers, positive, value):
    with pytest.raises(DataError, match="the same in all features" if value else "zero in all features"):
        warnings_of(of_markers, changed(positive, lambda x: np.full_like(x, value)))


def test_a_feature_far_outside_is_named(of_markers, positive):
    def beads(x):
        return np.where(np.arange(x.shape[1]) == 0, x + 3, x)

    (warning,) = warnings_of(of_markers, changed(positive, beads))
    assert f"far outside the range of the training controls: {positive.var_names[0]!r}" in warning


def test_a_feature_that_was_constant_in_training(positive):
    silent = positive.copy()
    silent.X[:, 1] = 0
    model = trained(silent, "fm")
    new = changed(silent, lambda x: np.where(np.arange(x.shape[1]) == 1, 1e5, x))
    (warning,) = warnings_of(model, new)
    assert f"constant in training have other values: {positive.var_names[1]!r} (training 0 to 0" in warning


def test_a_model_of_an_older_version_compares_nothing(of_markers, positive):
    from dataclasses import replace

    older = replace(of_markers, summaries=replace(of_markers.summaries, profiles=None))
    assert warnings_of(older, changed(positive, lambda x: 5 * np.sinh(x))) == ()
