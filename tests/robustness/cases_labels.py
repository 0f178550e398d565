"""Labels: signs of all kinds, twins that look alike, texts that are long or mean something to a renderer."""

import unicodedata
from collections.abc import Callable, Iterator

import anndata

from tests.robustness.case import RUNS, SAME, Case, refused, warned
from tests.robustness.cases_matrices import changed, on
from tests.robustness.sound import COLUMNS, HOLDOUT, QUICK, Sound, command_line

KIND = "labels"
ODD = {
    "mathtext": "$x_{$", "dollars": "$1 and $2", "comma": "Doe, J.", "commas": ",a,,b,", "quotes": "a'b\"c",
    "slashes": "a/b\\c", "line break": "a\nb", "tab": "a\tb", "emoji": "\U0001f9ea", "right to left": "\u202eabc",
    "composed": "M\u00fcller", "decomposed": "Mu\u0308ller", "Chinese": "\u60a3\u8005", "markup": "<b>x</b>&amp;",
    "script": "<script>alert(1)</script>", "percent": "%s %d {} {0}", "rich": "[red]x[/red]", "open bracket": "[/",
    "escape": "\x1b[31mx", "dash": "-x", "two dashes": "--holdout", "equals": "a=b=c", "semicolon": "a;b", "pipe": "a|b",
    "number": "1.0", "true": "True", "none": "None", "NA": "NA", "blank inside": "a  b", "zero width": "a\u200bb",
    "no-break blank": "a\u00a0b", "100,000 characters": "x" * 10**5, "5,000 wide characters": "\u60a3" * 5000,
    "at": "@x", "tilde": "~", "dots": "../x", "backslash": "\\", "caret": "^_{x", "hash": "#1", "CSV": "a\",\"b",
    "control": "control 2", "plus": "a+b", "colon": "a:b", "one letter": "x", "lone mark": "\u0301",
}  # fmt: skip
TWINS = {
    "blank at the end": lambda t: f"{t} ", "blank at the start": lambda t: f" {t}", "capitals": str.upper,
    "title": lambda t: t[:-1] + t[-1].upper(), "no-break blank": lambda t: f"{t}\u00a0", "tab": lambda t: f"{t}\t",
    "line break": lambda t: f"{t}\n", "zero width": lambda t: f"{t}\u200b", "wide": lambda t: t.replace("r", "\uff52"),
    "byte order mark": lambda t: f"\ufeff{t}", "soft hyphen": lambda t: f"{t}\u00ad",
    "decomposed": lambda t: t.replace("u", "u\u0308"), "Cyrillic o": lambda t: t.replace("o", "\u043e"),
}  # fmt: skip
NAMED_TWINS = {
    "NFC and NFD": ("P4\u00fc", unicodedata.normalize("NFD", "P4\u00fc")),
    "ligature": ("\ufb01eld", "field"),
    "one and 1.0": ("1", "1.0"),
    "micro and mu": ("10 \u00b5M", "10 \u03bcM"),
    "sharp s": ("STRASSE", "Stra\u00dfe"),
    "hyphens": ("5-FU", "5\u2011FU"),
    "dashes": ("5-FU", "5\u2013FU"),
}
ALIKE = warned("alike|spell|blank|case|twin|same|look|written|labels?") | refused(
    "alike|spell|blank|case|control"
)


def renamed(column: str, old: str, new: str) -> Callable:
    """A maker: one label of a column by another name."""
    return changed(lambda a: a.obs.__setitem__(column, a.obs[column].replace({old: new})))


def half_renamed(column: str, old: str, first: str, second: str) -> Callable:
    """A maker: one label by two names, turn by turn."""

    def edit(adata: anndata.AnnData) -> None:
        values = list(adata.obs[column].astype(str))
        rows = [i for i, value in enumerate(values) if value == old]
        for i, row in enumerate(rows):
            values[row] = second if i % 2 else first
        adata.obs[column] = values

    return changed(edit)


def _held_out(label: str) -> Callable[[str, list[str], Sound], list[str]]:
    def line(command: str, files: list[str], sound: Sound) -> list[str]:
        words = command_line(command, "markers", files, sound)
        return [f"patient={label}" if word == HOLDOUT[1] else word for word in words]

    return line


def _control(label: str) -> Callable[[str, list[str], Sound], list[str]]:
    def line(command: str, files: list[str], sound: Sound) -> list[str]:
        words = command_line(command, "markers", files, sound)
        return [
            label if word == "control" and words[i - 1] == "--control" else word
            for i, word in enumerate(words)
        ]

    return line


def cases() -> Iterator[Case]:
    """All of this kind."""
    for name, label in ODD.items():
        yield Case(KIND, f"a patient called {name}", renamed("patient", "P5", label),
                   {"check": RUNS, "train": RUNS, "predict": SAME}, line=_held_out(label))  # fmt: skip
        rights = {"check": RUNS, "train": RUNS}
        if name in ("mathtext", "100,000 characters", "comma", "rich", "script", "slashes", "line break"):
            rights["compare"] = RUNS
        yield Case(KIND, f"a treatment called {name}", renamed("treatment", "drug", label), rights)
    for name in ("mathtext", "comma", "rich", "markup", "number", "slashes"):
        yield Case(KIND, f"a control called {name}", renamed("treatment", "control", ODD[name]),
                   {"check": RUNS, "train": RUNS}, line=_control(ODD[name]))  # fmt: skip
    for name, change in TWINS.items():
        yield Case(KIND, f"controls with a twin: {name}", half_renamed("treatment", "control", "control", change("control")),
                   on(ALIKE | SAME, ("check", "train")))  # fmt: skip
        yield Case(KIND, f"treated with a twin: {name}", half_renamed("treatment", "other", "other", change("other")),
                   on(ALIKE | SAME | (RUNS if name == "decomposed" else refused("")), ("check", "train")))  # fmt: skip
    for name, (first, second) in NAMED_TWINS.items():
        yield Case(KIND, f"patients with a twin: {name}", half_renamed("patient", "P4", first, second),
                   on(ALIKE | (RUNS if name == "one and 1.0" else SAME) | refused(""), ("check", "train")))  # fmt: skip
    for name, label in (("capitals", "Control"), ("another word", "DMSO"), ("a blank", "control ")):
        right = refused("control") if name != "a blank" else refused("control") | SAME
        yield Case(
            KIND,
            f"controls of new data in {name}",
            renamed("treatment", "control", label),
            {"predict": right},
        )


__all__ = ["COLUMNS", "QUICK", "cases"]
