import numpy as np
import pytest
from scipy.linalg import sqrtm

from cellflow_cli.errors import ConfigError
from cellflow_cli.simulate.gaussians import (
    GaussiansConfig,
    control_cells,
    gaussian_truth,
    simulate_gaussians,
    treated_cells,
)

CONFIG = GaussiansConfig(n_populations=3, n_features=4, n_cells=100)


@pytest.mark.parametrize("population", ["G01", "G03"])
def test_the_map_is_the_optimal_one(population):
    truth = gaussian_truth(CONFIG, 0, population)

    np.testing.assert_allclose(truth.matrix, truth.matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(truth.matrix).min() > 0
    np.testing.assert_allclose(truth.matrix @ truth.cov0 @ truth.matrix, truth.cov1, atol=1e-12)
    np.testing.assert_allclose(truth.root @ truth.root, truth.cov0, atol=1e-12)
    # Bures distance by SciPy's matrix root, which the module does not use
    cross = np.real(sqrtm(truth.root @ truth.cov1 @ truth.root))
    bures = np.trace(truth.cov0 + truth.cov1 - 2 * cross)
    assert truth.w2**2 == pytest.approx(np.sum((truth.mean1 - truth.mean0) ** 2) + bures)


def test_cells_have_the_stated_moments():
    n = 40_000
    truth = gaussian_truth(CONFIG, 0, "G02")
    control, treated = control_cells(CONFIG, 0, "G02", n), treated_cells(CONFIG, 0, "G02", n)

    # five standard errors: variances are at most 2.25, that of a sample variance 2 s^4 / n
    np.testing.assert_allclose(control.mean(0), truth.mean0, atol=5 * 1.5 / n**0.5)
    np.testing.assert_allclose(treated.mean(0), truth.mean1, atol=5 / n**0.5)
    np.testing.assert_allclose(np.cov(control.T), truth.cov0, atol=5 * 2.25 * (2 / n) ** 0.5)
    np.testing.assert_allclose(np.cov(treated.T), truth.cov1, atol=5 * (2 / n) ** 0.5)


def test_pairs_are_cells_and_their_images():
    problem = simulate_gaussians(CONFIG, 0)

    assert problem.shape == (600, 4)
    assert problem.obs_names.is_unique
    for name in ("G01", "G02", "G03"):
        of = problem[problem.obs["patient"] == name]
        control, moved = (of[of.obs["treatment"] == label] for label in ("control", "moved"))
        assert control.obs["pair"].tolist() != moved.obs["pair"].tolist()
        cells = control.X[np.argsort(control.obs["pair"])].astype(float)
        images = moved.X[np.argsort(moved.obs["pair"])]
        # float32 rounding of cells of size up to about 8
        np.testing.assert_allclose(gaussian_truth(CONFIG, 0, name).transport(cells), images, atol=1e-5)


def test_the_stored_truth_is_that_of_the_populations():
    stored = simulate_gaussians(CONFIG, 5).uns["truth"]

    for position, name in enumerate(("G01", "G02", "G03")):
        truth = gaussian_truth(CONFIG, 5, name)
        np.testing.assert_array_equal(stored["matrix"][position], truth.matrix)
        assert stored["w2"][position] == truth.w2
    assert len({float(w2) for w2 in stored["w2"]}) == 3


def test_same_seed_same_cells_whatever_the_number_of_populations():
    few = simulate_gaussians(GaussiansConfig(n_populations=2, n_features=4, n_cells=100), 0)
    whole = simulate_gaussians(CONFIG, 0)

    np.testing.assert_array_equal(few.X, whole.X[: few.n_obs])
    assert not np.array_equal(whole.X, simulate_gaussians(CONFIG, 1).X)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_populations": 0}, "`n_populations` to be between 1 and 9999, found 0"),
        ({"n_features": 0}, "`n_features`"),
        ({"n_cells": 1}, "`n_cells` to be at least 2"),
        ({"box": float("nan")}, "`box`"),
    ],
)
def test_sizes_that_describe_no_problem_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        GaussiansConfig(**settings)


def test_an_unknown_population_is_refused():
    with pytest.raises(ConfigError, match="simulated population, found 'G04'. Did you mean 'G0"):
        gaussian_truth(CONFIG, 0, "G04")
