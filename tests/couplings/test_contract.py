"""What every coupling keeps to."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.rng import stream

ROOM = Catalog("couplings")


@pytest.fixture(params=ROOM.names())
def coupling(request):
    entry = ROOM.load(request.param)
    return entry.build(entry.config())


@pytest.mark.parametrize("sizes", [(12, 12), (12, 30), (30, 12), (1, 5)])
def test_marginals_of_the_plan_are_the_weights(coupling, sizes, rng):
    n, m = sizes
    x0, x1 = (torch.randn(k, 3, generator=rng, dtype=torch.float64) for k in sizes)
    plan = coupling.plan(x0, x1)
    assert plan.shape == (n, m)
    assert (plan >= 0).all()
    assert torch.allclose(plan.sum(1), torch.full((n,), 1 / n, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(plan.sum(0), torch.full((m,), 1 / m, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("sizes", [(12, 12), (12, 30), (30, 12)])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_a_sample_holds_every_source_cell_once(coupling, sizes, precision, rng):
    x0, x1 = (torch.randn(k, 3, generator=rng, dtype=precision) for k in sizes)
    i, j = coupling.sample(x0, x1, rng)
    assert i.dtype == j.dtype == torch.int64
    assert sorted(i.tolist()) == list(range(sizes[0]))
    assert j.shape == i.shape
    assert j.min() >= 0
    assert j.max() < sizes[1]


def test_equal_sizes_are_matched_one_to_one(coupling, rng):
    x0, x1 = torch.randn(2, 20, 3, generator=rng)
    _, j = coupling.sample(x0, x1, rng)
    assert sorted(j.tolist()) == list(range(20))


def test_pairs_are_drawn_from_the_plan(coupling, rng):
    """Over many draws a cell meets its partners as often as the plan says."""
    x0 = torch.randn(3, 2, generator=rng, dtype=torch.float64)
    x1 = torch.randn(5, 2, generator=rng, dtype=torch.float64)
    counts = torch.zeros(3, 5, dtype=torch.float64)
    n_draws = 2000
    for _ in range(n_draws):
        i, j = coupling.sample(x0, x1, rng)
        counts[i, j] += 1
    # a share of 1/3 is counted with a standard deviation of sqrt(1/3 2/3 / 2000) / 3 = 0.0035
    assert (counts / counts.sum() - coupling.plan(x0, x1)).abs().max() < 5 * 0.0035


def test_same_generator_same_pairs(coupling, rng):
    x0, x1 = torch.randn(15, 3, generator=rng), torch.randn(40, 3, generator=rng)
    first, again = (coupling.sample(x0, x1, stream(3, "pairs")) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_cells_are_left_as_they_were(coupling, rng):
    x0, x1 = torch.randn(2, 9, 3, generator=rng)
    kept = x0.clone(), x1.clone()
    coupling.sample(x0, x1, rng)
    assert torch.equal(x0, kept[0])
    assert torch.equal(x1, kept[1])


def test_cells_that_need_a_gradient_can_be_paired(coupling, rng):
    x0 = torch.randn(6, 3, generator=rng, requires_grad=True)
    i, j = coupling.sample(x0, torch.randn(9, 3, generator=rng), rng)
    assert not i.requires_grad
    assert not j.requires_grad
