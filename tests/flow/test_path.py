"""The straight path: where it starts, where it ends, how fast it goes."""

import torch

from cellflow_cli.flow.path import LinearPath


def test_ends_are_source_and_target(rng, dtype):
    x0, x1 = torch.randn(2, 5, 4, 3, generator=rng, dtype=dtype)
    start = LinearPath().sample(x0, x1, torch.zeros(5, 4, dtype=dtype))
    end = LinearPath().sample(x0, x1, torch.ones(5, 4, dtype=dtype))
    assert torch.equal(start.xt, x0)
    assert torch.equal(end.xt, x1)


def test_velocity_is_the_slope_of_the_path(rng, dtype):
    x0, x1 = torch.randn(2, 6, 3, generator=rng, dtype=dtype)
    early, late = torch.full((6,), 0.25, dtype=dtype), torch.full((6,), 0.75, dtype=dtype)
    path = LinearPath()
    slope = (path.sample(x0, x1, late).xt - path.sample(x0, x1, early).xt) / 0.5
    assert torch.allclose(
        path.sample(x0, x1, early).ut, slope, rtol=1e-4 if dtype == torch.float32 else 1e-12
    )


def test_each_cell_has_a_time_of_its_own():
    x0, x1 = torch.zeros(3, 2), torch.ones(3, 2)
    xt = LinearPath().sample(x0, x1, torch.tensor([0.0, 0.5, 1.0])).xt
    assert xt[:, 0].tolist() == [0.0, 0.5, 1.0]
