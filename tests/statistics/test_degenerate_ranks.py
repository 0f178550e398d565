"""How degenerate predictors rank."""

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.statistics.degenerate_ranks import degenerate_ranks
from cellflow_cli.statistics.lines import Lines


def lines(metric="energy", **rows):
    """One value for each of two groups; `audit_x` stands for `audit:x`."""
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
