"""One identity of labels: which texts are one label, and which look alike without being one.

Texts that differ only in what nobody sees or means (Unicode composition, blanks around them, `1` and
`1.0`) are one label. Texts that differ in case, in kinds of blanks and dashes or in letters of other
scripts may be slips or not: they are never merged, and stop the commands that would take them for two.
"""

import math
import numbers
import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_FILLERS = frozenset("\u034f\u115f\u1160\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
_LOOK_ALIKE = {
    **dict(zip("АВЕЅІЈКМНОРСТУХаеѕіјорсухһԁԛԝ", "ABESIJKMHOPCTYXaesijopcyxhdqw", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρϲ", "ABEZHIKMNOPTYXovpc", strict=True)),
    **dict(zip("ıɡɑ×∕⁄⧸", "igax///", strict=True)),
    **dict.fromkeys("‘’‚‛ʼʹ′´`ˈ", "'"),
    **dict.fromkeys("“”„‟″", '"'),
}
_DASHES = "-\u058a\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7\ufe58\ufe63\uff0d"
_SEPARATORS = re.compile(rf"[\s_{re.escape(_DASHES)}]+")
_BLANKS = re.compile(r"(?<!\d)\s+|\s+(?!\d)")


def text(value: object) -> str:
    """A value as people write it: bytes decoded, whole numbers without a decimal point ("7", not "7.0")."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        number = float(value)
        return str(int(number)) if math.isfinite(number) and number.is_integer() else str(value)
    return str(value)


def canonical(value: object) -> str:
    """The label that a value is: NFC, without blanks and invisible characters around it, "1" for "1.0".

    Only plain decimals without leading zeros are numbers: "007", "1e3" and "1.0.0" stay as they are.
    """
    label = unicodedata.normalize("NFC", text(value))
    start, stop = 0, len(label)
    while start < stop and _is_empty(label[start]):
        start += 1
    while stop > start and _is_empty(label[stop - 1]):
        stop -= 1
    label = label[start:stop]
    whole = _WHOLE.fullmatch(label)
    if whole is None:
        return label
    return "0" if whole[1] == "-0" else whole[1]


def alike(known: Iterable[str], labels: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Pairs of different labels that a reader may take for one.

    They are alike but for case, for kinds of blanks, underscores and dashes, for a blank more or less (not
    between digits), or for letters and signs that look the same or are the same to Unicode (NFKC). `T-1`
    and `T1`, `O` and `0`, `l` and `1` are not.

    Args:
        known: Canonical labels.
        labels: Held against `known`; default: `known` among themselves.

    Returns:
        Pairs (known, other), each other label once.
    """
    first: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    own = list(dict.fromkeys(known))
    for label in own:
        found = next((first[look] for look in _looks(label) if look in first), None)
        if labels is None and found is not None:
            pairs.append((found, label))
        for look in _looks(label):
            first.setdefault(look, label)
    if labels is None:
        return pairs
    for label in dict.fromkeys(labels):
        if label in own:
            continue
        found = next((first[look] for look in _looks(label) if look in first), None)
        if found is not None:
            pairs.append((found, label))
    return pairs


def shown(label: str, other: str) -> str:
    """A label as `repr`, with the code points that set it apart from another that looks the same."""
    odd = dict.fromkeys(c for c in label if not c.isascii() and c not in other)
    if not odd or label.casefold() == other.casefold():
        return short(repr(label))
    names = (f"U+{ord(c):04X} {unicodedata.name(c, 'unnamed')}" for c in list(odd)[:3])
    return f"{short(repr(label))} (with {', '.join(names)})"


def column_option(new: str, old: str) -> str:
    """The option that reads a column under another name, to be copied into a shell."""
    return f"--rename {shlex.quote(short(f'{new}={old}', 200))}"


def rename_option(column: str, new: str, old: str) -> str:
    """The option that reads one label as another, to be copied into a shell; escapes stand for odd signs."""
    typed = old if old.isascii() or old.casefold() == new.casefold() else escaped(old)
    return f"--rename {shlex.quote(short(f'{column}:{new}={typed}', 200))}"


def escaped(label: str) -> str:
    r"""A label in ASCII, such as `D\u0421`, which `--rename` understands too."""
    return ascii(label)[1:-1]


def short(words: str, limit: int = 80) -> str:
    """The words, the middle left out where they are many."""
    if len(words) <= limit:
        return words
    half = (limit - 3) // 2
    return f"{words[:half]}...{words[-half:]}"


def chosen(words: str, known: Sequence[str]) -> tuple[list[str], list[str]]:
    """Labels that a text such as `"P7,P9"` names, where labels may hold commas themselves.

    The whole text is matched first, then from the left as many comma-separated pieces as make a label.

    Returns:
        The known labels, and the pieces that are none.
    """
    exists = set(known)
    if canonical(words) in exists:
        return [canonical(words)], []
    pieces = words.split(",")
    found: list[str] = []
    unknown: list[str] = []
    start = 0
    longest = 1 + max((label.count(",") for label in exists), default=0)
    while start < len(pieces):
        stops = range(min(len(pieces), start + longest), start, -1)
        stop = next((s for s in stops if canonical(",".join(pieces[start:s])) in exists), None)
        label = canonical(",".join(pieces[start : stop or start + 1]))
        if stop is not None:
            found.append(label)
        elif label:
            unknown.append(label)
        start = stop or start + 1
    return list(dict.fromkeys(found)), unknown


def splits(words: str, sign: str) -> Iterator[tuple[str, str]]:
    """Every way to cut a text at a sign into two parts that are not empty, the first cut first."""
    for match in re.finditer(re.escape(sign), words):
        left, right = words[: match.start()], words[match.end() :]
        if left.strip() and right.strip():
            yield left, right


def spellings(values: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Labels that are written in several ways: the cells of each spelling, by label."""
    ways: dict[str, dict[str, int]] = {}
    for value, n in values.items():
        ways.setdefault(canonical(value), {})[value] = n
    return {label: counts for label, counts in ways.items() if len(counts) > 1 and label}


def _is_empty(character: str) -> bool:
    return character.isspace() or character in _FILLERS or unicodedata.category(character) in ("Cc", "Cf")


def _looks(label: str) -> tuple[str, ...]:
    """Keys of what a label looks like; labels with a key in common are alike."""
    plain = unicodedata.normalize("NFKC", label)
    latin = unicodedata.normalize("NFKC", "".join(_LOOK_ALIKE.get(c, c) for c in plain))
    looks: dict[str, None] = {}
    for letters in (plain, latin):
        seen = "".join(
            c
            for c in letters
            if c not in _FILLERS and (c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
        )
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", seen.casefold()))
        looks |= {_SEPARATORS.sub("_", folded): None, _BLANKS.sub("", folded): None}
    return tuple(looks)
