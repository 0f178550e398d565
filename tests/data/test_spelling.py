import unicodedata

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.data.columns import labels
from cellflow_cli.data.spelling import alike, canonical, chosen, escaped, shown


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (unicodedata.normalize("NFD", "Müller"), "Müller"),
        (" control\u00a0", "control"),
        ("\u200bP1\ufeff\x00", "P1"),
        ("1.0", "1"),
        (1.0, "1"),
        (np.float32(7), "7"),
        (b"1", "1"),
        ("7.00", "7"),
        ("-0.0", "0"),
        ("007", "007"),
        ("007.0", "007.0"),
        ("1e3", "1e3"),
        ("1.0.0", "1.0.0"),
        (0.5, "0.5"),
        (True, "True"),
        (" \u200b ", ""),
    ],
)
def test_what_is_one_label(value, label):
    assert canonical(value) == label
    assert canonical(label) == label


def test_true_is_not_one_in_a_column_of_both():
    assert list(labels(pd.Series([True, 1, 1.0, "1", None], dtype=object))) == ["True", "1", "1", "1", ""]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Drug", "drug"),
        ("P 1", "P_1"),
        ("P-1", "P\u20131"),
        ("T cell", "Tcell"),
        ("D1", "D\u00a01"),
        ("D1", "D\u200b1"),
        ("1 \u00b5M", "1 \u03bcM"),
        ("CD4", "\u0421D4"),
        ("Beta", "\u0392eta"),
        ("ＰＡ", "PA"),
        ("ﬁx", "fix"),
        ("O'Brien", "O’Brien"),
        ("В", "в"),
    ],
)
def test_labels_that_are_alike(a, b):
    assert alike([a, b]) == [(a, b)]
    assert alike([a], [b, "other"]) == [(a, b)]


@pytest.mark.parametrize(
    ("a", "b"), [("T-1", "T1"), ("O1", "01"), ("l2", "12"), ("IgM+", "IgM-"), ("1 01", "101"), ("-1", "1")]
)
def test_labels_that_differ(a, b):
    assert alike([a, b]) == []


def test_code_points_where_labels_look_the_same():
    assert "U+0421 CYRILLIC CAPITAL LETTER ES" in shown("\u0421D4", "CD4")
    assert shown("drug", "Drug") == "'drug'"
    assert escaped("\u0421D4") == "\\u0421D4"


def test_commas_within_labels():
    known = ["Doe, J.", "D2", "D3", "a=b"]
    assert chosen("Doe, J.", known) == (["Doe, J."], [])
    assert chosen("Doe, J.,D2", known) == (["Doe, J.", "D2"], [])
    assert chosen("D3, Doe, J. ,D9", known) == (["D3", "Doe, J."], ["D9"])
    assert chosen("a=b", known) == (["a=b"], [])
