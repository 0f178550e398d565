"""Everything worth knowing about data before training on them, as findings and an overview."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cellflow_cli.data.columns import is_missing
from cellflow_cli.data.joining import common_features, joined_obs
from cellflow_cli.data.opening import checked_paths
from cellflow_cli.data.pairs import pair_findings
from cellflow_cli.data.population_rows import PopulationTable, all_populations
from cellflow_cli.data.read import duplicate_names
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import Split, split_findings, split_groups
from cellflow_cli.data.validation.columns import column_findings, label_findings
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.matrix import FileSummary, matrix_findings, summarised
from cellflow_cli.data.validation.overview import file_overview, population_overview, population_row
from cellflow_cli.data.validation.populations import (
    controls_shared_across_groups,
    no_treated_populations,
    repeated_pair_numbers,
    small_populations,
    split_coverage,
    treated_without_control,
)
from cellflow_cli.data.validation.suggestions import missing_settings
from cellflow_cli.errors import CellflowError, DataError


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes:
        findings: Errors first, then warnings, then notes.
        overview: Numbers of cells, features, groups and so on; estimates of memory and time.
        populations: One row per population: sample, group, condition, treatment, dose, cells, split.
    """

    findings: tuple[Finding, ...]
    overview: dict[str, Any] = field(default_factory=dict)
    populations: tuple[dict[str, Any], ...] = ()

    @property
    def stops(self) -> bool:
        """True where training would stop."""
        return any(finding.level == "error" for finding in self.findings)


def check(paths: Sequence[Path | str], spec: DataSpec, seed: int = 0) -> CheckReport:
    """Look through data files for all that would stop training or mislead it.

    Reads obs and var whole and the matrix of `spec.features` block by block; changes nothing.

    Args:
        paths: `.h5ad` files or `.zarr` folders.
        spec: What their columns mean.
        seed: Decides which groups a fraction in `spec.holdout` holds out.

    Returns:
        All findings; a file that cannot be read is one of them.
    """
    files, findings = _summaries(paths, spec.features)
    if not files:
        return _report(findings)
    obs = joined_obs([part.obs for part in files])
    findings += matrix_findings(files, spec.features, spec.expression)
    of_columns = column_findings(obs, spec) + _split_columns(obs, spec)
    findings += of_columns
    if any(finding.level == "error" for finding in of_columns):
        return _report(findings, file_overview(files, spec.features))
    table, of_populations = _populations(obs, spec)
    split, of_split = _split(obs, spec, table, seed)
    findings += [*of_populations, *of_split, *label_findings(obs, spec), *split_coverage(table, split)]
    findings += _space_findings(files, spec, table, split)
    findings += pair_findings(table.drop(table.unpaired()), obs, spec, {*split.train, *split.val})
    rows = tuple(population_row(p, split) for p in (*table.controls, *table.treated))
    overview = {**file_overview(files, spec.features), **population_overview(table, split)}
    return _report(findings, overview, rows)


def check_unfinished(
    paths: Sequence[Path | str],
    treatment_key: str | None = None,
    control: Sequence[str] = (),
    sample_key: Sequence[str] = (),
    features: str = "X",
    expression: str | None = None,
) -> CheckReport:
    """The part of `check` that needs no specification, with the likely answers to what is not given."""
    files, findings = _summaries(paths, features)
    if not files:
        return _report(findings)
    obs = joined_obs([part.obs for part in files])
    findings += missing_settings(obs, treatment_key, control, sample_key)
    findings += matrix_findings(files, features, expression)
    return _report(findings, file_overview(files, features))


def _summaries(paths: Sequence[Path | str], features: str) -> tuple[list[FileSummary], list[Finding]]:
    files: list[FileSummary] = []
    findings: list[Finding] = []
    for path in checked_paths(paths):
        try:
            part, of_part = summarised(path, features)
        except DataError as error:
            findings.append(Finding("error", str(error), ""))
            continue
        files.append(part)
        findings += of_part
        findings += [f for axis in ("obs", "var") if (f := duplicate_names(getattr(part, axis), axis))]
    return files, findings


def _report(
    findings: Sequence[Finding],
    overview: dict[str, Any] | None = None,
    rows: tuple[dict[str, Any], ...] = (),
) -> CheckReport:
    order = {"error": 0, "warning": 1, "note": 2}
    return CheckReport(tuple(sorted(findings, key=lambda f: order[f.level])), overview or {}, rows)


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
) -> tuple[Split, list[Finding]]:
    try:
        return split_groups(obs, spec, table, seed), []
    except CellflowError as error:
        return Split(train=table.groups), [Finding("error", str(error), "")] if table.treated else []


def _space_findings(
    files: Sequence[FileSummary], spec: DataSpec, table: PopulationTable, split: Split
) -> list[Finding]:
    """Too few training cells or genes for the feature space."""
    n_cells = sum(len(p.rows) for p in (*table.controls, *table.treated) if p.group in split.train)
    n_genes = len(common_features([part.names for part in files]))
    if not n_genes or not n_cells:
        return []
    fault = spec.source.config.fault(n_cells, n_genes)
    fix = f"Lower it with `--features {spec.source.entry.usage}`."
    return [Finding("error", fault, fix)] if fault else []
