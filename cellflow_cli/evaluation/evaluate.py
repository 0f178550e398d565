"""A prediction, the baselines and the noise floor held against the truth, condition by condition."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cellflow_cli.baselines import Summaries
from cellflow_cli.catalog import Catalog
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import ConfigError, DataError, listed
from cellflow_cli.evaluation.align import Alignment, align
from cellflow_cli.evaluation.cell_types import typed_job, typed_records, why_no_types
from cellflow_cli.evaluation.cells import Files
from cellflow_cli.evaluation.condition import condition_records
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.floor import BETWEEN, replicate_remark
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.evaluation.run import Further, Job
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.published_metrics import find, metrics_of
from cellflow_cli.statistics.by_type import NOT_ASKED, TypeScores
from cellflow_cli.statistics.lines import FLOOR, MODEL, count_conditions
from cellflow_cli.statistics.summary import Replicates, Settings, Unmatched

Progress = Callable[[int, int, str], None]
_NAME_MODEL = "Name the model with `--model`."

FEW_CELLS = 20
"""Below it a population is named as noisy."""


def evaluate(
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    config: EvaluationConfig | None = None,
    *,
    transform: FeatureTransform | None = None,
    summaries: Summaries | None = None,
    extra_predictions: Mapping[str, Further] | None = None,
    device: torch.device | None = None,
    on_progress: Progress | None = None,
) -> Scores:
    """Hold a prediction against measured cells, beside baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. All rows of a condition see the
    same target and the same number of cells: half of the measured cells, at most `max_cells` and
    at most as many as were predicted. The floor is the other half of the measured cells as
    prediction, the mean over several random splits of which the first gives the target of all
    other rows. Where the model was told technical replicates (`batch_key`), the truth has that column
    and a population has two or more of them that can give enough cells, its floor is the mean over
    random divisions of whole replicates (see `deals`), since halves of the same replicates differ by
    less than replicates do. Where the flow lives on components there is a row `truth-decoded`: the
    other half sent through the decoder. Subsamples are drawn from the seed, the sample and the condition.

    Args:
        predicted: Output of `cellflow predict`; reads X, `obsm["X_pca"]`, obs and `uns["cellflow"]`.
        truth: Measured cells as the training data were given; may hold other samples too.
        config: What is scored, on how many cells, and from which draws; default: `EvaluationConfig()`.
        transform: Of the model; default: the one stored in the prediction.
        summaries: Of the training populations; default: those stored in the prediction.
        extra_predictions: Further predictions of the same cells by predictor, such as those of
            `model.Ablation`.
        device: Where metrics are computed (exact transport stays on the CPU); default: the CPU.
        on_progress: Called as `on_progress(done, total, what)` before each condition and at the end.

    Raises:
        ConfigError: If a metric, project or baseline has an unknown name.
        DataError: If a file is not what it should be, or nothing predicted was measured.
    """
    for what, data in (("predicted", predicted), ("truth", truth)):
        if not isinstance(data, anndata.AnnData):
            raise TypeError(
                f"`{what}` is a {type(data).__name__} and not an AnnData; read files with `cf.read`"
            )
    config = config or EvaluationConfig()
    names, baselines = metric_names(config), _known("baselines", config.baselines)
    provenance = PredictionFile.read(predicted)
    transform = transform or provenance.transform
    if transform is None:
        raise DataError(f"Expected a transform in the prediction, found none. {_NAME_MODEL}")
    summaries = _fitting(summaries or provenance.summaries, transform)
    alignment = align(predicted.obs, truth.obs, provenance.spec)
    batch_key = None if config.all_cells else provenance.spec.batch_key
    device = device or torch.device("cpu")
    scaled = not transform.is_lossy if config.scale is None else config.scale
    job = Job(
        files=Files(predicted, truth, transform, device),
        pairs=alignment.pairs,
        others=alignment.others,
        cell_type_key=provenance.spec.cell_type_key,
        batch_key=batch_key if batch_key in truth.obs else None,
        summaries=summaries,
        scale=_scale(transform, summaries, device) if scaled else None,
        metrics=names,
        baselines={name: _baseline(name) for name in baselines},
        audit={name: Catalog("degenerate").load(name) for name in Catalog("degenerate").names()}
        if config.audit
        else {},
        further=dict(extra_predictions or {}),
        max_cells=config.max_cells,
        all_cells=config.all_cells,
        floor_splits=config.floor_splits,
        seed=config.seed,
    )
    transform.check(truth, alignment.measured)  # now, not when half of the populations are scored
    job.files.check_prediction(alignment.of_prediction)
    seen = _seen(alignment, provenance, summaries)
    typed = typed_job(job)
    no_types = why_no_types(job.files, job.cell_type_key) if config.cell_types else NOT_ASKED
    records: list[Any] = []
    of_types: list[Any] = []
    outside: list[Any] = []
    for done, pair in enumerate(alignment.pairs):
        if on_progress:
            on_progress(done, len(alignment.pairs), f"{pair.name}, {pair.condition.label}")
        found = condition_records(pair, job)
        records += found.scores
        outside += found.outside
        of_types += [] if no_types else typed_records(pair, typed)
    if on_progress:
        on_progress(len(alignment.pairs), len(alignment.pairs), "")
    table = pd.DataFrame(records, columns=[*Scores.COLUMNS, "se"])
    replicates, told = _replicates(batch_key, table, batch_key in truth.obs)
    return Scores(
        table=table,
        by_type=TypeScores(
            table=pd.DataFrame(of_types, columns=["cell_type", *Scores.COLUMNS, "se"]),
            metrics=typed.metrics,
            reason=no_types,
        ),
        out_of_range=pd.DataFrame(outside, columns=[*Scores.COLUMNS, "se"]),
        metrics=names,
        baselines=baselines,
        config=config,
        settings=replace(_settings(job, provenance), definitions=config.definitions, replicates=replicates),
        unmatched=Unmatched(alignment.only_predicted, alignment.only_truth),
        seen_in_training=seen,
        warnings=(*provenance.warnings, *_warnings(summaries, alignment, seen), *_small(table), *told),
    )


def _scale(transform: FeatureTransform, summaries: Summaries, device: torch.device) -> Tensor:
    """Training spread per feature, shape [d]; one where it is zero.

    The transform knows none for components, which are meant to keep their different sizes; on
    request it comes from the training populations.
    """
    values = torch.as_tensor(np.asarray(transform.scale))
    if transform.kind == "pca":
        if not summaries.samples:
            raise ConfigError(f"Expected training summaries for `--scale`, found none. {_NAME_MODEL}")
        values = summaries.spread()
    values = values.to(device=device, dtype=torch.float64)
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


def metric_names(config: EvaluationConfig) -> tuple[str, ...]:
    """Metrics of a config, or all of ours, and those of its projects; an unknown one raises ConfigError."""
    ours = Catalog("metrics").names() if config.metrics is None else config.metrics
    theirs = [name for project in config.definitions for name in metrics_of(project)]
    names = tuple(dict.fromkeys([*ours, *theirs]))
    for name in names:
        find(name)
    return names


def _known(room: str, names: Sequence[str] | None) -> tuple[str, ...]:
    """The names asked for, each once, or all of the room; an unknown one raises ConfigError."""
    catalog = Catalog(room)
    if names is None:
        return tuple(catalog.names())
    for name in names:
        catalog.load(name)
    return tuple(names)


def _baseline(name: str) -> Any:
    entry = Catalog("baselines").load(name)
    return entry.build(entry.config())


def _seen(alignment: Alignment, provenance: PredictionFile, summaries: Summaries) -> tuple[str, ...]:
    trained = {*provenance.train_groups, *summaries.groups}
    return tuple(sorted({pair.group for pair in alignment.pairs} & trained))


def _warnings(summaries: Summaries, alignment: Alignment, seen: Sequence[str]) -> tuple[str, ...]:
    found = []
    if seen and len(seen) < len({pair.group for pair in alignment.pairs}):
        found.append(
            f"Seen in training: {listed(seen)}. They say nothing about unseen groups: their scores are in "
            "the table and in no mean."
        )
    elif seen:
        found.append(
            f"Seen in training: {listed(seen)}. Their scores say nothing about unseen groups; predict "
            "samples that the model never trained on."
        )
    if not summaries.samples:
        found.append(
            "The prediction holds no training summaries, so baselines are incomplete. Name the model with "
            "`--model`, or, for a prediction of another tool, its training cells with `--training`."
        )
    if n := alignment.n_unlabelled:
        found.append(
            f"{n:,} cells of the truth are left out: they have no value in a column of samples or treatments."
        )
    for what, which in (
        ("predicted but not measured", alignment.only_predicted),
        ("measured but not predicted", alignment.only_truth),
    ):
        if which:
            found.append(f"{len(which)} populations {what}: {listed(which)}.")
    return tuple(found)


def _small(table: pd.DataFrame) -> list[str]:
    """A sentence about populations whose scores are mostly noise."""
    few = table[(table["predictor"] == MODEL) & (table["n"] < FEW_CELLS)].drop_duplicates(
        ["sample", "treatment", "dose"]
    )
    if few.empty:
        return []
    which = listed(f"{line.sample}, {line.treatment} ({line.n})" for line in few.itertuples())
    return [
        f"Compared on fewer than {FEW_CELLS} cells a side, so that scores are noisy (means count them like "
        f"the others) or have no value at all: {which}."
    ]


def _replicates(
    key: str | None, table: pd.DataFrame, in_truth: bool
) -> tuple[Replicates | None, tuple[str, ...]]:
    """In how many of the populations the floor is between replicates, and the sentence that says so."""
    if key is None:
        return None, ()
    between = table[(table["predictor"] == FLOOR) & table["reason"].str.endswith(BETWEEN)]
    n, total = count_conditions(between), count_conditions(table)
    return Replicates(key, n, total), (replicate_remark(key, n, total, in_truth),)


def _settings(job: Job, provenance: PredictionFile) -> Settings:
    transform = job.files.transform
    return Settings(
        max_cells=job.max_cells,
        all_cells=job.all_cells,
        floor_splits=0 if job.all_cells else job.floor_splits,
        audit=bool(job.audit),
        ablation=bool(job.further),
        seed=job.seed,
        scaled=job.scale is not None,
        features=transform.features,
        n_features=int(transform.n_features),
        n_genes=len(transform.genes),
        prediction=provenance.facts,
    )
