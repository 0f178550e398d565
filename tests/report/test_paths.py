"""Paths of the shown populations, from control cells to predicted ones in the plane of the pictures."""

import numpy as np
import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.report._story import shown
from cellflow_cli.report.page import files
from cellflow_cli.report.paths import read_flows
from cellflow_cli.report.pictures import read_pictures
from tests.evaluation.conftest import score
from tests.model.conftest import make_cohort, make_counts, make_model, make_spec, tiny_method


def trained(cells, method="mfm", **settings):
    chosen = Catalog("methods").choose("cellot") if method == "cellot" else tiny_method(method)
    return make_model(cells, make_spec(**settings), method=chosen)


def told(model, cells, n_cells=1000, **request):
    """Scores, pictures, flows and the prediction they are of."""
    predicted = predict(model, cells, PredictionRequest(**request))
    scores = score(predicted, cells, metrics=["energy"], baselines=["identity"], audit=False)
    pictures = read_pictures(predicted, cells)
    flows = read_flows(scores, pictures, model, predicted, cells, n_cells=n_cells)
    return scores, pictures, flows, predicted


@pytest.fixture(scope="module")
def cohort():
    return make_cohort()


@pytest.fixture(scope="module")
def model(cohort):
    return trained(cohort)


def test_cells_begin_as_controls_and_end_as_predicted(model, cohort):
    scores, pictures, flows, _ = told(model, cohort)
    chosen = shown(scores, pictures)
    assert flows.reason == ""
    assert [flow.title for flow in flows.populations] == [one.title for one in chosen]
    for flow, one in zip(flows.populations, chosen, strict=True):
        clouds = flow.flows["mfm"]
        assert [len(cloud) for cloud in clouds] == [24] * 5
        np.testing.assert_allclose(clouds[0], flow.source, atol=1e-4)
        # the same cells in another order
        np.testing.assert_allclose(np.sort(clouds[-1], axis=0), np.sort(one.predicted, axis=0), atol=1e-4)
        np.testing.assert_array_equal(flow.target, one.measured)
        assert np.abs(clouds[-1] - clouds[0]).max() > 1e-3


@pytest.mark.parametrize("method", ["fm", "cgfm", "cellot"])
def test_every_method_has_paths(cohort, method):
    _, _, flows, _ = told(trained(cohort, method), cohort, n_cells=7)
    for flow in flows.populations:
        assert [len(cloud) for cloud in flow.flows[method]] == [7] * 5
        assert len(flow.source) == 7


def test_paths_in_components():
    counts = make_counts()
    scores, pictures, flows, _ = told(trained(counts, features="pca:3", expression="counts"), counts)
    chosen = shown(scores, pictures)
    for flow, one in zip(flows.populations, chosen, strict=True):
        np.testing.assert_allclose(
            np.sort(flow.flows["mfm"][-1], axis=0), np.sort(one.predicted, axis=0), atol=1e-3
        )


def test_the_page_shows_them(model, cohort):
    scores, pictures, flows, _ = told(model, cohort, n_cells=11)
    made = files(scores, pictures, flows=flows.populations)
    page = made["report.html"].decode("utf-8")
    assert {"flows.png", "flows.svg"} <= set(made)
    assert "How the model moves the cells" in page
    assert "on their way at several times (at most 11)" in page
    assert "are not drawn" not in page


@pytest.mark.parametrize(
    ("request_", "reason"),
    [({"controls": False}, "holds no control cells"), ({"population": "average"}, "another population")],
)
def test_why_there_are_none(model, cohort, request_, reason):
    scores, pictures, flows, _ = told(model, cohort, **request_)
    assert flows.populations == ()
    assert reason in flows.reason
    page = files(scores, pictures, no_flows=flows.reason)["report.html"].decode("utf-8")
    assert "The paths between control and predicted cells are not drawn: the prediction" in page
