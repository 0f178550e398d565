"""What stands in each section of the page, as values for its template."""

from typing import Any, NamedTuple

import pandas as pd

from cellflow_cli.report import score_tables, tables
from cellflow_cli.report._payload import payload
from cellflow_cli.report._rivals import best_first
from cellflow_cli.report._story import Story
from cellflow_cli.report._text import counted, names, number, percent
from cellflow_cli.report.ablation_table import ablation_part
from cellflow_cli.report.audit_table import audit_part
from cellflow_cli.report.card import command, metric_cards, settings_lines
from cellflow_cli.report.score_tables import labelled
from cellflow_cli.report.split import Split, records
from cellflow_cli.report.tables import Table
from cellflow_cli.report.verdict import metric_title
from cellflow_cli.statistics._json import plain
from cellflow_cli.statistics.collapse import Collapse, how_far

SECTIONS = (
    ("verdict", "Verdict"),
    ("split", "Split"),
    ("scores", "Scores"),
    ("confidence", "Confidence"),
    ("collapse", "Collapse"),
    ("population", "Population"),
    ("pictures", "Pictures"),
    ("audit", "Audit"),
    ("card", "Metric card"),
)
_INTERVALS = (
    "Intervals come from a bootstrap over groups (10,000 draws, widened where groups are few). They hold the "
    "mean difference in about 95 % of repetitions if differences are spread like a normal distribution, and "
    "less often if they are skewed: in 83 to 91 % of simulations with six or eight groups. They are not "
    "widened for the number of baselines and metrics looked at, and the best baseline is chosen by its score."
)
_FLOWS = "The paths between control and predicted cells are not drawn"
_NO_MODEL = "they need the model that made the prediction; name its folder with `--model`"
_OTHER_TOOL = "the prediction is of another tool, and its file does not tell how the cells got there"


class Tile(NamedTuple):
    """One number at a glance."""

    title: str
    value: str
    note: str


class Alarm(NamedTuple):
    """The collapse alarm: `kind` is on, off or unknown."""

    kind: str
    title: str
    text: str
    out_of_range: str
    table: Table
    outside: Table | None


def head(story: Story) -> dict[str, Any]:
    """Verdict, warnings and split."""
    scores, table = story.everything, labelled(story.everything.table)
    compared = {(str(p.sample), str(p.condition)): int(p.n) for p in records(table)}
    return {
        "inputs": story.inputs,
        "verdict": story.verdict,
        "left_out": story.left_out,
        "tiles": _tiles(story),
        "warnings": scores.warnings,
        "split_facts": _facts(story.split, plain(scores.unmatched)),
        "populations": tables.population_table(story.split, scores.seen_in_training, compared),
    }


def numbers(story: Story) -> dict[str, Any]:
    """Scores, confidence and collapse."""
    scores, summary, metric = story.scores, story.summary, story.metric
    unit = story.split.dose_unit
    normalised = score_tables.normalised_table(scores, summary)
    parts = [
        tables.interval_table(summary) if scores.baselines else None,
        score_tables.group_scores(
            scores, metric, "group", f"By group (`{story.split.group_key}`)".replace("`", "")
        ),
        _by_sample(story),
        score_tables.treatment_scores(scores, metric, unit),
        score_tables.type_scores(scores, metric, summary),
        score_tables.regime_table(scores, summary, metric),
        score_tables.population_scores(scores, metric, unit),
    ]
    return {
        "metrics": score_tables.metric_table(scores, summary),
        "definitions": score_tables.definition_tables(scores, summary),
        "rows": score_tables.row_texts(scores),
        "normalised": normalised if "identity" in scores.baselines and "floor" in scores.predictors else None,
        "confidence_tables": [part for part in parts if part is not None],
        "confidence_notes": _notes(story),
        "alarm": _alarm(story),
        "ablation": ablation_part(summary, metric),
        "audit": audit_part(summary),
    }


def cells(story: Story) -> dict[str, Any]:
    """Pictures."""
    found = None
    if story.pictures is not None:
        clouds = [
            len(c) for one in story.pictures.populations for c in (one.control, one.predicted, one.measured)
        ]
        first = story.shown[len(story.shown) // 2]
        found = {
            "data": payload(story.pictures, first),
            "basis": story.pictures.basis,
            "unit": story.pictures.unit,
            "n_points": max(clouds),
        }
    return {"cells": found, "flow_text": f"{_FLOWS}: {story.no_flows or _why_no_flows(story)}."}


def _why_no_flows(story: Story) -> str:
    return (
        _OTHER_TOOL
        if story.summary["settings"].get("prediction", {}).get("method") == "another tool"
        else _NO_MODEL
    )


def cards(story: Story) -> dict[str, Any]:
    """Metric card."""
    return {
        "settings": settings_lines(story.summary),
        "cards": metric_cards(story.summary, story.scores.config, story.inputs),
        "command": command(story.scores.config, story.inputs),
        "example": _example(story),
    }


def _tiles(story: Story) -> list[Tile]:
    metric = story.verdict.metric
    rivals = best_first(story.summary, metric) if metric else []
    if metric is None or not rivals:
        return []
    best, title = rivals[0], metric_title(metric)
    wish = "higher is better" if best.best == "high" else "lower is better"
    found = [
        Tile("Model", number(best.model), f"{title}, {wish}"),
        Tile("Best baseline", number(best.value), best.label),
        Tile("Better on", f"{best.k} of {best.n_groups}", f"groups, against {best.name}"),
    ]
    floor = _floor_beside(story, metric, best.name)
    if floor is not None:
        found.append(Tile("Noise floor", number(floor), "other measured cells of the population"))
    share = story.summary["normalised"]["model"][metric]["value"]
    if share is not None:
        found.append(Tile("Way to the floor", percent(share), "0 % is doing nothing"))
    return found


def _floor_beside(story: Story, metric: str, rival: str) -> float | None:
    """Mean of the floor over the populations that model and rival are compared on."""
    table = labelled(story.scores.table)
    table = table[(table["metric"] == metric) & table["predictor"].isin(["model", rival, "floor"])]
    wide = table.pivot(index=["group", "sample", "condition"], columns="predictor", values="value")
    floor = wide.dropna(subset=["model", rival]).get("floor", pd.Series(dtype=float)).dropna()
    return None if floor.empty else float(floor.groupby(level="group").mean().mean())


def _facts(split: Split, unmatched: dict[str, list[str]]) -> list[str]:
    known = counted(len(split.train_groups), "group") if split.train_groups else ""
    trained = f"Training, validation included: {known} (`{split.group_key}`: {names(split.train_groups)})."
    both = sorted({*split.groups} & {*split.train_groups})
    overlap = (
        f"Overlap check: {names(both)} in both." if both else "Overlap check: no scored group was trained on."
    )
    new = split.untrained_conditions
    told = split.populations[0].condition_trained is not None
    facts = [
        trained if known else "Training: the prediction does not tell which groups the model was trained on.",
        f"Scored: {counted(len(split.groups), 'group')}, {counted(len(split.samples), 'sample')}, "
        f"{counted(len(split.conditions), 'condition')} ({names(split.conditions)}), "
        f"{counted(len(split.populations), 'treated population')}.",
        overlap if known else "Overlap check: not possible.",
    ]
    if told:
        facts.append(f"Conditions that training had nowhere: {names(new) if new else 'none'}.")
    for key, what in (
        ("only_predicted", "Predicted but not measured"),
        ("only_truth", "Measured but not predicted"),
    ):
        if unmatched[key]:
            facts.append(f"{what}, so not scored: {names(unmatched[key])}.")
    return facts


def _by_sample(story: Story) -> Table | None:
    """Scores by sample where samples are not groups."""
    if len(story.split.samples) == len(story.split.groups):
        return None
    return score_tables.group_scores(story.scores, story.metric, "sample", "By sample")


def _notes(story: Story) -> list[str]:
    regimes = story.summary["regimes"]
    entries = [entry for row in story.summary["intervals"].values() for entry in row.values()]
    notes = [_INTERVALS] if any(entry["low"] is not None for entry in entries) else []
    if "identity" in story.scores.baselines and story.summary["metrics"][story.metric]["best"] != "low":
        title = metric_title(story.metric)
        notes.append(
            f"No figure by size of the real effect: {title} is no distance and does not tell how large an "
            "effect is."
        )
    if "reason" in regimes:
        notes.append(f"By size of effect: {regimes['reason']}.")
    if "reason" in story.summary["cell_types"]:
        notes.append(f"By cell type: {story.summary['cell_types']['reason']}.")
    return notes


def _alarm(story: Story) -> Alarm:
    collapse = story.summary["collapse"]
    table, outside = tables.collapse_table(story.summary), tables.outside_table(story.summary)
    clipped, beyond = tables.clipped_text(story.summary), tables.range_text(story.summary)
    if collapse["alarm"] is None:
        text = f"{collapse['reason']}. {clipped}".strip()
        return Alarm("unknown", "Not known.", text, beyond, table, outside)
    found = how_far(Collapse(**collapse))
    text = f"{found[0].upper()}{found[1:]}. {clipped}".strip()
    title = "Alarm." if collapse["alarm"] else "No alarm."
    return Alarm("on" if collapse["alarm"] else "off", title, text, beyond, table, outside)


def _example(story: Story) -> str:
    """The first value of the model in words; empty if it has none."""
    table = labelled(story.scores.table)
    model = table[
        (table["predictor"] == "model") & (table["metric"] == story.metric) & table["value"].notna()
    ]
    if model.empty:
        return ""
    line: pd.Series = model.iloc[0]
    return (
        f"the line of sample `{line['sample']}`, condition `{line['condition']}`, row `model`, metric "
        f"`{story.metric}` holds {number(float(line['value']), 6)}."
    )
