"""Exact optimal transport against plans that are known."""

import torch

from cellflow_cli.couplings.exact_ot import ExactOT


def test_a_planted_permutation_is_found(rng, dtype):
    """Cells a unit apart that move by less than half of it belong to where they came from."""
    side = torch.arange(6, dtype=dtype)
    x0 = torch.cartesian_prod(side, side)
    order = torch.randperm(36, generator=rng)
    x1 = (x0 + 0.2 * torch.rand(36, 2, generator=rng, dtype=dtype))[order]
    i, j = ExactOT().sample(x0, x1, rng)
    assert torch.equal(order[j], i)
    assert torch.equal(ExactOT().plan(x0, x1).argmax(1), order.argsort())


def test_on_a_line_the_plan_sorts(rng, dtype):
    x0, x1 = torch.randn(2, 25, 1, generator=rng, dtype=dtype)
    i, j = ExactOT().sample(x0, x1, rng)
    assert torch.equal(x0[i, 0].argsort(), x1[j, 0].argsort())


def test_a_shift_changes_nothing(rng, dtype):
    x0, x1 = torch.randn(2, 30, 3, generator=rng, dtype=dtype)
    shifted = x1 + torch.tensor([40.0, -7.0, 3.0], dtype=dtype)
    assert torch.equal(ExactOT().sample(x0, x1, rng)[1], ExactOT().sample(x0, shifted, rng)[1])


def test_more_targets_than_sources_share_out_their_own(rng, dtype):
    """Three copies of each source cell: a source cell goes to its copies alone, a third each."""
    x0 = torch.randn(10, 3, generator=rng, dtype=dtype)
    x1 = x0.repeat(3, 1) + 1e-3 * torch.randn(30, 3, generator=rng, dtype=dtype)
    plan = ExactOT().plan(x0, x1)
    assert torch.allclose(plan, torch.eye(10, dtype=torch.float64).repeat(1, 3) / 30, atol=1e-12)
    i, j = ExactOT().sample(x0, x1, rng)
    assert torch.equal(j % 10, i)


def test_the_plan_costs_least(rng, dtype):
    """No swap of two partners makes it cheaper."""
    x0, x1 = torch.randn(2, 20, 2, generator=rng, dtype=dtype)
    i, j = ExactOT().sample(x0, x1, rng)
    cost = torch.cdist(x0[i], x1[j]).square()
    kept = cost.diagonal().unsqueeze(1) + cost.diagonal()
    assert (cost + cost.T >= kept - 1e-5).all()
