"""The verdict in words: two whole paragraphs, and what each kind of verdict must say."""

from dataclasses import replace

import pytest

from cellflow_cli.report.data import scored_in
from cellflow_cli.report.verdict_text import verdict_sentences, verdict_title
from cellflow_cli.statistics.verdict import reach_verdict
from tests.statistics.planted import make_scores, without


def text_of(scores, **known):
    """Title and paragraph."""
    summary = scores.summary()
    verdict = reach_verdict(summary)
    facts = {"train_groups": ("T1", "T2"), "group_key": "patient", **known}
    scored = replace(scored_in(scores.table), **facts)
    return verdict_title(verdict), " ".join(verdict_sentences(verdict, summary, scored))


def test_the_paragraph_of_a_win():
    title, text = text_of(make_scores(identity=0.6, mean_shift=0.1, ridge=0.05))
    assert title == "Better than the best baseline, ridge"
    # means over groups: 0.2 + 0.01 * 3.5 + 0.01 and 0.05 more
    assert text == (
        "Unseen in training: 8 groups (`patient`: P0, P1, P2, P3, P4, P5, P6, P7), 16 treated populations in "
        "all. The predicted cells are closer to the measured ones than those of the best baseline, ridge: "
        "energy distance 0.245 against 0.295, 17 % lower; the model is better on 8 of 8 groups. The mean "
        "difference, model minus ridge, is −0.05; the 95 % bootstrap interval over 8 groups, −0.05 to −0.05, "
        "excludes zero. It is better than the mean shift: 0.245 against 0.345, better on 8 of 8 groups. The "
        "normalised score, 0 for the unchanged controls and 1 for other measured cells of the population, is "
        "0.71 for the model and 0.65 for ridge."
    )


def test_the_paragraph_of_a_loss_on_few_groups():
    scores = make_scores(groups=4, identity=0.6, mean_shift=-0.1, ridge=-0.02)
    title, text = text_of(scores, train_groups=())
    assert title == "Worse than the best baseline, mean-shift, on each of 4 groups"
    assert text == (
        "Scored: 4 groups (`patient`: P0, P1, P2, P3), 8 treated populations in all; the prediction does not "
        "say what the model was trained on. The predicted cells are further from the measured ones than "
        "those of the best baseline, mean-shift: energy distance 0.225 against 0.125, 80 % higher; the model "
        "is better on 0 of 4 groups. The mean difference, model minus mean-shift, is +0.1; an interval needs "
        "6 groups and there are 4: see the table by group. The model is also behind ridge in the mean. The "
        "normalised score, 0 for the unchanged controls and 1 for other measured cells of the population, is "
        "0.73 for the model and 0.85 for mean-shift."
    )


@pytest.mark.parametrize(
    ("planted", "title"),
    [
        ({"mean_shift": -0.1}, "Worse than the best baseline, mean-shift"),
        ({"identity": -0.1}, "Worse than the best baseline, the unchanged controls (identity)"),
        ({"mean_shift": 0.0}, "No difference from mean-shift"),
        ({"mean_shift": [0.11, -0.1] * 4}, "Not clearly better than mean-shift: better on 4 of 8 groups"),
        ({"mean_shift": [0.1, -0.11] * 4}, "Not better than mean-shift: better on 4 of 8 groups"),
        (
            {"groups": 4, "mean_shift": 0.1},
            "Better than mean-shift on each of 4 groups, too few for an interval",
        ),
        ({}, "No verdict: the model cannot be compared"),
    ],
)
def test_titles(planted, title):
    assert text_of(make_scores(**planted))[0] == title


def test_what_else_the_paragraph_says():
    scores = make_scores(mean_shift=0.1)
    (few,) = text_of(make_scores(groups=1, mean_shift=0.1))[1:]
    assert "there is 1: one group says nothing about others" in few
    ahead, text = text_of(without(make_scores(identity=0.6, ridge=-0.1), "ridge", lambda x: x.group != "P0"))
    assert ahead.endswith("(identity), but behind ridge where there are values")
    assert "Populations without a value of ridge are left out" in text
    assert (
        "Not compared, for lack of values: ridge"
        in text_of(make_scores(mean_shift=0.1, ridge=-0.5, missing=[("ridge", "energy")]))[1]
    )
    seen = replace(scores, seen_in_training=tuple(f"P{i}" for i in range(8)))
    assert "says nothing of unseen ones" in text_of(seen)[1]
    assert "3.3 times as much" in text_of(make_scores(ridge=-0.17))[1]


def test_conditions_that_training_never_had_are_named():
    scores = make_scores(mean_shift=0.1)
    populations = scored_in(scores.table).populations
    new = tuple(replace(p, condition_trained=p.condition.treatment != "drug") for p in populations)
    assert "not even in other groups was the model trained on drug 1." in text_of(scores, populations=new)[1]
    known = tuple(replace(p, condition_trained=True) for p in populations)
    assert "training had in other groups (chemo 0.5, drug 1)." in text_of(scores, populations=known)[1]


def test_another_metric_is_said_to_stand_in():
    absent = [(name, "energy") for name in ("model", "mean-shift", "floor")]
    text = text_of(make_scores(mean_shift=0.1, missing=absent))[1]
    assert "no energy distance (planted gap): the verdict is by 1-Wasserstein distance" in text
    assert "no energy distance: the" in text_of(make_scores(mean_shift=0.1, metrics=("w1",)))[1]


def test_a_collapsed_prediction_raises_the_alarm():
    scores = make_scores(mean_shift=0.1, metrics=("energy", "variance-ratio"))
    table = scores.table
    table.loc[(table["predictor"] == "model") & (table["metric"] == "variance-ratio"), "value"] = 0.2
    text = text_of(scores)[1]
    assert "Collapse alarm: predicted cells have 0.2 times the variance of measured ones" in text


def test_no_effect_is_said():
    scores = make_scores(identity=0.0, mean_shift=0.1)
    table, is_null = scores.table, scores.table["predictor"] == "identity"
    table.loc[table["predictor"] == "floor", "value"] = table.loc[is_null, "value"].to_numpy()
    assert (
        "The unchanged controls score like other measured cells of the population: null"
        in (text_of(scores)[1])
    )
