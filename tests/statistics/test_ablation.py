"""What it means that the population matters."""

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.ablation import AVERAGE, OTHER, ablation
from cellflow_cli.statistics.lines import Lines


def lines(own, other, average=0.5, metric="energy", reason=""):
    n = len(own)
    found = [
        (f"G{i}", f"G{i}", "drug", np.nan, row, metric, value, reason, 30)
        for row, values in (("model", own), (OTHER, other), (AVERAGE, np.broadcast_to(average, n)))
        for i, value in enumerate(values)
    ]
    return Lines(pd.DataFrame(found, columns=Scores.COLUMNS))


@pytest.mark.parametrize(
    ("best", "own", "other", "matters"),
    [
        ("low", [0.1, 0.2], [0.3, 0.3], "yes"),
        ("low", [0.3, 0.3], [0.1, 0.2], "reverse"),
        ("low", [0.1, 0.4], [0.3, 0.3], "unclear"),
        ("low", [0.1], [0.3], "unclear"),  # one group says nothing of others
        ("low", [0.1, 0.2], [0.1, 0.2], "no"),
        ("high", [0.1, 0.2], [0.3, 0.3], "reverse"),
        ("one", [1.0, 1.1], [0.5, 2.0], "yes"),
        ("low", np.linspace(0.1, 0.2, 8), np.linspace(0.3, 0.5, 8), "yes"),
        ("high", np.linspace(0.1, 0.2, 8), np.linspace(0.3, 0.5, 8), "reverse"),
        ("low", [0.1] * 7 + [0.9], [0.2] * 8, "unclear"),  # better on 7 of 8, but not for sure on average
        ("low", [0.1] * 8, [0.1] * 8, "no"),
    ],
)
def test_matters(best, own, other, matters):
    found = ablation(lines(own, other), {"energy": best})
    assert found.predictors[OTHER]["energy"].matters == matters
    assert found.groups["G0"][OTHER]["energy"] == other[0]
    assert found.predictors[OTHER]["energy"].better.n == len(own)


def test_why_it_is_not_known():
    table = lines([0.1, 0.2], [np.nan] * 2, np.nan, reason="`fm` is told no population")
    assert ablation(table, {"energy": "low"}).to_json() == {"reason": "`fm` is told no population"}
    alone = Lines(table.table[table.table["predictor"] == "model"].reset_index(drop=True))
    assert "--model MODEL" in ablation(alone, {"energy": "low"}).reason
