"""Invariants of metrics on drawn cells."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellflow_cli.catalog import Catalog
from cellflow_cli.metrics import Comparison

DISTANCES = ["w1", "w2", "mmd-rbf", "mmd-median", "energy"]


@st.composite
def two_sets(draw, equal_size=True):
    """Two sets of cells in d dimensions, rounded so that ties and coinciding cells occur."""
    d = draw(st.integers(1, 4))
    n = draw(st.integers(2, 12))
    m = n if equal_size else draw(st.integers(2, 12))
    number = st.integers(-40, 40).map(lambda k: k / 8)
    cells = [draw(st.lists(st.lists(number, min_size=d, max_size=d), min_size=k, max_size=k)) for k in (n, m)]
    return tuple(torch.tensor(c, dtype=torch.float64) for c in cells)


METRICS = {name: Catalog("metrics").load(name).function for name in Catalog("metrics").names()}


def value(name, x, y):
    return METRICS[name](Comparison(predicted=x, target=y, control=y)).value


@pytest.mark.parametrize("name", DISTANCES)
@given(cells=two_sets(equal_size=False), shift=st.lists(st.integers(-8, 8), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_moving_both_sets_changes_nothing(name, cells, shift):
    x, y = cells
    move = torch.tensor(shift[: x.shape[1]], dtype=torch.float64)
    before, after = value(name, x, y), value(name, x + move, y + move)
    assert (before is None) == (after is None)
    assert before is None or after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("name", ["w1", "w2", "mmd-rbf"])
@given(cells=two_sets())
@settings(max_examples=25, deadline=None)
def test_never_negative_and_zero_on_equal_sets(name, cells):
    x, y = cells
    assert value(name, x, y) >= -1e-12
    assert value(name, x, x.flip(0)) == pytest.approx(0, abs=1e-12)


@given(cells=two_sets())
@settings(max_examples=50, deadline=None)
def test_means_bound_w1_and_w1_bounds_w2(cells):
    x, y = cells
    gap = float(torch.linalg.vector_norm(x.mean(0) - y.mean(0)))
    w1, w2 = value("w1", x, y), value("w2", x, y)
    assert gap <= w1 + 1e-9
    assert w1 <= w2 + 1e-9


@given(cells=two_sets(equal_size=False), factor=st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_distances_scale_with_their_units(cells, factor):
    x, y = cells
    for name in ("w1", "w2", "energy"):
        assert value(name, factor * x, factor * y) == pytest.approx(factor * value(name, x, y), abs=1e-8)


@given(cells=two_sets(equal_size=False))
@settings(max_examples=50, deadline=None)
def test_the_energy_of_whole_populations_is_never_negative(cells):
    # Each cell repeated k times: as k grows, leaving out i = j matters less and less.
    x, y = (c.repeat(40, 1) for c in cells)
    largest = max(float(torch.cdist(c, c).max()) for c in (x, y))
    assert value("energy", x, y) >= -2 * largest / 39 - 1e-9


@given(cells=two_sets(equal_size=False))
@settings(max_examples=50, deadline=None)
def test_every_metric_gives_a_finite_number_or_a_reason(cells):
    x, y = cells
    for metric in METRICS.values():
        found = metric(Comparison(predicted=x, target=y, control=y[:2]))
        assert found.reason if found.value is None else math.isfinite(found.value)
