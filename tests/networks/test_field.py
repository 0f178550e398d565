"""The velocity network."""

from dataclasses import replace

import pytest
import torch

from cellflow_cli.errors import ConfigError
from cellflow_cli.networks.field import FieldConfig, VelocityField, _Block
from cellflow_cli.rng import scoped

SMALL = FieldConfig(width=16, n_blocks=1, time_features=4)


def asked(field, rng, n_context=2, dtype=torch.float32):
    x, condition = torch.randn(2, 5, 3, generator=rng), torch.randn(2, 4, generator=rng)
    context = torch.randn(2, 5, n_context, generator=rng).to(dtype) if n_context else None
    return field(x.to(dtype), torch.rand(2, 5, generator=rng).to(dtype), condition.to(dtype), context)


def test_an_untrained_field_moves_nothing(rng):
    assert torch.equal(asked(VelocityField(SMALL, 3, 4, 2), rng), torch.zeros(2, 5, 3))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_dtype_in_is_dtype_out(rng, precision):
    velocity = asked(VelocityField(SMALL, 3, 4, 0).to(precision), rng, n_context=0, dtype=precision)
    assert velocity.dtype == precision


@pytest.mark.parametrize("changed", ["x", "t", "condition", "context"])
def test_the_field_hears_everything_it_is_told(rng, changed):
    with scoped(rng):
        field = VelocityField(SMALL, 3, 4, 2)
        torch.nn.init.normal_(field.out.weight)
    told = {
        "x": torch.randn(1, 5, 3, generator=rng),
        "t": torch.rand(1, 5, generator=rng),
        "condition": torch.randn(1, 4, generator=rng),
        "context": torch.randn(1, 5, 2, generator=rng),
    }
    other = {**told, changed: told[changed] + 0.3}
    assert (field(**told) - field(**other)).abs().min() > 0


def test_a_field_built_for_a_context_asks_for_one(rng):
    with pytest.raises(ValueError, match="context"):
        asked(VelocityField(SMALL, 3, 4, 2), rng, n_context=0)


def test_one_context_for_all_points_is_that_context_at_each(rng):
    field = modulated(rng)
    x, t, condition = torch.randn(2, 5, 3, generator=rng), torch.rand(2, 5, generator=rng), torch.ones(2, 4)
    context = torch.randn(2, 1, 2, generator=rng)
    once, each = field(x, t, condition, context), field(x, t, condition, context.expand(-1, 5, -1))
    assert torch.allclose(once, each, atol=1e-6)


def test_a_modulated_block_is_scale_times_its_input_plus_shift():
    block = _Block(4, 0.0, 1).double()
    torch.nn.init.ones_(block.modulation.weight)  # scale 1 + c and shift c for a context c
    h = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    normal = (h - h.mean(-1, keepdim=True)) / (h.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    first, second = block.layers[1], block.layers[4]
    hidden = (3 * normal + 2) @ first.weight.T + first.bias
    expected = h + (hidden / (1 + (-hidden).exp())) @ second.weight.T + second.bias
    assert torch.allclose(block(h, torch.full((1, 1, 1), 2.0).double()), expected, atol=1e-12)


def test_modulation_starts_at_none(rng):
    with scoped(rng):
        block = _Block(4, 0.0, 2)
    h = torch.randn(1, 3, 4, generator=rng)
    assert torch.equal(block(h, torch.randn(1, 3, 2, generator=rng)), block(h, torch.zeros(1, 1, 2)))


def modulated(rng):
    with scoped(rng):
        field = VelocityField(replace(SMALL, modulated=True), 3, 4, 2)
        torch.nn.init.normal_(field.out.weight)
        torch.nn.init.normal_(field.blocks[0].modulation.weight)
    return field


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width"),
        ({"n_blocks": 0}, "n_blocks"),
        ({"time_features": 5}, "even"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_sizes_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        FieldConfig(**settings)


def test_units_are_dropped_in_training_only(rng):
    with scoped(rng):
        field = VelocityField(FieldConfig(width=32, n_blocks=2, dropout=0.5), 3, 2, 0)
    torch.nn.init.normal_(field.out.weight)
    x, t, condition = torch.randn(1, 5, 3, generator=rng), torch.rand(1, 5, generator=rng), torch.ones(1, 2)
    with scoped(rng):
        assert not torch.equal(field.train()(x, t, condition, None), field(x, t, condition, None))
    assert torch.equal(field.eval()(x, t, condition, None), field(x, t, condition, None))
