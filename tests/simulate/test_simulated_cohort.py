from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cellflow_cli.errors import ConfigError
from cellflow_cli.simulate import _tissue as tissue
from cellflow_cli.simulate.cohort import (
    CohortConfig,
    Signal,
    conditions,
    control_population,
    patient_truth,
    patients,
    simulate_cohort,
    treated_population,
)
from cellflow_cli.types import Condition

EXAMPLE = Path(__file__).parents[2] / "example_data" / "cohort.h5ad"
CONFIG = CohortConfig()
CHEMO, STRONG = Condition("chemo", 5.0), Condition("inhibitor", 10.0)
AGONIST = Condition("agonist", 1.0)


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(CONFIG, 0)


def energy(x, y, scale):
    x, y = np.asarray(x, float) / scale, np.asarray(y, float) / scale
    n, m = len(x), len(y)
    within = cdist(x, x).sum() / (n * (n - 1)) + cdist(y, y).sum() / (m * (m - 1))
    return 2 * cdist(x, y).mean() - within


def measured(cohort, patient, treatment, dose):
    obs = cohort.obs
    rows = (obs["patient"] == patient) & (obs["treatment"] == treatment) & (obs["dose"] == dose)
    return np.asarray(cohort.X[rows.to_numpy()])


def test_the_example_is_what_the_command_makes_bit_for_bit(cohort):
    example = anndata.read_h5ad(EXAMPLE)

    assert EXAMPLE.stat().st_size <= 8e6
    assert example.X.dtype == np.float32
    np.testing.assert_array_equal(example.X, cohort.X)
    assert list(example.var_names) == list(cohort.var_names)
    assert list(example.obs_names) == list(cohort.obs_names)
    for column in ("patient", "treatment", "dose", "cell_type", "replicate"):
        assert example.obs[column].tolist() == cohort.obs[column].tolist()
    np.testing.assert_array_equal(example.uns["truth"].to_numpy(), cohort.uns["truth"].to_numpy())
    assert "imulated" in example.uns["source"]


def test_every_patient_has_controls_and_all_conditions(cohort):
    sizes = cohort.obs.groupby(["patient", "treatment", "dose"], observed=True).size()

    assert cohort.obs["patient"].nunique() == 24
    assert len(sizes) == 24 * 6
    assert sizes.between(150, 300).all()
    assert 20 <= cohort.n_vars <= 40
    assert cohort.obs_names.is_unique
    assert set(cohort.obs.loc[cohort.obs["treatment"] == "control", "dose"]) == {0.0}
    assert np.isfinite(cohort.X).all()
    assert (cohort.X > 0).all()


def test_composition_differs_widely_between_patients(cohort):
    truth = cohort.uns["truth"]

    assert truth["fraction_fibroblast"].min() < 0.1
    assert truth["fraction_fibroblast"].max() > 0.5
    assert truth[["stroma", "cytokine"]].std().min() > 0.2
    shares = cohort.obs[cohort.obs["treatment"] == "control"].groupby("patient", observed=True)["cell_type"]
    observed = shares.apply(lambda kinds: (kinds == "fibroblast").mean())
    # binomial sampling error of 170 cells or more: at most 0.04, five of them
    np.testing.assert_allclose(observed, truth["fraction_fibroblast"], atol=0.2)
    assert np.corrcoef(observed, truth["fraction_fibroblast"])[0, 1] > 0.95


def test_another_seed_gives_another_cohort():
    small = CohortConfig(n_patients=1, min_cells=20, max_cells=20)

    assert not np.array_equal(simulate_cohort(small, 0).X, simulate_cohort(small, 1).X)


def test_a_patient_does_not_depend_on_who_else_is_there(cohort):
    few = simulate_cohort(CohortConfig(n_patients=3), 0)

    np.testing.assert_array_equal(few.X, cohort.X[: few.n_obs])
    assert few.obs_names.equals(cohort.obs_names[: few.n_obs])
    for n_patients in (8, 24):
        config = CohortConfig(n_patients=n_patients)
        drawn = treated_population(config, 0, "P07", CHEMO, 50)
        np.testing.assert_array_equal(drawn.X, treated_population(CONFIG, 0, "P07", CHEMO, 50).X)


def test_the_oracle_is_the_distribution_of_the_data(cohort):
    scale = cohort.X.std(axis=0)
    found = []
    for patient in ("P02", "P09", "P14", "P20"):
        for condition in conditions(CONFIG):
            real = measured(cohort, patient, condition.treatment, condition.dose)
            true = treated_population(CONFIG, 0, patient, condition, 1500).X
            found.append(energy(true, real, scale))
            z = (real.mean(0) - true.mean(0)) / np.sqrt(real.var(0) / len(real) + true.var(0) / 1500)
            assert np.abs(z).max() < 5
    # unbiased, hence zero but for sampling: the composition of 200 cells is the largest part of it
    assert abs(np.mean(found)) < 0.02


def test_no_cell_of_the_oracle_is_in_the_cohort(cohort):
    real = {row.tobytes() for row in measured(cohort, "P01", "chemo", 5.0)}

    drawn = treated_population(CONFIG, 0, "P01", CHEMO, 300).X
    assert not any(row.tobytes() in real for row in np.asarray(drawn))


def test_only_the_population_decides_how_far_the_answer_is(cohort):
    """Identity >> best answer that ignores the population > the truth, for unseen patients."""
    scale = cohort.X.std(axis=0)
    left_out = ("P02", "P06", "P17", "P20")
    others = [patient_truth(CONFIG, 0, name).signal for name in patients(CONFIG) if name not in left_out]
    average = Signal(*np.mean(others, axis=0))
    rows = {"identity": [], "blind": [], "aware": []}
    for patient in left_out:
        for condition in (AGONIST, CHEMO, STRONG):
            real = measured(cohort, patient, condition.treatment, condition.dose)
            for name, drawn in (
                ("identity", control_population(CONFIG, 0, patient, 300)),
                ("blind", treated_population(CONFIG, 0, patient, condition, 300, signal=average)),
                ("aware", treated_population(CONFIG, 0, patient, condition, 300)),
            ):
                rows[name].append(energy(drawn.X, real, scale))
    identity, blind, aware = (np.mean(rows[name]) for name in ("identity", "blind", "aware"))

    assert identity > 2 * blind
    assert aware < 0.2 * blind


def test_the_right_mean_alone_is_wrong(cohort):
    """Cells of one patient do not move together: the patient's own mean shift stays far from the truth."""
    scale = cohort.X.std(axis=0)
    control = np.asarray(control_population(CONFIG, 0, "P17", 600).X)
    true = np.asarray(treated_population(CONFIG, 0, "P17", STRONG, 600, draw="other").X)

    shifted = control + true.mean(0) - control.mean(0)
    assert energy(shifted, true, scale) > 0.1
    assert abs(energy(treated_population(CONFIG, 0, "P17", STRONG, 600).X, true, scale)) < 0.02


@pytest.mark.parametrize("condition", [AGONIST, CHEMO, STRONG], ids=lambda condition: condition.treatment)
def test_without_signalling_the_composition_carries_nothing(condition):
    deaf = CohortConfig(signalling=0.0)
    low, high = Signal(0.05, 0.05), Signal(0.9, 0.9)

    def drawn(config, signal):
        return np.asarray(treated_population(config, 0, "P03", condition, 40, signal=signal).X)

    np.testing.assert_array_equal(drawn(deaf, low), drawn(deaf, high))
    assert np.abs(drawn(CONFIG, low) - drawn(CONFIG, high)).max() > 1


def test_untreated_cells_do_not_react_to_the_signals():
    deaf = CohortConfig(signalling=0.0)

    for patient in ("P04", "P17"):
        heard = control_population(CONFIG, 0, patient, 50).X
        np.testing.assert_array_equal(heard, control_population(deaf, 0, patient, 50).X)


def test_rows_of_one_draw_are_one_cell_in_several_worlds():
    control = control_population(CONFIG, 0, "P17", 80)
    treated = treated_population(CONFIG, 0, "P17", STRONG, 80)
    elsewhere = treated_population(CONFIG, 0, "P17", STRONG, 80, signal=Signal(1.0, 0.5))

    assert control.obs["cell_type"].tolist() == treated.obs["cell_type"].tolist()
    moves = [name.startswith("response") for name in control.var_names]
    np.testing.assert_array_equal(control.X[:, np.logical_not(moves)], treated.X[:, np.logical_not(moves)])
    assert np.abs(treated.X - control.X)[:, moves].max() > 1
    # a stroma signal of one silences the inhibitor
    np.testing.assert_array_equal(elsewhere.X, control.X)


def test_signals_follow_the_formula():
    """Half of the maximum at L = 0.31 and M = 0.18; 8/9 and 4/5 at twice that."""
    proportions, activity = np.array([0.2, 0.1, 0.1, 0.31, 0.18]), np.ones(5)

    assert tissue.signal_of(proportions, activity) == pytest.approx((0.5, 0.5))
    assert tissue.signal_of(proportions, 2 * activity) == pytest.approx((8 / 9, 4 / 5))
    assert tissue.damped(Signal(0.9, 0.1), 0.5) == pytest.approx((0.7, 0.3))


def test_displacements_follow_the_formula():
    panel = tissue.draw_panel(30, np.random.default_rng(1))
    # a tumour cell and a T cell at state zero: the gate is one half
    zero = np.zeros(2)
    cells = tissue.Cells(np.array([0, 2]), zero, zero, np.zeros((2, 30)))

    inhibited = tissue.displacement(panel, cells, "inhibitor", 0.3, Signal(0.25, 0.0))
    np.testing.assert_allclose(np.linalg.norm(inhibited, axis=1), [8 * 0.5 * 0.5 * 0.75, 0.4 * 8 * 0.1875])
    amplified = tissue.displacement(panel, cells, "agonist", 1.0, Signal(0.0, 0.6))
    np.testing.assert_allclose(np.linalg.norm(amplified, axis=1), [0.7 * 8 * 0.5 * 0.6, 8 * 0.5 * 0.6])
    damaged = tissue.displacement(panel, cells, "chemo", 5.0, Signal(0.0, 0.0))
    np.testing.assert_allclose(damaged[0], 4 * panel.directions["damage"][0])
    rescued = tissue.displacement(panel, cells, "chemo", 5.0, Signal(1.0, 0.0))
    cosine = np.sum(damaged[0] * rescued[0]) / 16
    assert -0.9 < cosine < 0.2  # the direction turns, by a right angle or more


def test_the_gate_lets_high_states_respond():
    # 2 w / sqrt(1 + 4 w^2) is 3/5 at w = 3/8
    np.testing.assert_allclose(tissue.responder(np.array([-0.375, 0.0, 0.375])), [0.2, 0.5, 0.8])


def test_sizes_are_free_and_values_have_the_stated_resolution():
    drawn = treated_population(CohortConfig(n_markers=20), 3, "P11", Condition("inhibitor", 4.2), 7)

    assert drawn.shape == (7, 20)
    assert drawn.obs["dose"].tolist() == [4.2] * 7
    np.testing.assert_array_equal(drawn.X * 1024, np.rint(drawn.X * 1024))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_patients": 0}, "`n_patients` to be between 1 and 9999, found 0"),
        ({"n_markers": 19}, "`n_markers` to be between 20 and 200, found 19"),
        ({"min_cells": 1}, "`min_cells` to be at least 2"),
        ({"min_cells": 400}, r"`max_cells` to be at least `min_cells` \(400\), found 300"),
        ({"doses": ()}, "`doses` to be one or more distinct positive numbers"),
        ({"doses": (1.0, 1.0)}, "`doses`"),
        ({"doses": (0.0, 1.0)}, "`doses`"),
        ({"signalling": 1.5}, "`signalling` to be between 0 and 1, found 1.5"),
        ({"signalling": float("nan")}, "`signalling`"),
        ({"noise": -1.0}, "`noise`"),
        ({"patient_offset": float("inf")}, "`patient_offset`"),
    ],
)
def test_sizes_that_describe_no_cohort_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CohortConfig(**settings)


@pytest.mark.parametrize(
    ("patient", "condition", "message"),
    [
        ("P25", CHEMO, "patient of the simulated cohort, found 'P25'. Did you mean 'P2"),
        ("P01", Condition("chemi", 5.0), "found 'chemi'. Did you mean 'chemo'"),
        ("P01", Condition("control", 0.0), "simulated treatment, found 'control'"),
        ("P01", Condition("chemo", 1.0), "the dose 5 µM for 'chemo', found 1.0"),
        ("P01", Condition("inhibitor"), "a positive dose for 'inhibitor', found None"),
    ],
)
def test_the_oracle_refuses_what_it_does_not_know(patient, condition, message):
    with pytest.raises(ConfigError, match=message):
        treated_population(CONFIG, 0, patient, condition, 10)
