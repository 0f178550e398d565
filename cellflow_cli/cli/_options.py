"""Options that several commands share, written once.

Every option of the data defaults to None, which means "not given": the configuration file or the
default of `DataSpec`, which help shows, then stands.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError

INPUT, OUTPUT, MODEL, COMPUTE = "Input", "Output", "Model", "Compute"
_FIELDS = {field.name: field for field in dataclasses.fields(DataSpec)}
_METAVARS = {
    "features": "X|layers/NAME|obsm/NAME|pca:K",
    "expression": "counts|log1p|as-is",
    "holdout": "COLUMN=VALUE,..|FRACTION",
    "control": "LABEL",
    "dose_unit": "UNIT",
    "min_cells": "N",
}


def data_option(name: str, panel: str = INPUT) -> Any:
    """The option of one field of `DataSpec`, with its help text and default."""
    field = _FIELDS[name]
    default = field.default
    required = default is dataclasses.MISSING
    text = "required" if required else str(default)
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=field.metadata["help"],
        metavar=_METAVARS.get(name, "COLUMN" if name.endswith("_key") else None),
        show_default=text if default not in (None, (), False) and (panel == INPUT or not required) else False,
        rich_help_panel=panel,
    )


Data = Annotated[
    list[Path],
    typer.Argument(metavar="DATA", help="h5ad files or zarr folders."),
]
TreatmentKey = Annotated[str | None, data_option("treatment_key")]
Control = Annotated[list[str] | None, data_option("control")]
SampleKey = Annotated[list[str] | None, data_option("sample_key")]
GroupKey = Annotated[str | None, data_option("group_key")]
MatchKey = Annotated[list[str] | None, data_option("match_key")]
BatchKey = Annotated[str | None, data_option("batch_key")]
DoseKey = Annotated[str | None, data_option("dose_key")]
DoseUnit = Annotated[str | None, data_option("dose_unit")]
CellTypeKey = Annotated[str | None, data_option("cell_type_key")]
CovariateKey = Annotated[list[str] | None, data_option("covariate_key")]
PairsKey = Annotated[str | None, data_option("pairs_key")]
Features = Annotated[str | None, data_option("features")]
Expression = Annotated[str | None, data_option("expression")]
HoldoutOption = Annotated[list[str] | None, data_option("holdout")]
SplitKey = Annotated[str | None, data_option("split_key")]
MinCells = Annotated[int | None, data_option("min_cells")]
DropSmall = Annotated[bool | None, data_option("drop_small")]
DropUnpaired = Annotated[bool | None, data_option("drop_unpaired")]

Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result as one JSON object on stdout.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", rich_help_panel=COMPUTE)]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=COMPUTE)]
Force = Annotated[
    bool,
    typer.Option("--force", help="Replace an existing output.", show_default=False, rich_help_panel=OUTPUT),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings as TOML (cellflow.toml).", rich_help_panel=MODEL),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting by its dotted name, such as training.steps=2000; repeatable.",
        rich_help_panel=MODEL,
    ),
]
Scale = Annotated[
    bool | None,
    typer.Option(
        "--scale/--no-scale",
        help="Divide features by their training spread.",
        show_default="yes, but not components (pca:K)",
        rich_help_panel=COMPUTE,
    ),
]
MaxCells = Annotated[
    int,
    typer.Option(
        "--max-cells", min=2, help="Most cells on either side of a comparison.", rich_help_panel=COMPUTE
    ),
]
AllCells = Annotated[
    bool,
    typer.Option(
        "--all-cells",
        help="Compare with all measured cells, not with half of them; leaves no floor.",
        show_default=False,
        rich_help_panel=COMPUTE,
    ),
]

Ablation = Annotated[
    bool | None,
    typer.Option(
        "--ablation/--no-ablation",
        help="Tell the model another sample's control population, and the average one.",
        show_default="yes with --model",
        rich_help_panel=COMPUTE,
    ),
]
Audit = Annotated[
    bool,
    typer.Option(
        "--audit/--no-audit",
        help="Score degenerate predictors, too, and flag the metrics that prefer one.",
        rich_help_panel=COMPUTE,
    ),
]


def metrics_option(default: str) -> Any:
    """The option that names metrics; `default` is what help says of leaving it out."""
    return typer.Option(
        "--metrics",
        metavar="NAME,..",
        help="Metrics of `cellflow list metrics`; repeatable, or separated by commas.",
        show_default=default,
        rich_help_panel=COMPUTE,
    )


Definitions = Annotated[
    list[str] | None,
    typer.Option(
        "--definitions",
        metavar="NAME,..",
        help="Add the metrics of a project as it defines them, see `cellflow list published-metrics`.",
        show_default=False,
        rich_help_panel=COMPUTE,
    ),
]


def data_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the data among the arguments of a command that were given, lists as tuples."""
    return {
        name: tuple(arguments[name]) if isinstance(arguments[name], list) else arguments[name]
        for name in _FIELDS
        if arguments.get(name) is not None
    }


def settings(file: Path | None, assignments: list[str] | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run: a TOML file, over it `--set`, over both the dedicated options.

    Raises:
        ConfigError: If the file or an assignment cannot be read, or nobody said what the columns mean.
    """
    from cellflow_cli.config import merged, parse_assignments, read_toml

    low = {} if file is None else read_toml(file)
    found = merged(merged(low, parse_assignments(assignments or [])), flags)
    _check_told(found)
    return found


def pairs(option: str, texts: list[str]) -> dict[str, str]:
    """Texts such as `new=old` of a repeatable option, as a table.

    Raises:
        ConfigError: If one of them has another form.
    """
    found = [text.partition("=") for text in texts]
    for text, parts in zip(texts, found, strict=True):
        if not all(part.strip() for part in parts):
            raise ConfigError(f"Expected `{option} NAME=VALUE`, found {text!r}.")
    return {name.strip(): value.strip() for name, _, value in found}


def names(texts: list[str] | None) -> list[str]:
    """Names of a repeatable option, commas split, each once."""
    found = [name.strip() for text in texts or () for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(found))


def metric_names(texts: list[str] | None) -> list[str] | None:
    """Metric names asked for, checked before any file is opened; None where none are.

    Raises:
        ConfigError: If there is no metric of a name, or no name.
    """
    from cellflow_cli.published_metrics import find

    found = names(texts)
    if texts and not found:
        raise ConfigError(
            "Expected names of metrics after `--metrics`, found none. See `cellflow list metrics`."
        )
    for name in found:
        find(name)
    return found or None


def definition_names(texts: list[str] | None) -> list[str]:
    """Projects whose definitions are asked for, checked before any file is opened.

    Raises:
        ConfigError: If there is no project of a name.
    """
    from cellflow_cli.catalog import Catalog

    found = names(texts)
    for name in found:
        Catalog("published_metrics").load(name)
    return found


def _check_told(settings: Mapping[str, Any]) -> None:
    """Refuse settings that do not say what the columns mean.

    Raises:
        ConfigError: Naming the options that are missing.
    """
    missing = [
        f"`--{key.replace('_', '-')}`"
        for key in ("treatment_key", "control", "sample_key")
        if key not in settings.get("data", {})
    ]
    if missing:
        raise ConfigError(
            f"Expected to be told what the columns mean, found no {', '.join(missing)}. "
            "`cellflow check DATA` proposes columns; the settings may also stand in `--config`."
        )
