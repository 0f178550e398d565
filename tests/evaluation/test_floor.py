"""The noise floor: random halves, whole replicates, and their means and errors."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import cellflow_cli as cf
from cellflow_cli.evaluation.floor import (
    BETWEEN,
    averaged,
    replicate_splits,
    replicated,
    split_half,
    subsample,
)
from cellflow_cli.external.read import read_external
from cellflow_cli.metrics import MetricValue
from cellflow_cli.report.metric_docs import settings_lines
from cellflow_cli.statistics.summary import Replicates
from tests.evaluation.conftest import SPEC, TEST, make_truth, score

BATCHED = replace(SPEC, batch_key="plate")

FEW = {"metrics": ["energy"], "baselines": ["identity"], "audit": False, "cell_types": False}


def plated(sizes=(30, 30), effect=1.0, n=60):
    """The cohort; the cells of each population lie on plates, each plate off by another amount."""
    truth = make_truth(n=n)
    plate = np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(0).permutation(n)
    truth.obs["plate"] = np.tile(plate[order], len(truth) // n)
    truth.X[:, 2] += (effect * truth.obs["plate"].to_numpy()).astype(np.float32)
    return truth


def rows_of(scores, predictor):
    return scores.table[scores.table["predictor"] == predictor].reset_index(drop=True)


@pytest.fixture
def floors(predict):
    """Scores of a truth with a model that knows the plates, and with one that does not."""

    def both(truth, **settings):
        return tuple(
            score(predict(truth, spec=spec), truth, **{**FEW, **settings}) for spec in (BATCHED, SPEC)
        )

    return both


def test_halves_are_disjoint_draws_from_all_rows():
    rows = np.arange(100, 151)
    target, other = split_half(rows, 25, torch.Generator().manual_seed(0))
    assert len({*target, *other}) == 50
    assert {*target, *other} <= set(rows)
    assert (np.diff(target) < 0).any()  # not the first rows in order
    with pytest.raises(ValueError, match="two halves of 26 cells do not fit into 51"):
        split_half(rows, 26, torch.Generator())


def test_every_cell_is_drawn_equally_often():
    rng = torch.Generator().manual_seed(0)
    counts = np.bincount(
        np.concatenate([subsample(np.arange(10), 3, rng) for _ in range(2000)]), minlength=10
    )
    assert counts.sum() == 6000
    # Binomial with mean 600 and standard deviation 20.5: five of them
    assert np.abs(counts - 600).max() < 103


def test_the_floor_is_a_mean_over_splits_with_an_error():
    value, se = averaged([MetricValue(v, "of some features") for v in (1.0, 2.0, 6.0)])
    assert value == (3.0, "of some features")
    assert se == pytest.approx(math.sqrt(7) / math.sqrt(3))  # variance ((-2)^2 + (-1)^2 + 3^2) / 2
    one, unknown = averaged([MetricValue(2.0), MetricValue(None, "why")])
    assert one == (2.0, "")
    assert math.isnan(unknown)


def test_the_floor_has_a_value_where_predictors_can_have_one():
    """Without a value on the split of all predictors: means over populations would be of different ones."""
    assert averaged([MetricValue(None, "why"), MetricValue(2.0)])[0] == (None, "why")
    assert averaged([MetricValue(None, "why"), MetricValue(None, "else")])[0] == (None, "why")


def test_a_replicate_effect_is_in_the_floor(floors):
    between, halves = floors(plated(effect=12.0))
    low, high = rows_of(halves, "floor"), rows_of(between, "floor")
    assert low.value.mean() < 0.2
    assert (high.value > 0.5).all()
    assert (high["se"] >= low["se"]).all()  # one division only: its own spread would say nothing
    assert (high.reason == BETWEEN).all()
    rest = between.table["predictor"] != "floor"
    pd.testing.assert_frame_equal(between.table[rest], halves.table[halves.table["predictor"] != "floor"])
    assert between.settings.replicates == Replicates("plate", 6, 6)
    assert 'The floor of 6 of 6 populations is between replicates (`obs["plate"]`).' in between.warnings
    assert halves.settings.replicates is None


def test_without_a_replicate_effect_the_floor_is_that_of_halves(floors):
    between, halves = floors(plated(effect=0.0), floor_splits=8)
    gap = rows_of(between, "floor")["value"].mean() - rows_of(halves, "floor")["value"].mean()
    assert abs(gap) < 0.05


def test_the_scale_of_replicates_is_never_less_careful(floors):
    """Null and floor are separated by the error of the floor, which one division would make zero."""
    truth = plated(effect=0.0)
    between, halves = floors(truth)
    assert (rows_of(between, "floor")["se"] >= rows_of(halves, "floor")["se"]).all()
    value, se = replicated([MetricValue(v) for v in (1.0, 3.0)], [MetricValue(5.0)] * 2)
    assert value == (5.0, BETWEEN)
    assert se == pytest.approx(1.0)  # 2^1/2 / 2^1/2, that of the halves
    assert replicated([MetricValue(None, "why")] * 2, [MetricValue(5.0)])[0] == (None, "why")
    value, se = replicated([MetricValue(1.0)], [MetricValue(None, "why"), MetricValue(5.0, "of some")])
    assert value == (5.0, f"of some; {BETWEEN}")
    assert np.isnan(se)


@pytest.mark.parametrize(
    ("sizes", "n", "n_between"),
    [
        ((30, 30), 30, 6),
        ((22, 38), 22, 6),  # every row of the population on 22 cells
        ((20, 20, 20), 20, 6),
        ((12, 48), 30, 0),  # less than half of 30
        ((60,), 30, 0),
        ((10, 10, 20, 20), 30, 6),
    ],
)
def test_all_predictors_share_what_replicates_can_give(floors, sizes, n, n_between):
    between, halves = floors(plated(sizes))
    assert set(between.table["n"]) == {n}
    assert between.settings.replicates.n_between == n_between
    if not n_between:
        pd.testing.assert_frame_equal(between.table, halves.table)
        assert any(text.startswith("The floor is between random halves: ") for text in between.warnings)


def test_fewer_cells_are_drawn_before_halves_are_taken(floors):
    between, _ = floors(plated((12, 48)), max_cells=12)
    assert set(between.table["n"]) == {12}
    assert between.settings.replicates.n_between == 6


def test_populations_differ_in_whether_they_have_replicates(predict):
    truth = plated(effect=6.0)
    alone = (truth.obs["patient"] == TEST[0]) & (truth.obs["treatment"] == "other")
    truth.obs.loc[alone, "plate"] = 0
    scores = score(predict(truth, spec=BATCHED), truth, **FEW)
    sentence = (
        'The floor of 5 of 6 populations is between replicates (`obs["plate"]`), of the others between '
        "random halves."
    )
    assert sentence in scores.warnings
    assert ("Floor", (
        'Mean over 5 divisions of whole replicates (`obs["plate"]`) to two sides in 5 of 6 populations, over '
        "5 random splits of the measured cells into halves in the others."
    )) in settings_lines(scores.summary())  # fmt: skip
    floor = rows_of(scores, "floor")
    assert floor[floor.reason == ""]["treatment"].tolist() == ["other"]


def test_cells_without_a_replicate_are_on_no_side(predict):
    truth = plated((24, 24, 12), effect=6.0)
    truth.obs["plate"] = truth.obs["plate"].map({0: "a", 1: "b"})
    scores = score(predict(truth, spec=BATCHED), truth, **FEW)
    assert set(scores.table["n"]) == {24}
    assert scores.settings.replicates.n_between == 6


def test_a_truth_without_the_column_is_said(floors):
    truth = plated()
    del truth.obs["plate"]
    between, halves = floors(truth)
    pd.testing.assert_frame_equal(between.table, halves.table)
    assert any('The truth has no column `obs["plate"]`' in text for text in between.warnings)
    assert between.settings.replicates.n_between == 0
    everything, _ = floors(truth, all_cells=True)
    assert everything.settings.replicates is None


def test_same_seed_same_floor_and_labels_may_have_any_type(predict):
    truth = plated((20, 20, 20), effect=2.0)
    first, again = (score(predict(truth, spec=BATCHED), truth, **FEW).table for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    truth.obs["plate"] = pd.Categorical(truth.obs["plate"].astype(float))
    pd.testing.assert_frame_equal(first, score(predict(truth, spec=BATCHED), truth, **FEW).table)
    other = score(predict(truth, spec=BATCHED), truth, **FEW, seed=1).table
    assert not other.equals(first)


def test_the_order_of_cells_draws_other_cells_and_no_other_division(predict):
    truth = plated(effect=6.0)
    prediction = predict(truth, spec=BATCHED)
    shuffled = truth[np.random.default_rng(1).permutation(len(truth))].copy()
    one, two = (rows_of(score(prediction, t, **FEW), "floor") for t in (truth, shuffled))
    # All thirty cells of both plates are compared, in whatever order.
    assert one.value.to_numpy() == pytest.approx(two.value.to_numpy(), rel=1e-6)


def test_replicate_splits_are_disjoint_whole_replicates_with_both_roles():
    replicates = [np.arange(10 * i, 10 * i + 10) for i in range(5)]
    n, sides = replicate_splits(replicates, 20, 6, torch.Generator().manual_seed(0))
    assert n == 20
    assert len(sides) == 6
    for target, other in sides:
        assert len(target) == len(other) == 20
        assert not set(target // 10) & set(other // 10)
    assert {len(set(target // 10)) for target, _ in sides} == {2, 3}
    assert len({frozenset(target // 10) for target, _ in sides}) > 2
    assert replicate_splits(replicates[:1], 4, 3, torch.Generator()) == (4, [])


def test_types_have_floors_of_their_own(predict):
    truth = plated((100, 100), effect=6.0, n=200)
    truth.obs["kind"] = np.where(np.arange(len(truth)) % 10 < 2, "rare", "common")
    spec = replace(BATCHED, cell_type_key="kind")
    found = score(predict(truth, spec=spec), truth, metrics=["energy"], baselines=["identity"])
    table = found.by_type.table
    assert (table["n"] >= 10).all()
    assert (table[(table["predictor"] == "floor") & (table["cell_type"] == "common")].reason == BETWEEN).all()
    assert table.groupby(["cell_type", "sample", "treatment", "dose"], dropna=False)["n"].nunique().max() == 1


def test_the_floor_of_another_tool(predict):
    truth = plated(effect=6.0)
    prediction = predict(truth, spec=BATCHED)
    theirs = prediction[prediction.obs["cellflow_is_predicted"].to_numpy()].copy()
    theirs.obs, theirs.uns = theirs.obs[["patient", "treatment", "dose"]].copy(), {}
    training = truth[~truth.obs["patient"].isin(TEST)].copy()
    del training.obs["plate"]
    given = cf.ExternalFormat(matrix="X")
    found = score(read_external(theirs, truth, BATCHED, given, training=training), truth, **FEW)
    assert found.settings.replicates.n_between == 6
