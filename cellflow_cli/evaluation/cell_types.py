"""The cells of one type of a condition, scored like the condition itself."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.cells import Files
from cellflow_cli.evaluation.condition import condition_records
from cellflow_cli.evaluation.floor import MIN_CELLS
from cellflow_cli.evaluation.run import Job
from cellflow_cli.published_metrics import find
from cellflow_cli.statistics.lines import DECODED

METRICS = ("energy", "mmd-median", "r2-delta", "r2-mean", "variance-ratio")
"""Metrics that types are scored with, as far as they are asked for: exact transport would take too long."""


def why_no_types(files: Files, key: str | None) -> str:
    """Why types cannot be scored, or an empty string."""
    if key is None:
        return (
            "no cell types were named: to `train`, or for another tool's prediction here (`--cell-type-key`)"
        )
    for obs, role in ((files.predicted.obs, "the prediction"), (files.truth.obs, "the truth")):
        if key not in obs:
            return f'no column `obs["{key}"]` in {role}'
    source = files.predicted.obs.get("cellflow_source_cell")
    predicted = np.flatnonzero(files.predicted.obs["cellflow_is_predicted"].astype(str) == "True")
    if source is not None and (labels(source.iloc[predicted]) == "").any():
        return "the flow starts from noise, so that predicted cells come from no cell and have no type"
    return ""


def typed_job(job: Job) -> Job:
    """The same job with fewer metrics and rows; one metric at least, unless that compares conditions."""
    kept = tuple(name for name in METRICS if name in job.metrics)
    others = tuple(name for name in job.metrics if not find(name).others)
    return replace(job, metrics=kept or others[:1], audit={}, further={})


def typed_records(pair: Aligned, job: Job) -> Iterator[tuple[Any, ...]]:
    """Lines as of `condition_records`, each with the cell type in front; a type of few cells says so.

    A predicted cell has the type of its source cell, a measured one that of its own label.
    """
    key = str(job.cell_type_key)
    control = job.files.truth if pair.control_in_truth else job.files.predicted
    of = {
        "predicted": labels(job.files.predicted.obs[key].iloc[pair.predicted]),
        "target": labels(job.files.truth.obs[key].iloc[pair.target]),
        "control": labels(control.obs[key].iloc[pair.control])
        if key in control.obs
        else np.full(len(pair.control), "", dtype=object),
    }
    for name in distinct({*of["predicted"], *of["target"]} - {""}):
        rows = {role: getattr(pair, role)[types == name] for role, types in of.items()}
        part = replace(pair, cell_type=name, population=pair.control, **rows)
        counts = {role: len(found) for role, found in rows.items()}
        n = min(counts["target"] // (1 if job.all_cells else 2), counts["predicted"], counts["control"])
        yield from (
            (name, *line) for line in (_too_few(part, n, counts, job) or condition_records(part, job).scores)
        )


def _too_few(pair: Aligned, n: int, counts: dict[str, int], job: Job) -> list[tuple[Any, ...]]:
    if n >= MIN_CELLS:
        return []
    half = "" if job.all_cells else "half of "
    reason = (
        f"fewer than {MIN_CELLS} cells of the type a side: {half}{counts['target']} measured, "
        f"{counts['predicted']} predicted, {counts['control']} control cells"
    )
    decoded = (DECODED,) if job.files.transform.kind == "pca" else ()
    head = (pair.name, pair.group, pair.condition.treatment, pair.condition.dose)
    return [
        (*head, row, metric, None, reason, n, math.nan)
        for row in ("model", *job.baselines, *decoded, "floor")
        for metric in job.metrics
    ]
