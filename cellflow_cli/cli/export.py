"""`cellflow export`: a prediction and its truth as files that other tools accept as they are."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import COMPUTE, OUTPUT

Tool = Annotated[
    str,
    typer.Option(
        "--for", metavar="TOOL", help="The tool; see `cellflow list export`.", rich_help_panel=OUTPUT
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.", rich_help_panel=OUTPUT),
]
MaxCells = Annotated[
    int | None,
    typer.Option(
        min=2,
        help="Maximum cells per population and role.",
        show_default="all",
        rich_help_panel=COMPUTE,
    ),
]


@command
def export(
    predicted: Annotated[Path, typer.Argument(metavar="PRED", help="Prediction of `cellflow predict`.")],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="Measured cells; other samples in it are ignored.")
    ],
    tool: Tool,
    output: Output,
    max_cells: MaxCells = None,
    truth_layer: opt.TruthLayer = None,
    seed: opt.Seed = 0,
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Write a prediction and its measured cells as files that another tool accepts as they are.

    Populations are paired as `evaluate` does. docs/interoperability.md shows what to run on them.

    Example: cellflow export predicted.h5ad measured.h5ad --for cell-eval -o for_cell_eval
    """
    from cellflow_cli.catalog import Catalog
    from cellflow_cli.data.moving import read_truth
    from cellflow_cli.data.read import read
    from cellflow_cli.export._matched import POPULATION, ROLE, matched
    from cellflow_cli.files import check_apart, check_writable, replaced_folder
    from cellflow_cli.prediction import PredictionFile

    target = Catalog("export").load(tool)
    check_apart(output, [predicted, truth])
    check_writable(output, force=force, holds=target.names)
    prediction = read([predicted])
    measured = read_truth(truth, PredictionFile.read(prediction).spec.features, truth_layer)
    cells = matched(prediction, measured, max_cells=max_cells, seed=seed)
    files = target.files(cells)
    with replaced_folder(output, force=force, holds=target.names) as temporary:
        for name, content in files.items():
            content.write_h5ad(temporary / name, compression="gzip")
    n = int(cells.obs.loc[cells.obs[ROLE] == "measured", POPULATION].nunique())
    console.say(f"{n} populations, {cells.n_vars} features, {cells.n_obs:,} cells in {output}")
    usage = _usage(target.usage, output)
    console.say(f"Next: {usage}")
    if as_json:
        facts = {"populations": n, "cells": cells.n_obs, "usage": usage}
        console.emit_json({"files": [str(output / name) for name in files], **facts})


def _usage(usage: str, output: Path) -> str:
    """What to run on the files, with their folder quoted as a shell and as Python need it."""
    from cellflow_cli.files import printable

    folder = printable(str(output))
    if '"{folder}' in usage:
        return usage.format(folder=json.dumps(folder, ensure_ascii=False)[1:-1])
    return usage.format(folder=shlex.quote(folder))
