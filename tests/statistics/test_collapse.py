"""The collapse alarm."""

import pandas as pd
import pytest

from cellflow_cli.statistics.collapse import OutOfBounds, collapse, how_far
from cellflow_cli.statistics.lines import Lines
from tests.statistics.tables import ROWS, table


@pytest.mark.parametrize(
    ("ratio", "alarm"), [(0.49, True), (0.5, False), (1.0, False), (2.0, False), (2.1, True)]
)
def test_the_alarm_rings_outside_the_bounds(ratio, alarm):
    made = table({"model": {"P1": [ratio]}, "floor": {"P1": [1.0]}}, "variance-ratio")
    found = collapse(Lines(made), 0.25)
    assert found.alarm is alarm
    assert found.ratios == {"variance-ratio": {"model": ratio, "floor": 1}}
    assert found.fraction_clipped == 0.25
    assert found.bounds == (0.5, 2)


def test_conditions_out_of_bounds_are_named_where_the_mean_is_not():
    made = table({"model": {"P1": [0.2, 1.8], "P2": [1.0, 1.0]}}, "variance-ratio")
    found = collapse(Lines(made))
    assert found.alarm is False
    assert found.conditions == (OutOfBounds("P1 | a", "drug", 0.2),)
    assert found.n_conditions == 4
    assert how_far(found) == (
        "predicted cells have 1 times the variance of measured ones in the mean over groups, within the "
        "bounds 0.5 and 2; 1 of 4 populations are outside"
    )


def test_too_narrow_here_and_too_wide_there_do_not_cancel():
    made = table({"model": {f"P{i}": [0.1, 2.8] for i in range(5)}}, "variance-ratio")
    found = collapse(Lines(made))
    assert found.ratios["variance-ratio"]["model"] == pytest.approx(1.45)
    assert found.alarm is True
    assert how_far(found).endswith("10 of 10 populations are outside")


def test_genes_stand_beside_the_decoded_truth_and_ring_nothing():
    flow = table({"model": {"P1": [0.9]}, "truth-decoded": {"P1": [1.0]}}, "variance-ratio")
    genes = table({"model": {"P1": [0.35]}, "truth-decoded": {"P1": [0.4]}}, "variance-ratio-genes")
    found = collapse(Lines(pd.concat([flow, genes], ignore_index=True)))
    assert found.alarm is False
    assert found.ratios["variance-ratio-genes"] == {"model": 0.35, "truth-decoded": 0.4}


def test_without_the_ratio_the_alarm_is_silent_and_says_so():
    found = collapse(Lines(table(ROWS)))
    assert found.alarm is None
    assert found.reason == "no value of `variance-ratio` for the model"
