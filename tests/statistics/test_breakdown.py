import numpy as np
import pandas as pd

from cellflow_cli.statistics.breakdown import labelled, means_by


def lines(*values):
    """Scores of the model: group, treatment, dose and value of each line."""
    names = ["group", "treatment", "dose", "value"]
    return pd.DataFrame(values, columns=names).assign(predictor="model", metric="energy")


def test_means_are_taken_within_groups_first():
    table = lines(("A", "drug", 1, 0.0), ("A", "drug", 1, 2.0), ("A", "drug", 1, 4.0), ("B", "drug", 1, 10.0))
    means = means_by(table, ["treatment"], ["energy"], ["model", "floor"])["energy"]
    assert means.loc["drug", "model"] == 6.0  # the mean of 2 and 10, not of four lines
    assert np.isnan(means.loc["drug", "floor"])


def test_lines_keep_their_order_and_gaps_are_left_out():
    table = lines(("B", "x", 1, np.nan), ("B", "y", 1, 3.0), ("A", "x", 1, 1.0), ("C", "z", 1, np.nan))
    means = means_by(table, ["treatment"], ["energy"], ["model"])["energy"]["model"]
    assert list(means.index) == ["x", "y", "z"]
    np.testing.assert_array_equal(means, [1.0, 3.0, np.nan])


def test_a_condition_is_a_treatment_with_its_dose():
    table = lines(("A", "drug", 0.5, 1.0), ("A", "other", np.nan, 1.0))
    assert list(labelled(table)["condition"]) == ["drug 0.5", "other"]
