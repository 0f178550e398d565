"""What may be wrong with labels: twins that look alike, merged spellings, words that mean missing."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import FILL_IN, distinct, dose_values, is_control, labels, texts, where
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import alike, rename_option, short, shown, spellings
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import listed

_MISSING = ("nan", "none", "<na>", "null", "na", "n/a", "#n/a", "nat")


def label_columns(spec: DataSpec) -> list[str]:
    """Columns of obs whose labels tell populations, cells or inputs apart."""
    keys = [spec.treatment_key, *spec.sample_key, spec.group, *spec.covariate_key]
    return list(dict.fromkeys([*keys, *(key for key in (spec.cell_type_key, spec.batch_key) if key)]))


def twin_findings(obs: pd.DataFrame, columns: Sequence[str]) -> list[Finding]:
    """Errors for labels of one column that look alike: one patient or treatment would be two."""
    return [
        finding for key in columns if list(obs.columns).count(key) == 1 for finding in _twins(obs, key)[:1]
    ]


def alike_findings(
    obs: pd.DataFrame, column: str, known: Iterable[str], of_what: str, rows: np.ndarray | None = None
) -> list[Finding]:
    """Findings that a label looks like a known one without being it.

    Args:
        obs: Reads `obs[column]`.
        column: A column of labels.
        known: Canonical labels, such as those that a model was trained on.
        of_what: Whose they are, such as `"the model"`.
        rows: Cells to look at; default: all.
    """
    table = obs if rows is None else obs.iloc[rows]
    values = labels(table[column])
    known = list(dict.fromkeys(known))
    found = distinct(value for value in set(values) if value)
    findings = []
    for new, old in alike(known, found):
        what = (
            f'Expected `obs["{column}"]` to write labels as {of_what} does, found {shown(old, new)} in '
            f"{int((values == old).sum())} cells, like {shown(new, old)} of {of_what} but for "
            f"{_difference(new, old)}.{where(obs)}"
        )
        findings.append(Finding("error", what, _way_out(column, new, old)))
    return findings


def merged_findings(
    obs: pd.DataFrame, columns: Sequence[str], rows: np.ndarray | None = None
) -> list[Finding]:
    """Notes that different spellings were read as one label.

    Args:
        obs: Of the data.
        columns: Columns of labels; missing ones are passed over.
        rows: Cells to look at; default: all.
    """
    table = obs if rows is None else obs.iloc[rows]
    findings = []
    for key in (key for key in columns if list(obs.columns).count(key) == 1):
        counts = pd.Series(texts(table[key])).value_counts()
        for label, ways in list(spellings({str(k): int(n) for k, n in counts.items()}).items())[:5]:
            written = ", ".join(f"{short(ascii(way))} ({n} cells)" for way, n in ways.items())
            ways_of = f"{short(repr(label))} in {len(ways)} ways, read as one label"
            what = f'`obs["{key}"]` writes {ways_of}: {written}.'
            findings.append(Finding("note", f"{what}{where(obs)}", ""))
    return findings


def label_findings(obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """Labels worth a look: merged spellings, "nan" as text, treated cells at dose 0; none of them stops."""
    columns = [key for key in label_columns(spec) if key in obs.columns]
    findings = merged_findings(obs, columns)
    for key in columns:
        findings += _missing_as_text(obs, key, spec.control if key == spec.treatment_key else ())
    if spec.dose_key:
        doses = dose_values(obs[spec.dose_key])[0][~is_control(obs, spec)]
        if n_zero := int((doses == 0).sum()):
            what = (
                f'Expected a dose for treated cells, found 0 in `obs["{spec.dose_key}"]` for {n_zero} cells.'
            )
            fix = "If they are untreated, name their label with `--control`."
            findings.append(Finding("warning", what, fix))
    return findings


def _missing_as_text(obs: pd.DataFrame, key: str, meant: Sequence[str]) -> list[Finding]:
    values = labels(obs[key])
    found = [value for value in distinct(set(values)) if value.lower() in _MISSING and value not in meant]
    if not found:
        return []
    n = int(np.isin(values.astype(str), found).sum())
    what = (
        f'Expected names in `obs["{key}"]`, found {listed(found)} in {n} cells: missing values written as '
        "text?"
    )
    return [Finding("warning", f"{what}{where(obs)}", f"They are taken as labels. {FILL_IN}")]


def _twins(obs: pd.DataFrame, key: str) -> list[Finding]:
    counts = pd.Series(labels(obs[key])).value_counts()
    pairs = alike(str(label) for label in counts.index if label)
    if not pairs:
        return []
    new, old = max(pairs[0], key=lambda label: (label.isascii(), counts[label])), pairs[0][1]
    old = pairs[0][0] if new == old else old
    more = f", and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
    what = (
        f'Expected labels in `obs["{key}"]` that nobody takes for one another, found {shown(new, old)} '
        f"({counts[new]} cells) and {shown(old, new)} ({counts[old]} cells), alike but for "
        f"{_difference(new, old)}{more}.{where(obs)}"
    )
    return [Finding("error", what, _way_out(key, new, old))]


def _difference(a: str, b: str) -> str:
    """What two labels that are alike differ in."""
    if a.casefold() == b.casefold():
        return "case"
    return "blanks, dashes or signs" if a.isascii() and b.isascii() else "letters or signs that look the same"


def _way_out(column: str, new: str, old: str) -> str:
    other = rename_option(column, "OTHER NAME", old)
    return f"If they are the same, pass `{rename_option(column, new, old)}`; if not, `{other}`."
