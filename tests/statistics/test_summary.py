"""All parts together, and as JSON."""

import json

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.summary import Settings, Unmatched
from tests.statistics.tables import ROWS, table


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


# P1 has three conditions and P2 one; each group counts once.
ENERGY = {
    "model": {"P1": [1.0, 2.0, 6.0], "P2": [5.0]},
    "identity": {"P1": [4.0, 4.0, 4.0], "P2": [4.0]},
    "mean-shift": {"P1": [0.5, 3.0, np.nan], "P2": [6.0]},
    "floor": {"P1": [0.0, 0.0, 0.0], "P2": [0.1]},
}


def make(energy=ENERGY, **settings):
    rows = []
    for row, groups in energy.items():
        for group, values in groups.items():
            for i, v in enumerate(values):
                head = (f"{group} | a", group, "drug", float(i) if i else None, row)
                ratio = 0.5 if row == "model" else 2.1
                rows.append((*head, "energy", v, "unseen dose" if np.isnan(v) else "", 30))
                rows.append((*head, "variance-ratio", ratio, "", 30))
    table = pd.DataFrame(rows, columns=Scores.COLUMNS)
    metrics, baselines = ("energy", "variance-ratio"), ("identity", "mean-shift")
    return Scores(table=table, metrics=metrics, baselines=baselines, **settings)


def test_summary_says_what_the_numbers_are():
    summary = make(settings=Settings(seed=3), unmatched=Unmatched((), ("P1 | a, new",))).summary()
    assert summary.metrics["energy"].best == "low"
    assert "Energy distance" in summary.metrics["energy"].definition
    assert summary.groups["P1"]["model"]["energy"] == 3.0
    assert summary.n_conditions == 4
    assert summary.n_cells == (30, 30)
    assert summary.to_json()["settings"]["seed"] == 3
    assert summary.to_json()["unmatched"] == {"only_predicted": [], "only_truth": ["P1 | a, new"]}
