"""A prediction, the baselines and the noise floor held against the truth, condition by condition."""

from collections.abc import Callable, Mapping, Sequence

import anndata
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.baselines import Baseline, Summaries
from cellflow_cli.catalog import Catalog
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.degenerate import DegeneratePredictor
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.evaluation import remarks
from cellflow_cli.evaluation.align import Alignment, align
from cellflow_cli.evaluation.cell_types import score_types, typed_run, why_no_types
from cellflow_cli.evaluation.cells import Files
from cellflow_cli.evaluation.condition import Line, score_condition
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.evaluation.run import EvaluationRun, ExtraPrediction
from cellflow_cli.evaluation.same_cells import below_floor_remarks, copy_remarks, scale_remarks
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.prediction.unchanged import change_remarks
from cellflow_cli.published_metrics import find, metrics_of
from cellflow_cli.statistics.by_type import NOT_REQUESTED, TypeScores
from cellflow_cli.statistics.summary import Replicates, Settings, Tables, Unmatched

Progress = Callable[[int, int, str], None]
_COLUMNS = [*Scores.COLUMNS, "se"]


def evaluate(
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    config: EvaluationConfig | None = None,
    *,
    transform: FeatureTransform | None = None,
    summaries: Summaries | None = None,
    extra_predictions: Mapping[str, ExtraPrediction] | None = None,
    device: torch.device | None = None,
    on_progress: Progress | None = None,
) -> Scores:
    """Hold a prediction against measured cells, beside baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. All predictors of a condition see the
    same target and the same number of cells: half of the measured cells, at most `max_cells` and
    at most as many as were predicted. The floor is the other half of the measured cells as
    prediction, the mean over several random splits of which the first gives the target of all
    other predictors. Where the data specification names technical replicates (`batch_key`), the truth has
    that column and a population has two or more of them that can give enough cells, its floor is the mean
    over random divisions of whole replicates (see `replicate_splits`), since halves of the same replicates
    differ by less than replicates do. Where the flow lives on components there is a predictor
    `truth-decoded`: the other half sent through the decoder. Subsamples are drawn from the seed, the sample
    and the condition.

    Args:
        predicted: Output of `cellflow predict`, see `prediction.file`.
        truth: Measured cells as the training data were given; may hold other samples too.
        config: What is scored, on how many cells, and from which draws; default: `EvaluationConfig()`.
        transform: Of the model; default: the one stored in the prediction.
        summaries: Of the training populations; default: those stored in the prediction.
        extra_predictions: More predictions of the same cells by predictor, such as those of
            `model.ContextAblation`.
        device: Where metrics are computed (exact transport stays on the CPU); default: the CPU.
        on_progress: Called as `on_progress(done, total, what)` before each condition and at the end.

    Raises:
        ConfigError: If a metric, project or baseline has an unknown name.
        DataError: If files are not what they should be, share nothing, or hold the same cells on two scales.
    """
    _check_type("predicted", predicted)
    _check_type("truth", truth)
    config = config or EvaluationConfig()
    metrics, baselines = metric_names(config), _baselines(config)
    prediction = PredictionFile.read(predicted).with_model(transform, summaries)
    summaries = _fitting(prediction.summaries, prediction.features)
    alignment = align(predicted.obs, truth.obs, prediction.spec)
    files = Files(prediction, truth, device or torch.device("cpu"))
    run = EvaluationRun(
        config=config,
        files=files,
        alignment=alignment,
        summaries=summaries,
        scale=_scale(config, files, summaries),
        metrics=metrics,
        baselines=baselines,
        degenerate=_degenerate() if config.audit else {},
        extra_predictions=dict(extra_predictions or {}),
    )
    _check_values(run)
    return _scores(run, [*scale_remarks(run), *copy_remarks(run)], _tables(run, on_progress))


def metric_names(config: EvaluationConfig) -> tuple[str, ...]:
    """Metrics of a config, or all of ours, and those of its projects; an unknown one raises ConfigError."""
    ours = Catalog("metrics").names() if config.metrics is None else config.metrics
    theirs = [name for project in config.definitions for name in metrics_of(project)]
    names = tuple(dict.fromkeys([*ours, *theirs]))
    for name in names:
        find(name)
    return names


def _tables(run: EvaluationRun, on_progress: Progress | None) -> Tables:
    """Scores of all conditions, and of their cell types."""
    typed, pairs = typed_run(run), run.alignment.pairs
    no_types = why_no_types(run.files, run.cell_type_key) if run.config.cell_types else NOT_REQUESTED
    scores: list[Line] = []
    of_types: list[tuple[object, ...]] = []
    out_of_range: list[Line] = []
    for done, pair in enumerate(pairs):
        if on_progress:
            on_progress(done, len(pairs), f"{pair.name}, {pair.condition.label}")
        condition = score_condition(pair, run)
        scores += condition.scores
        out_of_range += condition.out_of_range
        if not no_types:
            of_types += [(name, *line) for name, line in score_types(pair, typed)]
    if on_progress:
        on_progress(len(pairs), len(pairs), "")
    types = pd.DataFrame(of_types, columns=["cell_type", *_COLUMNS])
    return Tables(
        scores=pd.DataFrame(scores, columns=_COLUMNS),
        by_type=TypeScores(table=types, metrics=typed.metrics, reason=no_types),
        out_of_range=pd.DataFrame(out_of_range, columns=_COLUMNS),
    )


def _scores(run: EvaluationRun, grave: Sequence[str], tables: Tables) -> Scores:
    """The tables with what belongs beside them; the `grave` remarks come first."""
    alignment, prediction = run.alignment, run.files.prediction
    seen = _seen(alignment, prediction, run.summaries)
    replicates = remarks.floor_replicates(run.replicate_key, tables.scores)
    return Scores(
        table=tables.scores,
        by_type=tables.by_type,
        out_of_range=tables.out_of_range,
        metrics=run.metrics,
        baselines=tuple(run.baselines),
        config=run.config,
        settings=_settings(run, replicates),
        unmatched=Unmatched(alignment.only_predicted, alignment.only_truth),
        seen_in_training=seen,
        warnings=(
            *grave,
            *below_floor_remarks(tables.scores, run.config.floor_splits, seen),
            *prediction.warnings,
            *change_remarks(prediction, alignment.of_prediction),
            *remarks.alignment_remarks(alignment, run.summaries, seen),
            *remarks.small_remarks(tables.scores),
            *remarks.replicate_remarks(replicates, run.has_replicates),
        ),
    )


def _settings(run: EvaluationRun, replicates: Replicates | None) -> Settings:
    config, transform = run.config, run.files.transform
    return Settings(
        max_cells=config.max_cells,
        all_cells=config.all_cells,
        floor_splits=0 if config.all_cells else config.floor_splits,
        audit=bool(run.degenerate),
        ablation=bool(run.extra_predictions),
        seed=config.seed,
        scaled=run.scale is not None,
        features=transform.features,
        n_features=int(transform.n_features),
        n_genes=len(transform.genes),
        prediction=run.files.prediction.facts,
        definitions=config.definitions,
        replicates=replicates,
    )


def _check_values(run: EvaluationRun) -> None:
    """Refuse bad values now, and not when half of the populations are scored."""
    run.files.transform.check(run.files.truth, run.alignment.of_truth)
    run.files.check_prediction(run.alignment.of_prediction)


def _check_type(name: str, data: object) -> None:
    if not isinstance(data, anndata.AnnData):
        raise TypeError(f"`{name}` is a {type(data).__name__} and not an AnnData; read files with `cf.read`")


def _scale(config: EvaluationConfig, files: Files, summaries: Summaries) -> Float64[Tensor, " d"] | None:
    """Training spread per feature, shape [d], one where it is zero; None where nothing is to be scaled.

    The transform knows none for components, which are meant to keep their different sizes; on
    request it comes from the training populations.
    """
    transform = files.transform
    if not (transform.has_scale if config.scale is None else config.scale):
        return None
    if not transform.has_scale and not summaries.samples:
        raise ConfigError(
            "Expected training summaries for `--scale`, found none. Name the model with `--model`."
        )
    values = torch.as_tensor(transform.scale) if transform.has_scale else summaries.spread()
    values = values.to(device=files.device, dtype=torch.float64)
    return torch.where(values > 0, values, torch.ones_like(values))


def _fitting(summaries: Summaries | None, transform: FeatureTransform) -> Summaries:
    """The summaries, if they live in the space of the transform; empty ones if there are none."""
    if summaries is None:
        return Summaries.empty(transform.n_features)
    if summaries.mean.shape[1] != transform.n_features:
        raise DataError(
            f"Expected training summaries of {transform.n_features} features, found "
            f"{summaries.mean.shape[1]}. Name the model that made the prediction with `--model`."
        )
    return summaries


def _baselines(config: EvaluationConfig) -> dict[str, Baseline]:
    """The baselines of a config, or all of them; an unknown name raises ConfigError."""
    catalog = Catalog("baselines")
    names = catalog.names() if config.baselines is None else config.baselines
    return {name: catalog.build(catalog.choose(name)) for name in names}


def _degenerate() -> dict[str, DegeneratePredictor]:
    catalog = Catalog("degenerate")
    return {name: catalog.load(name) for name in catalog.names()}


def _seen(alignment: Alignment, prediction: PredictionFile, summaries: Summaries) -> tuple[str, ...]:
    trained = {*prediction.train_groups, *summaries.groups}
    return tuple(sorted({pair.group for pair in alignment.pairs} & trained))
