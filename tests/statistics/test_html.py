"""Scores in a notebook."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.evaluation.conftest import score
from tests.statistics.planted import make_scores


class Cells(HTMLParser):
    """Text of each cell, line by line, and all tags."""

    def __init__(self):
        super().__init__()
        self.lines, self.tags, self.open = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_data(self, data):
        if self.open[-1:] and self.open[-1] in ("td", "th", "b"):
            self.lines[-1][-1] += ("*" if self.open[-1] == "b" else "") + data

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(scores):
    found = Cells()
    found.feed(scores._repr_html_())
    assert not found.open
    return found


def test_means_best_and_sentence():
    scores = make_scores(
        groups=2, treatments=("drug",), identity=0.3, ridge=-0.1, metrics=("energy", "r2-mean")
    )
    found = parsed(scores)
    assert found.tags <= {"div", "p", "table", "thead", "tbody", "tr", "th", "td", "b"}  # no scripts
    assert found.lines == [
        ["", "energy ↓", "r2-mean ↑"],
        ["model", "0.205", "0.205"],
        ["identity", "0.505", "*0.505"],
        ["ridge", "*0.105", "0.105"],
        ["floor", "0", "0"],  # measured cells are in no contest
    ]
    assert (
        "2 populations of 2 groups: by energy the model (0.205) is worse than the best baseline, ridge "
        "(0.105), and better on 0 of 2 groups." in scores._repr_html_()
    )


def test_a_baseline_with_gaps_is_not_the_best():
    scores = make_scores(
        groups=2, identity=0.3, ridge=-0.1, missing=[("ridge", "energy")], metrics=("energy",)
    )
    text = scores._repr_html_()
    assert "better than the best baseline, identity" in text
    assert 'title="planted gap"' in text
    assert "no baseline to compare with" in replace(scores, baselines=())._repr_html_()
    assert "Seen in training" in replace(scores, seen_in_training=("P0", "P1"))._repr_html_()


def test_names_cannot_break_out():
    scores = make_scores(groups=2, identity=0.3, missing=[("identity", "w1")])
    table = scores.table.replace({"reason": {"planted gap": '"><script>alert(1)</script>'}})
    assert "<script" not in replace(scores, table=table)._repr_html_()


@pytest.mark.parametrize("moved", [None, lambda cells, *_: cells * 0])
def test_real_scores(truth, predict, moved):
    html = score(
        predict(truth, moved=moved), truth, metrics=["energy", "r-features", "variance-ratio"]
    )._repr_html_()
    assert re.search(r"<th[^>]*>model</th>", html)
    assert len(html) < 10_000
