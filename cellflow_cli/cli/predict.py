"""`cellflow predict`: carry the control cells of samples to the treated state."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console
from cellflow_cli.errors import ConfigError, OutputError


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder of `cellflow train`.")],
    data: opt.Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PRED.h5ad", help="Prediction to write.", rich_help_panel=opt.OUTPUT
        ),
    ],
    samples: Annotated[
        str,
        typer.Option(
            metavar="unseen|all|COLUMN=A,B",
            help="Which samples: those of groups that training never saw, all, or by a column.",
            rich_help_panel=opt.INPUT,
        ),
    ] = "unseen",
    treatment: Annotated[
        list[str] | None,
        typer.Option(
            help="Treatment to predict; repeatable.", show_default="all trained", rich_help_panel=opt.INPUT
        ),
    ] = None,
    dose: Annotated[
        list[float] | None,
        typer.Option(
            help="Dose to predict; repeatable.", show_default="all trained", rich_help_panel=opt.INPUT
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="TRUTH.h5ad",
            help="Predict the samples and conditions that are measured in this file, and no other.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NEW=OLD", help="Read column OLD of obs as NEW; repeatable.", rich_help_panel=opt.INPUT
        ),
    ] = None,
    assume_control: Annotated[
        bool,
        typer.Option(
            "--assume-control",
            help="All cells are untreated; the file has no treatment column.",
            show_default=False,
            rich_help_panel=opt.INPUT,
        ),
    ] = False,
    sample_name: Annotated[
        str | None,
        typer.Option(
            help="Name of the sample, where the file has no sample column.", rich_help_panel=opt.INPUT
        ),
    ] = None,
    population: Annotated[
        str,
        typer.Option(
            metavar="own|other|average",
            help="Whose control population the model is told; the others check whether it matters.",
            rich_help_panel=opt.MODEL,
        ),
    ] = "own",
    min_feature_coverage: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Smallest share of the model's features that will do.",
            rich_help_panel=opt.INPUT,
        ),
    ] = 1.0,
    no_controls: Annotated[
        bool,
        typer.Option(
            "--no-controls",
            help="Leave the control rows out.",
            show_default=False,
            rich_help_panel=opt.OUTPUT,
        ),
    ] = False,
    chunk: Annotated[
        int, typer.Option(min=1, help="Cells moved at a time; bounds memory.", rich_help_panel=opt.COMPUTE)
    ] = 8192,
    seed: opt.Seed = 0,
    device: opt.Device = "auto",
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Predict treated cells of patients from their control cells.

    Example: cellflow predict model new_patient.h5ad --treatment 5-FU -o predicted.h5ad
    """
    from cellflow_cli.data.read import file_hashes, read, read_obs, rename_columns
    from cellflow_cli.files import check_writable
    from cellflow_cli.model import load
    from cellflow_cli.prediction import PredictionRequest, plan_prediction, write_prediction

    _check_output(output, [*data, *([like] if like else [])])
    check_writable(output, force=force)
    trained = load(model, device=device)
    adata = read(data, trained.config.data.features)
    if rename:
        adata = rename_columns(adata, opt.pairs("--rename", rename))
    request = PredictionRequest(
        treatments=treatment or None,
        doses=dose or None,
        samples=_samples(samples),
        like=None if like is None else read_obs([like]),
        assume_control=assume_control,
        sample_name=sample_name,
        population=population,
        controls=not no_controls,
        min_coverage=min_feature_coverage,
        seed=seed,
        chunk=chunk,
    )
    facts: dict[str, Any] = {
        "model": str(model.absolute()),
        "command": " ".join(["cellflow", *sys.argv[1:]]),
        "input_hashes": json.dumps(file_hashes(data)),
    }
    planned = plan_prediction(trained, adata, request, facts)
    names = [task.control.name for task in planned.tasks]
    conditions = sorted({condition.label for task in planned.tasks for condition in task.conditions})
    console.say(
        f"Predicting {len(names)} samples ({_some(names)}) under {len(conditions)} conditions "
        f"({_some(conditions)})"
    )
    for remark in planned.warnings:
        console.say(f"Warning: {remark}", style="yellow")
    with console.progress("Rows") as on_rows:
        counts = write_prediction(planned, output, force=force, on_rows=on_rows)
    if counts.n_clipped:
        console.say(f"Set to zero because below it: {counts.fraction_clipped:.1%} of predicted values")
    console.say(f"{planned.n_rows:,} rows in {output}")
    if as_json:
        console.emit_json(
            {
                "prediction": str(output),
                "rows": planned.n_rows,
                "samples": names,
                "conditions": conditions,
                "warnings": list(planned.warnings),
            }
        )


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


def _samples(text: str) -> str | dict[str, list[str]]:
    if text in ("unseen", "all"):
        return text
    column, equals, values = text.partition("=")
    chosen = [value.strip() for value in values.split(",") if value.strip()]
    if not equals or not column.strip() or not chosen:
        raise ConfigError(f"Expected `--samples` unseen, all or COLUMN=VALUE,..., found {text!r}.")
    return {column.strip(): chosen}


def _some(names: list[str], limit: int = 6) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
