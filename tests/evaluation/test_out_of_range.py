"""Values outside the range of real cells: counted by hand, and in the summary of an evaluation."""

import numpy as np
import pytest
import torch

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.evaluation.compute import share_outside
from tests.evaluation.conftest import score

PCA = DataSpec(
    treatment_key="treatment", control="DMSO", sample_key="patient", dose_key="dose", features="pca:3",
    expression="as-is",
)  # fmt: skip


def shares(scores):
    return scores.summary().collapse.out_of_range


def test_values_outside_are_counted_and_those_on_the_border_are_not():
    real = torch.tensor([[0.0, -1.0], [2.0, 3.0], [1.0, 0.0]])
    cells = torch.tensor([[0.0, 3.0], [-0.1, 0.0], [2.5, 4.0], [1.0, -1.0]])
    assert share_outside(cells, real).value == 3 / 8
    assert share_outside(real, real).value == 0


def test_further_real_cells_are_outside_as_often_as_order_statistics_say(rng):
    m, n = 99, 20_000
    found = [share_outside(torch.randn(n, 1, generator=rng), torch.randn(m, 1, generator=rng)).value
             for _ in range(200)]  # fmt: skip
    # the share of one range has a standard deviation of nearly 2^1/2 / (m + 1)
    assert np.mean(found) == pytest.approx(2 / (m + 1), abs=4 * 0.0141 / 200**0.5)


def test_without_cells_or_with_values_that_are_not_finite_there_is_none():
    cells = torch.zeros(2, 3)
    assert share_outside(cells[:0], cells).reason == "no cells"
    assert share_outside(cells, cells[:0]).reason == "no real cells"
    assert share_outside(cells / 0, cells).reason == "values that are not finite"


def test_two_features_of_five_far_away_are_two_fifths(truth, predict):
    far = predict(truth, moved=lambda cells, patient, key: cells * [0, 0, 1, 1, 1] + [1e3, -1e3, 0, 0, 0])
    found = shares(score(far, truth, metrics=["energy"]))
    assert set(found) == {"model", "floor"}
    # the other three are those of control cells, of which the range is made
    assert found["model"] == pytest.approx(0.4)
    # 60 controls and 30 measured cells; 30 others, one feature in three beside the shift of the treatment
    assert 0.01 < found["floor"] < 0.08


def test_measured_cells_through_the_decoder_stand_beside_it(truth, predict):
    made = score(predict(truth, spec=PCA, moved=lambda cells, patient, key: cells), truth, metrics=["energy"])
    assert set(shares(made)) == {"model", "truth-decoded", "floor"}
    whole = score(predict(truth), truth, metrics=["energy"], all_cells=True)
    assert shares(whole)["floor"] is None


def test_groups_seen_in_training_do_not_count(truth, predict):
    far = predict(
        truth,
        patients=("P1", "P4"),
        moved=lambda cells, patient, key: cells + (1e3 if patient == "P1" else 0),
    )
    scores = score(far, truth, metrics=["energy"])
    assert shares(scores)["model"] < 0.1
    assert scores.out_of_range.query("sample == 'P1' and predictor == 'model'").value.eq(1).all()
