"""What may be wrong with the matrices of a run, from their summaries."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cellflow_cli.data.blocks import Tally
from cellflow_cli.data.columns import where
from cellflow_cli.data.expression import expression_fault, likeness, log1p_remark, looks_like
from cellflow_cli.data.feature_source import parse_features
from cellflow_cli.data.joining import common_features
from cellflow_cli.data.matrices import hint_text, layer_that_fits
from cellflow_cli.data.names import name_difference
from cellflow_cli.data.schema import COUNTS
from cellflow_cli.data.validation.features import channel_findings, components_options
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.summary import FileSummary, total_evidence, total_tally
from cellflow_cli.errors import listed


def matrix_findings(files: Sequence[FileSummary], features: str, expression: str | None) -> list[Finding]:
    """Findings about the features of all files together."""
    names = common_features([part.names for part in files])
    findings = [finding for part in files for finding in part.obs.attrs.get("reading", ())]
    if not any(part.names or part.profile is None for part in files):
        what = f"Expected features in {features!r}, found no column.{where(files[0].obs)}"
        return [*findings, Finding("error", what, "Give a file that holds the measured genes or markers.")]
    findings += _shared_findings(files, names)
    if names:
        findings += _value_findings(files, names, features, expression)
        findings += _constant_findings(files, names)
    return findings


def _shared_findings(files: Sequence[FileSummary], names: Sequence[str]) -> list[Finding]:
    counts = {part.file: len(part.names) for part in files}
    if len(files) < 2 or max(counts.values()) == len(names):
        return []
    what = f"Expected the same features in all files, found {len(names)} in common, of {counts}."
    largest = max(len(part.names) for part in files)
    if len(names) >= largest / 2:
        return [Finding("warning", what, "Only the common ones are used.")]
    first, second = (f"`{part.file}`" for part in files[:2])
    difference = name_difference(files[0].names, files[1].names, files[1].table, first=f"{first}")
    fix = difference.replace("the file", second) if names else difference
    if not names:
        return [Finding("error", what, fix)]
    return [Finding("warning", what, f"Only the common ones are used. {fix}")]


def _value_findings(
    files: Sequence[FileSummary], names: Sequence[str], features: str, expression: str | None
) -> list[Finding]:
    source, total = parse_features(features), total_tally(files)
    if source.entry.needs_expression:
        return _expression_findings(files, features, expression)
    kind, span = looks_like(total, total_evidence(files)), _span(total)
    reduced = f"pca:{min(50, max(1, len(names) - 1))}"
    if source.max_genes is not None and len(names) > source.max_genes:
        what = f"Expected at most {source.max_genes} features in {features!r}, found {len(names)} ({span})."
        return [Finding("error", what, f"Reduce them: {components_options(reduced, kind, source.matrix)}.")]
    findings = channel_findings(names) if source.matrix.slot != "obsm" else []
    if kind == "counts" and source.matrix.slot != "obsm":
        what = f"Expected transformed values in {features!r}, found whole numbers only ({span}): raw counts?"
        options = components_options("pca:K", kind, source.matrix)
        fix = f"Transform them first (log1p, arcsinh), or use {options}."
        return [Finding("warning", what, fix), *findings]
    like = f", which look like {likeness(kind)}," if kind in ("log1p", "log2", "log10", "normalised") else ""
    return [Finding("note", f"{features!r} holds {span}{like} and is taken as it is.", ""), *findings]


def _expression_findings(
    files: Sequence[FileSummary], features: str, expression: str | None
) -> list[Finding]:
    """Values that are not what `--expression` says, and cells without counts."""
    total, cells = total_tally(files), total_evidence(files)
    at, kind = parse_features(features).matrix, expression or "as-is"
    taken = Finding("note", f"{features} taken as {kind}, {_span(total)}.", "")
    fault = expression_fault(total, kind, "", cells, matrix=at.text)
    if fault and (fits := layer_that_fits(files[0].kinds, kind, at)):
        fault = replace(fault, fix=fault.fix + hint_text(fits, kind, files[0].obs))
    findings = [fault or taken]
    if kind == "log1p" and not fault and (remark := log1p_remark(total, cells)):
        findings.append(remark)
    n_empty = sum(part.n_empty for part in files) if kind in COUNTS else 0
    if n_empty:
        what = f"Expected every cell to have counts, found {n_empty} cells without any."
        findings.append(Finding("warning", what, "Remove empty cells before training."))
    return findings


def _span(total: Tally) -> str:
    return f"values from {total.lowest:g} to {total.highest:g}"


def _constant_findings(files: Sequence[FileSummary], names: Sequence[str]) -> list[Finding]:
    constant = [name for name, same in zip(names, _are_constant(files, names), strict=False) if same]
    if not constant:
        return []
    if len(constant) == len(names):
        what = f"Expected features that vary, found one value throughout in all {len(names)}: nothing varies."
        return [Finding("error", what, "Choose other features, or make the file again from its source.")]
    what = f"{len(constant)} of {len(names)} features are constant: {listed(constant)}."
    return [Finding("warning", what, "They carry no information; remove them if they are not needed.")]


def _are_constant(files: Sequence[FileSummary], names: Sequence[str]) -> np.ndarray:
    """Which of the common features hold one value throughout; nothing where names repeat."""
    if not names or any(len(set(part.names)) < len(part.names) for part in files):
        return np.zeros(0, dtype=bool)
    columns = [pd.Index(part.names).get_indexer(pd.Index(names)) for part in files]
    low = np.min([part.lowest[at] for part, at in zip(files, columns, strict=True)], axis=0)
    high = np.max([part.highest[at] for part, at in zip(files, columns, strict=True)], axis=0)
    return np.asarray(low == high)


def n_varying(files: Sequence[FileSummary]) -> int:
    """How many of the common features hold two values or more, over all cells."""
    names = common_features([part.names for part in files])
    return len(names) - int(_are_constant(files, names).sum())


def nonfinite_findings(file: FileSummary) -> list[Finding]:
    """The finding that values of cells that training reads are NaN or infinite."""
    if not file.total.first:
        return []
    row, column = file.total.first
    what = (
        f"Expected finite values, found {file.total.n_nonfinite} that are {file.total.fault}, the first in "
        f"cell {file.obs.index[row]!r}, feature {file.names[column]!r}.{where(file.obs)}"
    )
    return [Finding("error", what, "Remove or impute these cells or features.")]
