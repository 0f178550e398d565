"""More cells than a matrix is kept of: the same numbers in blocks, and what is subsampled says so."""

import subprocess
import sys

import pytest
import torch

from cellflow_cli.metrics import Comparison, _comparison, _subsample, mmd_median
from cellflow_cli.metrics._subsample import at_most
from cellflow_cli.ot.cost import euclidean, euclidean_blocks
from cellflow_cli.published_metrics import find


def draw(n, d, seed):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def comparison(n=300, offset=0.0):
    return Comparison(
        predicted=draw(n, 4, 0) + offset, target=0.7 * draw(n + 20, 4, 1) + offset, control=draw(5, 4, 2)
    )


def value(name, given):
    return find(name).function(given).value


@pytest.mark.parametrize("name", ["energy", "mmd-rbf"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_blocks_give_the_same_number(name, offset, monkeypatch):
    whole = value(name, comparison(offset=offset))
    monkeypatch.setattr(_comparison, "MAX_KEPT", 0)
    assert value(name, comparison(offset=offset)) == pytest.approx(whole, rel=1e-6)


def test_blocks_are_the_distances_row_by_row():
    x, y = draw(2500, 3, 0) + 100, draw(40, 3, 1) + 100
    blocks = list(euclidean_blocks(x, y))
    assert [len(block) for block in blocks] == [1024, 1024, 452]
    torch.testing.assert_close(torch.cat(blocks), euclidean(x, y), rtol=1e-9, atol=1e-9)


def test_the_median_is_of_a_subsample_then(monkeypatch):
    whole = value("mmd-median", comparison())
    monkeypatch.setattr(_comparison, "MAX_KEPT", 0)
    monkeypatch.setattr(mmd_median, "MAX_KEPT", 0)
    same = find("mmd-median").function(comparison())
    assert same.value == pytest.approx(whole, rel=1e-6)
    assert same.reason == "median of 320 of 320 target cells"


def test_the_median_is_the_lower_one_over_pairs():
    given = Comparison(
        predicted=draw(5, 1, 0), target=torch.tensor([[0.0], [1], [3], [10]]), control=draw(2, 1, 1)
    )
    median, _ = mmd_median._median(given)
    assert median == 3  # of 1, 2, 3, 7, 9, 10


@pytest.mark.parametrize("name", ["w1", "w2", "cellflow:sinkhorn-div-10", "pertpy:wasserstein"])
def test_transport_of_many_cells_is_that_of_some_and_says_so(name, monkeypatch):
    monkeypatch.setattr(_subsample, "MAX_CELLS", 100)
    given = comparison()
    found = find(name).function(given)
    assert found.reason == "on 100 of 300 predicted and 100 of 320 target cells"
    some = Comparison(
        predicted=at_most(given.predicted, 100), target=at_most(given.target, 100), control=given.control
    )
    monkeypatch.undo()
    assert found.value == pytest.approx(value(name, some), rel=1e-12)


def test_the_subsample_is_always_the_same_and_not_the_first_cells():
    cells = torch.arange(1000.0)[:, None]
    some = at_most(cells, 50)
    assert torch.equal(some, at_most(cells, 50))
    assert len(some.unique()) == 50
    assert some.max() > 500
    assert at_most(cells, 1000) is cells
    assert _subsample.MAX_CELLS == 5000


@pytest.mark.slow
def test_twenty_thousand_cells_stay_below_three_gigabytes():
    """In a process of its own, whose peak nothing else has raised."""
    code = (
        "import torch, resource;"
        "from cellflow_cli.evaluation.compute import compute;"
        "from cellflow_cli.metrics import Comparison;"
        "x = torch.randn(3, 20000, 50, generator=torch.Generator().manual_seed(0));"
        "found = compute(['energy', 'mmd-median', 'mmd-rbf', 'w1', 'w2'],"
        " Comparison(predicted=x[0], target=x[1] + 0.1, control=x[2]));"
        "assert all(v.value is not None for v in found.values()), found;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3_000_000  # kilobytes
