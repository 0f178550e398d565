"""Everything worth knowing about data before training on them, as findings and an overview."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellflow_cli.data.advice import missing_settings
from cellflow_cli.data.columns import distinct, dose_values, is_control, is_missing, labels
from cellflow_cli.data.faults import column_findings
from cellflow_cli.data.findings import Finding
from cellflow_cli.data.opening import checked_paths
from cellflow_cli.data.pairs import pair_findings
from cellflow_cli.data.populations import (
    PopulationRows,
    PopulationTable,
    all_populations,
    ambiguous_pairs,
    crossed,
    empty,
    small,
    small_populations,
    unpaired,
    unpaired_populations,
    without,
)
from cellflow_cli.data.read import common_features, duplicate_names, joined_obs
from cellflow_cli.data.schema import MAX_PLAIN_FEATURES, DataSpec, parse_features
from cellflow_cli.data.split import Split, split_findings, split_groups
from cellflow_cli.data.survey import Survey, matrix_findings, survey, total_tally
from cellflow_cli.errors import CellflowError, DataError, listed


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
    surveys, findings = _surveys(paths, spec.features)
    if not surveys:
        return _report(findings)
    obs = joined_obs([part.obs for part in surveys])
    findings += matrix_findings(surveys, spec.features, spec.expression)
    columns = column_findings(obs, spec) + _split_columns(obs, spec)
    findings += columns
    if any(finding.level == "error" for finding in columns):
        return _report(findings, _sizes(surveys, spec.features))
    table, found = _populations(obs, spec)
    split, leaks = _split(obs, spec, table, seed)
    findings += [*found, *leaks, *_label_findings(obs, spec), *_coverage_findings(table, split)]
    findings += _pca_findings(surveys, spec, table, split)
    learned = without(table, unpaired_populations(table))
    findings += pair_findings(learned, obs, spec, {*split.train, *split.val})
    rows = tuple(_row(p, split) for p in (*table.controls, *table.treated))
    return _report(findings, {**_sizes(surveys, spec.features), **_counts(table, split)}, rows)


def check_unfinished(
    paths: Sequence[Path | str],
    treatment_key: str | None = None,
    control: Sequence[str] = (),
    sample_key: Sequence[str] = (),
    features: str = "X",
    expression: str | None = None,
) -> CheckReport:
    """The part of `check` that needs no specification, with the likely answers to what is not given."""
    surveys, findings = _surveys(paths, features)
    if not surveys:
        return _report(findings)
    obs = joined_obs([part.obs for part in surveys])
    findings += missing_settings(obs, treatment_key, control, sample_key)
    findings += matrix_findings(surveys, features, expression)
    return _report(findings, _sizes(surveys, features))


def _split_columns(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """`split_findings`, or none where the column of the groups is missing already."""
    if spec.group not in obs.columns or is_missing(obs[spec.group]).any():
        return []
    return split_findings(obs, spec)


def _surveys(paths: Sequence[Path | str], features: str) -> tuple[list[Survey], list[Finding]]:
    surveys, findings = [], []
    for path in checked_paths(paths):
        try:
            part, found = survey(path, features)
        except DataError as error:
            findings.append(Finding("error", str(error), ""))
            continue
        surveys.append(part)
        findings += found
        findings += [f for axis in ("obs", "var") if (f := duplicate_names(getattr(part, axis), axis))]
    return surveys, findings


def _report(
    findings: Sequence[Finding],
    overview: dict[str, Any] | None = None,
    rows: tuple[dict[str, Any], ...] = (),
) -> CheckReport:
    order = {"error": 0, "warning": 1, "note": 2}
    return CheckReport(tuple(sorted(findings, key=lambda f: order[f.level])), overview or {}, rows)


def _populations(obs: pd.DataFrame, spec: DataSpec) -> tuple[PopulationTable, list[Finding]]:
    """The populations, less those that the user lets go, and findings about them."""
    table = all_populations(obs, spec)
    found = crossed(table, spec) + ambiguous_pairs(table, obs, spec)
    found += _let_go(unpaired(table), spec.drop_unpaired, "--drop-unpaired")
    if spec.drop_unpaired:
        table = without(table, unpaired_populations(table))
    found += _let_go(small(table, spec), spec.drop_small, "--drop-small")
    if spec.drop_small:
        table = without(table, small_populations(table, spec))
    return table, [*found, *empty(table, obs, spec)]


def _let_go(findings: Sequence[Finding], dropped: bool, option: str) -> list[Finding]:
    if not dropped:
        return list(findings)
    return [Finding("warning", finding.what, f"Left out by `{option}`.") for finding in findings]


def _split(
    obs: pd.DataFrame, spec: DataSpec, table: PopulationTable, seed: int
) -> tuple[Split, list[Finding]]:
    try:
        return split_groups(obs, spec, table, seed), []
    except CellflowError as error:
        return Split(train=table.groups), [Finding("error", str(error), "")] if table.treated else []


def _label_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Labels that look like slips: "nan" as text, labels that differ only in case, treated at dose 0."""
    found = []
    for key in dict.fromkeys([spec.treatment_key, *spec.sample_key, spec.group]):
        known = distinct(labels(obs[key]))
        if texts := [value for value in known if value.lower() in ("nan", "none", "<na>", "null")]:
            what = f'Expected names in `obs["{key}"]`, found {listed(texts)}: missing values written as text?'
            found.append(
                Finding("warning", what, "Fill the values in, or leave these cells out of the file.")
            )
        folded = pd.Series(known).groupby([value.strip().lower() for value in known]).agg(list)
        if twins := [pair for pair in folded if len(pair) > 1]:
            what = (
                f'Expected distinct labels in `obs["{key}"]`, found {listed(twins[0])}, alike but for case.'
            )
            found.append(Finding("warning", what, "Write them alike if they mean the same."))
    if spec.dose_key:
        doses = dose_values(obs[spec.dose_key])[0][~is_control(obs, spec)]
        if n_zero := int((doses == 0).sum()):
            what = (
                f'Expected a dose for treated cells, found 0 in `obs["{spec.dose_key}"]` for {n_zero} cells.'
            )
            found.append(
                Finding("warning", what, "If they are untreated, name their label with `--control`.")
            )
    return found


def _coverage_findings(table: PopulationTable, split: Split) -> list[Finding]:
    """What the training groups cannot teach."""
    found = []
    learned = {p.condition for p in table.treated if p.group in split.train}
    if unseen := [c.label for c in table.conditions if c not in learned]:
        what = f"Expected every treatment and dose in a training group, found {listed(unseen)} held out only."
        found.append(Finding("warning", what, "The model cannot learn them; hold out other groups."))
    if len(split.train) < 2 and not split.val:
        what = f"Expected at least 2 training groups to set one aside, found {len(split.train)}."
        found.append(
            Finding("warning", what, "No group will pick the model; hold out fewer, or add samples.")
        )
    with_treated = {population.group for population in table.treated}
    if idle := [group for group in split.train if group not in with_treated]:
        what = f"{len(idle)} training group(s) have controls only: {listed(idle)}."
        found.append(Finding("note", what, "They teach nothing, but can be predicted."))
    return found


def _pca_findings(
    surveys: Sequence[Survey], spec: DataSpec, table: PopulationTable, split: Split
) -> list[Finding]:
    n_cells = sum(len(p.rows) for p in (*table.controls, *table.treated) if p.group in split.train)
    n_genes = len(common_features([part.names for part in surveys]))
    if spec.source.n_components < min(n_cells, n_genes) or not n_genes or not n_cells:
        return []
    what = f"Expected K of {spec.features!r} to be below the {n_cells} training cells and {n_genes} genes."
    return [Finding("error", what, "Lower it with `--features pca:K`.")]


def _row(population: PopulationRows, split: Split) -> dict[str, Any]:
    condition = population.condition
    parts = {group: name for name in ("train", "val", "test") for group in getattr(split, name)}
    return {
        "sample": population.name,
        "group": population.group,
        "condition": "control" if condition is None else "treated",
        "treatment": None if condition is None else condition.treatment,
        "dose": None if condition is None else condition.dose,
        "cells": len(population.rows),
        "split": parts.get(population.group),
    }


def _sizes(surveys: Sequence[Survey], features: str) -> dict[str, Any]:
    """Cells, features, what they look like, and what reading them takes."""
    n_cells = sum(len(part.obs) for part in surveys)
    n_inputs = len(common_features([part.names for part in surveys]))
    n_components = parse_features(features).n_components
    n_features = n_components or n_inputs
    n_bytes = sum(part.n_bytes for part in surveys)
    too_wide = n_features > MAX_PLAIN_FEATURES and not n_components
    return {
        "files": [name for part in surveys for name in part.obs.attrs["files"]],
        "cells": n_cells,
        "features_in_file": n_inputs,
        "features_of_flow": n_features,
        "looks_like": total_tally(surveys).looks_like,
        **({} if too_wide else _estimates(n_cells, n_features, n_bytes, bool(n_components))),
    }


_LIBRARY_BYTES = 700 * 2**20  # resident after importing torch, anndata and scanpy
_SECONDS_PER_BYTE = 1e-8  # reading and normalising, one core, measured on 14,000 cells x 14,000 genes
_SECONDS_PER_STEP = 0.042  # of one core: a step of `mfm`, 8 x 128 cells of 30 markers


def _estimates(n_cells: int, n_features: int, n_bytes: int, is_pca: bool) -> dict[str, Any]:
    """Rough peak memory and time of a training run with default settings on two CPU cores."""
    copies = 4 if is_pca else 2  # read, normalised in float64 and float32; or read and float32
    return {
        "memory_gib": round((_LIBRARY_BYTES + copies * n_bytes + 8 * n_cells * n_features) / 2**30, 1),
        "prepare_seconds": round(2 + copies * n_bytes * _SECONDS_PER_BYTE, 1),
        "seconds_per_1000_steps": round(1000 * _SECONDS_PER_STEP * max(1.0, n_features / 50)),
    }


def _counts(table: PopulationTable, split: Split) -> dict[str, Any]:
    return {
        "groups": len(table.groups),
        "samples": len({population.sample for population in (*table.controls, *table.treated)}),
        "treatments": sorted({condition.treatment for condition in table.conditions}),
        "conditions": [condition.label for condition in table.conditions],
        "control": _population_sizes(table.controls),
        "treated": _population_sizes(table.treated),
        "split": {name: list(getattr(split, name)) for name in ("train", "val", "test")},
    }


def _population_sizes(populations: Sequence[PopulationRows]) -> dict[str, Any]:
    sizes = [len(population.rows) for population in populations]
    if not sizes:
        return {"populations": 0, "cells": 0}
    return {
        "populations": len(sizes),
        "cells": sum(sizes),
        "smallest": min(sizes),
        "median": float(np.median(sizes)),
        "largest": max(sizes),
    }
