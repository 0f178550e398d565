from dataclasses import replace

import numpy as np
import pytest

from cellflow_cli.report.split import split_of
from cellflow_cli.report.verdict import judge
from cellflow_cli.statistics.best import winners
from tests.report.conftest import make_scores


def verdict_of(scores, **known):
    split = replace(split_of(scores.table), train_groups=("T1", "T2"), group_key="patient", **known)
    return judge(scores.summary().to_json(), split)


def test_the_model_wins():
    found = verdict_of(make_scores(identity=0.6, mean_shift=0.1, ridge=0.05))

    assert (found.outcome, found.certain, found.baseline) == ("better", True, "ridge")
    assert found.title == "Better than the best baseline, ridge"
    # means over groups: 0.2 + 0.01 * 3.5 + 0.01 and 0.05 more
    assert (
        "energy distance 0.245 against 0.295, 17 % lower; the model is better on 8 of 8 groups" in found.text
    )
    assert (
        "model minus ridge, is −0.05; the 95 % bootstrap interval over 8 groups, −0.05 to −0.05" in found.text
    )
    assert "does not contain zero" in found.text
    assert "It beats the mean shift, 0.245 against 0.345, being better on 8 of 8 groups." in found.text
    assert found.text.startswith("Unseen in training: 8 groups (`patient`: P0, P1,")
    assert "loses" not in found.text


def test_the_model_loses_to_the_mean_shift():
    found = verdict_of(make_scores(identity=0.6, mean_shift=-0.1, ridge=-0.02))

    assert (found.outcome, found.certain, found.baseline) == ("worse", True, "mean-shift")
    assert found.title == "The model loses to mean-shift"
    assert "further from the measured ones than those of the best baseline, mean-shift" in found.text
    assert "0.245 against 0.145, 69 % higher; the model is better on 0 of 8 groups" in found.text
    assert "The model also has the worse mean against ridge." in found.text


def test_a_loss_to_another_baseline_leaves_the_mean_shift_in_view():
    found = verdict_of(make_scores(identity=0.6, mean_shift=0.1, ridge=-0.2))

    assert found.title == "The model loses to ridge"
    assert "5.4 times as much" in found.text
    assert "It beats the mean shift" in found.text


def test_worse_than_doing_nothing_is_said_plainly():
    found = verdict_of(make_scores(identity=-0.1, mean_shift=0.1))
    assert found.title == "The model loses to doing nothing (identity)"


def test_gains_and_losses_that_cancel_decide_nothing():
    gaps = np.array([0.1, -0.1] * 4)
    ahead, behind = (verdict_of(make_scores(mean_shift=gaps + shift)) for shift in (0.001, -0.001))

    assert (ahead.outcome, behind.outcome) == ("inconclusive", "inconclusive")
    assert not ahead.certain
    assert ahead.title == "Not clearly better than mean-shift: better on 4 of 8 groups"
    assert behind.title == "Does not beat mean-shift: better on 4 of 8 groups"
    assert "contains zero" in ahead.text
    assert "does not contain" not in ahead.text


def test_a_tie():
    found = verdict_of(make_scores(mean_shift=0.0))
    assert (found.outcome, found.title) == ("inconclusive", "No difference from mean-shift")
    assert "have the same energy distance, 0.245" in found.text


def test_below_six_groups_there_is_no_interval():
    found = verdict_of(make_scores(groups=4, mean_shift=0.1))

    assert (found.outcome, found.certain) == ("better", False)
    assert found.title == "Better than mean-shift on every group, too few for an interval: 4 groups"
    assert "an interval needs 6 groups and there are 4: see the table of groups" in found.text
    assert "bootstrap" not in found.text

    lost = verdict_of(make_scores(groups=4, mean_shift=-0.1))
    assert (lost.outcome, lost.title) == ("worse", "The model loses to mean-shift on each of 4 groups")
    mixed = verdict_of(make_scores(groups=4, mean_shift=[0.1, -0.2, 0.1, 0.1]))
    assert (mixed.outcome, mixed.title) == (
        "inconclusive",
        "Not clearly better than mean-shift: better on 3 of 4 groups",
    )


def without(scores, row, where):
    """The scores, the values of one row gone where `where(line)` holds."""
    table = scores.table.copy()
    gone = (table["predictor"] == row) & table.apply(where, axis=1)
    table.loc[gone, ["value", "reason"]] = [np.nan, "planted gap"]
    return replace(scores, table=table)


def test_a_baseline_that_lacks_one_population_is_still_the_best():
    """Were it left out, the model would beat the next one and be called better."""
    scores = make_scores(groups=4, identity=0.6, ridge=-0.1)
    found = verdict_of(without(scores, "ridge", lambda line: line["sample"] == "P0" and line["dose"] == 1))
    assert (found.outcome, found.title) == ("worse", "The model loses to ridge on each of 4 groups")
    assert "Populations without a value of ridge are left out of that comparison." in found.text


def test_a_baseline_on_few_populations_is_not_the_best_but_spoils_a_win():
    scores = make_scores(groups=8, identity=0.6, ridge=-0.1)
    found = verdict_of(without(scores, "ridge", lambda line: line["group"] != "P0"))
    assert (found.outcome, found.certain, found.baseline) == ("inconclusive", False, "identity")
    assert found.title == "Better than doing nothing (identity), but behind ridge where there are values"


def test_both_numbers_are_means_over_the_same_populations():
    """Without its worst groups the model's mean would be lower than that of a baseline which is better."""
    scores = without(make_scores(ridge=-0.02), "model", lambda line: line["group"] in ("P5", "P6", "P7"))
    found = verdict_of(scores)
    assert "further from the measured ones than those of the best baseline, ridge: energy distance 0.23 " in (
        found.text
    )
    assert "0.23 against 0.21, 9.5 % higher" in found.text
    assert winners(scores.summary(), "energy") == set()  # means over different populations are no contest
    assert winners(make_scores(ridge=-0.02).summary(), "energy") == {"ridge"}


def test_groups_seen_in_training_are_in_no_mean():
    gaps = [-0.5, -0.5, 0.1, 0.1]
    summary = (
        replace(make_scores(groups=4, mean_shift=gaps), seen_in_training=("P0", "P1")).summary().to_json()
    )
    assert summary["predictors"]["mean-shift"]["energy"]["n_groups"] == 2
    assert summary["better_than"]["mean-shift"]["energy"] == {"k": 2, "n": 2}
    assert list(summary["groups"]) == ["P2", "P3"]
    assert list(summary["seen_groups"]) == ["P0", "P1"]
    assert summary["seen_groups"]["P0"]["model"]["energy"] == pytest.approx(0.21)
    assert summary["n_conditions"] == 4


def test_one_group_decides_nothing():
    found = verdict_of(make_scores(groups=1, mean_shift=0.1))
    assert found.outcome == "inconclusive"
    assert "there is 1: one group says nothing about others" in found.text


def test_groups_that_were_trained_on_are_no_test():
    scores = make_scores(groups=6, mean_shift=0.1)
    found = verdict_of(replace(scores, seen_in_training=tuple(f"P{i}" for i in range(6))))

    assert (found.outcome, found.certain) == ("not-a-test", False)
    assert found.title == "Not a test: the model was trained on these groups"
    assert "says nothing about unseen ones" in found.text


def test_conditions_that_training_never_had_are_named():
    scores = make_scores(mean_shift=0.1)
    populations = split_of(scores.table).populations
    marked = tuple(replace(p, condition_trained=p.condition.treatment != "drug") for p in populations)
    assert (
        "not even in other groups was the model trained on drug 1."
        in verdict_of(scores, populations=marked).text
    )
    known = tuple(replace(p, condition_trained=True) for p in populations)
    assert (
        "conditions that the model knows from other groups (chemo 0.5, drug 1)."
        in verdict_of(scores, populations=known).text
    )


def test_without_training_facts_nothing_is_called_unseen():
    scores = make_scores(mean_shift=0.1)
    text = judge(scores.summary().to_json(), split_of(scores.table)).text
    assert "Unseen" not in text
    assert "does not tell what the model was trained on" in text


def test_another_metric_stands_in_for_a_missing_one():
    absent = [(row, "energy") for row in ("model", "mean-shift", "floor")]
    found = verdict_of(make_scores(mean_shift=0.1, missing=absent))
    assert found.metric == "w1"
    assert "The energy distance is not among the scores: planted gap; the w1 stands in for it." in found.text

    unasked = verdict_of(make_scores(mean_shift=0.1, metrics=("w1",)))
    assert "The energy distance is not among the scores; the w1 stands in for it." in unasked.text


def test_nothing_to_compare_is_no_verdict():
    for scores, why in (
        (make_scores(metrics=("variance-ratio",), mean_shift=0.1), "for the model"),
        (make_scores(), "no baseline has a value of `energy`"),
        (
            make_scores(mean_shift=0.1, missing=[("mean-shift", "energy")]),
            "no baseline has a value of `energy`",
        ),
    ):
        found = verdict_of(scores)
        assert found.outcome == "unknown"
        assert found.title == "No verdict: the model cannot be compared"
        assert why in found.text


def test_a_baseline_that_lacks_values_is_not_the_best():
    scores = make_scores(groups=7, ridge=-0.5, mean_shift=0.1)
    table = scores.table
    table.loc[(table["predictor"] == "ridge") & (table["group"] != "P0"), "value"] = np.nan
    found = verdict_of(scores)
    assert found.baseline == "mean-shift"
    assert "Populations without a value of ridge are left out of that comparison." in found.text


def test_baselines_that_could_not_be_compared_are_named():
    text = verdict_of(make_scores(mean_shift=0.1, ridge=-0.5, missing=[("ridge", "energy")])).text
    assert "Not compared, for want of values: ridge; the table of metrics says why." in text
    assert "Not compared" not in verdict_of(make_scores(mean_shift=0.1, ridge=-0.5)).text


def test_a_collapsed_prediction_raises_the_alarm():
    scores = make_scores(mean_shift=0.1, metrics=("energy", "variance-ratio"))
    table = scores.table
    table.loc[(table["predictor"] == "model") & (table["metric"] == "variance-ratio"), "value"] = 0.2
    text = verdict_of(scores).text
    assert "Collapse alarm: predicted cells have 0.2 times the variance of measured ones" in text


@pytest.mark.parametrize(("share", "text"), [(0.6, "covers 71 % of the way, mean-shift 59 %"), (0.0, "")])
def test_the_way_to_the_floor(share, text):
    scores = make_scores(identity=share, mean_shift=0.1)
    assert text in verdict_of(scores).text


def test_no_effect_is_said():
    scores = make_scores(identity=0.0, mean_shift=0.1)
    table = scores.table
    table.loc[table["predictor"] == "floor", "value"] = table.loc[
        table["predictor"] == "identity", "value"
    ].to_numpy()
    assert "Doing nothing scores like other measured cells of the population: null" in verdict_of(scores).text
