"""Paths of the plotted populations, from control to predicted cells, and their figure."""

import numpy as np
import pytest
from matplotlib.image import imread

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import OutputError
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.report.data import collect
from cellflow_cli.report.flows import PopulationFlow, flow_figure, save_figure
from cellflow_cli.report.page import draw, render
from tests.evaluation.conftest import score
from tests.model.conftest import make_cohort, make_counts, make_model, make_spec, tiny_method


def population(title="Y", n_methods=2, n_times=5, **replaced):
    rng = np.random.default_rng(3)
    source, target = rng.standard_normal((30, 2)), 0.1 * rng.standard_normal((20, 2)) + 4
    flows = {f"method {i}": [source + 4 * k / n_times for k in range(n_times)] for i in range(n_methods)}
    return PopulationFlow(**{"title": title, "source": source, "target": target, "flows": flows, **replaced})


def blocks_of(figure):
    """Axes of each population as a list of rows."""
    grids = []
    for block in figure.subfigs:
        columns = block.axes[0].get_subplotspec().get_gridspec().ncols
        grids.append([block.axes[i : i + columns] for i in range(0, len(block.axes), columns)])
    return grids


def test_a_row_for_each_method_and_a_panel_for_each_time():
    figure = flow_figure([population("X", n_methods=1), population("Y", n_methods=3)])

    grids = blocks_of(figure)
    assert [len(grid) for grid in grids] == [1, 3]
    titles = [panel.get_title() for panel in grids[1][0]]
    assert titles == ["source", "t = 0", "t = ¼", "t = ½", "t = ¾", "t = 1", "target"]
    assert [row[0].get_ylabel() for row in grids[1]] == ["method 0", "method 1", "method 2"]
    assert [block.get_suptitle() for block in figure.subfigs] == ["X", "Y"]


def test_each_panel_shows_the_cloud_of_its_time():
    shown = population(n_methods=2)
    grid = blocks_of(flow_figure([shown]))[0]

    for row, clouds in zip(grid, shown.flows.values(), strict=True):
        for panel, cloud in zip(row, [shown.source, *clouds, shown.target], strict=True):
            np.testing.assert_array_equal(panel.collections[-1].get_offsets(), cloud)
        # the target lies behind the last time
        np.testing.assert_array_equal(row[-2].collections[0].get_offsets(), shown.target)


def test_panels_share_square_limits_that_hold_source_and_target():
    shown = population()
    panels = [panel for row in blocks_of(flow_figure([shown]))[0] for panel in row]

    (xlim,), (ylim,) = ({getter() for getter in getters} for getters in _limit_getters(panels))
    assert xlim[1] - xlim[0] == pytest.approx(ylim[1] - ylim[0])
    everything = np.concatenate([shown.source, shown.target])
    assert (everything >= [xlim[0], ylim[0]]).all()
    assert (everything <= [xlim[1], ylim[1]]).all()
    assert all(len(panel.get_xticks()) == len(panel.get_yticks()) == 0 for panel in panels)


def _limit_getters(panels):
    return [panel.get_xlim for panel in panels], [panel.get_ylim for panel in panels]


def test_a_few_runaway_cells_do_not_shrink_the_picture():
    near = population(n_methods=1, n_times=1)
    cloud = np.tile(near.source, (10, 1))
    cloud[0], cloud[1] = [1e6, 0], [np.nan, np.inf]
    far = population(n_methods=1, n_times=1, flows={"method 0": [cloud]})

    assert blocks_of(flow_figure([far], [1.0]))[0][0][0].get_xlim()[1] < 10


def test_one_point_in_one_place_is_drawn():
    point = np.zeros((1, 2))
    shown = PopulationFlow(title="dot", source=point, target=point, flows={"still": [point]})

    low, high = blocks_of(flow_figure([shown], [0.5]))[0][0][0].get_xlim()
    assert low < 0 < high


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flows": {}}, "at least one flow of 'Y'"),
        ({"source": np.zeros((4, 3))}, r"\[n, 2\] of 'source', found shape \(4, 3\)"),
        ({"target": np.zeros((0, 2))}, "of 'target'"),
        ({"flows": {"fm": [np.zeros(2)]}}, "of 'fm'"),
    ],
)
def test_arrays_that_are_no_point_clouds_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        population(**settings)


def test_a_cloud_too_few_is_refused():
    with pytest.raises(ValueError, match="expected 5 clouds of 'method 0', one per time, found 4"):
        flow_figure([population(n_times=4)])
    with pytest.raises(ValueError, match="at least one population"):
        flow_figure([])


def test_files_are_whole_and_the_same_each_time(tmp_path):
    figure = flow_figure([population(n_methods=1, n_times=1)], [1.0])

    png, svg = save_figure(figure, tmp_path / "new" / "flow_0.5", dpi=40)
    assert sorted(path.name for path in png.parent.iterdir()) == ["flow_0.5.png", "flow_0.5.svg"]
    picture = imread(png)
    assert picture.ndim == 3
    assert picture[..., :3].std() > 0.01
    assert svg.read_text(encoding="utf-8").rstrip().endswith("</svg>")

    before = png.read_bytes(), svg.read_bytes()
    with pytest.raises(OutputError, match="--force"):
        save_figure(figure, tmp_path / "new" / "flow_0.5", dpi=40)
    again = flow_figure([population(n_methods=1, n_times=1)], [1.0])
    save_figure(again, tmp_path / "new" / "flow_0.5", force=True, dpi=40)
    assert (png.read_bytes(), svg.read_bytes()) == before


def trained(cells, method="mfm", **settings):
    chosen = Catalog("methods").choose("cellot") if method == "cellot" else tiny_method(method)
    return make_model(cells, make_spec(**settings), method=chosen)


def collected(model, cells, **request):
    """The report of a prediction by the model."""
    predicted = predict(model, cells, PredictionRequest(**request))
    scores = score(predicted, cells, metrics=["energy"], baselines=["identity"], audit=False)
    return collect(scores, predicted, cells, model)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort()


@pytest.fixture(scope="module")
def model(cohort):
    return trained(cohort)


def test_cells_begin_as_controls_and_end_as_predicted(model, cohort):
    data = collected(model, cohort)
    assert data.flows.reason == ""
    assert [flow.title for flow in data.flows.populations] == [one.title for one in data.shown]
    for flow, one in zip(data.flows.populations, data.shown, strict=True):
        clouds = flow.flows["mfm"]
        assert [len(cloud) for cloud in clouds] == [24] * 5
        np.testing.assert_allclose(clouds[0], flow.source, atol=1e-4)
        # the same cells in another order
        np.testing.assert_allclose(np.sort(clouds[-1], axis=0), np.sort(one.predicted, axis=0), atol=1e-4)
        np.testing.assert_array_equal(flow.target, one.measured)
        assert np.abs(clouds[-1] - clouds[0]).max() > 1e-3


@pytest.mark.parametrize("method", ["fm", "cgfm", "cellot"])
def test_every_method_has_paths(cohort, method):
    flows = collected(trained(cohort, method), cohort).flows
    assert flows.is_straight == (method == "cellot")
    for flow in flows.populations:
        assert [len(cloud) for cloud in flow.flows[method]] == [24] * 5
        first, quarter, last = (flow.flows[method][i] for i in (0, 1, -1))
        is_straight = np.allclose(quarter, first + (last - first) / 4, atol=1e-4)
        assert is_straight == flows.is_straight


def test_paths_in_components():
    counts = make_counts()
    data = collected(trained(counts, features="pca:3", expression="counts"), counts)
    for flow, one in zip(data.flows.populations, data.shown, strict=True):
        np.testing.assert_allclose(
            np.sort(flow.flows["mfm"][-1], axis=0), np.sort(one.predicted, axis=0), atol=1e-3
        )


def test_the_page_shows_them(model, cohort):
    data = collected(model, cohort)
    (figure,) = draw(data).flows
    assert figure.name == "flows"
    assert "on their way at several times (at most 24)" in figure.caption
    assert "straight" not in figure.caption


@pytest.mark.parametrize(
    ("request_", "reason"),
    [({"controls": False}, "holds no control cells"), ({"population": "average"}, "another population")],
)
def test_why_there_are_none(model, cohort, request_, reason):
    data = collected(model, cohort, **request_)
    assert data.flows.populations == ()
    assert reason in data.flows.reason
    assert "The paths between control and predicted cells are not drawn: the prediction" in render(data)
