"""Each degenerate predictor breaks what it says, and nothing else."""

import pytest
import torch

from cellflow_cli.catalog import Catalog
from cellflow_cli.degenerate import Truth

NAMES = Catalog("degenerate").names()


@pytest.fixture
def truth():
    rng = torch.Generator().manual_seed(0)
    measured = torch.randn(200, 3, generator=rng)
    measured[:, 1] += 2 * measured[:, 0]
    return Truth(measured=measured + 5, control=torch.randn(300, 3, generator=rng))


def made(name, truth, seed=0):
    return Catalog("degenerate").load(name)(truth, torch.Generator().manual_seed(seed))


def moments(cells):
    return cells.double().mean(0), cells.double().T.cov()


@pytest.mark.parametrize("name", NAMES)
def test_contract(name, truth):
    before = truth.measured.clone()
    cells = made(name, truth)
    assert cells.shape == truth.measured.shape
    assert cells.dtype == truth.measured.dtype
    assert torch.equal(cells, made(name, truth))
    assert torch.equal(truth.measured, before)
    assert cells.data_ptr() != truth.measured.data_ptr()
    none = Truth(measured=truth.measured[:0], control=truth.control)
    assert made(name, none).shape == (0, 3)


def test_there_are_the_four_that_are_documented():
    assert NAMES == ["all-at-mean", "copied-controls", "doubled-effect", "shuffled-features"]


def test_all_at_mean_keeps_the_mean_alone(truth):
    mean, cov = moments(made("all-at-mean", truth))
    torch.testing.assert_close(mean, moments(truth.measured)[0], atol=1e-5, rtol=0)
    assert cov.abs().max() == 0


def test_copied_controls_are_cells_of_the_control(truth):
    assert torch.equal(made("copied-controls", truth), truth.control[:200])
    few = Truth(measured=truth.measured, control=truth.control[:7])
    assert torch.equal(made("copied-controls", few), few.control)


def test_shuffling_keeps_marginals_and_destroys_correlation(truth):
    cells = made("shuffled-features", truth)
    assert torch.equal(cells.sort(0).values, truth.measured.sort(0).values)
    assert truth.measured.T.corrcoef()[0, 1] > 0.8
    assert cells.T.corrcoef()[0, 1].abs() < 0.3  # four standard errors of 200 cells
    assert not torch.equal(cells, made("shuffled-features", truth, seed=1))


def test_doubling_moves_the_mean_alone(truth):
    mean, cov = moments(made("doubled-effect", truth))
    control, (target, spread) = truth.control.double().mean(0), moments(truth.measured)
    torch.testing.assert_close(mean - control, 2 * (target - control), atol=1e-5, rtol=0)
    torch.testing.assert_close(cov, spread, atol=1e-4, rtol=0)
