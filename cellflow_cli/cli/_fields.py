"""Options of a command from the fields of a dataclass: declared once, with their help text."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from cellflow_cli.errors import ConfigError
from cellflow_cli.flags import Flag, flags_of

INPUT, OUTPUT, MODEL, COMPUTE = "Input", "Output", "Model", "Compute"


@dataclass(frozen=True)
class OptionsOf:
    """Marks a parameter of a command that stands for one option for each field of a dataclass.

        def check(data: Data, spec: Annotated[dict[str, Any], OptionsOf(DataSpec, given=True)]) -> None:

    The command then receives one value: the dataclass built of the options that were typed, or, with
    `given`, these alone as a dict, where a configuration file may stand below them.

    Attributes:
        of: The dataclass, or an instance of it whose values are the defaults; see `cellflow_cli.flags` for
            the metadata of its fields.
        without: Fields that have no option.
        panel: Heading in help, for fields that name none.
        given: Pass what was typed; nothing is required then.
        needed: Say in help that fields without a default are required.
    """

    of: Any
    without: tuple[str, ...] = ()
    panel: str = INPUT
    given: bool = False
    needed: bool = True

    def parameters(self) -> list[inspect.Parameter]:
        """One parameter of the command for each field, in their order."""
        return [self._parameter(flag) for flag in self._flags()]

    def gathered(self, arguments: Mapping[str, Any]) -> Any:
        """The dataclass, or the dict of what was typed, from the arguments of the command.

        Raises:
            ConfigError: If a value has the wrong form, or the dataclass refuses it.
        """
        typed = ((flag, arguments[_identifier(flag)]) for flag in self._flags())
        settings = {flag.name: _read(flag, value) for flag, value in typed if value not in (None, [])}
        if self.given:
            return settings
        return self.of(**settings) if isinstance(self.of, type) else replace(self.of, **settings)

    def _flags(self) -> list[Flag]:
        return flags_of(self.of if isinstance(self.of, type) else type(self.of), self.without)

    def _parameter(self, flag: Flag) -> inspect.Parameter:
        metadata = flag.metadata
        option = typer.Option(
            flag.text,
            help=metadata["help"],
            metavar=metadata.get("metavar"),
            min=metadata.get("min"),
            max=metadata.get("max"),
            show_default=self._default(flag) or False,
            rich_help_panel=metadata.get("panel", self.panel),
        )
        kind: Any = flag.kind if flag.shape == "one" else list[flag.kind]  # type: ignore[name-defined]
        required = flag.required and not self.given
        return inspect.Parameter(
            _identifier(flag),
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else None,
            annotation=Annotated[kind if required else kind | None, option],
        )

    def _default(self, flag: Flag) -> str | None:
        """What help says of leaving the option out."""
        if flag.required:
            return "required" if self.needed and self.given else None
        default = flag.default if isinstance(self.of, type) else getattr(self.of, flag.name)
        if "default" in flag.metadata and default == flag.default:
            return flag.metadata["default"]
        if isinstance(default, bool):
            return None if "/" not in flag.text else "yes" if default else "no"
        if isinstance(default, tuple):
            return ",".join(map(str, default)) or None
        return None if default is None or flag.shape == "pairs" else str(default)


def _read(flag: Flag, value: Any) -> Any:
    if flag.metadata.get("metavar") == "COLUMN" and any(not v.strip() for v in _listed(value)):
        raise ConfigError(
            f"Expected the name of a column, found an empty text (`{flag.on}`). Name one, or leave it out."
        )
    return flag.read(value)


def _listed(value: Any) -> list[str]:
    return [str(v) for v in (value if isinstance(value, list | tuple) else [value])]


def _identifier(flag: Flag) -> str:
    return flag.on.removeprefix("--").replace("-", "_")
