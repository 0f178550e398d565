"""The moving average of weights."""

import pytest
import torch

from cellflow_cli.training.ema import Ema


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(()))


def averaged(values, decay):
    module = Counter()
    ema = Ema(module, decay)
    for value in values:
        with torch.no_grad():
            module.weight.fill_(value)
            module.seen += 1
        ema.update()
    return module, ema


def test_a_constant_stays_and_the_start_fades():
    """From 0 to constant 1 the average is 1 less the product of the decays (1 + k) / (10 + k)."""
    _, ema = averaged([1.0] * 5, decay=0.999)
    left = 1.0
    for k in range(1, 6):
        left *= (1 + k) / (10 + k)
    assert ema.state()["weight"].tolist() == pytest.approx([1 - left] * 2, rel=1e-12)


def test_late_steps_are_a_geometric_series():
    """Below a decay of 2/11 the rising decay never binds: weights (1 - a) a^(n - k)."""
    values, a = [3.0, -1.0, 4.0, 1.5], 0.1
    _, ema = averaged(values, decay=a)
    expected = sum((1 - a) * a ** (len(values) - 1 - i) * v for i, v in enumerate(values))
    assert ema.state()["weight"].tolist() == pytest.approx([expected] * 2, rel=1e-12)


def test_decay_zero_is_the_last_value():
    _, ema = averaged([3.0, 7.0], decay=0.0)
    assert ema.state()["weight"].tolist() == [7.0, 7.0]


def test_buffers_are_taken_as_they_are():
    _, ema = averaged([1.0] * 3, decay=0.9)
    assert ema.state()["seen"] == 3


def test_the_state_is_a_copy_and_the_module_is_untouched():
    module, ema = averaged([5.0], decay=0.5)
    state = ema.state()
    state["weight"].zero_()
    state["seen"].zero_()
    assert module.weight.tolist() == [5.0, 5.0]
    assert module.seen == 1
    assert ema.state()["weight"].tolist() != [0.0, 0.0]
