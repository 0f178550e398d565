"""The page as text: whole, safe, the same each time, and with all of its sections."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.report.data import Inputs, ReportData, scored_in
from cellflow_cli.report.figures import effects_figure
from cellflow_cli.report.flows import Flows, PopulationFlow
from cellflow_cli.report.page import FILES, PAGE, draw, files, render
from cellflow_cli.report.score_tables import group_scores
from tests.report.conftest import make_cells, make_scores
from tests.statistics.planted import without

VOID = {"meta", "link", "img", "input", "br"}


class Structure(HTMLParser):
    """Elements that are not closed, addresses, anchors and identifiers."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.ids, self.anchors, self.alts = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.sources += [given[key] for key in ("src", "srcset", "data", "poster") if key in given]
        if tag == "a":
            self.anchors.append(given["href"])
        elif "href" in given:
            self.sources.append(given["href"])
        if tag == "img":
            self.alts.append(given["alt"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def scores():
    return make_scores(identity=0.6, mean_shift=0.1, ridge=-0.05, metrics=("variance-ratio", "w1", "energy"))


def data_of(scores):
    inputs = Inputs(predicted="my cells.h5ad", truth="truth.h5ad")
    return ReportData.of(scores, cells=make_cells(scores), inputs=inputs)


@pytest.fixture(scope="module")
def made(scores):
    return files(data_of(scores))


@pytest.fixture(scope="module")
def page(made):
    return made[PAGE].decode("utf-8")


def own(page):
    """The page without the plotting library."""
    start = page.index("* plotly.js")
    return page[:start] + page[page.index("</script>", start) :]


def text_of(scores, **parts):
    """The page without static figures, which take most of the time."""
    return render(ReportData.of(scores, **parts))


def test_only_known_files_are_written(made):
    assert set(made) <= set(FILES)
    names = {name.rsplit(".", 1)[0] for name in made}
    assert names == {"report", "scores", "differences", "effects", "embedding", "marginals", "changes"}
    for name, content in made.items():
        magic = {"html": b"<!DOCTYPE html>", "png": b"\x89PNG", "svg": b"<?xml"}[name.rsplit(".", 1)[1]]
        assert content.lstrip().startswith(magic)
    assert len(made[PAGE]) < 10_000_000


def test_the_page_is_whole_and_needs_nothing_else(page):
    structure = Structure()
    structure.feed(own(page))

    assert structure.open == []
    assert all(source.startswith("data:") for source in structure.sources)
    assert len(set(structure.ids)) == len(structure.ids)
    assert {anchor.removeprefix("#") for anchor in structure.anchors} <= set(structure.ids)
    assert all(structure.alts)
    assert "default-src 'none'" in page
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest", own(page))


def test_the_same_scores_give_the_same_bytes(scores, made):
    assert files(data_of(scores)) == made


def test_sections_stand_in_order(page):
    found = re.findall(r'<section id="([a-z]+)"', page)
    assert found == [
        "verdict",
        "split",
        "scores",
        "confidence",
        "collapse",
        "population",
        "pictures",
        "audit",
        "card",
    ]
    assert "Worse than the best baseline, ridge" in page


def test_every_number_has_its_card(page, scores):
    page = re.sub(r"</?span>", "", page)
    for metric in scores.metrics:
        card = re.search(rf'<article class="card" id="metric-{metric}">(.*?)</article>', page, re.DOTALL)[1]
        assert f"--metrics {metric} --max-cells 500 -o report-{metric}" in card
    chosen = f"--metrics {','.join(scores.metrics)} --max-cells 500 -o report"
    assert f"cellflow evaluate &#39;my cells.h5ad&#39; truth.h5ad {chosen}" in page
    assert "E = 2 mean_ij |x_i - y_j|" in page
    assert "predictor <code>model</code>, metric <code>energy</code> holds 0.2" in page


def test_definitions_of_others_have_tables_and_cards():
    names = ("energy", "cellot:mmd", "pertpy:mmd", "cellot:l2-means")
    scores = make_scores(groups=3, identity=0.6, mean_shift=0.1, metrics=names, missing=[("ridge", "energy")])
    scores = replace(scores, settings=replace(scores.settings, definitions=("cellot", "pertpy")))
    page = text_of(scores)
    ours, cellot, pertpy = re.findall(r'<h3 id="caption-(?:metrics|definitions-\d)">(.*?)</h3>', page)
    assert ours.startswith("Every metric")
    assert cellot.startswith("As CellOT (bunnech/cellot, commit ")
    assert pertpy.startswith("As pertpy (release 1.")
    card = re.search(r'id="metric-cellot:mmd">(.*?)</article>', page, re.DOTALL)[1]
    assert "50 values of gamma" in card
    assert "Computed on genes or markers, unscaled" in card
    assert f"<span>--metrics</span> <span>{','.join(names)}</span>" in page


def test_metrics_of_others_alone_need_no_table_of_ours():
    page = text_of(make_scores(groups=3, identity=0.6, metrics=("paper:w2",)))
    assert 'id="table-metrics"' not in page
    assert 'id="table-definitions-1"' in page


def test_names_cannot_break_out_of_the_page():
    evil = '</script><script>alert("x")</script>'
    scores = make_scores(groups=2, mean_shift=0.1)
    table = scores.table.replace({"sample": {"P0": evil}, "treatment": {"drug": evil}, "group": {"P0": evil}})
    scores = replace(scores, table=table, warnings=(evil,))
    page = text_of(scores, cells=make_cells(scores))
    assert evil not in page
    assert "alert(&#34;x&#34;)" in page


def test_numbers_of_other_metrics_travel_with_the_page(page, scores):
    numbers = json.loads(
        re.search(
            r'<script type="application/json" id="numbers-by-population">(.*?)</script>', page, re.DOTALL
        )[1]
    )
    assert list(numbers) == ["energy", "variance-ratio", "w1"]
    assert [len(line) for line in numbers["w1"]] == [5] * 16
    assert {len(entry) for line in numbers["w1"] for entry in line} == {2}  # the number and its text
    line = scores.table.query("group == 'P0' and treatment == 'chemo' and metric == 'w1'")
    first = [number for number, _ in numbers["w1"][0]]
    np.testing.assert_allclose(
        first, [line.set_index("predictor")["value"][name] for name in scores.predictors]
    )


def test_without_cells_there_is_no_plotting_library(scores):
    page = text_of(scores)
    assert len(page) < 500_000
    assert "plotly.js" not in page
    assert "This report was made without the cells." in page


def test_flows_are_drawn_if_given(scores):
    points = np.random.default_rng(0).normal(size=(20, 2))
    flow = PopulationFlow(title="P0", source=points, target=points + 1, flows={"model": [points, points + 1]})
    flows = Flows(populations=(flow,), times=(0.0, 1.0), is_straight=True)
    written = files(ReportData.of(scores, flows=flows))
    assert {"flows.png", "flows.svg"} <= set(written)
    assert "they move on straight lines" in written[PAGE].decode("utf-8")


def test_without_flows_the_page_says_why(scores):
    assert "are not drawn: they need the model that made the prediction" in text_of(scores)
    external = replace(scores, settings=replace(scores.settings, prediction={"method": "another tool"}))
    assert "are not drawn: the prediction is of another tool" in text_of(external)


def test_groups_seen_in_training_are_left_out_of_the_verdict():
    gaps = np.array([-0.5] * 3 + [0.1] * 6)
    scores = replace(make_scores(groups=9, mean_shift=gaps), seen_in_training=("P0", "P1", "P2"))
    page = text_of(scores, scored=replace(scored_in(scores.table), train_groups=("P0", "P1", "P2")))
    assert "Better than the best baseline, mean-shift" in page
    assert "leave out 3 groups seen in training (P0, P1, P2); scores.csv has them." in page
    assert "Overlap check: P0, P1, P2 in both." in page
    assert "Training, validation included: " in page


def test_the_floor_beside_a_comparison_is_that_of_its_populations():
    """Group P1 has no ridge: its floor of 100 is no part of the tiles, which compare model and ridge."""
    scores = make_scores(groups=2, ridge=0.1, metrics=("energy",))
    table = scores.table.copy()
    table.loc[(table["predictor"] == "floor") & (table["group"] == "P1"), "value"] = 100.0
    page = text_of(without(replace(scores, table=table), "ridge", lambda line: line["group"] == "P1"))
    tile = re.search(r"<dt>Noise floor</dt>\s*<dd>(.*?)</dd>", page, re.DOTALL)
    assert tile, "no tile of the floor"
    assert tile[1].strip() == "0.0005"  # the mean of 0 and 0.001, its two populations


def test_numbers_are_rounded_once(scores):
    """Four digits first, and then three, make 0.382 of it."""
    same = replace(scores, table=scores.table.assign(value=0.381473))
    shown = group_scores(same, "energy", "group", "By group")
    assert {cell.text for line in shown.lines for cell in line[1:]} == {"0.381"}
    assert shown.metrics["energy"][0][0] == 0.381473


@pytest.mark.parametrize("planted", [0.8125, 0.38149999999, 1234.5, 1.23e-05, -0.0625, None])
def test_a_chosen_metric_shows_what_its_own_table_would(scores, planted):
    """Ties, thousands and powers of ten are where a browser writes other digits than Python."""
    same = replace(scores, table=scores.table.assign(value=np.nan if planted is None else planted))
    shown = group_scores(same, "energy", "group", "By group")
    first = [[cell.text for cell in line[1:]] for line in shown.lines]
    assert [[text for _, text in line] for line in shown.choices["w1"]] == first
    assert shown.choices["w1"][0][0][0] == (planted if planted is None else pytest.approx(planted, rel=1e-8))


def test_what_is_no_distance_does_not_tell_the_size_of_an_effect():
    scores = make_scores(identity=0.6, ridge=0.1, metrics=("energy", "r2-mean"))
    assert effects_figure(scores, "energy", "ridge") is not None
    assert effects_figure(scores, "r2-mean", "ridge") is None
    why = "No figure by size of the real effect"
    assert why not in text_of(scores)
    assert f"{why}: r2-mean is no distance" in text_of(
        make_scores(identity=0.6, ridge=0.1, metrics=("r2-mean",))
    )


def test_the_legend_of_effects_stands_beside_the_data(scores):
    """Marks of a legend inside a panel look like data."""
    drawing = effects_figure(scores, "energy", "ridge").drawing
    (legend,) = drawing.legends
    assert all(panel.get_legend() is None for panel in drawing.axes)
    drawing.draw_without_rendering()
    box = legend.get_window_extent()
    assert not any(box.overlaps(panel.get_window_extent()) for panel in drawing.axes)


def test_intervals_are_explained_where_there_are_some():
    assert "Intervals come from a bootstrap" in text_of(make_scores(groups=6, ridge=0.1))
    assert "Intervals come from a bootstrap" not in text_of(make_scores(groups=5, ridge=0.1))


def test_poor_scores_still_make_a_page():
    everything_missing = [(name, "energy") for name in ("model", "mean-shift", "floor")]
    for scores in (
        make_scores(groups=1, treatments=("drug",), metrics=("energy",)),
        make_scores(groups=2, mean_shift=0.1, metrics=("energy",), missing=everything_missing),
        make_scores(groups=2, mean_shift=0.1, metrics=("variance-ratio",)),
    ):
        data = data_of(scores)
        assert "No verdict" in render(data, draw(data))


def test_a_hundred_populations_fit_into_ten_megabytes():
    scores = make_scores(groups=25, treatments=tuple("abcd"), identity=0.6, mean_shift=0.1, ridge=0.2)
    # figures are the same few for any number of populations: one megabyte
    assert len(text_of(scores, cells=make_cells(scores, n=400)).encode()) < 9_000_000


def test_templates_are_part_of_the_package():
    folder = resources.files("cellflow_cli.report") / "templates"
    assert {"report.html.j2", "report.css", "report.js"} <= {path.name for path in folder.iterdir()}


def test_no_method_is_named_in_the_room():
    """A report asks the method whether its paths are straight, and not for its name."""
    modules = [path for path in resources.files("cellflow_cli.report").iterdir() if path.is_file()]
    texts = [path.read_text("utf-8") for path in modules]
    names = "|".join(Catalog("methods").names())
    assert len(texts) > 10
    assert [match for text in texts for match in re.findall(rf"\b(?:{names})\b", text)] == []
