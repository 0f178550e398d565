"""Plain values from files that anybody may have written: JSON read strictly, each value typed at its use.

A `Plain` is a value with the place it came from, so that every error names file, key, what was expected
and what was found. Model folders and prediction files read their text through it.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from cellflow_cli.errors import listed

MAX_DEPTH = 32
"""Levels of nesting that a file of ours can have, and more."""
_SHOWN = 60  # characters of a value in a message
_INTEGERS = 2**63


class PlainError(ValueError):
    """A value is not what was expected at its place."""


class Plain:
    """A plain value and where it is.

    Args:
        value: What JSON can hold: None, bool, int, float, str, list or dict.
        file: Name of the file, or whatever names the place as a whole.
        key: Dotted key within it; empty for the whole.
    """

    def __init__(self, value: Any, file: str, key: str = "") -> None:
        self.value, self.file, self.key = value, file, key

    @classmethod
    def of(cls, value: Any, file: str) -> "Plain":
        """`value` itself if it is a `Plain`, else with the place `file`."""
        return value if isinstance(value, Plain) else cls(value, file)

    @property
    def place(self) -> str:
        """Key and file, for messages."""
        return f"`{self.key}` of `{self.file}`" if self.key else f"`{self.file}`"

    def fail(self, expected: str, found: str | None = None) -> NoReturn:
        """Raise a PlainError: `expected` at this place, `found` there (default: the value itself)."""
        raise PlainError(f"Expected {expected} at {self.place}, found {found or _shown(self.value)}.")

    def __getitem__(self, name: str) -> "Plain":
        """The entry `name` of a table."""
        entries = self.table()
        if name not in entries:
            self.fail(f"`{name}`", listed(sorted(entries), 8) or "nothing")
        return self._below(entries[name], name)

    def get(self, name: str) -> "Plain | None":
        """The entry `name` of a table, None where it is absent or null."""
        value = self.table().get(name)
        return None if value is None else self._below(value, name)

    def table(self) -> dict[str, Any]:
        """A mapping of texts."""
        if not isinstance(self.value, Mapping):
            self.fail("a table (JSON object)")
        return dict(self.value)

    def items(self) -> Iterator[tuple[str, "Plain"]]:
        """Names and entries of a table."""
        return ((name, self._below(value, name)) for name, value in self.table().items())

    def exactly(self, names: Sequence[str]) -> "Plain":
        """This table, which must have these entries and no other."""
        found = self.table()
        if sorted(found) != sorted(names):
            self.fail(f"the entries {listed(names, 12)} and no other", listed(sorted(found), 12) or "none")
        return self

    def list(self) -> "list[Plain]":
        """The items of a list."""
        if not isinstance(self.value, list | tuple):
            self.fail("a list")
        return [self._below(value, str(i)) for i, value in enumerate(self.value)]

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            self.fail("text")
        return self.value

    def texts(self, *, distinct: bool = False, at_least: int = 0) -> tuple[str, ...]:
        """A list of texts.

        Args:
            distinct: Whether no text may come twice.
            at_least: Smallest length.
        """
        if not isinstance(self.value, list | tuple):
            self.fail("a list of text")
        found = tuple(self.value)
        for i, value in enumerate(found):
            if not isinstance(value, str):
                self._below(value, str(i)).fail("text")
        if len(found) < at_least:
            self.fail(f"a list of at least {at_least}", f"{len(found)}")
        if distinct and len(set(found)) < len(found):
            twice = next(value for i, value in enumerate(found) if value in found[:i])
            self.fail("texts that differ", f"{_shown(twice)} twice")
        return found

    def whole(self, *, at_least: int | None = None) -> int:
        """A whole number that fits 64 bits."""
        wanted = "a whole number" + ("" if at_least is None else f" of at least {at_least}")
        if type(self.value) is not int or not -_INTEGERS <= self.value < _INTEGERS:
            self.fail(wanted)
        if at_least is not None and self.value < at_least:
            self.fail(wanted)
        return int(self.value)

    def number(self, *, at_least: float | None = None) -> float:
        """A finite number."""
        wanted = "a finite number" + ("" if at_least is None else f" of at least {at_least:g}")
        if type(self.value) not in (int, float) or not _is_finite(self.value):
            self.fail(wanted)
        if at_least is not None and self.value < at_least:
            self.fail(wanted)
        return float(self.value)

    def flag(self) -> bool:
        """True or false."""
        if type(self.value) is not bool:
            self.fail("true or false")
        return self.value

    def of_type(self, hint: Any) -> Any:
        """A value of the type `hint`: text, number, flag, None, a tuple of them, or a choice of these."""
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            options = typing.get_args(hint)
            if self.value is None and type(None) in options:
                return None
            return self.of_type(next(option for option in options if option is not type(None)))
        if typing.get_origin(hint) is tuple:
            return tuple(item.of_type(typing.get_args(hint)[0]) for item in self.list())
        readers: dict[Any, Callable[[], Any]] = {
            str: self.text, int: self.whole, float: self.number, bool: self.flag,
        }  # fmt: skip
        return readers[hint]()

    def record(self, cls: type, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """The fields of a flat dataclass, each of its type; those with a default may be absent.

        Args:
            cls: The dataclass.
            without: Fields that are kept elsewhere.
        """
        hints = typing.get_type_hints(cls)
        names = [f.name for f in dataclasses.fields(cls) if f.init and f.name not in without]
        needed = {
            f.name
            for f in dataclasses.fields(cls)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        entries = self.table()
        if unknown := sorted(name for name in entries if name not in names):
            self.fail(f"only the entries {listed(names, 20)}", listed(unknown))
        return {name: self[name].of_type(hints[name]) for name in names if name in entries or name in needed}

    def _below(self, value: Any, name: str) -> "Plain":
        return Plain(value, self.file, f"{self.key}.{name}" if self.key else name)


def parse(text: str | bytes, file: str) -> Plain:
    """JSON, strictly: no NaN, no key twice, no number that is none, not nested without end.

    Args:
        text: UTF-8 if bytes.
        file: Names the place in messages.

    Raises:
        PlainError: If it is no such JSON.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
        _check_depth(value)
    except UnicodeError as error:
        raise PlainError(f"Expected JSON in UTF-8 in `{file}`, found: {error}.") from error
    except RecursionError as error:
        raise PlainError(f"Expected JSON in `{file}`, found one nested without end.") from error
    except ValueError as error:  # JSONDecodeError, and whole numbers of thousands of digits
        raise PlainError(f"Expected JSON in `{file}`, found: {str(error).split(';')[0]}.") from error
    return Plain(value, file)


def array(arrays: Mapping[str, Any], name: str, file: str, *, whole: bool = False) -> np.ndarray:
    """A finite array, float64 (or int64 if `whole`), of a mapping of arrays.

    Raises:
        PlainError: If it is absent, of another kind, or not finite.
    """
    if name not in arrays:
        raise PlainError(f"Expected `{name}` in {file}, found {listed(sorted(arrays), 12) or 'nothing'}.")
    try:
        found = np.asarray(arrays[name])
    except (TypeError, ValueError) as error:
        raise PlainError(f"Expected numbers at `{name}` of {file}, found: {error}.") from error
    if found.dtype.kind not in ("iu" if whole else "iuf"):
        wanted = "whole numbers" if whole else "numbers"
        raise PlainError(f"Expected {wanted} at `{name}` of {file}, found {found.dtype}.")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        n = int((~np.isfinite(found)).sum())
        raise PlainError(f"Expected finite numbers at `{name}` of {file}, found {n} that are not.")
    return found.astype(np.int64 if whole else np.float64)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"the key {_shown(twice)} twice")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text}, which is no number")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:_SHOWN]}, which is beyond all numbers")
    return value


def _check_depth(value: Any) -> None:
    """Refuse deep nesting, and texts with half a character, which no file can hold again."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
                below.extend(item)
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                item.encode("utf-8")
        if not below:
            return
        level = below
    raise ValueError(f"more than {MAX_DEPTH} levels of nesting")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _shown(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
