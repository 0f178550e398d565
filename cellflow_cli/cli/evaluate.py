"""`cellflow evaluate`: how good a prediction is, beside baselines and the noise floor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import _other_tools as other
from cellflow_cli.cli import console
from cellflow_cli.cli._gate import FailIfWorseThan, GateMetric, bar, fail_if_worse

if TYPE_CHECKING:
    from cellflow_cli.evaluation.result import Scores
    from cellflow_cli.model import Model

_BEST = {"low": "↓", "high": "↑", "one": "→1"}
_SPACES = {"flow": "Features of the flow", "genes": "Genes or markers"}


def evaluate(
    predicted: Annotated[
        Path, typer.Argument(metavar="PRED", help="Prediction of `cellflow predict`, or of another tool.")
    ],
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
            help="Model folder that made PRED: for all baselines, whether the population matters, and paths.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    metrics: Annotated[list[str] | None, opt.metrics_option("all")] = None,
    definitions: opt.Definitions = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page/--no-page", help="Write report.html and its figures.", rich_help_panel=opt.OUTPUT
        ),
    ] = True,
    scale: opt.Scale = None,
    max_cells: opt.MaxCells = 2500,
    all_cells: opt.AllCells = False,
    floor_splits: Annotated[
        int,
        typer.Option(
            min=1, help="Random splits that the noise floor is averaged over.", rich_help_panel=opt.COMPUTE
        ),
    ] = 5,
    fail_if_worse_than: FailIfWorseThan = None,
    metric: GateMetric = None,
    ablation: opt.Ablation = None,
    audit: opt.Audit = True,
    seed: opt.Seed = 0,
    device: opt.Device = "auto",
    force: opt.Force = False,
    as_json: opt.Json = False,
    treatment_key: other.TreatmentKey = None,
    control: other.Control = None,
    sample_key: other.SampleKey = None,
    group_key: other.GroupKey = None,
    batch_key: other.BatchKey = None,
    dose_key: other.DoseKey = None,
    cell_type_key: other.CellTypeKey = None,
    features: other.Features = None,
    expression: other.Expression = None,
    predicted_in: other.PredictedIn = None,
    predicted_expression: other.PredictedExpression = None,
    predicted_obs: other.PredictedObs = None,
    rename: other.Rename = None,
    assume_feature_order: other.AssumeFeatureOrder = False,
    shared_features: other.SharedFeatures = False,
    training: other.Training = None,
    holdout: other.HoldoutOption = None,
) -> None:
    """Hold a prediction against measured cells: metrics, baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. Writes report.html, which opens
    offline, its figures, scores.csv (every number) and summary.json (means over groups).

    Example: cellflow evaluate predicted.h5ad measured.h5ad -o report

    Another tool's: cellflow evaluate scgen.h5ad measured.h5ad --treatment-key condition --control ctrl
    --sample-key donor --predicted-obs condition=IFN --training training.h5ad -o report
    """
    options = other.given(locals())
    from cellflow_cli.data.read import read
    from cellflow_cli.device import resolve
    from cellflow_cli.errors import ConfigError
    from cellflow_cli.evaluation.evaluate import score
    from cellflow_cli.evaluation.result import check_report
    from cellflow_cli.external.external_format import is_foreign
    from cellflow_cli.model import ContextAblation
    from cellflow_cli.prediction.file import PredictionFile
    from cellflow_cli.report.page import FILES

    if ablation and model is None:
        raise ConfigError("Expected `--model MODEL` beside `--ablation`, found none. Name the model folder.")
    check_report(output, force=force, holds=FILES)
    asked, others = opt.metric_names(metrics), opt.definition_names(definitions)
    gate = bar(fail_if_worse_than, metric, asked, others)
    where = resolve(device)
    prediction = read([predicted])
    trained = None
    if is_foreign(prediction) and (options or model):
        if ablation:
            raise ConfigError("Expected a prediction of `cellflow predict` with `--ablation`, found another.")
        prediction, measured = other.adopted(prediction, truth, model, options, seed)
    else:
        provenance = PredictionFile.read(prediction)
        other.refuse(options, provenance.spec)
        trained = _trained(model, provenance.facts.get("model_id"), device) if model else None
        measured = read([truth], features=provenance.spec.features)
    stored: dict[str, Any] = (
        {"transform": trained.transform, "summaries": trained.summaries} if trained else {}
    )
    further = (
        ContextAblation(trained, PredictionFile.read(prediction)).predictions
        if trained and ablation is not False
        else None
    )
    with console.progress("Scoring") as on_progress:
        scores = score(
            prediction, measured, **stored, metrics=asked, definitions=others, max_cells=max_cells,
            all_cells=all_cells, floor_splits=floor_splits, audit=audit, seed=seed, device=where, scale=scale,
            further=further, on_progress=on_progress,
        )  # fmt: skip
    made: dict[str, bytes] = {}
    if page:
        console.say("Drawing the page")
        made = _page(
            scores, prediction, measured, trained, (predicted, truth, model), seed, other.words(options)
        )
    scores.save(output, force, made, FILES)
    summary = scores.summary()
    _show(scores, summary, output)
    if page:
        console.say(f"Open {output / 'report.html'} in a browser")
    if as_json:
        names = (*scores.files, *made)
        console.emit_json({**summary, "files": [str(output / name) for name in names]})
    if gate:
        fail_if_worse(scores, *gate, output)
    if asked:
        _fail_if_missing(scores, asked, output)


def _page(
    scores: "Scores",
    prediction: Any,
    measured: Any,
    trained: "Model | None",
    paths: tuple[Path, Path, Path | None],
    seed: int,
    options: tuple[str, ...],
) -> dict[str, bytes]:
    """The page and its figures."""
    from cellflow_cli.report.card import Inputs
    from cellflow_cli.report.page import files
    from cellflow_cli.report.paths import Flows, read_flows
    from cellflow_cli.report.pictures import read_pictures
    from cellflow_cli.report.split import read_split

    predicted, truth, model = paths
    pictures = read_pictures(
        prediction, measured, transform=trained.transform if trained else None, seed=seed
    )
    flows = read_flows(scores, pictures, trained, prediction, measured, seed=seed) if trained else Flows()
    return files(
        scores,
        pictures,
        read_split(prediction, measured, summaries=trained.summaries if trained else None),
        flows=flows.populations,
        no_flows=flows.reason,
        inputs=Inputs(
            predicted=str(predicted), truth=str(truth), model=str(model) if model else None, options=options
        ),
    )


def _trained(folder: Path, model_id: str | None, device: str) -> "Model":
    """The model that made the prediction.

    Raises:
        BundleError: If the folder is no model.
        ConfigError: If it is another model than the one that made the prediction.
    """
    from cellflow_cli.errors import ConfigError
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
