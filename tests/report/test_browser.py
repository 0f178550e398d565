"""The page in a real browser: nothing is requested, nothing fails, and its parts react."""

import pytest

from cellflow_cli.report.data import ReportData
from cellflow_cli.report.flows import Flows, PopulationFlow
from cellflow_cli.report.page import PAGE, files
from cellflow_cli.report.text import number
from tests.report.conftest import make_cells, make_scores

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
COLUMN = (
    "Array.from(document.querySelectorAll('#table-by-group tbody tr'), tr => Number(tr.cells[1].dataset.v))"
)


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    scores = make_scores(groups=12, identity=0.6, mean_shift=0.1, ridge=-0.05, metrics=("energy", "w1"))
    table = scores.table
    table.loc[table["metric"] == "w1", "value"] += 1
    ridge = (table["metric"] == "w1") & (table["group"] == "P0") & (table["predictor"] == "ridge")
    table.loc[ridge, "value"] = 1234.5  # to three digits 1230, which tables do not write
    path = tmp_path_factory.mktemp("page") / PAGE
    cells = make_cells(scores)
    one = cells.populations[0]
    flow = PopulationFlow(
        title=one.title, source=one.control, target=one.measured, flows={"mfm": [one.control, one.predicted]}
    )
    flows = Flows(populations=(flow,), times=(0.0, 1.0))
    path.write_bytes(files(ReportData.of(scores, cells=cells, flows=flows))[PAGE])
    browser.screen(1280, 900)
    browser.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}]
    )
    browser.open(path)
    browser.wait("document.querySelectorAll('#plot-changes .point').length")
    browser.path = path
    return browser


def test_nothing_is_requested_and_nothing_fails(opened):
    assert [
        url for url in opened.requests() if url != opened.path.as_uri() and "new-tab-page" not in url
    ] == []
    assert opened.log("browser") == []


def test_all_figures_are_there(opened):
    assert opened.run("return Array.from(document.images).every(i => i.complete && i.naturalWidth > 0)")
    for plot, n in (("cells", 120), ("changes", 14)):
        assert opened.run(f"return document.querySelectorAll('#plot-{plot} .point').length") == n
    assert (
        opened.run("return document.querySelectorAll('#plot-marginals .scatterlayer .js-line').length") == 9
    )
    assert opened.run("return document.documentElement.scrollWidth") <= 1280


def test_a_click_sorts_and_another_turns_the_order_round(opened):
    head = "#table-by-group thead th:nth-child(2)"
    opened.click(f"{head} button")
    values = opened.run(f"return {COLUMN}")
    assert values == sorted(values)
    assert opened.run(f"return document.querySelector('{head}').ariaSort") == "ascending"
    opened.click(f"{head} button")
    assert opened.run(f"return {COLUMN}") == values[::-1]
    assert opened.run(f"return document.querySelector('{head}').ariaSort") == "descending"
    assert opened.run("return document.querySelectorAll('#table-by-group [aria-sort]').length") == 1


def test_the_keyboard_sorts_too(opened):
    opened.run("document.querySelector('#table-by-group thead th button').focus()")
    opened.type("#table-by-group thead th button", "\ue007")
    lines = "document.querySelectorAll('#table-by-group tbody tr')"
    names = opened.run(f"return Array.from({lines}, tr => tr.cells[0].textContent)")
    assert names == [f"P{i}" for i in range(12)]


def test_a_filter_hides_other_lines_and_counts(opened):
    opened.type("#table-by-population input", "P3 drug")
    left = "Array.from(document.querySelectorAll('#table-by-population tbody tr')).filter(tr => !tr.hidden)"
    assert opened.run(f"return {left}.map(tr => tr.cells[0].textContent)") == ["P3"]
    assert opened.run("return document.querySelector('#table-by-population .count').textContent") == "1 of 24"


def test_another_metric_can_be_chosen(opened):
    before = opened.run(f"return {COLUMN}")
    opened.run(
        "const choice = document.querySelector('#table-by-group select'); choice.value = 'w1';"
        "choice.dispatchEvent(new Event('change'))"
    )
    assert opened.run(f"return {COLUMN}") == pytest.approx([value + 1 for value in before])


def test_a_chosen_metric_is_written_as_python_does(opened):
    opened.run(
        "const choice = document.querySelector('#table-by-group select'); choice.value = 'w1';"
        "choice.dispatchEvent(new Event('change'))"
    )
    cells = "Array.from(document.querySelectorAll('#table-by-group td'), td => td.textContent)"
    assert number(1234.5) in opened.run(f"return {cells}")


def test_another_population_can_be_chosen(opened):
    path = "document.querySelector('#plot-cells .point').getAttribute('transform')"
    before, name = (
        opened.run(f"return {path}"),
        opened.run("return document.getElementById('cells-population').value"),
    )
    opened.click("#cells-next")
    assert opened.run("return document.getElementById('cells-population').value") != name
    opened.wait(f"{path} !== '{before}'")


def test_a_phone_needs_no_sideways_scrolling(opened):
    opened.screen(390, 844, mobile=True)
    opened.open(opened.path)
    opened.wait("document.querySelectorAll('#plot-changes .point').length")
    assert opened.run("return document.documentElement.scrollWidth") <= 390
    assert opened.run("return getComputedStyle(document.body).fontSize") == "16px"
    opened.screen(1280, 900)


def test_figures_on_a_phone_scroll_by_themselves_and_stay_legible(opened):
    """Labels have 8 points in the file: nothing is shrunk, and what is wider than the screen scrolls."""
    opened.screen(390, 844, mobile=True)
    widths = opened.run(
        "return Array.from(document.querySelectorAll('.drawing')).filter(d => d.offsetParent)"
        ".map(d => [d, d.firstElementChild])"
        ".map(([d, image]) => [d.clientWidth, d.scrollWidth, image.clientWidth, image.naturalWidth])"
    )
    assert len(widths) == 4
    for box, inside, image, natural in widths:
        assert box <= 390
        assert image >= natural
        assert inside >= image
    assert opened.run("return document.documentElement.scrollWidth") <= 390
    opened.screen(1280, 900)


def test_commands_in_print_break_at_spaces_only(opened):
    opened.command("Emulation.setEmulatedMedia", media="print")
    opened.screen(420, 900)
    words = opened.run(
        "return Array.from(document.querySelectorAll('pre span'), span => {"
        "const range = document.createRange(); range.selectNodeContents(span);"
        "const tops = new Set(Array.from(range.getClientRects(), r => Math.round(r.top)));"
        "return [span.textContent, tops.size]; })"
    )
    assert {"--metrics", "--max-cells"} <= {text for text, _ in words}
    assert [text for text, n in words if n > 1] == []
    lines = (
        "new Set(Array.from(document.querySelectorAll('pre')[0].querySelectorAll('span'), s => s.offsetTop))"
    )
    assert opened.run(f"return {lines}.size") > 1
    opened.screen(1280, 900)
    opened.command("Emulation.setEmulatedMedia", media="")


def test_it_can_be_printed(opened):
    assert opened.printed().startswith(b"%PDF")
    opened.command("Emulation.setEmulatedMedia", media="print")
    shown = "Array.from(document.querySelectorAll('figure.static')).map(f => getComputedStyle(f).display)"
    assert opened.run(f"return {shown}") == ["block"] * 3
    assert opened.run("return getComputedStyle(document.getElementById('cells')).display") == "none"
    opened.command("Emulation.setEmulatedMedia", media="")
