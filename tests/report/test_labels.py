"""Labels that nobody expected, in figures and on the page."""

import time
from dataclasses import replace

import numpy as np
import pytest

from cellflow_cli.report.cell_figures import changes_figure, embedding_figure, marginals_figure, plot_data
from cellflow_cli.report.figures import rendered
from cellflow_cli.report.flows import PopulationFlow, flow_figure
from cellflow_cli.report.text import LONGEST, drawn, names, shortened
from tests.report.conftest import make_cells, make_scores

ODD = [
    "$x_{$",
    "a\\b$y$",
    "<script>alert(1)</script>",
    "two\nlines",
    "ctl\x01\x1b[31m",
    "🧬 שלום\u202e",
    "L" * 10**5,
]


@pytest.mark.parametrize("label", ODD, ids=range(len(ODD)))
def test_figures_draw_any_label_in_seconds(label: str) -> None:
    cells = make_cells(make_scores())
    one = cells.populations[0]
    changes = tuple(change._replace(feature=label) for change in one.changes.changes)
    marginals = tuple(marginal._replace(feature=label) for marginal in one.marginals)
    one = replace(one, sample=label, changes=one.changes._replace(changes=changes), marginals=marginals)
    cloud = np.zeros((3, 2))
    flow = PopulationFlow(
        title=label, source=cloud, target=cloud, flows={label.replace("\n", " "): [cloud] * 2}
    )
    started = time.monotonic()
    for figure in (
        embedding_figure(cells, [one], ""), marginals_figure([one], ""), changes_figure([one], "", label)
    ):  # fmt: skip
        assert rendered(figure.drawing, "svg", dpi=30)
    assert rendered(flow_figure([flow], (0.0, 1.0)), "svg", dpi=30)
    assert time.monotonic() - started < 20


def test_a_label_is_cut_in_its_middle_and_stays_on_one_line() -> None:
    assert shortened("short") == "short"
    assert shortened("a\nb\x00\u202e") == "a b  "
    assert shortened("L" * 100 + "end") == "L" * 20 + "…" + "L" * 16 + "end"
    assert len(shortened("x" * 10**6)) == LONGEST
    assert drawn("$x_{$") == r"\$x_{\$"
    assert len(names(["y" * 10**5, "z"])) < 60


def test_features_of_the_page_stay_apart_and_are_no_markup() -> None:
    cells = make_cells(make_scores())
    one = cells.populations[0]
    long = ["<b>" + "L" * 50 + str(i) + "L" * 50 for i in range(len(one.changes.changes))]
    changes = tuple(c._replace(feature=name) for c, name in zip(one.changes.changes, long, strict=True))
    one = replace(one, changes=one.changes._replace(changes=changes))
    shown = [
        line[0] for line in plot_data(replace(cells, populations=(one,)), one)["populations"][0]["changes"]
    ]
    assert len(set(shown)) == len(long) > 1
    assert all(name.startswith("&lt;b&gt;") for name in shown)
