"""Flow time as features."""

import pytest
import torch

from cellflow_cli.flow.time import SinusoidalTime


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_shape_and_dtype(precision):
    t = torch.rand(2, 5, dtype=precision)
    features = SinusoidalTime(8)(t)
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


def test_two_features_are_one_frequency_whose_square_sums_to_one():
    features = SinusoidalTime(2)(torch.linspace(0, 1, 9))
    assert torch.allclose(features.square().sum(-1), torch.ones(9))


def test_frequencies_travel_with_the_weights():
    assert "frequencies" in SinusoidalTime(4).state_dict()


@pytest.mark.parametrize("width", [0, 1, 7])
def test_odd_widths_are_refused(width):
    with pytest.raises(ValueError, match="even"):
        SinusoidalTime(width)
