"""`cellflow predict`: carry the control cells of samples to the treated state."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import INPUT, OUTPUT, OptionsOf
from cellflow_cli.data.schema import RENAME
from cellflow_cli.errors import ConfigError, OutputError
from cellflow_cli.prediction.request import PredictionRequest

if TYPE_CHECKING:
    import pandas as pd

    from cellflow_cli.prediction import Prediction

ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder of `cellflow train`.")]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="PRED.h5ad", help="Prediction to write.", rich_help_panel=OUTPUT),
]
Like = Annotated[
    Path | None,
    typer.Option(
        metavar="TRUTH.h5ad",
        help=PredictionRequest.__dataclass_fields__["like"].metadata["help"],
        rich_help_panel=INPUT,
    ),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(metavar=RENAME["metavar"], help=RENAME["help"], rich_help_panel=INPUT),
]


@command
def predict(
    model: ModelFolder,
    data: opt.Data,
    output: Output,
    request: Annotated[dict[str, Any], OptionsOf(PredictionRequest, without=("like",), given=True)],
    like: Like = None,
    rename: Rename = None,
    device: opt.Device = "auto",
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Predict treated cells of patients from their control cells.

    Example: cellflow predict model new_patient.h5ad --treatment 5-FU -o predicted.h5ad
    """
    from cellflow_cli.data.feature_source import in_layer
    from cellflow_cli.data.read import read, read_obs
    from cellflow_cli.data.renaming import rename_all
    from cellflow_cli.data.unchanged import file_hashes
    from cellflow_cli.files import check_apart, check_writable, printable
    from cellflow_cli.model import load
    from cellflow_cli.prediction import plan_prediction, write_prediction

    _check_output(output, [*data, *([like] if like else [])])
    check_apart(output, [*data, *([like] if like else [])])
    check_writable(output, force=force)
    trained = load(model, device=device)
    adata = read(data, in_layer(trained.config.data.features, request.get("layer")))
    adata.obs.attrs["features_option"] = ""  # the model says them
    measured = None if like is None else read_obs([like])
    if rename:
        adata, measured = (
            rename_all([adata, measured], rename) if like else (*rename_all([adata], rename), None)
        )
    facts = {
        "model": printable(str(model.absolute())),
        "command": console.command_line(["cellflow", *sys.argv[1:]]),
        "input_hashes": json.dumps(file_hashes(data)),
    }
    planned = plan_prediction(trained, adata, _request(request, measured), facts)
    _show(planned)
    with console.progress("Rows") as on_rows:
        counts = write_prediction(planned, output, force=force, on_rows=on_rows)
    if counts.n_clipped:
        console.say(f"Negative values set to zero: {counts.fraction_clipped:.1%} of predicted values")
    console.say(f"{planned.n_rows:,} rows in {output}")
    if as_json:
        console.emit_json({"prediction": str(output), "rows": planned.n_rows, **_as_json(planned)})


def _request(given: Mapping[str, Any], like: "pd.DataFrame | None") -> PredictionRequest:
    return PredictionRequest(**{**given, "samples": _samples(given.get("samples", "unseen")), "like": like})


def _as_json(planned: "Prediction") -> dict[str, Any]:
    """What is predicted, as plain values."""
    return {
        "samples": [task.control.name for task in planned.tasks],
        "conditions": sorted({condition.label for task in planned.tasks for condition in task.conditions}),
        "warnings": list(planned.warnings),
    }


def _show(planned: "Prediction") -> None:
    facts = _as_json(planned)
    console.say(
        f"Predicting {len(facts['samples'])} samples ({_names(facts['samples'])}) under "
        f"{len(facts['conditions'])} conditions ({_names(facts['conditions'])})"
    )
    for remark in planned.warnings:
        console.say(f"Warning: {remark}", style="yellow")


def _check_output(output: Path, inputs: list[Path]) -> None:
    """Refuse an output that is no h5ad file, or that is one of the inputs.

    Raises:
        OutputError: Even with `--force`: measured cells are not to be replaced by predicted ones.
    """
    if output.suffix != ".h5ad" or output.is_dir():
        found = "a folder" if output.is_dir() else "another ending"
        raise OutputError(f"Expected `--output` to be an h5ad file, found {found}: `{output}`.")
    if output.exists() and any(path.exists() and path.samefile(output) for path in inputs):
        raise OutputError(
            f"Expected an output that is none of the inputs, found `{output}`. Nothing was changed. Choose "
            "another `--output`."
        )


def _samples(text: str) -> str | dict[str, str]:
    if text in ("unseen", "all"):
        return text
    column, equals, values = text.partition("=")
    if not equals or not column.strip() or not values.strip(" ,"):
        raise ConfigError(f"Expected `--samples` unseen, all or COLUMN=VALUE,..., found {text!r}.")
    return {column.strip(): values}


def _names(names: list[str], limit: int = 6) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
