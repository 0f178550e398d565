"""Several metrics at once are the same metrics one by one."""

import numpy as np
import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.errors import ConfigError
from cellflow_cli.evaluation.compute import compute
from cellflow_cli.evaluation.floor import split_half, subsample
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


def test_halves_are_disjoint_draws_from_all_rows():
    rows = np.arange(100, 151)
    target, other = split_half(rows, 25, torch.Generator().manual_seed(0))
    assert len({*target, *other}) == 50
    assert {*target, *other} <= set(rows)
    assert (np.diff(target) < 0).any()  # not the first rows in order
    with pytest.raises(ValueError, match="two halves of 26 cells do not fit into 51"):
        split_half(rows, 26, torch.Generator())


def test_every_cell_is_drawn_equally_often():
    rng = torch.Generator().manual_seed(0)
    counts = np.bincount(
        np.concatenate([subsample(np.arange(10), 3, rng) for _ in range(2000)]), minlength=10
    )
    assert counts.sum() == 6000
    # Binomial with mean 600 and standard deviation 20.5: five of them
    assert np.abs(counts - 600).max() < 103
