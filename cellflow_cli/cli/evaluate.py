"""`cellflow evaluate`: how good a prediction is, beside baselines and the noise floor."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellflow_cli.evaluation.scores import Scores

_BEST = {"low": "low", "high": "high", "one": "1"}


def evaluate(
    predicted: Annotated[
        Path, typer.Argument(metavar="PRED", help="Prediction, written by `cellflow predict`.")
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="Measured cells; may hold other samples too.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report.", rich_help_panel="Output")
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="Model folder, where PRED lacks the training summaries.", rich_help_panel="Input"),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="Metrics, repeatable or separated by commas; default: all of `cellflow list metrics`.",
            rich_help_panel="Model",
        ),
    ] = None,
    scale: Annotated[
        bool | None,
        typer.Option(
            "--scale/--no-scale",
            help="Divide features by their training spread; default: yes, but not for components (pca:K).",
            rich_help_panel="Model",
        ),
    ] = None,
    max_cells: Annotated[
        int, typer.Option(min=2, help="Most cells on either side of a comparison.", rich_help_panel="Compute")
    ] = 2500,
    seed: Annotated[int, typer.Option(help="Seed of the subsamples.", rich_help_panel="Compute")] = 0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:1.", rich_help_panel="Compute")
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing report.", rich_help_panel="Output")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON on stdout.", rich_help_panel="Output")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print nothing but errors.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Hold a prediction against measured cells: metrics, baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. Writes scores.csv (every number)
    and summary.json (means over groups).
    """
    from cellflow_cli.cli import console
    from cellflow_cli.cli._device import resolve
    from cellflow_cli.data.read import read
    from cellflow_cli.evaluation._output import check_folder
    from cellflow_cli.evaluation.provenance import read_provenance
    from cellflow_cli.evaluation.score import score

    if quiet:
        console.set_quiet(True)
    check_folder(output, force)
    asked = _names(metrics)
    where = resolve(device)
    stored = _model_parts(model)
    prediction = read([predicted])
    measured = read([truth], features=read_provenance(prediction).spec.features)
    with _progress() as on_progress:
        scores = score(
            prediction, measured, **stored, metrics=asked, max_cells=max_cells, seed=seed, device=where,
            scale=scale, on_progress=on_progress,
        )  # fmt: skip
    scores.save(output, force)
    summary = scores.summary()
    _show(scores, summary, output)
    if as_json:
        console.emit_json({**summary, "files": [str(output / "scores.csv"), str(output / "summary.json")]})
    if asked:
        _fail_if_missing(scores, asked, output)


def _names(metrics: list[str] | None) -> list[str] | None:
    """Metric names asked for, commas split, checked before any file is opened."""
    from cellflow_cli.catalog import Catalog

    names = [name.strip() for text in metrics or () for name in text.split(",") if name.strip()]
    for name in names:
        Catalog("metrics").load(name)
    return list(dict.fromkeys(names)) or None


def _model_parts(model: Path | None) -> dict[str, Any]:
    """Transform and training summaries of a model folder, if one was named."""
    if model is None:
        return {}
    from cellflow_cli.model import load

    loaded = load(model)
    return {"transform": loaded.transform, "summaries": loaded.summaries}


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar in a terminal, otherwise one plain line per condition."""
    from cellflow_cli.cli import console

    screen = console.stderr()
    if not screen.is_terminal:
        yield lambda done, total, what: console.say(f"{done + 1}/{total} {what}") if done < total else None
        return
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("Scoring", total=None)
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=escape(what or "Scoring")
        )


def _show(scores: Scores, summary: dict[str, Any], output: Path) -> None:
    """The table of means over groups, comparisons, remarks, and where the files are."""
    from cellflow_cli.cli import console

    n_groups, n = len(summary["groups"]), summary["n_cells"]
    sizes = f"{n['min']}" if n["min"] == n["max"] else f"{n['min']} to {n['max']}"
    title = (
        f"Mean over {n_groups} {'group' if n_groups == 1 else 'groups'} ({summary['n_conditions']} "
        f"conditions, {sizes} cells a side, features {'scaled' if scores.settings['scaled'] else 'unscaled'})"
    )
    lines = [
        [metric, _BEST[entry["best"]], *(_mean(summary, row, metric) for row in scores.rows)]
        for metric, entry in summary["metrics"].items()
    ]
    console.show_table(title, ["metric", "best", *scores.rows], lines)
    for baseline, metrics in summary["better_than"].items():
        counts = ", ".join(f"{metric} {c['k']} of {c['n']}" for metric, c in metrics.items() if c["n"])
        if counts:
            console.say(f"Better than {baseline} on (groups): {counts}")
    for remark in (*_reasons(scores, summary), *scores.warnings):
        console.say(remark, style="yellow")
    console.say(f"Scores in {output / 'scores.csv'}, summary in {output / 'summary.json'}")


def _mean(summary: dict[str, Any], row: str, metric: str) -> object:
    mean = summary["rows"][row][metric]["mean"]
    return "–" if mean is None else mean


def _reasons(scores: Scores, summary: dict[str, Any]) -> list[str]:
    """For each row that lacks values: in how many conditions, and the first reason."""
    found: dict[str, list[str]] = {}
    for row in scores.rows:
        for metric, entry in summary["rows"][row].items():
            if entry["n_missing"]:
                text = f"{row}: no value in {entry['n_missing']} of {summary['n_conditions']} conditions"
                found.setdefault(f"{text} ({entry['reason']})", []).append(metric)
    return [f"{text}: {', '.join(metrics)}" for text, metrics in found.items()]


def _fail_if_missing(scores: Scores, asked: list[str], output: Path) -> None:
    """Raise if a metric asked for by name has no value for the prediction somewhere.

    Raises:
        MetricError: Naming the metrics and the first reason; the report is already written.
    """
    from cellflow_cli.errors import MetricError, listed

    missing = scores.missing(asked)
    if missing.empty:
        return
    first = missing.iloc[0]
    condition = (
        first["treatment"] if first["dose"] != first["dose"] else f"{first['treatment']} {first['dose']:g}"
    )
    raise MetricError(
        f"Expected {listed(asked)} for every condition, found no value for "
        f"{listed(missing['metric'].unique())} in {len(missing)} places, first for {first['sample']}, "
        f"{condition}: {first['reason']}. The other scores are in `{output}`; see the column `reason` of "
        "scores.csv."
    )
