"""Options that several commands share, and the settings of a run that they give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from cellflow_cli.cli._fields import COMPUTE, INPUT, OUTPUT
from cellflow_cli.data.schema import SAMPLE, DataSpec
from cellflow_cli.errors import ConfigError
from cellflow_cli.flags import flags_of

Data = Annotated[
    list[Path],
    typer.Argument(metavar="DATA", help="h5ad files or zarr folders."),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result as one JSON object on stdout.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", help="Seed of everything random.", min=0, max=2**63 - 1, rich_help_panel=COMPUTE),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=COMPUTE)]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace an existing output.", show_default=False, rich_help_panel=OUTPUT),
]
TruthLayer = Annotated[
    str | None,
    typer.Option(
        "--truth-layer",
        metavar="NAME",
        help="Where TRUTH holds the values that the model was trained on: a layer, X or raw.",
        show_default="as the training data",
        rich_help_panel=INPUT,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be trained, and stop.",
        show_default=False,
        rich_help_panel=COMPUTE,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the settings of a run come from, below the options of its own."""

    config: Path | None = field(
        default=None, metadata={"help": "Settings as TOML (cellflow.toml).", "metavar": "FILE"}
    )
    assignments: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "help": "Any setting by its dotted name, such as training.steps=2000; repeatable.",
        },
    )

    def below(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the file, over them those of `--set`, over both those of dedicated options.

        Raises:
            ConfigError: If the file or an assignment cannot be read, or nothing says what the columns mean.
        """
        from cellflow_cli.config import merged, parse_assignments, read_toml

        low = {} if self.config is None else read_toml(self.config)
        settings = merged(merged(low, parse_assignments(self.assignments)), options)
        settings["data"] = with_sample_key(settings.get("data", {}))
        _check_columns(settings["data"])
        return settings


def with_sample_key(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the data with the sample key that a sample name stands for."""
    return {"sample_key": (SAMPLE,), **data} if "sample_name" in data else dict(data)


def _check_columns(given: Mapping[str, Any]) -> None:
    """Refuse settings of the data that do not say what the columns mean.

    Raises:
        ConfigError: Naming the options that are missing.
    """
    missing = [flag for flag in flags_of(DataSpec) if flag.required and flag.name not in given]
    if missing:
        texts = (f"`{flag.on}`: {flag.metadata['help'].rstrip('.')}" for flag in missing)
        raise ConfigError(
            f"Missing {'; '.join(texts)}. `cellflow check DATA` proposes columns; the settings may also "
            "stand in `--config`."
        )
