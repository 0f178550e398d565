"""What every condition encoder keeps to."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.rng import scoped, stream
from cellflow_cli.types import Condition, ModelShape

ROOM = Catalog("conditions")
CONDITIONS = [Condition("drugA", 0.1), Condition("drugA", 10.0), Condition("drugB"), Condition("drugA")]


@pytest.fixture(params=ROOM.names())
def build(request):
    entry = ROOM.load(request.param)

    def built(shape):
        with scoped(stream(0, "init")):
            return entry.build(entry.config(), shape)

    return built


def encoded(encoder, shape, dtype=torch.float32):
    covariates = torch.tensor([[1, 0], [0, 1], [1, 0], [0, 0]], dtype=dtype)
    return encoder(shape.encode(CONDITIONS, covariates))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_shape_and_dtype(build, shape, precision):
    encoder = build(shape).to(precision)
    codes = encoded(encoder, shape, precision)
    assert codes.shape == (4, encoder.width)
    assert codes.dtype == precision
    assert codes.isfinite().all()


def test_treatments_and_covariates_are_told_apart(build, shape):
    encoder = build(shape)
    covariates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    codes = encoder(
        shape.encode([Condition("drugA", 1.0), Condition("drugB"), Condition("drugB")], covariates)
    )
    assert not torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[1], codes[2])


def test_a_condition_is_encoded_alike_in_any_company(build, shape):
    encoder = build(shape)
    together = encoded(encoder, shape)
    alone = encoder(shape.encode(CONDITIONS[1:2], torch.tensor([[0.0, 1.0]])))
    assert torch.equal(alone[0], together[1])


def test_gradients_reach_parameters_and_covariates(build, shape):
    encoder = build(shape)
    covariates = torch.ones(4, 2, requires_grad=True)
    encoder(shape.encode(CONDITIONS, covariates)).square().sum().backward()
    for parameter in (covariates, *encoder.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


def test_constants_travel_with_the_weights(build, shape):
    """An encoder built for other doses becomes this one by its state dict."""
    encoder = build(shape)
    others = ModelShape(
        n_features=3, treatments=shape.treatments, doses={"drugA": (700.0, 900.0)}, n_covariates=2
    )
    other = build(others)
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(encoded(other, shape), encoded(encoder, shape))


def test_one_treatment_without_doses_or_covariates(build):
    shape = ModelShape(n_features=3, treatments=("drug",))
    encoder = build(shape)
    assert encoder(shape.encode([Condition("drug")], torch.zeros(1, 0))).shape == (1, encoder.width)


def test_an_unknown_treatment_is_refused(shape):
    with pytest.raises(ValueError, match="not in"):
        shape.encode([Condition("drugC")], torch.zeros(1, 2))
