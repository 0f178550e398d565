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


def data_option(name: str) -> Any:
    """The option of one field of `DataSpec`, with its help text and default."""
    field = _FIELDS[name]
    default = field.default
    text = "required" if default is dataclasses.MISSING else str(default)
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=field.metadata["help"],
        metavar=_METAVARS.get(name, "COLUMN" if name.endswith("_key") else None),
        show_default=text if default not in (None, (), False) else False,
        rich_help_panel=INPUT,
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


def given(**settings: Any) -> dict[str, Any]:
    """The data settings that were given on the command line, lists as tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if value is not None
    }


def names(texts: list[str] | None) -> list[str]:
    """Names of a repeatable option, commas split, each once."""
    found = [name.strip() for text in texts or () for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(found))


def metric_names(texts: list[str] | None) -> list[str] | None:
    """Metric names asked for, checked before any file is opened; None where none are.

    Raises:
        ConfigError: If there is no metric of a name.
    """
    from cellflow_cli.catalog import Catalog

    found = names(texts)
    for name in found:
        Catalog("metrics").load(name)
    return found or None


def check_told(settings: Mapping[str, Any]) -> None:
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
