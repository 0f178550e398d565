"""The cells of one type of a condition, scored like the condition itself."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.cells import Files
from cellflow_cli.evaluation.condition import Line, line_of, score_condition
from cellflow_cli.evaluation.floor import MIN_CELLS
from cellflow_cli.evaluation.run import EvaluationRun
from cellflow_cli.metrics import MetricValue
from cellflow_cli.prediction.file import SOURCE_CELL
from cellflow_cli.prediction.flags import predicted_flags
from cellflow_cli.published_metrics import find
from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL

METRICS = ("energy", "mmd-median", "r2-delta", "r2-mean", "variance-ratio")
"""Metrics that types are scored with, as far as they are requested: exact transport would take too long."""


def why_no_types(files: Files, key: str | None) -> str:
    """Why types cannot be scored, or an empty string."""
    if key is None:
        return (
            "no cell types were named: to `train`, or for another tool's prediction here (`--cell-type-key`)"
        )
    obs = files.predicted_obs
    for table, role in ((obs, "the prediction"), (files.truth.obs, "the truth")):
        if key not in table:
            return f'no column `obs["{key}"]` in {role}'
    predicted = np.flatnonzero(predicted_flags(obs))
    if SOURCE_CELL in obs and (files.prediction.source_cells(predicted) == "").any():
        return "the flow starts from noise, so that predicted cells come from no cell and have no type"
    return ""


def typed_run(run: EvaluationRun) -> EvaluationRun:
    """The same with fewer metrics and predictors; one metric at least, unless that compares conditions."""
    kept = tuple(name for name in METRICS if name in run.metrics)
    others = tuple(name for name in run.metrics if not find(name).others)
    return replace(run, metrics=kept or others[:1], degenerate={}, extra_predictions={})


def score_types(pair: Aligned, run: EvaluationRun) -> Iterator[tuple[str, Line]]:
    """Lines as of `score_condition`, each with its cell type; a type of few cells says so.

    A predicted cell has the type of its source cell, a measured one that of its own label.
    """
    types = _types(pair, run)
    for name in distinct({*types["predicted"], *types["target"]} - {""}):
        rows = {role: getattr(pair, role)[of_role == name] for role, of_role in types.items()}
        part = replace(pair, cell_type=name, population=pair.control, **rows)
        lines = _too_few(part, run) or score_condition(part, run).scores
        yield from ((name, line) for line in lines)


def _types(pair: Aligned, run: EvaluationRun) -> dict[str, np.ndarray]:
    """Type of each cell by role; empty text where the file does not say."""
    key, predicted, truth = str(run.cell_type_key), run.files.predicted_obs, run.files.truth.obs
    control = truth if pair.control_in_truth else predicted
    nothing = np.full(len(pair.control), "", dtype=object)
    return {
        "predicted": labels(predicted[key].iloc[pair.predicted]),
        "target": labels(truth[key].iloc[pair.target]),
        "control": labels(control[key].iloc[pair.control]) if key in control else nothing,
    }


def _too_few(pair: Aligned, run: EvaluationRun) -> list[Line]:
    n = min(run.n_measured(pair), len(pair.predicted), len(pair.control))
    if n >= MIN_CELLS:
        return []
    half = "" if run.config.all_cells else "half of "
    reason = (
        f"fewer than {MIN_CELLS} cells of the type a side: {half}{len(pair.target)} measured, "
        f"{len(pair.predicted)} predicted, {len(pair.control)} control cells"
    )
    decoded = (DECODED,) if run.files.transform.is_lossy else ()
    return [
        line_of(pair, predictor, metric, n, MetricValue(None, reason))
        for predictor in (MODEL, *run.baselines, *decoded, FLOOR)
        for metric in run.metrics
    ]
