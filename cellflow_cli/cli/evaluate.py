"""`cellflow evaluate`: how good a prediction is, beside baselines and the noise floor."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console

if TYPE_CHECKING:
    from cellflow_cli.evaluation.scores import Scores

_BEST = {"low": "low", "high": "high", "one": "1"}


def evaluate(
    predicted: Annotated[Path, typer.Argument(metavar="PRED", help="Prediction of `cellflow predict`.")],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="Measured cells; other samples in it are left aside.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="REPORT", help="Folder to write.", rich_help_panel=opt.OUTPUT),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Model folder, where PRED lacks the training summaries.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,..",
            help="Metrics of `cellflow list metrics`; repeatable, or separated by commas.",
            show_default="all",
            rich_help_panel=opt.COMPUTE,
        ),
    ] = None,
    scale: Annotated[
        bool | None,
        typer.Option(
            "--scale/--no-scale",
            help="Divide features by their training spread.",
            show_default="yes, but not components (pca:K)",
            rich_help_panel=opt.COMPUTE,
        ),
    ] = None,
    max_cells: Annotated[
        int,
        typer.Option(min=2, help="Most cells on either side of a comparison.", rich_help_panel=opt.COMPUTE),
    ] = 2500,
    all_cells: Annotated[
        bool,
        typer.Option(
            "--all-cells",
            help="Compare with all measured cells, not with half of them; leaves no floor.",
            rich_help_panel=opt.COMPUTE,
        ),
    ] = False,
    seed: opt.Seed = 0,
    device: opt.Device = "auto",
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Hold a prediction against measured cells: metrics, baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. Writes scores.csv (every number)
    and summary.json (means over groups).

    Example: cellflow evaluate predicted.h5ad measured.h5ad -o report
    """
    from cellflow_cli.data.read import read
    from cellflow_cli.device import resolve
    from cellflow_cli.evaluation.provenance import read_provenance
    from cellflow_cli.evaluation.score import score
    from cellflow_cli.evaluation.scores import check_report

    check_report(output, force=force)
    asked = opt.metric_names(metrics)
    where = resolve(device)
    prediction = read([predicted])
    provenance = read_provenance(prediction)
    stored = _model_parts(model, provenance.facts.get("model_id")) if model else {}
    measured = read([truth], features=provenance.spec.features)
    with _progress() as on_progress:
        scores = score(
            prediction, measured, **stored, metrics=asked, max_cells=max_cells, all_cells=all_cells,
            seed=seed, device=where, scale=scale, on_progress=on_progress,
        )  # fmt: skip
    scores.save(output, force)
    summary = scores.summary()
    _show(scores, summary, output)
    if as_json:
        console.emit_json({**summary, "files": [str(output / "scores.csv"), str(output / "summary.json")]})
    if asked:
        _fail_if_missing(scores, asked, output)


def _model_parts(folder: Path, model_id: str | None) -> dict[str, Any]:
    """Transform and training summaries of the model folder that made the prediction.

    Raises:
        BundleError: If the folder is no model.
        ConfigError: If it is another model than the one that made the prediction.
    """
    from cellflow_cli.errors import ConfigError
    from cellflow_cli.model import load

    model = load(folder)
    if model_id is not None and model_id != model.id:
        raise ConfigError(
            f"Expected the model {model_id} that made the prediction, found {model.id} in `{folder}`. "
            "Choose its folder with `--model`, or predict again."
        )
    return {"transform": model.transform, "summaries": model.summaries}


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar in a terminal, otherwise one plain line per condition."""
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


def _show(scores: "Scores", summary: dict[str, Any], output: Path) -> None:
    """The table of means over groups, comparisons, remarks, and where the files are."""
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


def _reasons(scores: "Scores", summary: dict[str, Any]) -> list[str]:
    """For each row that lacks values: in how many conditions, and the first reason."""
    found: dict[str, list[str]] = {}
    for row in scores.rows:
        for metric, entry in summary["rows"][row].items():
            if entry["n_missing"]:
                text = f"{row}: no value in {entry['n_missing']} of {summary['n_conditions']} conditions"
                found.setdefault(f"{text} ({entry['reason']})", []).append(metric)
    return [f"{text}: {', '.join(metrics)}" for text, metrics in found.items()]


def _fail_if_missing(scores: "Scores", asked: list[str], output: Path) -> None:
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
