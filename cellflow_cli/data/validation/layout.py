"""What obs alone says of data: columns, populations, split, and which cells training reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import is_missing
from cellflow_cli.data.pairs import pair_findings
from cellflow_cli.data.population_rows import PopulationTable, all_populations
from cellflow_cli.data.renaming import as_named
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import Split, split_findings, split_groups, training_split
from cellflow_cli.data.validation.columns import column_findings, label_findings
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.populations import (
    controls_shared_across_groups,
    no_treated_populations,
    repeated_pair_numbers,
    small_populations,
    split_coverage,
    treated_without_control,
)
from cellflow_cli.errors import CellflowError, ConfigError, DataError


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """What obs alone says.

    Attributes:
        findings: About its columns, populations and split.
        table: The populations; None where columns are faulty.
        split: The groups; None where columns are faulty.
        trained: Whether training reads each cell, shape [n]; None where that is not known.
    """

    obs: pd.DataFrame
    findings: tuple[Finding, ...]
    table: PopulationTable | None = None
    split: Split | None = None
    trained: np.ndarray | None = None


def layout_of(obs: pd.DataFrame, spec: DataSpec, seed: int) -> Layout:
    """Columns, populations and split, and all that is found about them."""
    try:
        obs = as_named(obs, spec)
    except (ConfigError, DataError) as error:
        return Layout(obs=obs, findings=(Finding("error", str(error), ""),))
    of_columns = column_findings(obs, spec) + _split_columns(obs, spec)
    if any(finding.level == "error" for finding in of_columns):
        return Layout(obs=obs, findings=tuple(of_columns))
    table, of_populations = _populations(obs, spec)
    split, trained_groups, of_split = _split(obs, spec, table, seed)
    findings = [*of_columns, *of_populations, *of_split, *label_findings(obs, spec)]
    findings += split_coverage(table, split)
    findings += pair_findings(table.drop(table.unpaired()), obs, spec, {*split.train, *split.val})
    trained = np.zeros(len(obs), dtype=bool)
    for population in (*table.controls, *table.treated):
        trained[population.rows] = population.group in trained_groups
    return Layout(
        obs=obs,
        findings=tuple(findings),
        table=table,
        split=split,
        trained=trained if trained.any() else None,
    )


def _split_columns(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """`split_findings`, or none where the column of the groups is missing already."""
    if spec.group not in obs.columns or is_missing(obs[spec.group]).any():
        return []
    return split_findings(obs, spec)


def _populations(obs: pd.DataFrame, spec: DataSpec) -> tuple[PopulationTable, list[Finding]]:
    """The populations, less those that the specification excludes, and findings about them."""
    table = all_populations(obs, spec)
    findings = controls_shared_across_groups(table, spec) + repeated_pair_numbers(table, obs, spec)
    findings += _excluded(treated_without_control(table), spec.drop_unpaired, "--drop-unpaired")
    if spec.drop_unpaired:
        table = table.drop(table.unpaired())
    findings += _excluded(small_populations(table, spec), spec.drop_small, "--drop-small")
    if spec.drop_small:
        table = table.drop(table.small(spec.min_cells))
    return table, [*findings, *no_treated_populations(table, obs, spec)]


def _excluded(findings: Sequence[Finding], dropped: bool, option: str) -> list[Finding]:
    """The findings, as warnings where an option excludes the populations they are about."""
    if not dropped:
        return list(findings)
    return [Finding("warning", finding.what, f"Excluded by `{option}`.") for finding in findings]


def _split(
    obs: pd.DataFrame, spec: DataSpec, table: PopulationTable, seed: int
) -> tuple[Split, set[str], list[Finding]]:
    """The groups as they were divided, those whose cells training reads, and why they cannot be divided."""
    split = Split(train=table.groups)
    try:
        split = split_groups(obs, spec, table, seed)
        of_run = training_split(obs, spec, table, seed)
    except CellflowError as error:
        findings = [Finding("error", str(error), "")] if table.treated else []
        return split, {*split.train, *split.val}, findings
    return split, {*of_run.train, *of_run.val}, []
