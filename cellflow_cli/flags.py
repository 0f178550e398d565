"""Fields of a settings dataclass as flags of a command line, read and written.

A field says in its metadata what its name and type leave open; all of it is optional but `help`:

    help      what it is, one sentence
    flag      its flag, where that is not `--name-of-the-field`
    metavar   what stands for the value, such as `COLUMN=VALUE`
    panel     heading below which help lists it
    default   text of its default, where the value itself says nothing
    commas    several values may also be given as one, separated by commas
    min, max  bounds of a number

A boolean that is false by default is switched on by its flag; any other has a second flag, `--no-name`.
"""

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from cellflow_cli.errors import ConfigError


@dataclass(frozen=True)
class Flag:
    """One field of a dataclass on the command line.

    Attributes:
        name: Of the field.
        text: The flag, such as `"--max-cells"`; with its opposite `"--scale/--no-scale"`.
        kind: Type of one value: str, int, float, bool or a path.
        shape: `"one"` value, `"many"` or `"pairs"` of a name and a value.
        default: Of the field; `dataclasses.MISSING` if it must be given.
        metadata: Of the field.
    """

    name: str
    text: str
    kind: type
    shape: typing.Literal["one", "many", "pairs"]
    default: Any
    metadata: Mapping[str, Any]

    @property
    def on(self) -> str:
        """The flag without its opposite."""
        return self.text.split("/")[0]

    @property
    def required(self) -> bool:
        """Whether the field has no default."""
        return self.default is MISSING

    def read(self, value: Any) -> Any:
        """The value of the field from what the command line gave: texts for several values or pairs.

        Raises:
            ConfigError: If a pair has another form than `NAME=VALUE`, or there is nothing between the commas.
        """
        if self.shape == "pairs":
            return pairs(self.on, value)
        if self.shape == "many":
            values = split_names(value) if self.metadata.get("commas") else value
            if not values:
                raise ConfigError(f"Expected names after `{self.on}`, found none.")
            return tuple(values)
        return not value if self._switches_off else value

    def write(self, value: Any) -> list[str]:
        """The words that give this value; none for None, or where no flag gives it."""
        if value is None:
            return []
        if self.kind is bool:
            yes, _, no = self.text.partition("/")
            word = yes if bool(value) is not self._switches_off else no
            return [word] if word else []
        if self.shape == "pairs":
            texts = [f"{name}={item}" for name, item in value.items()]
        elif self.shape == "many":
            items = [value] if isinstance(value, str) else value
            texts = [",".join(items)] if self.metadata.get("commas") and items else [str(i) for i in items]
        else:
            texts = [str(value)]
        return [word for text in texts for word in (self.on, text)]

    @property
    def _switches_off(self) -> bool:
        return self.kind is bool and self.default is True and "/" not in self.text


def flags_of(cls: type, without: Collection[str] = (), only: Collection[str] | None = None) -> list[Flag]:
    """The flags of a dataclass, in the order of its fields.

    Args:
        cls: A dataclass whose fields have `help` in their metadata.
        without: Names of fields to leave out.
        only: Names of fields to take; default: all.
    """
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    if unknown := {*without, *(only or ())} - fields.keys():
        raise ValueError(f"no fields {sorted(unknown)} in {cls.__name__}")
    names = [name for name in fields if name not in without and (only is None or name in only)]
    hints = _hints(cls, {name: fields[name].type for name in names})
    return [_flag(fields[name], hints[name]) for name in names]


def to_flags(config: Any, without: Collection[str] = ()) -> tuple[str, ...]:
    """The words of a command line that give a config: what differs from the defaults.

    Args:
        config: Instance of a dataclass.
        without: Names of fields to leave out.
    """
    flags = flags_of(type(config), without)
    given = {f.name: getattr(config, f.name) for f in flags if getattr(config, f.name) != f.default}
    return written(type(config), given)


def written(cls: type, given: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of a command line that give some fields of a dataclass their values."""
    return tuple(word for flag in flags_of(cls, only=given) for word in flag.write(given[flag.name]))


def split_names(texts: Sequence[str] | None) -> list[str]:
    """Names of a repeatable option, commas split, each once."""
    names = [name.strip() for text in texts or () for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(names))


def pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    """Texts such as `new=old` of a repeatable option, as a table.

    Raises:
        ConfigError: If one of them has another form.
    """
    parts = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, parts, strict=True):
        if not name.strip() or not value.strip():
            raise ConfigError(f"Expected `{flag} NAME=VALUE`, found {text!r}.")
    return {name.strip(): value.strip() for name, _, value in parts}


def _hints(cls: type, annotations: dict[str, Any]) -> dict[str, Any]:
    """Types of some fields; those of the others may need modules that are not loaded."""
    some = type(cls.__name__, (), {"__module__": cls.__module__, "__annotations__": annotations})
    return typing.get_type_hints(some)


def _flag(field: "dataclasses.Field[Any]", hint: Any) -> Flag:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    kind, shape = _kind(hint)
    usual = f"--{field.name.replace('_', '-')}"
    if kind is bool and default is not False:
        usual += f"/--no-{usual.removeprefix('--')}"
    return Flag(field.name, field.metadata.get("flag", usual), kind, shape, default, field.metadata)


def _kind(hint: Any) -> tuple[type, typing.Literal["one", "many", "pairs"]]:
    """Type of one value, and whether there are several, from a type annotation."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    origin = typing.get_origin(hint)
    if origin is None:
        return hint, "one"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return typing.get_args(hint)[1], "pairs"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return typing.get_args(hint)[0], "many"
    return str, "one"
