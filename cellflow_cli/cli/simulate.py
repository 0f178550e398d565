"""`cellflow simulate`: data with a known answer, to learn the tool and to test methods."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import INPUT, OUTPUT
from cellflow_cli.cli._options import Force, Json, Seed
from cellflow_cli.cli.console import emit_json, say
from cellflow_cli.errors import ConfigError

if TYPE_CHECKING:
    from anndata import AnnData

app = typer.Typer(
    help="Simulate data with a known answer: a cohort of patients, Gaussian populations, or letters.",
    no_args_is_help=True,
)

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="h5ad file to write.", rich_help_panel=OUTPUT)
]


@app.command("cohort")
@command
def cohort(
    output: Output,
    patients: Annotated[int, typer.Option(help="Patients.", rich_help_panel=INPUT)] = 24,
    markers: Annotated[
        int, typer.Option(help="Markers, 20 to 200; 16 have a fixed role.", rich_help_panel=INPUT)
    ] = 30,
    min_cells: Annotated[
        int, typer.Option(help="Minimum cells per population.", rich_help_panel=INPUT)
    ] = 170,
    max_cells: Annotated[
        int, typer.Option(help="Maximum cells per population.", rich_help_panel=INPUT)
    ] = 300,
    signalling: Annotated[
        float,
        typer.Option(
            help="Strength of the dependence on the population, 0 to 1; at 0 it does not matter.",
            rich_help_panel=INPUT,
        ),
    ] = 1.0,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """A drug screen on patients whose response depends on the composition of their own cells.

    Three treatments (one in three doses) and controls for each patient, five cell types, simulated.
    """
    from cellflow_cli.simulate.cohort import CohortConfig, simulate_cohort

    _check_target(output, force)
    config = CohortConfig(
        n_patients=patients,
        n_markers=markers,
        min_cells=min_cells,
        max_cells=max_cells,
        signalling=signalling,
    )
    _write(simulate_cohort(config, seed), output, force, as_json, kind="cohort", seed=seed)


@app.command("gaussians")
@command
def gaussians(
    output: Output,
    populations: Annotated[int, typer.Option(help="Populations.", rich_help_panel=INPUT)] = 12,
    features: Annotated[int, typer.Option(help="Features per cell.", rich_help_panel=INPUT)] = 3,
    cells: Annotated[
        int, typer.Option(help="Control cells, and treated cells, per population.", rich_help_panel=INPUT)
    ] = 400,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Gaussian populations, each moved by an optimal map of its own that is known exactly.

    The map, both means and covariances and the distance W2 of each population stand in uns["truth"].
    """
    from cellflow_cli.simulate.gaussians import GaussiansConfig, simulate_gaussians

    _check_target(output, force)
    config = GaussiansConfig(n_populations=populations, n_features=features, n_cells=cells)
    _write(simulate_gaussians(config, seed), output, force, as_json, kind="gaussians", seed=seed)


@app.command("letters")
@command
def letters(
    output: Output,
    alphabet: Annotated[
        str, typer.Option(help="Letters, digits or other characters, each once.", rich_help_panel=INPUT)
    ] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    validation: Annotated[
        str, typer.Option(help="Validation letters; '' for none.", rich_help_panel=INPUT)
    ] = "X",
    test: Annotated[str, typer.Option(help="Test letters; '' for none.", rich_help_panel=INPUT)] = "Y",
    rotations: Annotated[int, typer.Option(help="Populations per letter.", rich_help_panel=INPUT)] = 10,
    size: Annotated[
        int, typer.Option(help="Pixels per em; points grow with its square.", rich_help_panel=INPUT)
    ] = 100,
    font: Annotated[
        Path | None,
        typer.Option(
            help="TrueType or OpenType font.",
            show_default="DejaVu Sans, which ships with matplotlib",
            metavar="FILE",
            rich_help_panel=INPUT,
        ),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Letters, blurred and as they were: every pixel of a glyph is a point of a population.

    To check the file or train on it: --treatment-key treatment --control control
    --sample-key population --group-key letter --split-key split --pairs-key pair.

    Digits that a trained model has not seen: --alphabet 0123456789 --validation ''
    --test ''.
    """
    from cellflow_cli.simulate.letters import LettersConfig, simulate_letters

    _check_target(output, force)
    config = LettersConfig(
        alphabet=alphabet,
        validation=validation,
        test=test,
        n_rotations=rotations,
        size=size,
        font=None if font is None else str(font),
    )
    simulated = simulate_letters(config, seed)
    _write(simulated, output, force, as_json, kind="letters", seed=seed, sample_key="population")
    if set(alphabet) <= set(validation + test):
        say(
            f"All letters of {alphabet!r} are for validation or testing: none is left to train on. Give a "
            "longer `--alphabet`, or `--validation ''` and `--test ''`.",
            style="yellow",
        )


def _check_target(output: Path, force: bool) -> None:
    """Refuse an output before the work is done.

    Raises:
        ConfigError: If the name is not that of an h5ad file.
        OutputError: If it exists, or its folder cannot be written.
    """
    from cellflow_cli.files import check_writable

    if output.suffix != ".h5ad":
        raise ConfigError(f"Expected `--output` to end in `.h5ad`, found {str(output)!r}.")
    check_writable(output, force=force)


def _write(
    adata: "AnnData",
    output: Path,
    force: bool,
    as_json: bool,
    *,
    kind: str,
    seed: int,
    sample_key: str = "patient",
) -> None:
    from cellflow_cli.files import replaced_file

    with replaced_file(output, force=force) as temporary:
        adata.write_h5ad(temporary, compression="gzip")
    samples, treatments = (list(adata.obs[key].cat.categories) for key in (sample_key, "treatment"))
    summary = {
        "output": str(output),
        "kind": kind,
        "simulated": True,
        "seed": seed,
        "n_cells": adata.n_obs,
        "n_features": adata.n_vars,
        f"{sample_key}s": samples,
        "treatments": treatments,
        "columns": list(adata.obs.columns),
        "bytes": output.stat().st_size,
    }
    if as_json:
        emit_json(summary)
    say(
        f"Simulated {kind}: {adata.n_obs:,} cells × {adata.n_vars} features, {len(samples)} {sample_key}s, "
        f"treatments {', '.join(treatments)}. Written to {output}."
    )
