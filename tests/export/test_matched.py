"""Cells that belong together, found by hand in the two files."""

import anndata
import numpy as np
import pytest

from cellflow_cli.errors import DataError
from cellflow_cli.export._matched import matched
from tests.evaluation.conftest import SPEC, TEST, make_prediction


def of(cells: anndata.AnnData, population: str) -> np.ndarray:
    return cells.X[(cells.obs["cellflow_population"] == population).to_numpy()]


def test_every_population_has_its_cells(markers):
    predicted, truth = markers
    cells = matched(predicted, truth)
    assert cells.n_obs == len(TEST) * (1 + 2 * 3) * 60
    for patient in TEST:
        here = (truth.obs["patient"] == patient).to_numpy()
        dose = (truth.obs["dose"] == 0.1).to_numpy()
        np.testing.assert_array_equal(of(cells, f"{patient}, drug 0.1, measured"), truth.X[here & dose])
        ours = predicted.obs["cellflow_is_predicted"].to_numpy() & (predicted.obs["patient"] == patient)
        ours &= predicted.obs["dose"] == 0.1
        np.testing.assert_array_equal(of(cells, f"{patient}, drug 0.1, predicted"), predicted.X[ours])
        control = here & (truth.obs["treatment"] == "DMSO").to_numpy()
        np.testing.assert_array_equal(of(cells, f"{patient}, control"), truth.X[control])


def test_labels_under_the_users_names(markers):
    cells = matched(*markers)
    one = cells.obs[cells.obs["cellflow_population"] == "P4, drug 0.1, measured"].iloc[0]
    assert (one["patient"], one["treatment"], one["dose"]) == ("P4", "drug", 0.1)
    assert (one["cellflow_sample"], one["cellflow_condition"]) == ("P4", "drug 0.1")
    control = cells.obs[cells.obs["cellflow_role"] == "control"].iloc[0]
    assert control["treatment"] == "DMSO"
    assert np.isnan(control["dose"])


def test_features_are_those_that_metrics_see(markers, log1p):
    import torch

    from cellflow_cli.prediction.file import PredictionFile

    transform = PredictionFile.read(markers[0]).transform
    cells = matched(*markers)
    np.testing.assert_allclose(cells.obsm["X_flow"], cells.X / transform.scale, rtol=1e-5)
    assert "X_pca" not in cells.obsm
    cells = matched(*log1p)
    np.testing.assert_array_equal(cells.obsm["X_flow"], cells.obsm["X_pca"])
    assert cells.obsm["X_pca"].shape[1] == 3
    assert torch.tensor(cells.X).min() >= 0


def test_fewer_cells_are_drawn_from_the_seed(markers):
    cells = matched(*markers, max_cells=10)
    assert (cells.obs["cellflow_population"].value_counts() == 10).all()
    np.testing.assert_array_equal(cells.X, matched(*markers, max_cells=10).X)
    assert not np.array_equal(cells.X, matched(*markers, max_cells=10, seed=1).X)


def test_samples_without_controls_are_refused(markers):
    _, truth = markers
    bare = make_prediction(truth, SPEC, controls=False)
    assert matched(bare, truth).n_obs == matched(*markers).n_obs  # controls of the truth
    with pytest.raises(DataError, match="control cells of every sample, found none of 'P4', 'P5'"):
        matched(bare, truth[(truth.obs["treatment"] != "DMSO").to_numpy()].copy())
