"""Which predicted population is held against which measured one."""

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import DataError
from cellflow_cli.evaluation.align import align

SPEC = DataSpec(treatment_key="treatment", control="DMSO", sample_key=("patient", "culture"), dose_key="dose")


def table(*rows, predicted=None):
    """Obs with two cells for each (patient, culture, treatment, dose)."""
    frame = pd.DataFrame(
        [row for row in rows for _ in range(2)], columns=["patient", "culture", "treatment", "dose"]
    )
    frame.index = [f"c{i}" for i in range(len(frame))]
    return frame if predicted is None else frame.assign(cellflow_is_predicted=np.repeat(predicted, 2))


def prediction(*rows):
    controls = dict.fromkeys((row[0], row[1], "DMSO", np.nan) for row in rows)
    return table(*controls, *rows, predicted=[False] * len(controls) + [True] * len(rows))


def contents(alignment):
    return [(pair.sample, pair.condition.label) for pair in alignment.pairs]


def test_pairs_agree_in_sample_treatment_and_dose():
    ours = prediction(("P1", "a", "drug", 1.0), ("P1", "b", "drug", 1.0), ("P1", "a", "drug", 2.0))
    theirs = table(("P1", "b", "drug", 1.0), ("P1", "a", "drug", 2.0), ("P1", "a", "drug", 1.0))
    found = align(ours, theirs, SPEC)
    assert contents(found) == [
        (("P1", "a"), "drug 1"), (("P1", "a"), "drug 2"), (("P1", "b"), "drug 1"),
    ]  # fmt: skip
    assert found.pairs[0].predicted.tolist() == [4, 5]
    assert found.pairs[0].target.tolist() == [4, 5]
    assert found.pairs[0].control.tolist() == [0, 1]
    assert found.pairs[1].target.tolist() == [2, 3]
    assert found.pairs[2].control.tolist() == [2, 3]
    assert {pair.group for pair in found.pairs} == {"P1"}
    assert (found.only_predicted, found.only_truth) == ((), ())


def test_what_has_no_partner_is_listed():
    ours = prediction(("P1", "a", "drug", 1.0), ("P2", "a", "drug", 1.0))
    theirs = table(("P1", "a", "drug", 1.0), ("P1", "a", "new", np.nan), ("P7", "a", "drug", 1.0))
    found = align(ours, theirs, SPEC)
    assert contents(found) == [(("P1", "a"), "drug 1")]
    assert found.only_predicted == ("P2 | a, drug 1",)
    assert found.only_truth == ("P1 | a, new",)  # P7 was not predicted at all


@pytest.mark.parametrize("kind", ["category", "object", "int64", "float64"])
def test_sample_columns_are_compared_as_text(kind):
    ours, theirs = prediction((1, "a", "drug", 1.0), (2, "a", "drug", 1.0)), table((2, "a", "drug", 1.0))
    theirs["patient"] = theirs["patient"].astype(kind)
    ours["patient"] = ours["patient"].astype(str).astype("category")
    assert contents(align(ours, theirs, SPEC)) == [(("2", "a"), "drug 1")]


def test_doses_are_compared_as_numbers():
    ours = prediction(("P1", "a", "drug", 0.1), ("P1", "a", "drug", 0.3), ("P1", "a", "other", np.nan))
    theirs = table(
        ("P1", "a", "drug", np.float32(0.1)), ("P1", "a", "drug", 0.31), ("P1", "a", "other", np.nan)
    )
    theirs["dose"] = theirs["dose"].astype(np.float32)
    found = align(ours, theirs, SPEC)
    assert contents(found) == [(("P1", "a"), "drug 0.1"), (("P1", "a"), "other")]
    assert found.only_predicted == ("P1 | a, drug 0.3",)
    assert found.only_truth == ("P1 | a, drug 0.31",)
    theirs["dose"] = theirs["dose"].astype(str).astype("category")
    assert contents(align(ours, theirs, SPEC)) == contents(found)


def test_doses_are_left_aside_where_none_are_declared():
    spec = DataSpec(treatment_key="treatment", control="DMSO", sample_key=("patient", "culture"))
    found = align(prediction(("P1", "a", "drug", 1.0)), table(("P1", "a", "drug", 5.0)), spec)
    assert contents(found) == [(("P1", "a"), "drug")]


def test_controls_pooled_over_cultures_predict_every_culture():
    spec = DataSpec(
        treatment_key="treatment", control="DMSO", sample_key=("patient", "culture"), match_key="patient"
    )
    ours = table(
        ("P1", "x", "DMSO", 0), ("P1", "y", "DMSO", 0), ("P1", "x", "drug", 0), ("P1", "y", "drug", 0),
        predicted=[False, False, True, True],
    )  # fmt: skip
    theirs = table(("P1", "a", "drug", 0), ("P1", "b", "drug", 0), ("P2", "b", "drug", 0))
    found = align(ours, theirs, spec)
    assert contents(found) == [(("P1", "a"), "drug"), (("P1", "b"), "drug")]
    for pair in found.pairs:
        assert pair.predicted.tolist() == [4, 5, 6, 7]
        assert pair.control.tolist() == [0, 1, 2, 3]


def test_the_group_may_be_another_column():
    spec = DataSpec(
        treatment_key="treatment", control="DMSO", sample_key=("patient", "culture"), group_key="batch"
    )
    ours = prediction(("P1", "a", "drug", 1.0)).assign(batch="B7")
    found = align(ours, table(("P1", "a", "drug", 1.0)), spec)  # the truth need not have it
    assert found.pairs[0].group == "B7"
    with pytest.raises(DataError, match=r'obs\["batch"\]` in the prediction'):
        align(prediction(("P1", "a", "drug", 1.0)), table(("P1", "a", "drug", 1.0)), spec)


def test_controls_of_the_truth_serve_where_the_prediction_has_none():
    ours = table(("P1", "a", "drug", 1.0), predicted=[True])
    theirs = table(("P1", "a", "drug", 1.0), ("P1", "a", "DMSO", np.nan), ("P1", "b", "DMSO", np.nan))
    pair = align(ours, theirs, SPEC).pairs[0]
    assert pair.control_in_truth
    assert pair.control.tolist() == [2, 3]
    alone = align(ours, theirs.iloc[:2], SPEC).pairs[0]
    assert len(alone.control) == 0


@pytest.mark.parametrize("dose", ["1 uM", -5, np.inf])
def test_doses_that_are_none_are_refused(dose):
    ours = prediction(("P1", "a", "drug", 1.0))
    with pytest.raises(DataError, match=r'Expected numbers from 0 to 3e38 in `obs\["dose"\]`.* in 2 cells'):
        align(ours, table(("P1", "a", "drug", 1.0), ("P1", "a", "other", dose)), SPEC)


def test_a_control_in_other_letters_is_no_treatment():
    ours = prediction(("P1", "a", "drug", 1.0))
    with pytest.raises(
        DataError, match="found 'dmso' in 2 cells, like 'DMSO' of the prediction but for case"
    ):
        align(ours, table(("P1", "a", "drug", 1.0), ("P1", "a", "dmso", np.nan)), SPEC)


def test_cells_without_a_label_are_left_aside():
    theirs = table(("P1", "a", "drug", 1.0), (None, "a", "drug", 1.0), ("P1", "a", None, 1.0))
    found = align(prediction(("P1", "a", "drug", 1.0)), theirs, SPEC)
    assert len(found.pairs[0].target) == 2
    assert found.n_unlabelled == 4


def test_no_overlap_says_what_both_files_have():
    ours = prediction(("P1", "a", "drug", 1.0))
    ours.attrs["files"], theirs = ["pred.h5ad"], table(("P8", "a", "other", 1.0), ("P9", "b", "DMSO", np.nan))
    with pytest.raises(DataError) as caught:
        align(ours, theirs, SPEC)
    for part in ("`pred.h5ad`", "'P1 | a'", "'drug 1'", "'P8 | a'", "'other 1'", "none"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="no treated cells"):
        align(ours, table(("P1", "a", "DMSO", np.nan)), SPEC)


def test_missing_columns_and_missing_predictions():
    ours, theirs = prediction(("P1", "a", "drug", 1.0)), table(("P1", "a", "drug", 1.0))
    with pytest.raises(DataError, match=r'obs\["culture"\]` in the truth.*Did you mean .Culture.'):
        align(ours, theirs.rename(columns={"culture": "Culture"}), SPEC)
    with pytest.raises(DataError, match=r'obs\["dose"\]` in the truth'):
        align(ours, theirs.drop(columns="dose"), SPEC)
    with pytest.raises(DataError, match="Expected predicted cells, found none"):
        align(ours.assign(cellflow_is_predicted=False), theirs, SPEC)


def test_a_flag_stored_as_text_is_read():
    ours = prediction(("P1", "a", "drug", 1.0))
    text = ours.assign(cellflow_is_predicted=ours["cellflow_is_predicted"].astype(str).astype("category"))
    assert contents(align(text, table(("P1", "a", "drug", 1.0)), SPEC)) == [(("P1", "a"), "drug 1")]
