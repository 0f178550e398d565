"""All parts together, and as JSON."""

import json

import pandas as pd
import pytest

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.summary import Settings, Unmatched
from tests.statistics.tables import ROWS, few_scores, table


def test_all_of_it_is_in_the_summary_and_is_json():
    made = pd.concat([table(ROWS), table(ROWS, "variance-ratio")], ignore_index=True)
    scores = Scores(
        table=made, metrics=("energy", "variance-ratio"), baselines=("identity",),
        settings=Settings(prediction={"fraction_clipped": 0.1}),
    )  # fmt: skip
    summary = json.loads(json.dumps(scores.summary().to_json(), allow_nan=False))
    assert summary["normalised"]["model"]["energy"]["value"] == pytest.approx(2.5 / 4.5)
    assert set(summary["normalised"]) == {"model", "identity"}
    assert summary["intervals"]["identity"]["energy"]["difference"] == pytest.approx(-2.5)
    assert summary["intervals"]["identity"]["energy"]["n_groups"] == 2
    assert "needs 6 conditions" in summary["regimes"]["reason"]
    assert summary["collapse"]["alarm"] is True  # a mean ratio of 2.5
    assert summary["collapse"]["fraction_clipped"] == 0.1


def test_summary_says_what_the_numbers_are():
    summary = few_scores(settings=Settings(seed=3), unmatched=Unmatched((), ("P1 | a, new",))).summary()
    assert summary.metrics["energy"].best == "low"
    assert "Energy distance" in summary.metrics["energy"].definition
    assert summary.groups["P1"]["model"]["energy"] == 3.0
    assert summary.n_conditions == 4
    assert summary.n_cells == (30, 30)
    assert summary.to_json()["settings"]["seed"] == 3
    assert summary.to_json()["unmatched"] == {"only_predicted": [], "only_truth": ["P1 | a, new"]}
