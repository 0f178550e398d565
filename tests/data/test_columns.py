import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.columns import distinct, dose_values, is_missing, labels, missing_column, texts


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, 1]),
        pd.Series([1.0, 2.0, 1.0]),
        pd.Series(["1", "2", "1"]),
        pd.Series([1, 2, 1], dtype="category"),
        pd.Series([1.0, 2.0, 1.0], dtype="category"),
        pd.Series(["1", "2", "1"], dtype="category"),
        pd.Series([1, 2, 1], dtype="Int64"),
        pd.Series(["1", "2", "1"], dtype="string"),
        pd.Series([1, 2.0, "1"], dtype=object),
    ],
)
def test_whole_numbers_read_alike_whatever_the_type(column):
    assert list(labels(column)) == ["1", "2", "1"]


def test_labels_keep_text_and_fractions():
    assert list(labels(pd.Series(["1.0", "a b"]))) == ["1", "a b"]
    assert list(texts(pd.Series(["1.0", "a b "]))) == ["1.0", "a b "]
    assert list(labels(pd.Series([0.5, 1.25]))) == ["0.5", "1.25"]
    assert list(labels(pd.Series([True, False]))) == ["True", "False"]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", None, " "]),
        pd.Series(["a", None, " "], dtype="category"),
        pd.Series(["a", None, ""], dtype="string"),
    ],
)
def test_missing_values_are_nan_none_and_blank(column):
    assert is_missing(column).tolist() == [False, True, True]


def test_missing_numbers():
    assert is_missing(pd.Series([0.0, np.nan])).tolist() == [False, True]


def test_doses_are_the_numbers_people_typed():
    doses, wrong = dose_values(pd.Series(np.array([0.1, 10, 0.3], dtype=np.float32)))
    assert doses.tolist() == [0.1, 10.0, 0.3]
    assert dose_values(pd.Series([0.1 + 0.2]))[0].tolist() == [0.3]
    assert dose_values(pd.Series(["0.5", "1e1"], dtype="category"))[0].tolist() == [0.5, 10.0]
    assert not wrong.any()


def test_what_is_no_dose():
    doses, wrong = dose_values(pd.Series([1, "low", "1+1", -2, np.inf, None, ""], dtype=object))
    assert wrong.tolist() == [False, True, True, True, True, False, False]
    assert np.isnan(doses[5:]).all()
    assert dose_values(pd.Series([True, False]))[1].all()


def test_numbers_sort_as_numbers():
    assert distinct(["10", "9", "9"]) == ["9", "10"]
    assert distinct(["P10", "P9"]) == ["P10", "P9"]


def test_columns_joined_by_a_comma_are_recognised():
    obs = pd.DataFrame({"patient": ["a"], "culture": ["b"]})
    finding = missing_column(obs, "patient,culture", "--sample-key")
    assert finding is not None
    assert "`--sample-key patient --sample-key culture`" in finding.fix


def test_a_dose_beyond_float32_is_no_dose():
    _, wrong = dose_values(pd.Series([1e300, 3.0, 3.4e38]))
    assert wrong.tolist() == [True, False, False]
