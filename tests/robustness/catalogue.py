"""All cases, by kind."""

import functools

from tests.robustness import (
    cases_columns,
    cases_features,
    cases_files,
    cases_labels,
    cases_matrices,
    cases_options,
    cases_outputs,
    cases_predictions,
    cases_scale,
)
from tests.robustness.case import Case

MODULES = (
    cases_columns,
    cases_labels,
    cases_matrices,
    cases_files,
    cases_scale,
    cases_features,
    cases_options,
    cases_outputs,
    cases_predictions,
)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case, kind by kind."""
    found = tuple(case for module in MODULES for case in module.cases())
    names = [case.id for case in found]
    assert len(set(names)) == len(names), sorted({n for n in names if names.count(n) > 1})
    return found


QUICK = {
    "columns": 6, "labels": 6, "matrices": 11, "files": 9, "scale": 5, "features": 6, "options": 8, "outputs": 6,
    "predictions": 6,
}  # fmt: skip
"""How many cases of each kind are run always."""
ALWAYS = (
    "matrices: CSR indptr far beyond", "matrices: CSR indices beyond", "matrices: CSC indptr negative",
    "matrices: fewer rows", "matrices: counts split in two", "matrices: 10^12 rows declared", "files: no permission",
    "files: a named pipe", "labels: patients with a twin: NFC and NFD", "scale: new cells: raw instead of arcsinh",
    "predictions: file: no X", "predictions: X copied from the measured cells", "outputs: train to nothing",
    "outputs: train inside its input", "files: unreadable uns/future", "files: a copy",
)  # fmt: skip
"""The faults that were found first."""


@functools.cache
def quick_cases() -> tuple[Case, ...]:
    """Some of each kind, evenly spread, and those that were found first."""
    chosen = {case.id: case for case in all_cases() if case.id in ALWAYS}
    assert len(chosen) == len(ALWAYS), set(ALWAYS) - set(chosen)
    for kind, n in QUICK.items():
        own = [case for case in all_cases() if case.kind == kind and "compare" not in case.right]
        left = max(0, n - sum(case.kind == kind for case in chosen.values()))
        for i in range(left):
            case = own[(2 * i + 1) * len(own) // (2 * left)]
            chosen[case.id] = case
    return tuple(chosen.values())
