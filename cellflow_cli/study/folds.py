"""What is held out in turn, and which groups are then scored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from cellflow_cli.data.columns import distinct, labels, missing_column, where
from cellflow_cli.data.populations import PopulationTable, population_table
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import split_groups
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.errors import ConfigError, DataError, listed
from cellflow_cli.types import Condition

HELD_OUT, TRAINING = "held out", "train"


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One division of the groups.

    Attributes:
        name: Folder and label, such as `"1"`.
        spec: The data specification that holds the groups out.
        scored: For each part of the result the groups that are scored in it; empty where none can be.
        training_column: Column of obs that is true for the training samples that are scored, or None.
        untrained: Groups and conditions that are not scored, as no training group has the condition.
    """

    name: str
    spec: DataSpec
    scored: tuple[tuple[str, tuple[str, ...]], ...]
    training_column: str | None = None
    untrained: tuple[tuple[str, Condition], ...] = ()


def folds_by_group(obs: pd.DataFrame, spec: DataSpec, n_folds: int | None) -> list[Fold]:
    """Every treated group held out once, in folds of neighbours in natural order (P2 before P10).

    Args:
        obs: Obs of the data.
        spec: Gives the groups; what it holds out is ignored.
        n_folds: How many folds; default: one for each group, at most ten.

    Raises:
        ConfigError: If there are fewer groups than folds.
        DataError: If populations cannot be paired, or no held-out group has a condition that others have.
    """
    spec = replace(spec, holdout=(), split_key=None)
    table = population_table(obs, spec)
    treated = {population.group for population in table.treated}
    groups = sorted(treated, key=_natural)
    n = min(10, len(groups)) if n_folds is None else n_folds
    if not 2 <= n <= len(groups):
        raise ConfigError(
            f"Expected between 2 and {len(groups)} folds for the {len(groups)} treated groups of "
            f'`obs["{spec.group}"]`, found {n}. Choose with `--folds`, or another column with `--by`.'
        )
    bounds = [round(i * len(groups) / n) for i in range(n + 1)]
    parts = [tuple(groups[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
    folds = [
        Fold(
            name=str(i),
            spec=replace(spec, holdout=_holdout(spec.group, part)),
            scored=((HELD_OUT, part),),
        )
        for i, part in enumerate(parts, start=1)
    ]
    return _trainable(folds, obs, table)


def folds_by_column(
    obs: pd.DataFrame, spec: DataSpec, training_column: str | None = None, *, validation: bool = True
) -> list[Fold]:
    """The one split of `spec.split_key`; its validation and test groups are parts of the result.

    Args:
        obs: Obs of the data.
        spec: With a split key.
        training_column: Column of obs that is true for training samples to score too, as a part of its
            own that shows the fit, not the generalisation to unseen groups.
        validation: Whether the validation groups are scored; not if a variant is refitted on them.

    Raises:
        DataError: If the column is missing or holds out nothing, if a training sample is marked in part, or
            if no held-out group has a condition of the training groups.
    """
    raise_first([f for f in [missing_column(obs, str(spec.split_key), "--split-key")] if f])
    table = population_table(obs, spec)
    treated = {population.group for population in table.treated}
    groups, parts = labels(obs[spec.group]), labels(obs[str(spec.split_key)])
    held = ("val", "test") if validation else ("test",)
    scored = [(part, tuple(g for g in distinct(groups[parts == part]) if g in treated)) for part in held]
    if training_column is not None:
        raise_first([f for f in [missing_column(obs, training_column, "--score-training")] if f])
        marked = marks(obs, training_column) & (parts == "train")
        _check_marked(table, marked, training_column)
        names = distinct(p.group for p in table.treated if marked[p.rows].all())
        scored.insert(0, (TRAINING, tuple(names)))
    scored = [(part, names) for part, names in scored if names]
    if not any(part in held for part, _ in scored):
        trained = (
            "" if validation else " (validation groups are part of the refit: `--set training.refit=false`)"
        )
        raise DataError(
            f'Expected groups of {" or ".join(held)} in `obs["{spec.split_key}"]`, found none to score'
            f"{trained}. Choose another column with `--split-key`, or hold groups out in turn with `--by`."
        )
    fold = Fold(name="split", spec=spec, scored=tuple(scored), training_column=training_column)
    return _trainable([fold], obs, table, validation)


def _holdout(column: str, groups: Sequence[str]) -> tuple[str, ...]:
    """One setting for all groups; one for each where a comma in a name would be taken for two."""
    if any("," in group for group in groups):
        return tuple(f"{column}={group}" for group in groups)
    return (f"{column}={','.join(groups)}",)


def not_scored(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """Measured conditions of held-out groups that are not scored, and why, as plain values."""
    return [
        {
            "fold": fold.name,
            "group": group,
            "treatment": condition.treatment,
            "dose": condition.dose,
            "reason": "no training group of the fold has the condition",
        }
        for fold in folds
        for group, condition in fold.untrained
    ]


def _trainable(
    folds: Sequence[Fold], obs: pd.DataFrame, table: PopulationTable, validation: bool = False
) -> list[Fold]:
    """Folds restricted to conditions that some training group has.

    Args:
        folds: What is held out.
        obs: Of the data.
        table: Its populations.
        validation: Whether validation groups are scored; they are no training groups then.

    Raises:
        DataError: If there are none.
    """
    trainable = []
    for fold in folds:
        split = split_groups(obs, fold.spec, table, seed=0)  # groups are held out by name: nothing is drawn
        trained = {*split.train} if validation else {*split.train, *split.val}
        unseen = {*split.test, *split.val} - trained
        conditions = {p.condition for p in table.treated if p.group in trained}
        held_out = [(p.group, p.condition) for p in table.treated if p.condition and p.group in unseen]
        untrained = dict.fromkeys(pair for pair in held_out if pair[1] not in conditions)
        scorable = {p.group for p in table.treated if p.condition in conditions}
        scored = [(part, tuple(g for g in names if g in scorable)) for part, names in fold.scored]
        kept = tuple((part, names) for part, names in scored if names)
        trainable.append(replace(fold, scored=kept, untrained=tuple(untrained)))
    if not any(part != TRAINING for fold in trainable for part, _ in fold.scored):
        names = dict.fromkeys(condition.label for fold in trainable for _, condition in fold.untrained)
        raise DataError(
            f"Expected held-out groups with conditions that training groups have too, found {listed(names)} "
            f"in held-out groups alone.{where(obs)} Choose other folds, or another `--split-key`."
        )
    return trainable


def _check_marked(table: PopulationTable, marked: Bool[np.ndarray, " n"], column: str) -> None:
    """Refuse marks that cut a sample, which is scored as a whole, from all of its controls.

    Raises:
        DataError: If some cells of a population are marked, or treated cells without their controls.
    """
    for population in table.treated:
        source = table.source_of(population)
        if marked[population.rows].any() and not marked[np.r_[population.rows, source.rows]].all():
            raise DataError(
                f'Expected `obs["{column}"]` to mark whole samples, controls included, found some cells of '
                f"{population.name!r} alone. Choose the column with `--score-training`."
            )


def marks(obs: pd.DataFrame, column: str) -> Bool[np.ndarray, " n"]:
    """True where a column of obs says so: booleans, numbers, or the text true.

    Raises:
        DataError: If it holds anything else.
    """
    values = obs[column].astype(str).str.lower()
    unknown = sorted(set(values) - {"true", "false", "1", "0", "1.0", "0.0"})
    if unknown:
        raise DataError(
            f'Expected true or false in `obs["{column}"]`, found {listed(unknown)} too. Choose the column '
            "with `--score-training`."
        )
    return values.isin({"true", "1", "1.0"}).to_numpy()


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key that reads runs of digits as numbers."""
    return [
        (0, int(piece), "") if piece.isdecimal() else (1, 0, piece)
        for piece in re.split(r"(\d+)", text)
        if piece
    ]
