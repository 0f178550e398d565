"""Sentences that belong beside the scores."""

from collections.abc import Sequence

import pandas as pd

from cellflow_cli.baselines import Summaries
from cellflow_cli.errors import listed
from cellflow_cli.evaluation.align import Alignment
from cellflow_cli.evaluation.floor import BETWEEN
from cellflow_cli.statistics.lines import FLOOR, MODEL, count_conditions
from cellflow_cli.statistics.summary import Replicates

FEW_CELLS = 20
"""Below it a population is named as noisy."""


def alignment_remarks(alignment: Alignment, summaries: Summaries, seen: Sequence[str]) -> list[str]:
    """What was trained on, is not known, or found no partner.

    Args:
        alignment: Of prediction and truth.
        summaries: Of the training populations.
        seen: Scored groups that the model was trained on.
    """
    remarks = []
    if seen and len(seen) < len({pair.group for pair in alignment.pairs}):
        remarks.append(
            f"Seen in training: {listed(seen)}. They say nothing about unseen groups: their scores are in "
            "the table and in no mean."
        )
    elif seen:
        remarks.append(
            f"Seen in training: {listed(seen)}. Their scores say nothing about unseen groups; predict "
            "samples that the model never trained on."
        )
    if not summaries.samples:
        remarks.append(
            "The prediction holds no training summaries, so baselines are incomplete. Name the model with "
            "`--model`, or, for a prediction of another tool, its training cells with `--training`."
        )
    if n := alignment.n_unlabelled:
        remarks.append(
            f"{n:,} cells of the truth are left out: they have no value in a column of samples or treatments."
        )
    for what, titles in (
        ("predicted but not measured", alignment.only_predicted),
        ("measured but not predicted", alignment.only_truth),
    ):
        if titles:
            remarks.append(f"{len(titles)} populations {what}: {listed(titles)}.")
    return remarks


def small_remarks(table: pd.DataFrame) -> list[str]:
    """A sentence about populations whose scores are mostly noise."""
    few = table[(table["predictor"] == MODEL) & (table["n"] < FEW_CELLS)].drop_duplicates(
        ["sample", "treatment", "dose"]
    )
    if few.empty:
        return []
    titles = listed(f"{line.sample}, {line.treatment} ({line.n})" for line in few.itertuples())
    return [
        f"Compared on fewer than {FEW_CELLS} cells a side, so that scores are noisy (means count them like "
        f"the others) or have no value at all: {titles}."
    ]


def floor_replicates(key: str | None, table: pd.DataFrame) -> Replicates | None:
    """In how many of the conditions the floor is between replicates; None if there are none.

    Args:
        key: Column of the replicates.
        table: Scores.
    """
    if key is None:
        return None
    between = table[(table["predictor"] == FLOOR) & table["reason"].str.endswith(BETWEEN)]
    return Replicates(key, count_conditions(between), count_conditions(table))


def replicate_remarks(replicates: Replicates | None, in_truth: bool) -> list[str]:
    """A sentence on what the floor is between, where the data have replicates.

    Args:
        replicates: See `floor_replicates`.
        in_truth: Whether the truth has their column.
    """
    if replicates is None:
        return []
    column, n, total = f'`obs["{replicates.key}"]`', replicates.n_between, replicates.n_conditions
    if not in_truth:
        return [
            f"The truth has no column {column}, so the floor is between random halves and does not hold what "
            "replicates differ by."
        ]
    if not n:
        return [
            f"The floor is between random halves: no population has replicates ({column}) that can be "
            "divided into two sides of enough cells."
        ]
    rest = "" if n == total else ", of the others between random halves"
    return [f"The floor of {n} of {total} populations is between replicates ({column}){rest}."]
