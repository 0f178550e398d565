import base64

import anndata
import numpy as np
import pytest

from cellflow_cli.report import _payload
from cellflow_cli.report._moves import marginal, moves
from cellflow_cli.report._plane import fit_plane
from cellflow_cli.report.pictures import read_pictures
from cellflow_cli.report.split import read_split
from tests.evaluation.conftest import SHIFTS, SPEC, TEST, TRAIN, make_prediction, make_truth
from tests.report.conftest import make_pictures, make_scores


def test_every_population_has_its_picture():
    truth = make_truth()
    pictures = read_pictures(make_prediction(truth), truth, n_points=30)

    assert [p.title for p in pictures.populations] == [
        f"{patient}, {label}" for patient in TEST for label in ("drug 0.1", "drug 1", "other")
    ]
    for one in pictures.populations:
        assert one.control.shape == one.predicted.shape == one.measured.shape == (50, 2)
        assert one.moves.n_features == 5
        assert len(one.marginals) == 5
        for found in one.marginals:
            for shares in (found.control, found.predicted, found.measured):
                assert 0.9 < shares.sum() <= 1 + 1e-9  # the outermost values lie beyond the bins
    assert pictures.populations[0].control is not pictures.populations[3].control
    assert "each divided by its training spread" in pictures.basis


def test_values_beyond_the_bins_are_no_peak():
    """Of 1,000 values 6 lie far out: were they in the last bin, it would be the highest of a flat line."""
    flat = np.linspace(0, 1, 994)
    values = np.concatenate([flat, np.full(6, 50.0)])
    found = marginal("m", values, flat, flat)
    assert found.edges[-1] <= 1
    assert found.control.max() < 2 * found.control.mean()
    assert found.control.sum() < found.predicted.sum()


def test_predicted_cells_have_no_say_in_the_plane():
    truth = make_truth()
    far = make_prediction(truth, moved=lambda cells, patient, condition: cells + 1000)
    near, away = read_pictures(make_prediction(truth), truth), read_pictures(far, truth)
    assert near.axes == away.axes
    np.testing.assert_array_equal(near.populations[0].measured, away.populations[0].measured)


def test_cells_that_are_not_numbers_are_left_out():
    truth = make_truth()
    prediction = make_prediction(truth)
    prediction.X[-1] = np.nan
    last = read_pictures(prediction, truth).populations[-1]
    assert len(last.predicted) == 59
    assert np.isfinite(last.predicted).all()


def test_the_split_tells_sizes_and_what_was_trained():
    truth = make_truth()
    truth = anndata.concat([truth, make_truth(draw=3)[truth.obs["patient"] == "P5"]], index_unique="-")
    split = read_split(make_prediction(truth), truth)

    assert split.train_groups == TRAIN
    assert split.groups == TEST
    assert split.conditions == ("drug 0.1", "drug 1", "other")
    assert split.untrained_conditions == ()
    assert (split.group_key, split.dose_unit) == (SPEC.group, "µM")
    sizes = [(p.n_control, p.n_predicted, p.n_measured) for p in split.populations]
    assert sizes == [(60, 60, 60)] * len(SHIFTS) + [(120, 120, 120)] * len(SHIFTS)


def test_principal_components_of_a_known_cloud():
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    scores = rng.normal(size=(4000, 4)) * [5, 2, 0.1, 0.1]
    plane = fit_plane(scores @ axes.T + 3, np.ones(4), list("abcd"))

    # up to the sign of each axis and the error of 4,000 draws
    np.testing.assert_allclose(np.abs(plane.directions.T @ axes[:, :2]), np.eye(2), atol=0.02)
    assert plane.axes == ("component 1 (86 % of variance)", "component 2 (14 % of variance)")
    assert (plane.directions[np.abs(plane.directions).argmax(0), [0, 1]] > 0).all()


@pytest.mark.parametrize("d", [1, 2])
def test_one_or_two_features_are_drawn_as_they_are(d):
    cells = np.random.default_rng(0).normal(size=(9, d))
    plane = fit_plane(cells, np.ones(d), ["x", "y"][:d])
    np.testing.assert_allclose(plane.project(cells)[:, :d], cells, rtol=1e-6)
    assert plane.axes[0] == "x"
    assert not plane.is_pca


def test_planted_changes_are_found_in_order():
    rng = np.random.default_rng(1)
    control = rng.normal(size=(4000, 5)) * [1, 10, 1, 1, 1]
    shift = np.array([0.0, 10.0, -3.0, 0.0, 0.5])
    found = moves(control, control + shift * [1, 1, -1, 1, 1], control + shift, list("abcde"))

    assert [m.feature for m in found.moves] == ["c", "b", "e"]
    assert [m.measured for m in found.moves] == pytest.approx([-3, 10, 0.5])
    assert [m.predicted for m in found.moves] == pytest.approx([3, 10, 0.5])
    assert [m.size for m in found.moves] == pytest.approx([-3, 1, 0.5], rel=0.05)
    # squares 9, 1 and 0.25 of the standardised change: the first alone is 88 %
    assert (found.n_for_share, found.n_features, found.n_right) == (1, 5, 2)


def test_nothing_moves_without_controls_or_change():
    cells = np.random.default_rng(1).normal(size=(10, 3))
    assert moves(np.empty((0, 3)), cells, cells, list("abc")).moves == ()
    assert moves(cells, cells, cells, list("abc")).moves == ()
    constant = np.ones((10, 3))
    assert moves(constant, cells, constant + 1e-9, list("abc")).moves == ()


def test_a_marginal_of_one_value_has_bins():
    found = marginal("m", np.zeros(3), np.zeros(3), np.zeros(3))
    assert np.diff(found.edges).min() > 0
    assert found.measured.sum() == 1


def test_points_come_back_from_their_packing():
    scores = make_scores(groups=2, mean_shift=0.1)
    pictures = make_pictures(scores)
    data = _payload.payload(pictures, pictures.populations[2])

    assert data["first"] == 2
    one = pictures.populations[1]
    levels = np.frombuffer(base64.b64decode(data["populations"][1]["measured"]), dtype="<u2")
    low, high = np.array(data["ranges"]).T
    back = levels.reshape(-1, 2) / 65535 * (high - low) + low
    np.testing.assert_allclose(back, one.measured, atol=1e-3)


def test_best_median_and_worst_are_chosen():
    pictures = make_pictures(make_scores(groups=4, mean_shift=0.1))
    values = {(p.sample, p.condition): float(i) for i, p in enumerate(pictures.populations)}
    assert [values[p.sample, p.condition] for p in _payload.chosen(pictures, values, 3)] == [0, 4, 7]
    assert len(_payload.chosen(pictures, {}, 3)) == 3
