"""`cellflow export`: a prediction and its truth as files that other tools accept as they are."""

from pathlib import Path
from typing import Annotated

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import COMPUTE, OUTPUT


@command
def export(
    predicted: Annotated[Path, typer.Argument(metavar="PRED", help="Prediction of `cellflow predict`.")],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="Measured cells; other samples in it are ignored.")
    ],
    tool: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="TOOL",
            help="The tool; see `cellflow list export`.",
            rich_help_panel=OUTPUT,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.", rich_help_panel=OUTPUT),
    ],
    max_cells: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Maximum cells per population and role.",
            show_default="all",
            rich_help_panel=COMPUTE,
        ),
    ] = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Write a prediction and its measured cells as files that another tool accepts as they are.

    Populations are paired by sample columns, treatment and dose, as `evaluate` does; what has no
    partner is left out. docs/interoperability.md shows what to run on them.

    Example: cellflow export predicted.h5ad measured.h5ad --for cell-eval -o for_cell_eval
    """
    from cellflow_cli.catalog import Catalog
    from cellflow_cli.data.read import read
    from cellflow_cli.export._matched import POPULATION, ROLE, matched
    from cellflow_cli.files import check_writable, replaced_folder
    from cellflow_cli.prediction import PredictionFile

    target = Catalog("export").load(tool)
    check_writable(output, force=force, holds=target.names)
    prediction = read([predicted])
    measured = read([truth], features=PredictionFile.read(prediction).spec.features)
    cells = matched(prediction, measured, max_cells=max_cells, seed=seed)
    files = target.files(cells)
    with replaced_folder(output, force=force, holds=target.names) as temporary:
        for name, content in files.items():
            content.write_h5ad(temporary / name, compression="gzip")
    n = int(cells.obs.loc[cells.obs[ROLE] == "measured", POPULATION].nunique())
    console.say(f"{n} populations, {cells.n_vars} features, {cells.n_obs:,} cells in {output}")
    usage = target.usage.format(folder=output)
    console.say(f"Next: {usage}")
    if as_json:
        paths = [str(output / name) for name in files]
        console.emit_json({"files": paths, "populations": n, "cells": cells.n_obs, "usage": usage})
