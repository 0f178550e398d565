"""Units of the network."""

import pytest
import torch

from cellflow_cli.networks.standardize import Standardizer
from cellflow_cli.types import Population


@pytest.fixture
def populations(rng):
    small = 3 + 2 * torch.randn(50, 2, generator=rng, dtype=torch.float64)
    large = torch.tensor([1.0, -4.0]) + torch.randn(1000, 2, generator=rng, dtype=torch.float64)
    return [small, large]


def fitted(populations, unit):
    standardizer = Standardizer(2).double()
    standardizer.fit([Population(sample=(), group="", cells=cells).moments() for cells in populations], unit)
    return standardizer


def test_there_and_back(populations):
    standardizer = fitted(populations, torch.tensor([0.5, 8.0]))
    for cells in populations:
        assert torch.allclose(standardizer.inverse(standardizer(cells)), cells, rtol=1e-12)


def test_populations_weigh_the_same_whatever_their_size(populations):
    center = fitted(populations, torch.ones(2)).center
    assert torch.allclose(center, (populations[0].mean(0) + populations[1].mean(0)) / 2, rtol=1e-12)
    repeated = [populations[0], populations[1].repeat(3, 1)]
    assert torch.allclose(fitted(repeated, torch.ones(2)).scale, fitted(populations, torch.ones(2)).scale)


def test_spread_is_one_on_average(populations):
    z = [fitted(populations, torch.tensor([0.5, 8.0]))(cells) for cells in populations]
    squares = torch.stack([cells.square().mean(0) for cells in z]).mean(0)
    assert squares.mean().item() == pytest.approx(1, rel=1e-12)


def test_relative_units_are_kept(populations):
    unit = torch.tensor([0.5, 8.0], dtype=torch.float64)
    scale = fitted(populations, unit).scale
    assert torch.allclose(scale / scale[0], unit / unit[0], rtol=1e-12)


def test_constants_travel_with_the_weights(populations):
    standardizer = fitted(populations, torch.ones(2))
    other = Standardizer(2).double()
    other.load_state_dict(standardizer.state_dict())
    assert torch.equal(other(populations[0]), standardizer(populations[0]))


def test_dtype_in_is_dtype_out():
    standardizer = Standardizer(2)
    assert standardizer(torch.ones(3, 2)).dtype == torch.float32
    assert standardizer.inverse(torch.ones(3, 2)).dtype == torch.float32
