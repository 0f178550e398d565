"""One typed configuration for a run, assembled from the configs of the rooms; the only parser.

Defaults, then a TOML file, then `--set key=value`, then dedicated flags; unknown keys and values
of the wrong type are errors that name the dotted key.
"""

import dataclasses
import datetime
import functools
import re
import sys
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellflow_cli.catalog import Catalog, Choice
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, listed, nearest
from cellflow_cli.files import read_regular
from cellflow_cli.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of a training run."""

    data: DataSpec = dataclasses.field(metadata={"help": "What the columns of the data mean."})
    method: Choice = dataclasses.field(
        default_factory=lambda: Catalog("methods").choose("mfm"),
        metadata={"help": "What is learned.", "catalog": "methods"},
    )
    training: TrainingConfig = dataclasses.field(
        default_factory=TrainingConfig, metadata={"help": "The loop."}
    )
    seed: int = dataclasses.field(default=0, metadata={"help": "Seed of everything random."})


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON values; a `Choice` becomes its settings with a `name`."""
    if isinstance(config, Choice):
        return {"name": config.name, **to_dict(config.config)}
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_dict(settings: Mapping[str, Any]) -> RunConfig:
    """A `RunConfig` from nested settings.

    Raises:
        ConfigError: If a key is unknown, a required one missing, or a value of the wrong type.
    """
    return _dataclass(RunConfig, settings, "")


def read_toml(path: Path) -> dict[str, Any]:
    """Settings of a TOML file.

    Raises:
        ConfigError: If the file cannot be read as TOML.
    """
    try:
        text = read_regular(Path(path), _MAX_TOML, follow=True).decode("utf-8-sig")
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError as error:
        raise _no_toml(path, "tables or lists nested without end") from error
    except OSError as error:
        raise _no_toml(path, error.strerror or error) from error
    except ValueError as error:  # no UTF-8, no TOML, or a number of thousands of digits
        raise _no_toml(path, str(error).split(";")[0]) from error


def _no_toml(path: Path, found: object) -> ConfigError:
    return ConfigError(
        f"Expected a TOML file at `{path}`, found: {found}. Correct it or leave out `--config`."
    )


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Nested settings from texts such as `"training.steps=2000"`.

    Values are TOML (`2000`, `1e-3`, `true`, `["a"]`, `"x"`); anything else is taken as text.

    Raises:
        ConfigError: If a text has no `=` or an empty key.
    """
    settings: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts) or len(parts) > _MAX_PARTS:
            raise ConfigError(f"Expected `--set key=value` with a dotted key, found {text[:80]!r}.")
        nested: Any = _toml_value(value.strip())
        for part in reversed(parts):
            nested = {part: nested}
        settings = merged(settings, nested)
    return settings


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings where `high` wins; choosing another `name` drops the settings of the old one.

    Text where the other side has a table is a name: `method = "fm"` below `method.field.width=64`.
    """
    result = dict(low)
    if "name" in high and "name" in low and high["name"] != low["name"]:
        result = {}
    for key, value in high.items():
        below = result.get(key)
        if below is not None and isinstance(value, Mapping) and not isinstance(below, Mapping | str):
            raise ConfigError(
                f"Expected a table of settings in `{key}`, found {below!r}. Name the setting in it, such as "
                f"`--set {key}.{next(iter(value), 'NAME')}=VALUE`."
            )
        if isinstance(below, Mapping | str) and isinstance(value, Mapping | str) and below != value:
            both_text = isinstance(below, str) and isinstance(value, str)
            result[key] = value if both_text else merged(_named(below), _named(value))
        else:
            result[key] = value
    return result


def _named(setting: Mapping[str, Any] | str) -> Mapping[str, Any]:
    return {"name": setting} if isinstance(setting, str) else setting


def _plain(value: Any) -> Any:
    if isinstance(value, Choice) or dataclasses.is_dataclass(value):
        return to_dict(value)
    return list(value) if isinstance(value, tuple) else value


_TIMES = (datetime.date, datetime.time)
_MAX_TOML, _MAX_PARTS, _SHOWN = 2**24, 16, 60
_NUMBER = re.compile(r"[+-]?(\d+\.|\.\d+)([eE][+-]?\d+)?")  # .5 and 5. are no numbers in TOML


def _toml_value(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # a number of thousands of digits is no TOML error
        return float(text) if _NUMBER.fullmatch(text) else text
    value = found["value"]
    is_one = len(found) == 1 and not isinstance(value, _TIMES)  # a date is a label, two lines are no value
    return value if is_one else text


def _dataclass(cls: type, settings: Any, at: str, default: Any = None) -> Any:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"Expected a table of settings at `{at}`, found {_shown(settings)}.")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    unknown = [key for key in settings if key not in fields]
    if unknown:
        dotted = _join(at, unknown[0])
        hint = nearest(unknown[0], fields)
        raise ConfigError(
            f"Unknown setting `{dotted}`.{hint} Known in `{at or 'the configuration'}`: "
            f"{listed(sorted(fields), 20)}."
        )
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and name not in settings
    ]
    if required and default is None:
        flags = ", ".join(f"`{_join(at, name)}`" for name in required)
        raise ConfigError(f"Expected the settings {flags}, found none. Give them in the file or as options.")
    hints = _hints(cls)
    values: dict[str, Any] = {} if default is None else {n: getattr(default, n) for n in fields}
    for key, value in settings.items():
        below = values[key] if key in values else _default(fields[key])
        values[key] = _value(hints[key], value, _join(at, key), fields[key], below)
    return cls(**values)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _value(hint: Any, value: Any, at: str, field: "dataclasses.Field[Any]", default: Any) -> Any:
    if hint is Choice:
        return _choice(field, value, at, default)
    if dataclasses.is_dataclass(hint):
        return (
            value
            if isinstance(value, typing.cast(type, hint))
            else _dataclass(typing.cast(type, hint), value, at, default)
        )
    return _scalar(hint, value, at)


def _choice(field: "dataclasses.Field[Any]", value: Any, at: str, base: Choice) -> Choice:
    if isinstance(value, Choice):
        return value
    if not isinstance(value, Mapping | str):
        raise ConfigError(f"Expected a name or a table of settings at `{at}`, found {_shown(value)}.")
    settings = dict(_named(value))
    catalog = Catalog(field.metadata["catalog"])
    name = settings.pop("name", base.name)
    if not isinstance(name, str):
        raise ConfigError(f"Expected a name at `{at}.name`, found {name!r}.")
    same = base.config if name == base.name else None
    return Choice(name, _dataclass(catalog.load(name).config, settings, at, same))


def _scalar(hint: Any, value: Any, at: str) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    for option in options:
        if typing.get_origin(option) is tuple:
            items = value if isinstance(value, list | tuple) else [value]
            return tuple(_scalar(typing.get_args(option)[0], item, at) for item in items)
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) <= sys.float_info.max:  # whole numbers can be larger than any float
                raise ConfigError(f"Expected a finite number at `{at}`, found {_shown(value)}.")
            return float(value)
        if option is not type(None) and type(value) is option:
            return value
        if option is str and isinstance(value, int | float) and _is_label(value):
            return str(value)
    wanted = " or ".join(_type_name(option) for option in options if option is not type(None))
    hint = f' As text, write it in quotes: `{at}="..."`.' if str in options and not _is_table(value) else ""
    raise ConfigError(f"Expected {wanted} at `{at}`, found {_shown(value)}.{hint}")


def _is_label(value: float) -> bool:
    return not isinstance(value, bool) and abs(value) < 10**_SHOWN


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, list | dict)


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return f"a number of more than {_SHOWN} digits"
    text = repr(value)
    return text if len(text) <= 2 * _SHOWN else f"{text[: 2 * _SHOWN]}..."


def _type_name(option: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(option, "a list of text")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
