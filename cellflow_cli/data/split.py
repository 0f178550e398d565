"""Which groups train, validate and are held out; all cells of a group are in the same split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import distinct, labels, missing_column, where
from cellflow_cli.data.holdout import is_named, resolved
from cellflow_cli.data.holdout_text import Holdout, parse_holdout
from cellflow_cli.data.population_rows import PopulationTable
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import chosen
from cellflow_cli.data.validation.columns import inconstant
from cellflow_cli.data.validation.finding import Finding, raise_first
from cellflow_cli.errors import ConfigError, DataError, listed, nearest
from cellflow_cli.rng import derived_seed

SPLITS = ("train", "val", "test")
_LEAK = "Cells of one group would leak between splits."


@dataclass(frozen=True)
class Split:
    """Groups by their use in training; each group is in one of the three, each sorted.

    Attributes:
        train: Groups to train on.
        val: Groups that select the model.
        test: Groups held out of training.
    """

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


def split_groups(obs: pd.DataFrame, spec: DataSpec, table: PopulationTable, seed: int) -> Split:
    """Divide the groups of `table` by `spec.holdout` or `spec.split_key`.

    Groups for validation come from `split_key` only; see `validation_groups` for the rest.

    Raises:
        DataError: If a column or value does not exist, a group is in several splits, or no treated
            population is left to train on.
        ConfigError: If a fraction holds out every group.
    """
    if spec.split_key:
        split = _by_column(obs, spec, table)
    else:
        held_out = _held_out(obs, spec, table, seed)
        split = Split(train=_less(table.groups, held_out), test=_sorted(held_out))
    if not any(population.group in split.train for population in table.treated):
        raise DataError(
            f"Expected treated populations to train on, found none outside of "
            f"{listed(split.test + split.val)}. Hold out fewer groups with `--holdout`."
        )
    return split


def validation_groups(train_groups: Sequence[str], seed: int, fraction: float = 0.15) -> tuple[str, ...]:
    """Groups that select the model, drawn from the training groups: 15 % of them, at least 3, at most half.

    One validation patient is too noisy to choose the number of steps: on eight donors, models selected by
    one scored between 0.56 and 0.81 times the mean shift, depending on which patient the seed had drawn.

    Returns:
        Sorted groups; none of fewer than two training groups, which would leave none to train on.
    """
    groups = distinct(train_groups)
    n_validation = min(len(groups) // 2, max(3, round(fraction * len(groups))))
    return _drawn(groups, n_validation, seed, "validation") if n_validation else ()


def training_split(obs: pd.DataFrame, spec: DataSpec, table: PopulationTable, seed: int) -> Split:
    """The split of a training run: groups of controls alone left for prediction, validation groups drawn.

    Raises:
        DataError, ConfigError: As `split_groups`; or if validation leaves no treated population to train on.
    """
    split = split_groups(obs, spec, table, seed)
    treated = {population.group for population in table.treated}
    if spec.split_key is None:  # groups of controls alone teach nothing
        rest = [group for group in split.train if group not in treated]
        train = tuple(group for group in split.train if group in treated)
        split = Split(train=train, val=split.val, test=tuple(distinct([*split.test, *rest])))
    if not split.val:
        val = validation_groups(split.train, seed)
        split = Split(train=_less(split.train, set(val)), val=val, test=split.test)
    if not treated & set(split.train):
        raise DataError(
            f"Expected treated populations in the training groups, found none in {listed(split.train)}. "
            "Hold out fewer groups with `--holdout`."
        )
    return split


def split_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Faults of the columns that divide the groups: absent, unknown values, groups in several splits."""
    if spec.split_key:
        return _split_key_findings(obs, spec)
    findings: list[Finding] = []
    for part in map(parse_holdout, spec.holdout):
        if part.column:
            findings += _holdout_findings(obs, spec, part)
    return findings


def _by_column(obs: pd.DataFrame, spec: DataSpec, table: PopulationTable) -> Split:
    raise_first(_split_key_findings(obs, spec))
    groups, parts = labels(obs[spec.group]), labels(obs[str(spec.split_key)])
    named = {part: set(groups[parts == part]) & set(table.groups) for part in SPLITS}
    return Split(train=_sorted(named["train"]), val=_sorted(named["val"]), test=_sorted(named["test"]))


def _split_key_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    key = str(spec.split_key)
    if finding := missing_column(obs, key, "--split-key"):
        return [finding]
    if unknown := [value for value in distinct(labels(obs[key])) if value not in SPLITS]:
        what = f'Expected only {listed(SPLITS)} in `obs["{key}"]`, found {listed(unknown)} too.{where(obs)}'
        return [
            Finding("error", what, f"{nearest(unknown[0], SPLITS)} Choose it with `--split-key`.".strip())
        ]
    return inconstant(
        obs, key, [spec.group], f"{_LEAK} Give each {spec.group} one split, or use `--holdout`."
    )


def _held_out(obs: pd.DataFrame, spec: DataSpec, table: PopulationTable, seed: int) -> set[str]:
    raise_first(split_findings(obs, spec))
    held_out: set[str] = set()
    for part in map(parse_holdout, spec.holdout):
        if part.column:
            held_out |= set(labels(obs[spec.group])[is_named(obs, part)])
        else:
            held_out |= set(_fraction(table.groups, part.fraction, seed))
    return held_out & set(table.groups)


def _fraction(groups: Sequence[str], fraction: float, seed: int) -> tuple[str, ...]:
    n_held = max(1, round(fraction * len(groups)))
    if n_held >= len(groups):
        raise ConfigError(
            f"Expected `holdout` {fraction!r} to leave a group to train on, found {len(groups)} group(s) in "
            "all. Hold out less with `--holdout`."
        )
    return _drawn(groups, n_held, seed, "holdout")


def _holdout_findings(obs: pd.DataFrame, spec: DataSpec, part: Holdout) -> list[Finding]:
    part = resolved(obs, part)
    if finding := missing_column(obs, part.column, "--holdout"):
        return [finding]
    known = distinct(labels(obs[part.column]))
    _, unknown = chosen(part.values, known)
    if unknown:
        what = f'Expected {listed(unknown)} in `obs["{part.column}"]`, found {listed(known)}.{where(obs)}'
        return [Finding("error", what, f"{nearest(unknown[0], known)} Choose with `--holdout`.".strip())]
    chosen_rows = obs[[spec.group]].assign(
        **{part.column: np.where(is_named(obs, part), "held out", "training")}
    )
    if part.column == spec.group:
        return []
    chosen_rows.attrs = obs.attrs
    fix = f"{_LEAK} Hold out whole groups: `--holdout {spec.group}=...`."
    return inconstant(chosen_rows, part.column, [spec.group], fix)


def _drawn(groups: Sequence[str], n: int, seed: int, purpose: str) -> tuple[str, ...]:
    rng = np.random.default_rng(derived_seed(seed, purpose))
    return _sorted(rng.permutation(np.array(groups, dtype=object))[:n])


def _less(groups: Sequence[str], excluded: set[str]) -> tuple[str, ...]:
    return tuple(group for group in groups if group not in excluded)


def _sorted(groups: Sequence[str] | set[str] | np.ndarray) -> tuple[str, ...]:
    return tuple(distinct(str(group) for group in groups))
