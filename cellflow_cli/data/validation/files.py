"""Files of one run held against each other, and cells that occur twice, as findings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellflow_cli.data.digest import copies
from cellflow_cli.data.joining import common_features
from cellflow_cli.data.population_rows import PopulationRows, PopulationTable
from cellflow_cli.data.profile import Profile, difference, differs
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.data.validation.summary import FileSummary
from cellflow_cli.errors import listed

_NEGATIVE = 0.01  # share of values below zero that others, which have none, do not explain by noise
_SAME_CELLS = "Every cell of both counts twice"


def file_findings(files: Sequence[FileSummary], normalised: bool) -> list[Finding]:
    """Warnings that files differ in kind or scale, or hold the same cells.

    Args:
        files: Of one run, each with its matrix.
        normalised: Whether counts are normalised, so that totals may differ from file to file.
    """
    files = [part for part in files if part.profile is not None and part.profile.n]
    names = common_features([part.names for part in files]) if len(files) > 1 else []
    if not names or any(len(set(part.names)) < len(part.names) for part in files):
        return []
    profiles = {
        f"`{part.file}`": part.profile.at(pd.Index(part.names).get_indexer(pd.Index(names)))
        for part in files
        if part.profile is not None
    }
    findings = _kinds(profiles)
    if not findings and not normalised:
        findings = _scales(profiles)
    return [*findings, *_absent(profiles, names), *_same_files(files)]


def cell_findings(table: PopulationTable, digests: np.ndarray) -> list[Finding]:
    """Warnings that populations hold the same cells, or one cell over and over.

    Args:
        table: Populations.
        digests: One number per cell that equal cells share, shape [n].
    """
    populations: dict[str, PopulationRows] = {p.title: p for p in (*table.controls, *table.treated)}
    if empty := [title for title, p in populations.items() if not digests[p.rows].any()]:
        what = f"Expected cells with values in every population, found zeros alone in {listed(empty)}."
        return [Finding("error", what, "Remove these cells, or give the file that holds their values.")]
    marks = {title: digests[p.rows] for title, p in populations.items()}
    constant = [title for title, of_cells in marks.items() if len(of_cells) > 1 and len(set(of_cells)) == 1]
    findings = _constant_populations(constant)
    found = copies({title: of_cells for title, of_cells in marks.items() if title not in constant})
    if not found:
        return findings
    shown = [f"{one!r} and {other!r} ({n} cells)" for one, other, n in found[:3]]
    rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
    roles = {populations[title].condition is None for pair in found for title in pair[:2]}
    what = f"Expected other cells in every population, found the same cells in {'; '.join(shown)}{rest}."
    if roles == {True, False}:
        fix = "Treated cells that are copies of controls show no effect; check how the file was made."
    else:
        fix = f"{_SAME_CELLS}, and a held-out sample may be known from training; remove one of them."
    return [*findings, Finding("warning", what, fix)]


def _constant_populations(titles: list[str]) -> list[Finding]:
    """The warning that populations have nothing to learn from: all cells alike."""
    if not titles:
        return []
    what = (
        f"Expected cells that differ from each other, found {len(titles)} population(s) whose cells are all "
        f"the same: {listed(titles)}."
    )
    return [Finding("warning", what, "They are no measured cells; leave them out, or make the file again.")]


def _kinds(profiles: dict[str, Profile]) -> list[Finding]:
    """The warning that some files hold whole numbers, or values below zero, and others do not."""
    whole = [name for name, p in profiles.items() if p.whole and p.high.max() > 1]
    if whole and len(whole) < len(profiles):
        found = "whole numbers (counts?),"
        what = f"Expected one kind of values in all files, found another, {found} in {_list(whole)}"
        return [_differ(what, profiles, whole)]
    signed = [name for name, p in profiles.items() if p.negative > _NEGATIVE]
    if signed and all(p.negative == 0 for name, p in profiles.items() if name not in signed):
        if len(signed) == len(profiles):
            return []
        found = "values below zero too (standardised?),"
        what = f"Expected one kind of values in all files, found another, {found} in {_list(signed)}"
        return [_differ(what, profiles, signed)]
    return []


def _scales(profiles: dict[str, Profile]) -> list[Finding]:
    """The warning that files fall into sets between which the scale differs more than patients do."""
    names = list(profiles)
    several = 3 if len(names) > 3 else 1
    sets: list[list[str]] = []
    for name in names:
        near = [
            part for part in sets if any(_alike(profiles[name], profiles[other], several) for other in part)
        ]
        sets = [part for part in sets if part not in near] + [[*sum(near, []), name]]
    if len(sets) < 2:
        return []
    odd = min(sets, key=len)
    what = f"Expected one scale in all files, found another one in {_list(sorted(odd, key=names.index))}"
    return [_differ(what, profiles, odd)]


def _alike(one: Profile, other: Profile, several: int) -> bool:
    found = difference(one, other)
    return found is None or not any(
        differs(found, [reference], min(one.n, other.n), n_others=several) for reference in (one, other)
    )


def _differ(what: str, profiles: dict[str, Profile], odd: Sequence[str]) -> Finding:
    """The finding, with the ranges of a file of either side."""
    others = [name for name in profiles if name not in odd]
    spans = ", ".join(
        f"{name} from {profiles[name].low.min():.4g} to {profiles[name].high.max():.4g}"
        for name in (odd[0], others[0])
    )
    fix = (
        "Files have to be transformed in the same way (same cofactor, logarithm, total), else the model "
        "learns the difference between files."
    )
    return Finding("warning", f"{what} than in {_list(others)}: {spans}.", fix)


def _absent(profiles: dict[str, Profile], names: Sequence[str]) -> list[Finding]:
    """The warning that some features are zero throughout one file and vary in the others."""
    silent = {name: (p.low == 0) & (p.high == 0) for name, p in profiles.items()}
    n_varying = np.sum([p.std > 0 for p in profiles.values()], axis=0)
    common = n_varying >= max(1, len(profiles) - 1)
    strong = np.max([np.abs(p.mean) / np.maximum(p.std, 1e-12) for p in profiles.values()], axis=0) > 1
    findings = []
    for name, zero in silent.items():
        odd = [names[i] for i in np.flatnonzero(zero & common & strong).tolist()]
        if odd:
            what = f"{len(odd)} of {len(names)} features are zero throughout {name} and vary in other files: "
            findings.append(
                Finding("warning", f"{what}{listed(odd)}.", "Leave them out if they were not measured.")
            )
    return findings


def _same_files(files: Sequence[FileSummary]) -> list[Finding]:
    found = copies({f"{i}:{part.file}": part.digests for i, part in enumerate(files)})
    return [
        Finding(
            "warning",
            f"Expected other cells in every file, found {n} cells both in `{one.partition(':')[2]}` and in "
            f"`{other.partition(':')[2]}`. {_SAME_CELLS}.",
            "Name one of the files only.",
        )
        for one, other, n in found
    ]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
