"""Flow time as features."""

import pytest
import torch

from cellflow_cli.networks.time import SinusoidalTime


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
def test_shape_and_dtype(precision, weights):
    t = torch.rand(2, 5, dtype=precision)
    features = SinusoidalTime(8).to(weights)(t)
    assert features.shape == (2, 5, 8)
    assert features.dtype == precision


def test_times_are_told_apart_evenly():
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    features = SinusoidalTime(32)(t)
    gaps = torch.cdist(features, features) + torch.eye(201)
    # neighbours 1/200 apart: the fastest sine alone turns by 2 pi 8 / 200 = 0.25
    assert gaps.min() > 0.2
    # start and end, which frequencies in whole turns would confuse
    assert gaps[0, -1] > 1


def test_the_lowest_frequency_alone_tells_all_times_apart():
    """A quarter turn from 0 to 1: the sine rises and the cosine falls all the way."""
    sine, cosine = SinusoidalTime(2)(torch.linspace(0, 1, 9, dtype=torch.float64)).T
    assert torch.allclose(sine.square() + cosine.square(), torch.ones(9, dtype=torch.float64))
    assert (sine.diff() > 0).all()
    assert (cosine.diff() < 0).all()


def test_frequencies_travel_with_the_weights():
    assert "frequencies" in SinusoidalTime(4).state_dict()


@pytest.mark.parametrize("width", [0, 1, 7])
def test_odd_widths_are_refused(width):
    with pytest.raises(ValueError, match="even"):
        SinusoidalTime(width)
