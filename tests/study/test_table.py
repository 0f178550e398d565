"""Means over groups and seeds, and paired differences, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.study.table import layout, means, paired


def scores():
    """Two groups; group A has two conditions, so its mean counts once."""
    lines = []
    for seed, add in ((0.0, 0.0), (1.0, 2.0)):
        for group, values in (("A", (1.0, 3.0)), ("B", (10.0,))):
            for i, value in enumerate(values):
                lines.append(("model", "held out", "energy", seed, group, f"{group}{i}", value + add))
    for group, values in (("A", (2.0, 4.0)), ("B", (20.0,))):
        for i, value in enumerate(values):
            lines.append(("identity", "held out", "energy", np.nan, group, f"{group}{i}", value))
    table = pd.DataFrame(lines, columns=["predictor", "part", "metric", "seed", "group", "sample", "value"])
    return table.assign(fold="1", treatment="drug", dose=np.nan)


def test_means_are_over_conditions_then_groups_and_their_spread_over_seeds():
    table = means(scores()).set_index("predictor")
    # seed 0: ((1 + 3) / 2 + 10) / 2 = 6; seed 1: 8
    assert table.loc["model", "mean"] == pytest.approx(7.0)
    assert table.loc["model", "sd"] == pytest.approx(np.sqrt(2.0))
    assert table.loc["model", ["n_seeds", "n_groups", "n_missing"]].tolist() == [2, 2, 0]
    assert table.loc["identity", "mean"] == pytest.approx(11.5)
    assert np.isnan(table.loc["identity", "sd"])
    assert list(table.index) == ["model", "identity"]


def test_missing_values_are_counted_not_dropped_in_silence():
    lines = scores()
    lines.loc[0, "value"] = np.nan
    assert means(lines).set_index("predictor").loc["model", "n_missing"] == 1


def test_differences_are_paired_by_group():
    (line,) = paired(scores(), "identity").to_dict("records")
    # group A: (2 + 4) / 2 - 3 = 0; group B: 11 - 20 = -9
    assert line["difference"] == pytest.approx(-4.5)
    assert line["sd"] == pytest.approx(9 / np.sqrt(2))
    assert (line["k"], line["n"]) == (1, 2)


def test_a_part_of_one_group_is_paired_by_sample():
    lines = scores()
    lines = lines[lines["group"] == "A"]
    (line,) = paired(lines, "identity").to_dict("records")
    assert (line["difference"], line["n"], line["k"]) == (pytest.approx(0.0), 2, 0)


def test_differences_are_over_conditions_where_both_have_a_value():
    """The variant is worse where it has a value; that it has none where all are bad is no merit."""
    lines = [
        (row, seed, group, treatment, value)
        for group in ("P1", "P2")
        for row, seed, values in (("mean-shift", np.nan, (1.0, 9.0)), ("variant", 0.0, (1.5, np.nan)))
        for treatment, value in zip(("easy", "hard"), values, strict=True)
    ]
    table = pd.DataFrame(lines, columns=["predictor", "seed", "group", "treatment", "value"])
    table = table.assign(fold="1", part="held out", metric="energy", sample=table["group"], dose=np.nan)
    (line,) = paired(table, "mean-shift").to_dict("records")
    assert (line["difference"], line["k"], line["n"], line["n_conditions"]) == (0.5, 0, 2, 2)
    (line,) = paired(table, "variant").to_dict("records")
    assert (line["difference"], line["k"], line["n"]) == (-0.5, 2, 2)


def test_two_arms_are_paired_by_seed_too():
    """Seed 1, which is worse for both by ten, failed for one of them."""
    found = scores().query("predictor == 'model'")
    other = found.query("seed == 0").assign(predictor="other")
    other["value"] += 0.25
    found.loc[found["seed"] == 1, "value"] += 10
    (line,) = paired(pd.concat([found, other]), "model").to_dict("records")
    assert (line["difference"], line["n"], line["n_conditions"]) == (0.25, 2, 3)


def test_layout_has_parts_side_by_side_and_published_scores_below():
    reference = pd.DataFrame(
        {"predictor": ["paper"], "part": ["held out"], "metric": ["energy"], "value": [5.0]}
    )
    titles, lines = layout(means(scores()), ["energy"], reference)
    assert titles == ["", "held out energy"]
    assert lines == [["model", "7 ± 1.4"], ["identity", "11.5"], ["paper", "5"]]


def test_mmd_is_shown_times_a_thousand():
    lines = scores().assign(metric="mmd-rbf", value=0.00238)
    titles, rows = layout(means(lines), ["mmd-rbf", "w1"])
    assert titles[1] == "held out mmd-rbf ·10³"
    assert rows[1] == ["identity", "2.38", "–"]


def test_half_and_double_are_equally_far_from_one():
    """The ratio .5 is not better than 1.9, although 1.9 is further from one by subtraction."""
    lines = scores().assign(metric="variance-ratio")
    lines = lines[lines["group"] == "B"].drop_duplicates("predictor")
    lines["value"] = [1.9, 0.5]  # model, identity
    (line,) = paired(lines, "identity").to_dict("records")
    assert (line["k"], line["n"]) == (1, 1)
