"""The folder is the table: a file `metrics/mmd_rbf.py` *is* the metric `mmd-rbf`.

Names are listed without importing anything, so that `cellflow list` and error messages stay
quick; the one that is named is imported. Packages of other people join through entry points whose
group is `cellflow.<room>` and whose object is the entry itself.
"""

import ast
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cellflow_cli.errors import ConfigError, listed, nearest

_ROOT = "cellflow_cli"
T = TypeVar("T", covariant=True)
_KIND = re.compile(r'^KIND = "(.+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What a file of an open room ends with: a config class and how to build the thing from it.

    Attributes:
        config: Frozen dataclass with a default for every field.
        build: Called as `build(config, shape) -> object` (see `types.ModelShape`); what it returns keeps to
            the Protocol of the room, which `ENTRY: Entry[Method] = Entry(...)` has the type checker check.
    """

    config: type
    build: Callable[..., T]


@dataclass(frozen=True)
class Choice:
    """A named entry of a room with its config: what a config field holds when a part can be swapped.

    Attributes:
        name: Catalog name, with hyphens.
        config: Instance of the entry's config class.
    """

    name: str
    config: Any


class Catalog:
    """The named entries of one room.

    Args:
        room: Name of a package below `cellflow_cli`, such as `"metrics"`.
    """

    def __init__(self, room: str) -> None:
        spec = importlib.util.find_spec(f"{_ROOT}.{room}")
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(f"no room {room!r} in {_ROOT}")
        self.room = room
        self._folder = Path(next(iter(spec.submodule_search_locations)))

    def names(self) -> list[str]:
        """Sorted names of all entries, ours and those of installed packages."""
        own = {path.stem.replace("_", "-") for path in self._files()}
        return sorted(own | set(self._plugins()))

    def summaries(self) -> dict[str, str]:
        """First docstring line of each entry, read without importing it."""
        lines: dict[str, str] = {}
        for path in self._files():
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            lines[path.stem.replace("_", "-")] = text.split("\n", 1)[0].rstrip(".")
        for name, point in self._plugins().items():
            lines.setdefault(name, f"from {point.value.split(':')[0]}")
        return dict(sorted(lines.items()))

    def load(self, name: str) -> Any:
        """The entry called `name`: the constant `ENTRY` that its file ends with.

        Raises:
            ConfigError: If there is no such entry; the message names the nearest and all known.
        """
        if name in {path.stem.replace("_", "-") for path in self._files()}:
            module = importlib.import_module(f"{_ROOT}.{self.room}.{name.replace('-', '_')}")
            return module.ENTRY
        plugins = self._plugins()  # looks into every installed package: 20 ms that our own names do not cost
        if name in plugins:
            return plugins[name].load()
        known, kind = self.names(), rooms()[self.room]
        raise ConfigError(
            f"Expected the name of {'an' if kind[0] in 'aeiou' else 'a'} {kind}, found {name!r}."
            f"{nearest(name, known)} Known: {listed(known, limit=20)}."
        )

    def choose(self, name: str, **settings: Any) -> Choice:
        """A `Choice` of the entry `name` with its default config changed by `settings`."""
        return Choice(name, self.load(name).config(**settings))

    def build(self, choice: Choice, *args: Any) -> Any:
        """The object that a `Choice` describes."""
        return self.load(choice.name).build(choice.config, *args)

    def _files(self) -> list[Path]:
        return sorted(p for p in self._folder.glob("*.py") if not p.name.startswith("_"))

    def _plugins(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {p.name: p for p in importlib.metadata.entry_points(group=f"cellflow.{self.room}")}


def rooms() -> dict[str, str]:
    """The open rooms by name, each with what one entry of it is called; nothing is imported.

    A room is open if its `__init__.py` sets `KIND`.
    """
    kinds = {
        path.parent.name: _KIND.search(path.read_text(encoding="utf-8"))
        for path in Path(__file__).parent.glob("*/__init__.py")
    }
    return {room: kind[1] for room, kind in sorted(kinds.items()) if kind}
