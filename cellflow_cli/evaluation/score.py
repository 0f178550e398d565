"""A prediction, the baselines and the noise floor held against the truth, condition by condition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli import rng
from cellflow_cli.baselines import Summaries
from cellflow_cli.catalog import Catalog
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import ConfigError, DataError, MetricError, listed
from cellflow_cli.evaluation._cells import Cells, Files
from cellflow_cli.evaluation.align import Aligned, Alignment, align
from cellflow_cli.evaluation.compute import compute
from cellflow_cli.evaluation.floor import halves, some
from cellflow_cli.evaluation.provenance import Provenance, read_provenance
from cellflow_cli.evaluation.scores import Scores
from cellflow_cli.metrics import Comparison, MetricValue

Progress = Callable[[int, int, str], None]
_NAME_MODEL = "Name the model with `--model`."


@dataclass(frozen=True, eq=False, kw_only=True)
class _Job:
    """What stays the same for all conditions."""

    files: Files
    summaries: Summaries
    scale: Float[Tensor, " d"] | None
    metrics: tuple[str, ...]
    baselines: dict[str, Any]
    max_cells: int
    all_cells: bool
    seed: int
    controls: dict[tuple[str, ...], Cells] = field(default_factory=dict)


def score(
    predicted: anndata.AnnData,
    truth: anndata.AnnData,
    *,
    transform: FeatureTransform | None = None,
    summaries: Summaries | None = None,
    metrics: Sequence[str] | None = None,
    baselines: Sequence[str] | None = None,
    max_cells: int = 2500,
    all_cells: bool = False,
    seed: int = 0,
    device: torch.device | None = None,
    scale: bool | None = None,
    on_progress: Progress | None = None,
) -> Scores:
    """Hold a prediction against measured cells, beside baselines and the noise floor.

    Populations are paired by sample columns, treatment and dose. All rows of a condition see the
    same target and the same number of cells: half of the measured cells, at most `max_cells` and
    at most as many as were predicted. The floor is the other half of the measured cells as
    prediction. Subsamples are drawn from the seed, the sample and the condition.

    Args:
        predicted: Output of `cellflow predict`; reads X, `obsm["X_pca"]`, obs and `uns["cellflow"]`.
        truth: Measured cells as the training data were given; may hold other samples too.
        transform: Of the model; default: the one stored in the prediction.
        summaries: Of the training populations; default: those stored in the prediction.
        metrics: Catalog names; default: all.
        baselines: Catalog names; default: all.
        max_cells: Most cells on either side of a comparison.
        all_cells: Hold against all measured cells and not against half of them, as published tables
            often do; then no cells are left for the floor.
        seed: For the subsamples.
        device: Where metrics are computed (exact transport stays on the CPU); default: the CPU.
        scale: Divide flow features by their training spread; default: yes unless they are components.
        on_progress: Called as `on_progress(done, total, what)` before each condition and at the end.

    Raises:
        ConfigError: If a metric or baseline has an unknown name.
        DataError: If a file is not what it should be, or nothing predicted was measured.
    """
    if max_cells < 2:
        raise ConfigError(f"Expected `max_cells` to be at least 2, found {max_cells!r} (`--max-cells`).")
    names, rivals = _known("metrics", metrics), _known("baselines", baselines)
    provenance = read_provenance(predicted)
    transform = transform or provenance.transform
    if transform is None:
        raise DataError(f"Expected a transform in the prediction, found none. {_NAME_MODEL}")
    summaries = _fitting(summaries or provenance.summaries, transform)
    alignment = align(predicted.obs, truth.obs, provenance.spec)
    device = device or torch.device("cpu")
    scaled = transform.kind != "pca" if scale is None else scale
    job = _Job(
        files=Files(predicted, truth, transform, device),
        summaries=summaries,
        scale=_scale(transform, summaries, device) if scaled else None,
        metrics=names,
        baselines={name: _baseline(name) for name in rivals},
        max_cells=max_cells,
        all_cells=all_cells,
        seed=seed,
    )
    seen = _seen(alignment, provenance, summaries)
    records = []
    for done, pair in enumerate(alignment.pairs):
        if on_progress:
            on_progress(done, len(alignment.pairs), f"{pair.name}, {pair.condition.label}")
        records += _condition_records(pair, job)
    if on_progress:
        on_progress(len(alignment.pairs), len(alignment.pairs), "")
    return Scores(
        table=pd.DataFrame(records, columns=Scores.COLUMNS),
        metrics=names,
        baselines=rivals,
        settings=_settings(job, provenance),
        only_predicted=alignment.only_predicted,
        only_truth=alignment.only_truth,
        seen_in_training=seen,
        warnings=_warnings(summaries, alignment, seen),
    )


def _condition_records(pair: Aligned, job: _Job) -> list[tuple[Any, ...]]:
    n_measured = len(pair.target) if job.all_cells else len(pair.target) // 2
    n = min(n_measured, job.max_cells, len(pair.predicted), len(pair.control) or len(pair.predicted))
    draw = (pair.name, pair.condition.label)
    measured = rng.stream(job.seed, "evaluation", *draw, "truth")
    floor: Cells | str = "all measured cells are compared, none are left for a floor"
    if job.all_cells:
        target_rows = some(pair.target, n, measured)
    else:
        target_rows, other_rows = halves(pair.target, n, measured)
        floor = job.files.of_truth(other_rows)
    predicted_rows = some(pair.predicted, n, rng.stream(job.seed, "evaluation", *draw, "predicted"))
    target = job.files.of_truth(target_rows)
    control = _controls(pair, job)
    rows: dict[str, Cells | str] = {"model": job.files.of_prediction(predicted_rows)}
    for name in job.baselines:
        rows[name] = _baseline_cells(name, pair, control.take(n), job)
    rows["floor"] = floor
    found = []
    for row, cells in rows.items():
        values = _row_values(cells, target, control, job)
        head = (pair.name, pair.group, pair.condition.treatment, pair.condition.dose, row)
        found += [(*head, metric, v.value, v.reason, n) for metric, v in values.items()]
    return found


def _row_values(cells: Cells | str, target: Cells, control: Cells, job: _Job) -> dict[str, MetricValue]:
    if isinstance(cells, str):
        return dict.fromkeys(job.metrics, MetricValue(None, cells))
    if not len(target.flow):
        return dict.fromkeys(job.metrics, MetricValue(None, "fewer than two measured cells: no halves"))
    flow = [
        c.flow.double() if job.scale is None else c.flow.double() / job.scale
        for c in (cells, target, control)
    ]
    comparison = Comparison(
        predicted=flow[0], target=flow[1], control=flow[2],
        predicted_genes=cells.genes, target_genes=target.genes, control_genes=control.genes,
    )  # fmt: skip
    return compute(job.metrics, comparison)


def _controls(pair: Aligned, job: _Job) -> Cells:
    """Control cells of the sample in random order, at most `max_cells` of them."""
    if pair.sample not in job.controls:
        rows = some(pair.control, job.max_cells, rng.stream(job.seed, "evaluation", pair.name, "control"))
        load = job.files.of_truth if pair.control_in_truth else job.files.of_prediction
        job.controls.clear()  # pairs come sorted by sample: one sample's controls in memory are enough
        job.controls[pair.sample] = load(rows)
    return job.controls[pair.sample]


def _baseline_cells(name: str, pair: Aligned, control: Cells, job: _Job) -> Cells | str:
    """Cells that a baseline predicts, or why it has no answer."""
    if not len(pair.control):
        return "no control cells of the sample in either file"
    generator = rng.stream(job.seed, "evaluation", pair.name, pair.condition.label, name)
    try:
        flow = job.baselines[name].predict(control.flow, pair.name, pair.condition, job.summaries, generator)
    except MetricError as error:
        return str(error)
    return control if flow is control.flow else job.files.decoded(flow)


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


def _known(room: str, names: Sequence[str] | None) -> tuple[str, ...]:
    """The names asked for, each once, or all of the room; an unknown one raises ConfigError."""
    catalog = Catalog(room)
    if names is None:
        return tuple(catalog.names())
    for name in names:
        catalog.load(name)
    return tuple(dict.fromkeys(names))


def _baseline(name: str) -> Any:
    entry = Catalog("baselines").load(name)
    return entry.build(entry.config())


def _seen(alignment: Alignment, provenance: Provenance, summaries: Summaries) -> tuple[str, ...]:
    trained = {*provenance.train_groups, *summaries.groups}
    return tuple(sorted({pair.group for pair in alignment.pairs} & trained))


def _warnings(summaries: Summaries, alignment: Alignment, seen: Sequence[str]) -> tuple[str, ...]:
    found = []
    if seen:
        found.append(
            f"Seen in training: {listed(seen)}. Their scores say nothing about unseen groups; predict "
            "samples that the model never trained on."
        )
    if not summaries.samples:
        found.append(
            f"The prediction holds no training summaries, so baselines are incomplete. {_NAME_MODEL}"
        )
    for what, which in (
        ("predicted but not measured", alignment.only_predicted),
        ("measured but not predicted", alignment.only_truth),
    ):
        if which:
            found.append(f"{len(which)} populations {what}: {listed(which)}.")
    return tuple(found)


def _settings(job: _Job, provenance: Provenance) -> dict[str, Any]:
    transform = job.files.transform
    return {
        "max_cells": job.max_cells,
        "all_cells": job.all_cells,
        "seed": job.seed,
        "scaled": job.scale is not None,
        "features": transform.features,
        "n_features": int(transform.n_features),
        "n_genes": len(transform.genes),
        "prediction": provenance.facts,
    }
