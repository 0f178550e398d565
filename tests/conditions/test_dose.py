"""Doses as numbers a network can use."""

import math

import pytest
import torch

from cellflow_cli.conditions.dose import Dose, DoseConfig
from cellflow_cli.types import Condition, ConditionBatch, ModelShape


@pytest.fixture
def encoder(shape):
    return Dose(DoseConfig(), shape).double()


def code(encoder, shape, *conditions):
    return encoder(shape.encode(conditions, torch.zeros(len(conditions), 2, dtype=torch.float64)))


def test_width_counts_both_slots_and_covariates(encoder, shape):
    assert encoder.width == 2 * 2 + 2
    assert code(encoder, shape, Condition("drugB")).tolist() == [[0, 1, 0, 0, 0, 0]]


def test_the_slot_is_the_standardised_logarithm(encoder, shape):
    """Doses 0.1, 1, 10: mean log is 0, its standard deviation log(10) sqrt(2/3)."""
    slots = code(encoder, shape, *(Condition("drugA", dose) for dose in (0.1, 1.0, 10.0)))[:, 2]
    top = 1 / math.sqrt(2 / 3)
    # 0.1 is stored as float32, a relative error of 1.5e-8
    assert slots.tolist() == pytest.approx([-top, 0.0, top], abs=1e-6)


def test_more_dose_is_a_larger_code_in_the_treatment_s_own_slot(encoder, shape):
    doses = torch.logspace(-6, 3, 50).tolist()
    codes = code(encoder, shape, *(Condition("drugA", dose) for dose in doses))
    # below a hundredth of the smallest trained dose nothing changes
    assert (codes[:, 2].diff() >= 0).all()
    above = torch.tensor(doses) > 1e-3
    assert (codes[above, 2].diff() > 0).all()
    assert torch.equal(codes[:, 3], torch.zeros(50, dtype=torch.float64))


def test_no_dose_is_the_treatment_alone(encoder, shape):
    assert code(encoder, shape, Condition("drugA")).tolist() == [[1, 0, 0, 0, 0, 0]]


def test_dose_zero_counts_as_a_hundredth_of_the_smallest(encoder, shape):
    zero, hundredth = code(encoder, shape, Condition("drugA", 0.0), Condition("drugA", 0.001))
    assert zero.isfinite().all()
    assert zero[2].item() == pytest.approx(hundredth[2].item(), rel=1e-6)


def test_zero_among_the_trained_doses():
    shape = ModelShape(n_features=1, treatments=("drug",), doses={"drug": (0.0, 1.0)})
    codes = Dose(DoseConfig(), shape)(
        shape.encode([Condition("drug", 0.0), Condition("drug", 1.0)], torch.zeros(2, 0))
    )
    assert codes[:, 1].tolist() == pytest.approx([-1, 1], rel=1e-6)  # two values, standardised


def test_one_trained_dose_has_room_for_neither_slope_nor_division_by_zero():
    shape = ModelShape(n_features=1, treatments=("drug",), doses={"drug": (2.0,)})
    codes = Dose(DoseConfig(), shape)(shape.encode([Condition("drug", 2.0)], torch.zeros(1, 0)))
    assert codes.tolist() == [[1, 0]]


def test_gradients_of_doses_are_finite_beside_a_missing_one(shape):
    dose = torch.tensor([1.0, math.nan, 0.0], requires_grad=True)
    batch = ConditionBatch(torch.zeros(3, dtype=torch.int64), dose, torch.zeros(3, 2))
    Dose(DoseConfig(), shape)(batch).sum().backward()
    assert dose.grad.tolist() == pytest.approx([1 / (math.log(10) * math.sqrt(2 / 3)), 0, 0], rel=1e-6)
