"""How the names of features differ between a model and a file, and how to make them alike."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

_PREFIX = re.compile(r"^(grch3[78]|hg19|hg38|mm10|mm39|grcm3[89])[-_]+", re.IGNORECASE)
_ENSEMBL = re.compile(r"ENS[A-Z]*G[0-9]{6,}(\.[0-9]+)?")
_ENOUGH = 0.5  # share of the names that a difference must explain


class _Difference(NamedTuple):
    what: str
    change: Callable[[str], str]
    code: str


_DIFFERENCES = (
    _Difference("blanks around names", str.strip, "adata.var_names.str.strip()"),
    _Difference("capital and small letters", str.casefold, ""),
    _Difference("the genome before each name", lambda n: _PREFIX.sub("", n), ""),
    _Difference("the version of Ensembl identifiers", lambda n: re.sub(r"^(ENS\w+)\.\d+$", r"\1", n), ""),
    _Difference("`-` and `.`", lambda n: re.sub(r"[-. ]", ".", n), ""),
    _Difference("`_` and `-`", lambda n: n.replace("_", "-"), ""),
)


def name_difference(
    expected: Sequence[str],
    found: Sequence[str],
    var: pd.DataFrame | None = None,
    *,
    first: str = "the model",
) -> str:
    """What to do about names that hardly overlap, as sentences.

    Args:
        expected: Names of the model, or of a first file.
        found: Names of the file.
        var: Its table of features, in whose columns the other names may stand.
        first: What `expected` are the names of.
    """
    known = [str(name) for name in expected]
    names = [str(name) for name in found]
    if not names or not known:
        return "Use the feature names of the training data."
    for difference in _DIFFERENCES:
        pairs = _matched(known, names, difference.change)
        if len(pairs) >= _ENOUGH * len(known):
            return _difference_text(difference, pairs, first)
    if column := _column(known, var):
        return (
            f"The names stand in another column: {first} has {known[0]!r}, the file {names[0]!r}. Take them "
            f'from it in Python: `adata.var_names = adata.var["{column}"].astype(str)`.'
        )
    kinds = [_kind(part) for part in (known, names)]
    if kinds[0] != kinds[1]:
        return (
            f"The names differ in kind: {first} has {kinds[0]} ({known[0]!r}), the file {kinds[1]} "
            f"({names[0]!r}). Use those of the training data."
        )
    folded = _matched(known, names, _everything)
    if len(folded) >= _ENOUGH * len(known):
        mine, theirs = folded[0]
        return (
            f"The names are written differently: {first} has {mine!r}, the file {theirs!r}. Write them alike."
        )
    return (
        f"Use the feature names of the training data: {first} has for example {known[0]!r}, the file "
        f"{names[0]!r}."
    )


def _matched(
    known: Sequence[str], names: Sequence[str], change: Callable[[str], str]
) -> list[tuple[str, str]]:
    """Pairs of names that a change makes alike, those first that differ before it."""
    theirs = {change(name): name for name in names}
    pairs = [(name, theirs[change(name)]) for name in known if change(name) in theirs]
    return sorted(pairs, key=lambda pair: pair[0] == pair[1])


def _difference_text(difference: _Difference, pairs: Sequence[tuple[str, str]], first: str) -> str:
    (mine, theirs), code = pairs[0], _code(pairs) or difference.code
    fix = f"In Python: `adata.var_names = {code}`." if code else "Write them alike."
    return f"The names differ by {difference.what}: {first} has {mine!r}, the file {theirs!r}. {fix}"


def _code(pairs: Sequence[tuple[str, str]]) -> str:
    """The line of Python that turns the names of the file into those expected, if one of these does."""
    prefix = _PREFIX.match(pairs[0][0])
    changes: list[tuple[Callable[[str], str], str]] = [
        (str.strip, "adata.var_names.str.strip()"),
        (str.upper, "adata.var_names.str.upper()"),
        (str.capitalize, "adata.var_names.str.capitalize()"),
        (str.lower, "adata.var_names.str.lower()"),
        (
            lambda n: _PREFIX.sub("", n),
            'adata.var_names.str.replace(r"^(GRCh3[78]|GRCm3[89]|hg19|hg38|mm10|mm39)[-_]+", "", regex=True)',
        ),
        (lambda n: re.sub(r"\.[0-9]+$", "", n), r'adata.var_names.str.replace(r"\.[0-9]+$", "", regex=True)'),
        (lambda n: n.replace(".", "-"), 'adata.var_names.str.replace(".", "-", regex=False)'),
        (lambda n: n.replace("-", "."), 'adata.var_names.str.replace("-", ".", regex=False)'),
        (lambda n: n.replace("-", "_"), 'adata.var_names.str.replace("-", "_", regex=False)'),
        (lambda n: n.replace("_", "-"), 'adata.var_names.str.replace("_", "-", regex=False)'),
    ]
    if prefix:
        changes.append((lambda n: prefix[0] + n, f'"{prefix[0]}" + adata.var_names'))
    for change, code in changes:
        if sum(change(theirs) == mine for mine, theirs in pairs) >= 0.9 * len(pairs):
            return code
    return ""


def _column(known: Sequence[str], var: pd.DataFrame | None) -> str:
    """The column of var that holds at least half of the names."""
    if var is None:
        return ""
    wanted = set(known)
    shares = {str(name): len(wanted & set(var[name].astype(str))) / len(wanted) for name in var.columns}
    best = max(shares, key=lambda name: shares[name], default="")
    return best if best and shares[best] >= _ENOUGH else ""


def _kind(names: Sequence[str]) -> str:
    share = sum(bool(_ENSEMBL.fullmatch(name)) for name in names) / len(names)
    return "Ensembl identifiers" if share > 0.5 else "symbols or other names"


def _everything(name: str) -> str:
    name = _PREFIX.sub("", name.strip().casefold())
    return re.sub(r"[-_. ]+", ".", re.sub(r"^(ens\w+)\.\d+$", r"\1", name))
