"""Predictions that somebody has changed are refused with a message, or read as they were meant."""

import numpy as np
import pytest

from cellflow_cli.errors import DataError
from cellflow_cli.prediction.file import KEY, PREDICTED, SOURCE_CELL, PredictionFile
from cellflow_cli.prediction.unchanged import change_remarks
from tests.evaluation.conftest import make_prediction, make_truth


@pytest.fixture
def predicted():
    return make_prediction(make_truth(n=12))


@pytest.mark.parametrize("key", ["spec", "transform_json", "summaries_json"])
@pytest.mark.parametrize("text", ["", "null", "[]", "7", "{}", '{"a": 1}', "[" * 10**5, "\ufffd"])
def test_damaged_parts_are_refused(predicted, key, text):
    predicted.uns[KEY] = {**predicted.uns[KEY], key: text}
    with pytest.raises(DataError, match="as this version of cellflow writes it"):
        PredictionFile.read(predicted)


@pytest.mark.parametrize("fact", [{"seed": "x"}, {"seed": np.arange(3)}, {"transform": 7}])
def test_damaged_facts_are_refused(predicted, fact):
    predicted.uns[KEY] = {**predicted.uns[KEY], **fact}
    with pytest.raises(DataError):
        PredictionFile.read(predicted)


@pytest.mark.parametrize(
    ("given", "read"), [("one", ("one",)), (3.5, ("3.5",)), (np.array(["a", "b"]), ("a", "b"))]
)
def test_warnings_of_any_form_are_kept(predicted, given, read):
    predicted.uns[KEY] = {**predicted.uns[KEY], "warnings": given}
    assert PredictionFile.read(predicted).warnings == read


@pytest.mark.parametrize("values", ["maybe", None, 2])
def test_flags_that_are_none_are_refused(predicted, values):
    predicted.obs[PREDICTED] = values
    with pytest.raises(DataError, match="true or false"):
        PredictionFile.read(predicted)


def test_flags_written_by_others_are_read_and_none_at_all_is_said(predicted):
    predicted.obs[PREDICTED] = predicted.obs[PREDICTED].astype(str).astype("category")
    PredictionFile.read(predicted)
    predicted.obs[PREDICTED] = False
    with pytest.raises(DataError, match="found none"):
        PredictionFile.read(predicted)


def test_no_matrix_is_said_and_no_source_cell_is_none(predicted):
    del predicted.X
    predicted.obs = predicted.obs.drop(columns=SOURCE_CELL, errors="ignore")
    file = PredictionFile.read(predicted)
    assert list(file.source_cells(np.arange(2))) == ["", ""]
    with pytest.raises(DataError, match="in `X`, found none"):
        file.check_features()


def test_a_matrix_that_was_scaled_is_said(predicted):
    rows = np.arange(predicted.n_obs)
    predicted.layers["control"] = predicted.X.copy()
    assert change_remarks(PredictionFile.read(predicted), rows) == ()
    predicted.X = predicted.X * 3
    (remark,) = change_remarks(PredictionFile.read(predicted), rows)
    assert "changed after the prediction" in remark
