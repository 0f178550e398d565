"""Everything worth knowing about data before training on them, as findings and an overview."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellflow_cli.data.choice import Choice
from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.data.expression import expression_fault
from cellflow_cli.data.feature_source import parse_features, with_layer
from cellflow_cli.data.joining import common_features, joined_obs
from cellflow_cli.data.opening import checked_paths, frame, opened
from cellflow_cli.data.population_rows import PopulationTable
from cellflow_cli.data.schema import COUNTS, DataSpec
from cellflow_cli.data.split import Split
from cellflow_cli.data.validation.files import cell_findings, file_findings
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.layout import Layout, layout_of
from cellflow_cli.data.validation.matrix import matrix_findings, n_varying, nonfinite_findings
from cellflow_cli.data.validation.overview import file_overview, population_overview, population_row
from cellflow_cli.data.validation.suggestions import missing_settings
from cellflow_cli.data.validation.summary import (
    FileSummary,
    summarised,
    summarised_object,
    total_evidence,
    total_tally,
)
from cellflow_cli.errors import DataError, listed
from cellflow_cli.features import NeedsVariation

if TYPE_CHECKING:
    import anndata


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

    Reads obs and var whole and the matrix of `spec.features` block by block; changes nothing. Training makes
    the same findings: `check_object` shares all but the reading.

    Args:
        paths: `.h5ad` files or `.zarr` folders.
        spec: What their columns mean.
        seed: Decides which groups a fraction in `spec.holdout` holds out.

    Returns:
        All findings; a file that cannot be read is one of them.
    """
    readable, findings = _readable(paths)
    if not readable:
        return _report(findings)
    layout = layout_of(joined_obs([obs for _, obs in readable]), spec, seed)
    files, of_files = _summaries(
        [path for path, _ in readable], spec.features, spec.choice, _per_file(readable, layout)
    )
    findings += of_files
    return _whole(files, layout, spec, findings) if files else _report([*findings, *layout.findings])


def check_object(adata: "anndata.AnnData", spec: DataSpec, seed: int = 0) -> CheckReport:
    """The same of an object in memory, which is not modified.

    Args:
        adata: Reads what `spec` names.
        spec: What its columns mean.
        seed: As in `check`.
    """
    layout = layout_of(adata.obs, spec, seed)
    part, findings = summarised_object(adata, spec.features, spec.choice, layout.trained)
    return _whole([part], layout, spec, findings)


def check_unfinished(
    paths: Sequence[Path | str],
    treatment_key: str | None = None,
    control: Sequence[str] = (),
    sample_key: Sequence[str] = (),
    features: str = "X",
    expression: str | None = None,
    layer: str | None = None,
) -> CheckReport:
    """The part of `check` that needs no specification, with the likely answers to what is not given."""
    readable, findings = _readable(paths)
    features = with_layer(features, layer)
    files, of_files = _summaries([path for path, _ in readable], features, Choice(), [None] * len(readable))
    findings += of_files
    if not files:
        return _report(findings)
    obs = joined_obs([part.obs for part in files])
    findings += [finding for part in files for finding in nonfinite_findings(part)]
    findings += missing_settings(obs, treatment_key, control, sample_key)
    findings += matrix_findings(files, features, expression)
    findings += file_findings(files, expression == "counts")
    return _report(findings, file_overview(files, features))


def _per_file(readable: Sequence[tuple[Path, pd.DataFrame]], layout: Layout) -> list[np.ndarray | None]:
    """The part of each file of `layout.trained`."""
    if layout.trained is None:
        return [None] * len(readable)
    ends = np.cumsum([len(obs) for _, obs in readable])
    return list(np.split(layout.trained, ends[:-1]))


def _whole(
    files: Sequence[FileSummary], layout: Layout, spec: DataSpec, found: Sequence[Finding]
) -> CheckReport:
    """The report of all findings, those of the matrices included."""
    findings = [*found, *(finding for part in files for finding in nonfinite_findings(part))]
    findings += matrix_findings(files, spec.features, spec.expression)
    findings += _aside_findings(files, layout, spec)
    findings += file_findings(files, spec.expression in COUNTS)
    findings += layout.findings
    table, split = layout.table, layout.split
    if table is None or split is None:
        return _report(findings, file_overview(files, spec.features))
    digests = np.concatenate([part.digests for part in files])
    if n_varying(files):  # else it is said of all features at once
        if len(digests) == len(layout.obs):
            findings += cell_findings(table, digests)
        findings += _space_findings(files, spec, table, split)
    rows = tuple(population_row(p, split) for p in (*table.controls, *table.treated))
    overview = {**file_overview(files, spec.features), **population_overview(table, split)}
    return _report(findings, overview, rows)


def _aside_findings(files: Sequence[FileSummary], layout: Layout, spec: DataSpec) -> list[Finding]:
    """Faulty values of cells that training does not read, as warnings that say whom they concern."""
    if layout.trained is None or layout.trained.all():
        return []
    others = [part.other_cells() for part in files]
    kind = spec.expression if spec.source.entry.needs_expression else None
    faults = [finding for part in others for finding in nonfinite_findings(part)]
    at = parse_features(spec.features).matrix.text
    if kind and (fault := expression_fault(total_tally(others), kind, "", total_evidence(others), matrix=at)):
        faults.append(fault)
    groups = listed(distinct(labels(layout.obs[spec.group].iloc[~layout.trained])))
    return [
        Finding(
            "warning",
            f"In cells that are not trained on ({spec.group} {groups}): {fault.what}",
            f"Training does not read them; predict and evaluate will refuse them. {fault.fix}",
        )
        for fault in faults
    ]


def _readable(paths: Sequence[Path | str]) -> tuple[list[tuple[Path, pd.DataFrame]], list[Finding]]:
    """Files with their obs, and a finding for each that cannot be read."""
    readable: list[tuple[Path, pd.DataFrame]] = []
    findings: list[Finding] = []
    for path in checked_paths(paths):
        try:
            with opened(path) as group:
                readable.append((path, frame(group, "obs", path)))
        except DataError as error:
            findings.append(Finding("error", str(error), ""))
    return readable, findings


def _summaries(
    paths: Sequence[Path], features: str, choice: Choice, trained: Sequence[np.ndarray | None]
) -> tuple[list[FileSummary], list[Finding]]:
    files: list[FileSummary] = []
    findings: list[Finding] = []
    for path, of_file in zip(paths, trained, strict=True):
        try:
            part, of_part = summarised(path, features, choice, of_file)
        except DataError as error:
            findings.append(Finding("error", str(error), ""))
            continue
        files.append(part)
        findings += of_part
    return files, findings


def _report(
    findings: Sequence[Finding],
    overview: dict[str, Any] | None = None,
    rows: tuple[dict[str, Any], ...] = (),
) -> CheckReport:
    order = {"error": 0, "warning": 1, "note": 2}
    return CheckReport(tuple(sorted(findings, key=lambda f: order[f.level])), overview or {}, rows)


def _space_findings(
    files: Sequence[FileSummary], spec: DataSpec, table: PopulationTable, split: Split
) -> list[Finding]:
    """Too few training cells or genes for the feature space."""
    n_cells = sum(len(p.rows) for p in (*table.controls, *table.treated) if p.group in split.train)
    n_genes = len(common_features([part.names for part in files]))
    if not n_genes or not n_cells:
        return []
    config = spec.source.config
    if isinstance(config, NeedsVariation) and (fault := config.variation_fault(n_varying(files))):
        return [Finding("error", fault, "")]
    fault = config.fault(n_cells, n_genes)
    fix = f"Lower it with `--features {spec.source.entry.usage}`."
    return [Finding("error", fault, fix)] if fault else []
