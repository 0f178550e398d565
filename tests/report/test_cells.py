import base64

import numpy as np
import pytest

from cellflow_cli.evaluation.align import align
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.report.cell_figures import changes_figure, plot_data
from cellflow_cli.report.cells import fit_projection, read_cells
from tests.evaluation.conftest import TEST, make_prediction, make_truth
from tests.report.conftest import make_cells, make_scores


def read(prediction, truth, **settings):
    file = PredictionFile.read(prediction)
    return read_cells(file, truth, align(prediction.obs, truth.obs, file.spec).pairs, **settings)


def test_every_population_is_plotted():
    truth = make_truth()
    cells = read(make_prediction(truth), truth, max_points=30)

    assert [p.title for p in cells.populations] == [
        f"{patient}, {label}" for patient in TEST for label in ("drug 0.1", "drug 1", "other")
    ]
    for one in cells.populations:
        assert one.control.shape == one.predicted.shape == one.measured.shape == (50, 2)
        assert one.changes.n_features == 5
        assert len(one.marginals) == 5
        for found in one.marginals:
            for shares in (found.control, found.predicted, found.measured):
                assert 0.9 < shares.sum() <= 1 + 1e-9  # the outermost values lie beyond the bins
    first, other = cells.populations[0], cells.populations[3]
    assert np.abs(first.control - other.control).max() > 0  # of another sample
    assert "each divided by its training spread" in cells.basis


def test_predicted_cells_do_not_influence_the_projection():
    truth = make_truth()
    far = make_prediction(truth, moved=lambda cells, patient, condition: cells + 1000)
    near, away = read(make_prediction(truth), truth), read(far, truth)
    assert near.projection.axes == away.projection.axes
    np.testing.assert_array_equal(near.populations[0].measured, away.populations[0].measured)


def test_cells_that_are_not_numbers_are_left_out():
    truth = make_truth()
    prediction = make_prediction(truth)
    prediction.X[-1] = np.nan
    last = read(prediction, truth).populations[-1]
    assert len(last.predicted) == 59
    assert np.isfinite(last.predicted).all()


def test_principal_components_of_a_known_cloud():
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    scores = rng.normal(size=(4000, 4)) * [5, 2, 0.1, 0.1]
    projection = fit_projection(scores @ axes.T + 3, np.ones(4), list("abcd"))

    # up to the sign of each axis and the error of 4,000 draws
    np.testing.assert_allclose(np.abs(projection.directions.T @ axes[:, :2]), np.eye(2), atol=0.02)
    assert projection.axes == ("component 1 (86 % of variance)", "component 2 (14 % of variance)")
    assert (projection.directions[np.abs(projection.directions).argmax(0), [0, 1]] > 0).all()


@pytest.mark.parametrize("d", [1, 2])
def test_one_or_two_features_are_drawn_as_they_are(d):
    cells = np.random.default_rng(0).normal(size=(9, d))
    projection = fit_projection(cells, np.ones(d), ["x", "y"][:d])
    np.testing.assert_allclose(projection.project(cells)[:, :d], cells, rtol=1e-6)
    assert projection.axes[0] == "x"
    assert not projection.is_pca


def test_points_come_back_from_their_packing():
    cells = make_cells(make_scores(groups=2, mean_shift=0.1))
    data = plot_data(cells, cells.populations[2])

    assert data["first"] == 2
    one = cells.populations[1]
    levels = np.frombuffer(base64.b64decode(data["populations"][1]["measured"]), dtype="<u2")
    low, high = np.array(data["ranges"]).T
    back = levels.reshape(-1, 2) / 65535 * (high - low) + low
    np.testing.assert_allclose(back, one.measured, atol=1e-3)


def test_the_legend_stands_beside_the_data():
    """Marks of a legend inside a panel look like data."""
    figure = changes_figure(make_cells(make_scores()).populations[:3], "", "units")
    (legend,) = figure.drawing.legends
    assert all(panel.get_legend() is None for panel in figure.drawing.axes)
    figure.drawing.draw_without_rendering()
    box = legend.get_window_extent()
    assert not any(box.overlaps(panel.get_window_extent()) for panel in figure.drawing.axes)
