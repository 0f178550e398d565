"""Several metrics of one comparison, and values outside the range of real cells."""

import numpy as np
import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError
from cellflow_cli.evaluation.compute import compute, share_outside
from cellflow_cli.metrics import Comparison
from cellflow_cli.ot import exact


def comparison(n=40, d=4, **changes):
    rng = torch.Generator().manual_seed(0)
    cells = {role: torch.randn(n, d, generator=rng) for role in ("predicted", "target", "control")}
    return Comparison(**{**cells, **changes})


def test_side_by_side_is_the_same_as_one_by_one():
    names = Catalog("metrics").names()
    alone = {name: Catalog("metrics").load(name).function(comparison()) for name in names}
    assert compute(names, comparison()) == alone
    assert list(compute(names[::-1], comparison())) == names[::-1]


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'mmd-rbf'"):
        compute(["mmd-rfb"], comparison())


def test_values_that_are_not_finite_are_counted():
    bad = torch.zeros(40, 4)
    bad[3, 1], bad[5] = torch.nan, torch.inf
    found = compute(["w1", "r2-mean"], comparison(target=bad))
    assert found["w1"].value is None
    assert found["w1"].reason == "5 non-finite values in target, 5 non-finite values in target_genes"
    assert found["r2-mean"] == found["w1"]


def test_no_cells_no_metric():
    found = compute(["energy"], comparison(predicted=torch.zeros(0, 4)))
    assert found["energy"] == (None, "no predicted cells")


@pytest.mark.filterwarnings("ignore:numItermax reached")
def test_a_solver_that_gives_up_is_a_reason(monkeypatch):
    monkeypatch.setattr(exact, "MAX_PIVOTS", 3)
    found = compute(["w1", "energy"], comparison())
    assert found["w1"].value is None
    assert "3 pivots" in found["w1"].reason
    assert found["energy"].value is not None


def test_values_outside_are_counted_and_those_on_the_border_are_not():
    real = torch.tensor([[0.0, -1.0], [2.0, 3.0], [1.0, 0.0]])
    cells = torch.tensor([[0.0, 3.0], [-0.1, 0.0], [2.5, 4.0], [1.0, -1.0]])
    assert share_outside(cells, real).value == 3 / 8
    assert share_outside(real, real).value == 0


def test_further_real_cells_are_outside_as_often_as_order_statistics_say(rng):
    m, n = 99, 20_000
    found = [share_outside(torch.randn(n, 1, generator=rng), torch.randn(m, 1, generator=rng)).value
             for _ in range(200)]  # fmt: skip
    # the share of one range has a standard deviation of nearly 2^1/2 / (m + 1)
    assert np.mean(found) == pytest.approx(2 / (m + 1), abs=4 * 0.0141 / 200**0.5)


def test_without_cells_or_with_values_that_are_not_finite_there_is_none():
    cells = torch.zeros(2, 3)
    assert share_outside(cells[:0], cells).reason == "no cells"
    assert share_outside(cells, cells[:0]).reason == "no real cells"
    assert share_outside(cells / 0, cells).reason == "values that are not finite"
