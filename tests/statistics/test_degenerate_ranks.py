"""Degenerate predictors through the same metrics, and which metrics are flagged."""

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.catalog import Catalog
from cellflow_cli.statistics.degenerate_ranks import degenerate_ranks, remark
from cellflow_cli.statistics.lines import Lines
from tests.evaluation.conftest import make_truth, score
from tests.evaluation.test_evaluate_command import files, run  # noqa: F401

NAMES = Catalog("degenerate").names()


def lines(metric="energy", **rows):
    """One value for each of two groups; `audit_x` stands for the row `audit:x`."""
    found = [
        (f"G{i}", f"G{i}", "drug", np.nan, row.replace("audit_", "audit:"), metric, value, "broke", 30)
        for row, values in rows.items()
        for i, value in enumerate(np.broadcast_to(values, 2))
    ]
    columns = ["sample", "group", "treatment", "dose", "predictor", "metric", "value", "reason", "n"]
    return Lines(pd.DataFrame(found, columns=columns))


@pytest.mark.parametrize(
    ("best", "model", "undamaged", "damaged", "is_first", "beats_model"),
    [
        ("low", 0.3, 0.1, 0.05, True, True),
        ("low", 0.3, 0.1, 0.1, True, True),  # as good as measured cells is good enough
        ("low", 0.3, 0.1, 0.2, False, True),  # the measured cells are first
        ("low", 0.3, 0.1, 0.4, False, False),
        ("low", 0.01, 0.1, 0.05, False, False),  # the model is first, but the metric sees no damage
        ("high", 0.8, 0.9, 0.9000001, True, True),
        ("high", 0.8, 0.9, 0.85, False, True),
        ("one", 0.7, 1.1, 1.05, True, True),
        ("one", 0.7, 1.1, 0.8, False, True),
        ("one", 1.0, 1.0, 1.0 + 1e-7, True, True),  # equal up to rounding, though |log| is not
    ],
)
def test_first_is_no_worse_than_measured_cells_and_than_the_model(
    best, model, undamaged, damaged, is_first, beats_model
):
    table = lines(model=model, audit_undamaged=undamaged, audit_x=damaged, identity=0.0, floor=0.0)
    found = degenerate_ranks(table, {"energy": best})
    entry = found.predictors["x"]["energy"]
    assert (entry.is_first, entry.beats_model) == (is_first, beats_model)
    assert entry.as_measured == (is_first or model == 0.01)
    assert found.flagged == ({"energy": ("x",)} if is_first else {})


def test_only_conditions_with_all_three_values_count():
    nan = np.nan
    found = degenerate_ranks(
        lines(model=[0.3, nan], audit_undamaged=0.1, audit_x=[0.05, 9], audit_y=[nan, 0.1]), {"energy": "low"}
    )
    assert found.predictors["x"]["energy"].value == 0.05
    lacking = found.predictors["y"]["energy"]
    assert lacking.is_first is None
    assert lacking.reason == "broke"
    assert degenerate_ranks(lines(model=1), {"energy": "low"}).to_json() == {
        "reason": "no degenerate predictors were scored"
    }


def test_what_each_metric_does_not_see(predict):
    """A model whose means and spreads are off: algebra says what each metric can tell of the rest."""
    rng, truth = np.random.default_rng(0), make_truth(n=400)

    def moved(cells, patient, key):
        return (1.5 * cells + rng.normal(size=cells.shape[1])).astype(np.float32)

    metrics = ["energy", "w1", "w2", "mmd-median", "r2-mean", "r2-delta", "variance-ratio"]
    found = score(predict(truth, moved=moved), truth, metrics=metrics, baselines=["identity"])
    summary = found.summary().audit
    assert summary.flagged.keys() == {"r2-mean", "r2-delta", "variance-ratio"}
    assert {"all-at-mean", "shuffled-features"} <= set(summary.flagged["r2-mean"])
    assert {"all-at-mean", "shuffled-features", "doubled-effect"} == set(summary.flagged["r2-delta"])
    assert {"doubled-effect", "shuffled-features"} == set(summary.flagged["variance-ratio"])
    copied = found.table[found.table["predictor"] == "audit:copied-controls"].value.to_numpy()
    identity = found.table[found.table["predictor"] == "identity"].value.to_numpy()
    np.testing.assert_array_equal(copied, identity)
    text = remark(summary)
    assert "every cell at the mean of the measured cells (r2-mean, r2-delta)" in text
    assert found.predictors == ("model", "identity", "floor")


def test_the_audit_leaves_all_other_numbers_alone_and_needs_cells(truth, predict):
    with_, without = (
        score(predict(truth), truth, metrics=["energy", "r2-mean"], baselines=["identity"], audit=on)
        for on in (True, False)
    )
    kept = with_.table[~with_.table["predictor"].str.startswith("audit:")].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, without.table)
    assert without.summary().audit.to_json() == {"reason": "no degenerate predictors were scored"}
    whole = score(predict(truth), truth, metrics=["energy"], all_cells=True).summary().audit
    assert "none are left" in whole.predictors["all-at-mean"]["energy"].reason
    assert whole.flagged == {}
    bare = truth[truth.obs["treatment"] != "DMSO"].copy()
    none = score(predict(truth, controls=False), bare, metrics=["energy"]).summary().audit
    assert "no control cells" in none.predictors["doubled-effect"]["energy"].reason


def test_undamaged_cells_are_the_first_split_of_the_floor(truth, predict):
    table = score(predict(truth), truth, metrics=["energy"], baselines=[], floor_splits=1).table
    by_row = table.groupby("predictor")["value"].apply(list)
    assert by_row["audit:undamaged"] == by_row["floor"]


def test_the_command_says_what_is_flagged(files):  # noqa: F811
    found = run(files, "--metrics", "energy,r2-mean")
    assert found.exit_code == 0
    assert "Audit: some metrics rank a degenerate predictor first" in found.stderr
    assert "(r2-mean)" in found.stderr
    assert "Audit" not in run(files, "--metrics", "energy,r2-mean", "--no-audit", out="off").stderr
