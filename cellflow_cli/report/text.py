"""Numbers, lists and names as people read them."""

import math
import unicodedata
from collections.abc import Iterable

from cellflow_cli.statistics.lines import NULL

NONE = "–"
_ROUNDING = 1e-12  # differences of means that are equal up to rounding
LONGEST = 40
"""Letters of a label that are shown; a table has the rest as its tooltip."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, direction of writing, halves of letters, ends of lines
_MINUS = "\N{MINUS SIGN}"
_METRICS = {
    "energy": "energy distance",
    "w1": "1-Wasserstein distance",
    "w2": "2-Wasserstein distance",
    "mmd-median": "squared kernel distance (mmd-median)",
    "mmd-rbf": "squared kernel distance (mmd-rbf)",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits and a real minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{0.0 if abs(value) < _ROUNDING else value:.{digits}g}"
    if "e" in text and 1e-4 <= abs(value) < 1e6:
        text = f"{value:.0f}"
    return text.replace("-", _MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """The same with a plus sign before positive numbers, for differences."""
    text = number(value, digits)
    return f"+{text}" if value is not None and math.isfinite(value) and value > 0 else text


def hundredths(value: float) -> str:
    """A normalised score with two decimals, never minus zero."""
    return f"{round(value, 2) + 0:.2f}".replace("-", _MINUS)


def percent(share: float) -> str:
    """A share as whole percent, one digit below ten."""
    value = 100 * share
    text = f"{value:.0f}" if abs(value) >= 10 or value == 0 else f"{value:.1f}"
    return f"{text.replace('-', _MINUS)} %"


def shortened(text: object, limit: int = LONGEST) -> str:
    """A label on one line, without control characters; a longer one has an ellipsis in its middle."""
    whole = str(text)
    if len(whole) > 2 * limit + 2:  # nobody reads 100,000 letters, and nothing has to walk through them
        whole = f"{whole[: limit + 1]}{whole[-limit - 1 :]}"
    line = "".join(" " if unicodedata.category(letter) in _UNSEEN else letter for letter in whole)
    if len(str(text)) <= limit:
        return line
    return f"{line[: limit // 2]}…{line[-(limit - limit // 2 - 1) :]}"


def drawn(text: object) -> str:
    """A label as a text of a figure: shortened, and not read as mathematics."""
    return shortened(text).replace("$", r"\$")


def counted(n: int, noun: str) -> str:
    """`1 group`, `4 groups`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def names(values: Iterable[object], limit: int = 8) -> str:
    """Values joined by commas: at most `limit` of them, then how many more."""
    items = [shortened(value) for value in values]
    shown = ", ".join(items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


def metric_title(metric: str) -> str:
    """A metric in words."""
    return _METRICS.get(metric, metric)


def predictor_title(predictor: str) -> str:
    """A predictor as sentences name it: the null says what it is."""
    return f"the unchanged controls ({NULL})" if predictor == NULL else predictor
