"""The mean shift against shifts that were built in, and identity."""

import pytest
import torch

from cellflow_cli.baselines import BaselineRequest, Summaries, summarise
from cellflow_cli.baselines.identity import Identity
from cellflow_cli.baselines.mean_shift import MeanShift, mean_shift
from cellflow_cli.errors import MetricError
from cellflow_cli.types import Condition, Population, PopulationPair

LOW, HIGH, OTHER = Condition("drug", 0.1), Condition("drug", 1.0), Condition("other")


def population(sample, group, mean, n, condition=None):
    cells = torch.randn(n, 2, generator=torch.Generator().manual_seed(n)).double()
    return Population(
        sample=sample,
        group=group,
        cells=cells - cells.mean(0) + torch.tensor(mean).double(),
        condition=condition,
    )


def pair(sample, group, shift, n, condition, start=(0.0, 0.0)):
    moved = (start[0] + shift[0], start[1] + shift[1])
    return PopulationPair(
        source=population(sample, group, start, n + 3), target=population(sample, group, moved, n, condition)
    )


@pytest.fixture
def summaries():
    pairs = [
        pair(("P1", "a"), "P1", (1.0, 0.0), 10, LOW),
        pair(("P1", "b"), "P1", (3.0, 0.0), 400, LOW, start=(5.0, -5.0)),  # same weight within P1
        pair(("P2", "a"), "P2", (8.0, 4.0), 50, LOW),
        pair(("P2", "a"), "P2", (100.0, 0.0), 50, HIGH),
        pair(("P1", "a"), "P1", (0.0, 7.0), 20, OTHER),
    ]
    return summarise(pairs, torch.ones(2), torch.Generator().manual_seed(0))


def test_groups_weigh_the_same_whatever_their_samples_and_sizes(summaries):
    # P1: mean of (1, 0) and (3, 0); P2: (8, 4)
    assert mean_shift(summaries, LOW).tolist() == pytest.approx([5, 2])


def test_every_control_cell_moves_by_the_shift(summaries):
    control = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    request = BaselineRequest(control=control, sample="P9", condition=LOW)
    moved = MeanShift().predict(request, summaries, torch.Generator())
    torch.testing.assert_close(moved - control, torch.tensor([5.0, 2.0]).repeat(20, 1))


def test_doses_are_the_same_up_to_float32(summaries):
    assert mean_shift(summaries, HIGH).tolist() == pytest.approx([100, 0])
    stored = Condition("drug", float(torch.tensor(0.1)))
    assert stored != LOW
    assert torch.equal(mean_shift(summaries, stored), mean_shift(summaries, LOW))


def test_no_dose_is_not_a_dose(summaries):
    assert mean_shift(summaries, OTHER).tolist() == pytest.approx([0, 7])
    for condition in (Condition("drug"), Condition("other", 1.0), Condition("drug", 0.5)):
        with pytest.raises(MetricError, match=r"found 'drug 0.1', 'drug 1', 'other'"):
            mean_shift(summaries, condition)


def test_without_training_populations():
    with pytest.raises(MetricError, match="found none at all"):
        mean_shift(Summaries.empty(2), LOW)


def test_identity_returns_the_control_cells(summaries):
    control = torch.randn(20, 2)
    request = BaselineRequest(control=control, sample="P9", condition=Condition("unheard of"))
    assert Identity().predict(request, summaries, torch.Generator()) is control
