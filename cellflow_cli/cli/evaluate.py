"""`cellflow evaluate`: how good a prediction is, beside baselines and the noise floor."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import _other_tools as other
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import COMPUTE, INPUT, OUTPUT, OptionsOf
from cellflow_cli.cli._gate import Bar
from cellflow_cli.errors import ConfigError
from cellflow_cli.evaluation.config import EvaluationConfig

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.evaluation.result import Scores
    from cellflow_cli.model import Model

_BEST = {"low": "↓", "high": "↑", "one": "→1"}
_LIBRARY_ONLY = ("baselines", "cell_types")  # fields of EvaluationConfig without an option
_SPACES = {"flow": "Features of the flow", "genes": "Genes or markers"}

Predicted = Annotated[
    Path, typer.Argument(metavar="PRED", help="Prediction of `cellflow predict`, or of another tool.")
]
Truth = Annotated[
    Path, typer.Argument(metavar="TRUTH", help="Measured cells; other samples in it are ignored.")
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="REPORT", help="Folder to write.", rich_help_panel=OUTPUT),
]


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What is reported besides scores."""

    model: Path | None = field(
        default=None,
        metadata={
            "help": "Model folder that made PRED: for all baselines, the context ablation, and paths.",
            "metavar": "MODEL",
            "panel": INPUT,
        },
    )
    ablation: bool | None = field(
        default=None,
        metadata={
            "help": "Context ablation: also predict with another sample's population and with the average "
            "one.",
            "default": "yes with --model",
            "panel": COMPUTE,
        },
    )
    page: bool = field(default=True, metadata={"help": "Write report.html and its figures.", "panel": OUTPUT})


class _Cells(NamedTuple):
    """Both sides of the evaluation, and the model if it is known."""

    predicted: "anndata.AnnData"
    truth: "anndata.AnnData"
    model: "Model | None" = None


@command
def evaluate(
    predicted: Predicted,
    truth: Truth,
    output: Output,
    config: Annotated[EvaluationConfig, OptionsOf(EvaluationConfig, without=_LIBRARY_ONLY, panel=COMPUTE)],
    bar: Annotated[Bar, OptionsOf(Bar, panel=COMPUTE)],
    extras: Annotated[Extras, OptionsOf(Extras)],
    columns: other.Columns,
    file_format: other.Format,
    training: other.Training = None,
    device: opt.Device = "auto",
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Hold a prediction against measured cells: metrics, baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. Writes report.html, which opens
    offline, its figures, scores.csv (every number) and summary.json (means over groups).

    Example: cellflow evaluate predicted.h5ad measured.h5ad -o report

    Another tool's: cellflow evaluate scgen.h5ad measured.h5ad --treatment-key condition --control ctrl
    --sample-key donor --predicted-obs condition=IFN --training training.h5ad -o report
    """
    from cellflow_cli.evaluation.result import check_report
    from cellflow_cli.report.page import FILES, Inputs

    if extras.ablation and extras.model is None:
        raise ConfigError("Expected `--model MODEL` beside `--ablation`, found none. Name the model folder.")
    check_report(output, force=force, holds=FILES)
    bar.check(config)
    external = other.External(columns, file_format, tuple(training or ()))
    cells = _read(predicted, truth, external, extras, config.seed, device)
    scores = _scores(cells, config, extras.ablation, device)
    figures: dict[str, bytes] = {}
    if extras.page:
        console.say("Drawing the page")
        model = None if extras.model is None else str(extras.model)
        inputs = Inputs(predicted=str(predicted), truth=str(truth), model=model, options=external.words)
        figures = _page(scores, cells, inputs)
    scores.save(output, force, figures, FILES)
    _show(scores, scores.summary(), output)
    if extras.page:
        console.say(f"Open {output / 'report.html'} in a browser")
    if as_json:
        files = [str(output / name) for name in (*scores.files, *figures)]
        console.emit_json({**scores.summary().to_json(), "files": files})
    bar.fail_if_worse(scores, output)
    _fail_if_missing(scores, config.metrics or (), output)


def _read(
    predicted: Path,
    truth: Path,
    external: other.External,
    extras: Extras,
    seed: int,
    device: str,
) -> _Cells:
    """Prediction, measured cells and model.

    Raises:
        ConfigError: If options contradict what the files say.
        DataError, BundleError: If a file is not what it should be.
    """
    from cellflow_cli.data.read import read
    from cellflow_cli.device import resolve
    from cellflow_cli.prediction import PredictionFile, is_prediction

    resolve(device)  # before anything is read
    prediction = read([predicted])
    if not is_prediction(prediction) and (external or extras.model):
        if extras.ablation:
            raise ConfigError("Expected a prediction of `cellflow predict` with `--ablation`, found another.")
        return _Cells(*other.read_external_files(prediction, truth, external, extras.model, seed))
    stored = PredictionFile.read(prediction)
    external.check_unneeded(stored.spec)
    model = None
    if extras.model is not None:
        model = _model(extras.model, stored.facts.get("model_id"), device)
    return _Cells(prediction, read([truth], features=stored.spec.features), model)


def _scores(cells: _Cells, config: EvaluationConfig, ablation: bool | None, device: str) -> "Scores":
    from cellflow_cli.device import resolve
    from cellflow_cli.evaluation.evaluate import evaluate as score
    from cellflow_cli.model import ContextAblation
    from cellflow_cli.prediction import PredictionFile

    known: dict[str, Any] = {}
    if cells.model is not None:
        known = {"transform": cells.model.transform, "summaries": cells.model.summaries}
        if ablation is not False:
            stored = PredictionFile.read(cells.predicted)
            known["extra_predictions"] = ContextAblation(cells.model, stored).predictions
    with console.progress("Scoring") as on_progress:
        return score(
            cells.predicted, cells.truth, config, device=resolve(device), on_progress=on_progress, **known
        )


def _page(scores: "Scores", cells: _Cells, inputs: Any) -> dict[str, bytes]:
    """The page and its figures."""
    from cellflow_cli.report.page import files
    from cellflow_cli.report.paths import Flows, read_flows
    from cellflow_cli.report.pictures import read_pictures
    from cellflow_cli.report.split import read_split

    prediction, measured, model = cells
    seed = scores.config.seed
    pictures = read_pictures(prediction, measured, transform=model.transform if model else None, seed=seed)
    flows = read_flows(scores, pictures, model, prediction, measured, seed=seed) if model else Flows()
    return files(
        scores,
        pictures,
        read_split(prediction, measured, summaries=model.summaries if model else None),
        flows=flows.populations,
        no_flows=flows.reason,
        inputs=inputs,
    )


def _model(folder: Path, model_id: str | None, device: str) -> "Model":
    """The model that made the prediction.

    Raises:
        BundleError: If the folder is no model.
        ConfigError: If it is another model than the one that made the prediction.
    """
    from cellflow_cli.model import load

    model = load(folder, device=device)
    if model_id is not None and model_id != model.id:
        raise ConfigError(
            f"Expected the model {model_id} that made the prediction, found {model.id} in `{folder}`. "
            "Choose its folder with `--model`, or predict again."
        )
    return model


def _show(scores: "Scores", summary: dict[str, Any], output: Path) -> None:
    """Tables of means over groups, comparisons, remarks, and where the files are."""
    from cellflow_cli.statistics.degenerate_ranks import remark as audit_remark

    n_groups, n = len(summary["groups"]), summary["n_cells"]
    sizes = f"{n['min']}" if n["min"] == n["max"] else f"{n['min']} to {n['max']}"
    title = (
        f"Mean over {n_groups} {'group' if n_groups == 1 else 'groups'} ({summary['n_conditions']} "
        f"conditions, {sizes} cells a side, features {'scaled' if scores.settings['scaled'] else 'unscaled'})"
    )
    console.say(title)
    entries = summary["metrics"]
    for space, what in _SPACES.items():
        ours = [name for name, e in entries.items() if e["space"] == space and e["origin"] is None]
        _show_metrics(scores, summary, ours, what)
    for origin in dict.fromkeys(e["origin"] for e in entries.values() if e["origin"]):
        theirs = [name for name, e in entries.items() if e["origin"] == origin]
        _show_metrics(scores, summary, theirs, f"As {origin} defines them")
    for sentence in _sentences(scores, summary):
        console.say(sentence)
    for remark in (
        *_alarms(summary),
        *filter(None, [audit_remark(summary["audit"])]),
        *_reasons(scores, summary),
        *scores.warnings,
    ):
        console.say(remark, style="yellow")
    console.say(f"Scores in {output / 'scores.csv'}, summary in {output / 'summary.json'}")


def _show_metrics(scores: "Scores", summary: dict[str, Any], metrics: list[str], what: str) -> None:
    """A line for each row that has a value, a column for each of the metrics."""
    if not metrics:
        return
    means = {row: [summary["rows"][row][name]["mean"] for name in metrics] for row in scores.rows}
    lines = [
        [row, *("–" if mean is None else mean for mean in values)]
        for row, values in means.items()
        if any(mean is not None for mean in values)
    ]
    titles = [f"{name.rsplit(':', 1)[-1]} {_BEST[summary['metrics'][name]['best']]}" for name in metrics]
    console.show_table(what, ["", *titles], lines)


def _sentences(scores: "Scores", summary: dict[str, Any]) -> list[str]:
    """On how many groups the model is better than each baseline, and how far it goes towards the floor."""
    metric = "energy" if "energy" in scores.metrics else scores.metrics[0]
    counts = [
        f"{baseline} on {found[metric]['k']} of {found[metric]['n']}"
        for baseline, found in summary["better_than"].items()
        if found[metric]["n"]
    ]
    found = [f"Better than (groups, {metric}): {', '.join(counts)}"] if counts else []
    covered = {row: entry[metric]["value"] for row, entry in summary["normalised"].items()}
    texts = [
        f"{row} {value:.2f}" for row, value in covered.items() if value is not None and row != "identity"
    ]
    if texts:
        found.append(f"From doing nothing (0) to the floor (1), {metric}: {', '.join(texts)}")
    if "rows" in summary["ablation"]:
        found.append(_population(summary, metric))
    return found


def _population(summary: dict[str, Any], metric: str) -> str:
    """What the model scores when it is told another population."""
    rows = {row: entry[metric] for row, entry in summary["ablation"]["rows"].items()}
    own = summary["rows"]["model"][metric]["mean"]
    values = {"own": own, **{row.removeprefix("model, "): entry["mean"] for row, entry in rows.items()}}
    texts = [f"{what} {value:.4g}" for what, value in values.items() if value is not None]
    better = [f"{e['k']} of {e['n']}" for e in rows.values()]
    return f"Told a population, {metric}: {', '.join(texts)}; own better on {' and '.join(better)} groups"


def _alarms(summary: dict[str, Any]) -> list[str]:
    from cellflow_cli.statistics.collapse import how_far

    collapse = summary["collapse"]
    return [f"Collapse alarm: {how_far(collapse)}."] if collapse["alarm"] else []


def _reasons(scores: "Scores", summary: dict[str, Any]) -> list[str]:
    """For each reason why values are missing, in how many conditions and where they are."""
    found: dict[tuple[str, int], dict[str, list[str]]] = {}
    for row in scores.rows:
        for metric, entry in summary["rows"][row].items():
            if entry["n_missing"]:
                key = entry["reason"], entry["n_missing"]
                found.setdefault(key, {}).setdefault(row, []).append(metric)
    total = summary["n_conditions"]
    return [
        f"No value in {n} of {total} conditions: {_places(places, scores)}: {reason}"
        for (reason, n), places in found.items()
    ]


def _places(places: dict[str, list[str]], scores: "Scores") -> str:
    """Rows and metrics as text, shortened where all rows or all metrics are meant."""
    metrics = list(dict.fromkeys(metric for names in places.values() for metric in names))
    everywhere = len(metrics) == len(scores.metrics)
    rows = "all rows" if len(places) == len(scores.rows) else ", ".join(places)
    return rows if everywhere else f"{', '.join(metrics)} of {rows}"


def _fail_if_missing(scores: "Scores", asked: list[str], output: Path) -> None:
    """Raise if a metric asked for by name has no value for the prediction somewhere.

    Raises:
        MetricError: Naming the metrics and the first reason; the report is already written.
    """
    from pandas import isna

    from cellflow_cli.errors import MetricError, listed

    missing = scores.missing(asked)
    if missing.empty:
        return
    first = missing.iloc[0]
    dose = "" if isna(first["dose"]) else f" {first['dose']:g}"
    raise MetricError(
        f"Expected {listed(asked)} for every condition, found no value for "
        f"{listed(missing['metric'].unique())} in {len(missing)} places, first for {first['sample']}, "
        f"{first['treatment']}{dose}: {first['reason']}. The other scores are in `{output}`; see the column "
        "`reason` of scores.csv."
    )
