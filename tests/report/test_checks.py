"""Sections on collapse, context ablation and audit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellflow_cli.report.checks import ablation_section, audit_section, clipped_text, collapse_section
from cellflow_cli.report.metric_docs import audit_line
from cellflow_cli.statistics.ablation import AVERAGE, OTHER
from cellflow_cli.statistics.degenerate_ranks import PREFIX, UNDAMAGED
from tests.statistics.planted import make_scores


def with_predictors(scores, **factors):
    """More predictors, each with the model's values times a factor."""
    table = scores.table
    model = table[table["predictor"] == "model"]
    more = [model.assign(predictor=name, value=model["value"] * factor) for name, factor in factors.items()]
    return replace(scores, table=pd.concat([table, *more], ignore_index=True))


def texts(line):
    return [cell.text for cell in line]


@pytest.mark.parametrize(
    ("factor", "answer"),
    [(2.0, "Yes: with"), (1.0, "No: with"), (0.5, "The opposite: with"), (np.nan, "With")],
)
def test_the_context_ablation(factor, answer):
    scores = with_predictors(make_scores(groups=2), **{OTHER: factor, AVERAGE: 3.0})
    section = ablation_section(scores.summary(), "energy")
    assert section.text.startswith(f"{answer} another sample's population as context")
    assert "Yes: with the average population as context the predictions are worse" in section.text
    assert "0.645 instead of 0.215; the own population is better on 2 of 2 groups; too few" in section.text
    metrics, groups = section.tables
    titles = [column.title for column in metrics.columns]
    assert titles[2:5] == ["own population", "another sample's", "average"]
    assert texts(groups.lines[0])[::3] == ["P0", "0.63"]


def test_without_a_context_ablation_the_page_says_why():
    summary = make_scores().summary()
    section = ablation_section(replace(summary, ablation=replace(summary.ablation, reason="why.")), "energy")
    assert section.text.startswith("Not known here: why. `cellflow compare DATA")
    assert section.tables == ()


def test_a_metric_that_prefers_a_degenerate_predictor_is_flagged():
    planted = {UNDAMAGED: 0.4, f"{PREFIX}control": 2.0, f"{PREFIX}mean": 0.2}
    scores = with_predictors(make_scores(groups=2, metrics=("energy", "r2-mean")), **planted)
    summary = scores.summary()
    section = audit_section(summary)
    assert "Flagged: `energy`, `r2-mean`." in section.text
    assert list(section.legend) == ["undamaged", "control", "mean"]
    energy, r2 = section.table.lines
    assert texts(energy) == ["energy", "low", "0.215", "0.086", "0.43", "0.043", "yes"]
    assert [cell.note for cell in energy[4:6]] == ["", "ranks first"]
    assert [cell.note for cell in r2[4:6]] == ["ranks first", ""]
    assert "ranks a degenerate predictor first here." in audit_line(summary.audit, "energy")


def test_without_an_audit_there_is_no_table():
    summary = make_scores().summary()
    assert audit_section(summary).table is None
    assert audit_line(summary.audit, "energy") == ""


def test_the_collapse_alarm():
    scores = make_scores(metrics=("energy", "variance-ratio"))
    section = collapse_section(scores.summary())
    assert (section.kind, section.outside) == ("off", None)
    is_ratio = (scores.table["metric"] == "variance-ratio") & (scores.table["predictor"] == "model")
    narrow = replace(scores, table=scores.table.assign(value=scores.table["value"].where(~is_ratio, 0.2)))
    section = collapse_section(narrow.summary())
    assert (section.kind, section.title) == ("on", "Alarm.")
    assert len(section.outside.lines) == 16
    assert collapse_section(make_scores().summary()).kind == "unknown"


def test_values_out_of_range_stand_beside_the_alarm():
    scores = make_scores(metrics=("w1",))
    lines = scores.table[scores.table["predictor"].isin(["model", "floor"])]
    outside = lines.assign(
        metric="out-of-range", value=lines["predictor"].map({"model": 0.153, "floor": 0.0042})
    )
    text = collapse_section(replace(scores, out_of_range=outside).summary()).out_of_range
    assert text.startswith("Out of range: 15 % of the predicted values")
    assert text.endswith("; of the other measured cells 0.42 % (mean over groups).")
    assert collapse_section(scores.summary()).out_of_range == ""


@pytest.mark.parametrize(
    ("share", "n_features", "text"),
    [(0.0, 7, ""), (0.0, 5, "No predicted value"), (0.25, 5, "set 25 % of the predicted"), (None, 5, "")],
)
def test_clipping_is_said_of_decoders_alone(share, n_features, text):
    scores = make_scores()
    settings = replace(
        scores.settings, n_features=n_features, n_genes=7, prediction={"fraction_clipped": share}
    )
    found = clipped_text(replace(scores, settings=settings).summary())
    assert text in found
    assert bool(text) == bool(found)
