"""W1 and W2 against answers that need no solver: sorting, translations, planted permutations, Gaussians."""

import math

import pytest
import torch

from cellflow_cli.errors import MetricError
from cellflow_cli.metrics import Comparison
from cellflow_cli.metrics.w1 import w1
from cellflow_cli.metrics.w2 import w2
from cellflow_cli.ot import exact


def compared(predicted, target):
    return Comparison(predicted=predicted, target=target, control=target[:1])


def cells(n, d, seed):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_one_dimension_is_solved_by_sorting():
    x, y = cells(200, 1, 0), 2 * cells(200, 1, 1) + 1
    gaps = (x.flatten().sort().values - y.flatten().sort().values).abs()
    assert w1(compared(x, y)).value == pytest.approx(float(gaps.mean()), rel=1e-12)
    assert w2(compared(x, y)).value == pytest.approx(float(gaps.square().mean().sqrt()), rel=1e-12)


def test_translation_costs_its_length():
    x = cells(150, 5, 2)
    shift = torch.tensor([3.0, 0.0, -4.0, 0.0, 0.0], dtype=torch.float64)
    moved = (x + shift)[torch.randperm(150, generator=torch.Generator().manual_seed(3))]
    assert w1(compared(x, moved)).value == pytest.approx(5, rel=1e-12)
    assert w2(compared(x, moved)).value == pytest.approx(5, rel=1e-12)


def test_planted_permutation_under_a_convex_gradient():
    # The gradient of sum_d exp(x_d) + |x|^2 / 2 is monotone: its pairing is optimal for squared cost.
    x = 0.5 * cells(120, 3, 4)
    y = x.exp() + x
    planted = float((y - x).square().sum(1).mean().sqrt())
    shuffled = y[torch.randperm(120, generator=torch.Generator().manual_seed(5))]
    assert w2(compared(x, shuffled)).value == pytest.approx(planted, rel=1e-12)


def test_gaussians_follow_bures():
    # Samples whitened exactly, so that their moments are those of the formula and the linear Monge
    # map between them is optimal for the samples too: no sampling error is left.
    n, d = 200, 3
    raw = cells(n, d, 6)
    centred = raw - raw.mean(0)
    white = centred @ torch.linalg.inv(torch.linalg.cholesky(centred.T @ centred / n)).T
    m0, m1 = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([1.0, -1.0, 0.5]).double()
    s0 = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.5]]).double()
    s1 = torch.tensor([[1.0, -0.3, 0.1], [-0.3, 1.5, 0.0], [0.1, 0.0, 0.7]]).double()
    x = m0 + white @ root(s0)
    monge = root(s0).inverse() @ root(root(s0) @ s1 @ root(s0)) @ root(s0).inverse()
    y = m1 + (x - m0) @ monge
    bures = (m0 - m1).square().sum() + torch.trace(s0 + s1 - 2 * root(root(s0) @ s1 @ root(s0)))
    assert torch.allclose((y - m1).T @ (y - m1) / n, s1, atol=1e-10)
    assert w2(compared(x, y.flip(0))).value == pytest.approx(math.sqrt(float(bures)), rel=1e-10)


def test_unequal_numbers_of_cells_weigh_the_same():
    x = torch.tensor([[0.0], [1.0]])
    y = torch.tensor([[0.0], [0.0], [3.0], [3.0], [3.0], [3.0]])
    # Quantiles: a third of the mass from 0 to 0, a sixth from 0 to 3, a half from 1 to 3.
    assert w1(compared(x, y)).value == pytest.approx(1 / 6 * 3 + 1 / 2 * 2, rel=1e-12)
    assert w2(compared(x, y)).value == pytest.approx(math.sqrt(1 / 6 * 9 + 1 / 2 * 4), rel=1e-12)


def test_equal_sets_are_at_distance_zero():
    x = cells(60, 4, 7)
    assert w1(compared(x, x.flip(0))).value == 0
    assert w2(compared(x, x.flip(0))).value == 0


def test_both_solvers_know_sorting_translations_and_planted_permutations():
    """300 cells are assigned, 200 above went through the simplex."""
    assert exact.MIN_ASSIGNED in range(200, 301)
    x, y = cells(300, 1, 10), 2 * cells(300, 1, 11) + 1
    gaps = (x.flatten().sort().values - y.flatten().sort().values).abs()
    assert w1(compared(x, y)).value == pytest.approx(float(gaps.mean()), rel=1e-12)
    assert w2(compared(x, y)).value == pytest.approx(float(gaps.square().mean().sqrt()), rel=1e-12)
    x = 0.5 * cells(300, 3, 12)
    y = x.exp() + x
    planted = float((y - x).square().sum(1).mean().sqrt())
    assert w2(compared(x, y.flip(0))).value == pytest.approx(planted, rel=1e-12)
    assert w1(compared(x, x.flip(0) + 2)).value == pytest.approx(2 * math.sqrt(3), rel=1e-12)
    assert w1(compared(x, x.flip(0))).value == 0


@pytest.mark.parametrize("case", ["ties", "all equal", "far away", "one outlier", "tiny", "huge"])
def test_the_assignment_is_as_good_as_the_simplex(case, monkeypatch):
    x, y = cells(260, 3, 13), cells(260, 3, 14) + 0.5
    match case:
        case "ties":
            x, y = x.round(), y.round()
        case "all equal":
            x, y = torch.zeros_like(x), torch.ones_like(y)
        case "far away":
            y = y + 1e6
        case "one outlier":
            x[0], y[3, 1] = 1e5, -1e7
        case "tiny":
            x, y = 1e-12 * x, 1e-12 * y
        case "huge":
            x, y = 1e12 * x, 1e12 * y
    found = [metric(compared(x, y)).value for metric in (w1, w2)]
    monkeypatch.setattr(exact, "MIN_ASSIGNED", 261)
    simplex = [metric(compared(x, y)).value for metric in (w1, w2)]
    assert found == pytest.approx(simplex, rel=1e-9, abs=0)


@pytest.mark.filterwarnings("ignore:numItermax reached")
def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    monkeypatch.setattr(exact, "MAX_PIVOTS", 3)
    with pytest.raises(MetricError, match=r"stopped after 3 pivots.*--max-cells"):
        w1(compared(cells(50, 2, 8), cells(50, 2, 9)))


def root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.sqrt()) @ vectors.T
