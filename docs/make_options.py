"""Writes `options.md`: the options of every command and all settings, read from the program itself.

python docs/make_options.py
"""

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from cellflow_cli.catalog import Catalog, Choice
from cellflow_cli.cli.app import app
from cellflow_cli.config import RunConfig

PAGE = Path(__file__).with_name("options.md")
HEAD = """# Options

Made by `python docs/make_options.py`; do not edit. First the options of every command, then the
[settings](#settings) that `--set NAME=VALUE` and a file given with `--config` know.

"""
SETTINGS_HEAD = """## Settings

Each is written as `--set NAME=VALUE`, or in a TOML file given with `--config`
([an example](data.md#settings-in-a-file)). Where a part can be chosen by name, such as
`method.embedder.name`, the settings of each choice have a table of their own.

"""


class Settings(NamedTuple):
    """The settings of one configurable part.

    Attributes:
        title: Dotted name of the part, with the choice it belongs to.
        rows: Dotted name, default and help of each setting.
    """

    title: str
    rows: tuple[tuple[str, str, str], ...]


def page() -> str:
    """The text of `options.md`."""
    root = typer.main.get_command(app)
    commands = "\n".join(_command(command, words) for words, command in _commands(root, ("cellflow",)))
    sections = "\n".join(_settings(part, methods) for part, methods in _parts().items())
    return f"{HEAD}{commands}\n{SETTINGS_HEAD}{sections}"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    for name, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from _commands(below, (*words, name))
        else:
            yield " ".join((*words, name)), below


def _command(command: Any, words: str) -> str:
    """Section of one command: what it does, its usage, a table of arguments and options."""
    about = "\n\n".join(" ".join(text.split()) for text in (command.help or "").split("\n\n"))
    hints = inspect.signature(command.callback).parameters
    rows, arguments = [], []
    for param in command.params:
        if param.param_type_name == "argument":
            arguments.append(param.metavar or param.name.upper())
            names, value = arguments[-1], ""
        else:
            names, value = "/".join(param.opts[::-1] + param.secondary_opts), _metavar(param, hints)
        rows.append((f"`{_one_line(names)}`", value, _default(param), _one_line(param.help or "")))
    table = _table(("option", "value", "default", "what it does"), rows)
    return f"## {words}\n\n{about}\n\n    {' '.join([words, *arguments, '[OPTIONS]'])}\n\n{table}"


def _metavar(param: Any, hints: Any) -> str:
    """What stands after an option; nothing for a flag."""
    if param.is_flag:
        return ""
    kind = str(hints[param.name].annotation)
    text = param.metavar or ("N" if "int" in kind else "X" if "float" in kind else "TEXT")
    return f"`{_one_line(text)}`"


def _default(param: Any) -> str:
    """Default as help shows it."""
    if param.required:
        return "required"
    if isinstance(param.show_default, str):
        return param.show_default
    if not param.show_default or param.default is None:
        return ""
    if isinstance(param.default, bool):
        return "yes" if param.default else "no"
    return str(param.default)


def _parts() -> dict[Settings, list[str]]:
    """All settings, part by part, each part once with the methods that have it (none: not of a method)."""
    parts: dict[Settings, list[str]] = {}
    for part in _below(RunConfig, None, "", skip=("method",)):
        parts[part] = []
    catalog = Catalog("methods")
    chosen = next(field for field in dataclasses.fields(RunConfig) if field.name == "method")
    usual = _plain_default(chosen)
    first = Settings("method", (("method.name", f"`{usual.name}`", str(chosen.metadata["help"])),))
    parts[first] = []
    for name in sorted(catalog.names(), key=lambda name: name != usual.name):
        config = usual.config if name == usual.name else catalog.load(name).config()
        for part in _below(type(config), config, "method", label=f"method.name={name}"):
            parts.setdefault(part, []).append(name)
    return parts


def _below(
    cls: type, instance: Any, prefix: str, *, label: str = "", skip: tuple[str, ...] = ()
) -> Iterator[Settings]:
    """The settings of a config class, then those of the parts it consists of."""
    hints = typing.get_type_hints(cls)
    rows, nested = [], []
    for field in dataclasses.fields(cls):
        if field.name in skip:
            continue
        name = f"{prefix}.{field.name}" if prefix else field.name
        value = _plain_default(field) if instance is None else getattr(instance, field.name)
        text = str(field.metadata.get("help", ""))
        if hints[field.name] is Choice:
            rows.append((f"{name}.name", f"`{value.name}`", text))
            nested.append((name, value, field.metadata["catalog"]))
        elif dataclasses.is_dataclass(hints[field.name]):
            nested.append((name, hints[field.name], value))
        else:
            rows.append((name, _value(value), text))
    if rows:
        yield Settings(label or prefix or "the run", tuple(rows))
    for name, what, more in nested:
        if isinstance(what, Choice):
            yield from _choices(name, what, more)
        else:
            yield from _below(what, None if more is dataclasses.MISSING else more, name)


def _choices(name: str, usual: Choice, room: str) -> Iterator[Settings]:
    catalog = Catalog(room)
    for choice in sorted(catalog.names(), key=lambda choice: choice != usual.name):
        config = usual.config if choice == usual.name else catalog.load(choice).config()
        yield from _below(type(config), config, name, label=f"{name}.name={choice}")


def _plain_default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _value(value: Any) -> str:
    """A default as it is written in TOML."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == ():
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(repr(item) for item in value)}]`"
    return f"`{value}`"


def _settings(part: Settings, methods: list[str]) -> str:
    every = Catalog("methods").names()
    where = f" (method {', '.join(sorted(methods))})" if methods and "method.name=" not in part.title else ""
    where = "" if len(methods) == len(every) else where
    rows = [(f"`{name}`", default, _one_line(text)) for name, default, text in part.rows]
    return f"### {part.title}{where}\n\n{_table(('setting', 'default', 'what it is'), rows)}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
