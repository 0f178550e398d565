"""`cellflow evaluate`: how good a prediction is, beside baselines and the noise floor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from cellflow_cli.cli._score_tables import show
from cellflow_cli.errors import (
    CellflowError,
    ConfigError,
    MetricError,
    OutputError,
    is_out_of_memory,
    listed,
)
from cellflow_cli.evaluation.config import LIBRARY_ONLY, EvaluationConfig
from cellflow_cli.flags import to_flags

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.evaluation.result import Scores
    from cellflow_cli.model import Model


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
    """What is reported besides scores, and where the truth holds its values."""

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
    truth_layer: str | None = field(
        default=None,
        metadata={
            "help": "Where TRUTH holds the values that the model was trained on: a layer, X or raw.",
            "metavar": "NAME",
            "default": "as the training data",
            "panel": INPUT,
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
    config: Annotated[EvaluationConfig, OptionsOf(EvaluationConfig, without=LIBRARY_ONLY, panel=COMPUTE)],
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
    from cellflow_cli.files import check_apart
    from cellflow_cli.report import FILES, Inputs, collect, files

    if extras.ablation and extras.model is None:
        raise ConfigError("Expected `--model MODEL` beside `--ablation`, found none. Name the model folder.")
    check_apart(output, [predicted, truth, *(training or ())])
    check_report(output, force=force, holds=FILES)
    bar.check(config)
    external = other.External(columns, file_format, tuple(training or ()))
    cells = _read(predicted, truth, external, extras, config.seed, device)
    scores = _scores(cells, config, extras.ablation, device)
    scores.save(output, force, holds=FILES)
    figures: dict[str, bytes] = {}
    if extras.page:
        console.say("Drawing the page")
        options = (*to_flags(extras, without=("page",)), *external.words)
        inputs = Inputs(predicted=str(predicted), truth=str(truth), options=options)
        with _scores_are_kept(output):
            figures = files(collect(scores, *cells, inputs=inputs))
        scores.save(output, True, figures, FILES)
    summary = scores.summary()
    show(scores, summary, output)
    if extras.page:
        console.say(f"Open {output / 'report.html'} in a browser")
    if as_json:
        paths = [str(output / name) for name in (*scores.files, *figures)]
        console.emit_json({**summary.to_json(), "files": paths})
    bar.fail_if_worse(scores, output)
    _fail_if_missing(scores, config.metrics or (), output)


@contextmanager
def _scores_are_kept(output: Path) -> Iterator[None]:
    """What goes wrong with the page says that the scores are written.

    Raises:
        OutputError: If the page cannot be drawn.
        KeyboardInterrupt: If drawing it is interrupted.
    """
    kept = f"The scores are in `{output}`"
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"Interrupted while the page was drawn. {kept}.") from interrupt
    except CellflowError:
        console.say(f"{kept}, without the page")
        raise
    except Exception as error:
        why = "memory ran out" if is_out_of_memory(error) else f"{type(error).__name__}: {error}"[:500]
        raise OutputError(
            f"Expected to draw report.html, found: {why}. {kept}, without the page. Leave it out with "
            "`--no-page`; if memory did not run out, please report this (`--debug` shows where it stopped)."
        ) from error


def _read(
    predicted: Path, truth: Path, external: other.External, extras: Extras, seed: int, device: str
) -> _Cells:
    """Prediction, measured cells and model.

    Raises:
        ConfigError: If options contradict what the files say.
        DataError, BundleError: If a file is not what it should be.
    """
    from cellflow_cli.data.moving import read_truth
    from cellflow_cli.data.read import read
    from cellflow_cli.device import resolve
    from cellflow_cli.prediction import PredictionFile, is_prediction

    resolve(device)  # before anything is read
    prediction = read([predicted])
    if not is_prediction(prediction) and (external or extras.model):
        if extras.ablation:
            raise ConfigError("Expected a prediction of `cellflow predict` with `--ablation`, found another.")
        return _Cells(
            *other.read_external_files(prediction, truth, external, extras.model, seed, extras.truth_layer)
        )
    stored = PredictionFile.read(prediction)
    external.check_unneeded(stored.spec)
    model = None
    if extras.model is not None:
        model = _model(extras.model, stored.facts.get("model_id"), device)
    measured = read_truth(truth, stored.spec.features, extras.truth_layer)
    return _Cells(*external.renamed(prediction, measured), model)


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


def _fail_if_missing(scores: "Scores", metrics: Sequence[str], output: Path) -> None:
    """Raise if a metric that was named has no value for the prediction somewhere.

    Raises:
        MetricError: Naming the metrics and the first reason; the report is already written.
    """
    from pandas import isna

    missing = scores.missing(metrics)
    if missing.empty:
        return
    first = missing.iloc[0]
    dose = "" if isna(first["dose"]) else f" {first['dose']:g}"
    raise MetricError(
        f"Expected {listed(metrics)} for every condition, found no value for "
        f"{listed(missing['metric'].unique())} in {len(missing)} places, first for {first['sample']}, "
        f"{first['treatment']}{dose}: {first['reason']}. The other scores are in `{output}`; see the column "
        "`reason` of scores.csv."
    )
