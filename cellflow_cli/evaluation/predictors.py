"""Cells of every predictor of one condition: the model, more predictions, baselines, degenerate ones."""

import numpy as np
from jaxtyping import Int

from cellflow_cli.baselines import BaselineRequest
from cellflow_cli.degenerate import Truth
from cellflow_cli.errors import MetricError
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.cells import Cells
from cellflow_cli.evaluation.floor import subsample
from cellflow_cli.evaluation.run import EvaluationRun
from cellflow_cli.statistics.degenerate_ranks import PREFIX
from cellflow_cli.statistics.lines import DECODED, MODEL

CellsOrReason = Cells | str
"""Cells of a predictor, or why it has none."""

_NO_CONTROL = "no control cells of the sample in either file"


def predictor_cells(
    pair: Aligned, n: int, other: CellsOrReason, run: EvaluationRun
) -> dict[str, CellsOrReason]:
    """Cells of each predictor; the floor and degenerate predictors excepted.

    Args:
        pair: The condition.
        n: Cells of each.
        other: Half of the measured cells that no predictor is compared with, or why there is none.
        run: What stays the same.
    """
    rows = subsample(pair.predicted, n, run.stream(pair.name, pair.condition.label, "predicted"))
    cells: dict[str, CellsOrReason] = {MODEL: run.files.of_prediction(rows)}
    cells |= {name: _extra_cells(name, pair, rows, run) for name in run.extra_predictions}
    cells |= {name: _baseline_cells(name, pair, n, run) for name in run.baselines}
    if run.files.transform.is_lossy:
        cells[DECODED] = other if isinstance(other, str) else run.files.decoded(other.flow)
    return cells


def degenerate_cells(pair: Aligned, other: CellsOrReason, run: EvaluationRun) -> dict[str, CellsOrReason]:
    """Cells of each degenerate predictor; all go through the decoder.

    Args:
        pair: The condition.
        other: Half of the measured cells that no predictor is compared with, or why there is none.
        run: What stays the same.
    """
    if not run.degenerate:
        return {}
    if isinstance(other, str) or not len(pair.control):
        reason = other if isinstance(other, str) else _NO_CONTROL
        return dict.fromkeys((PREFIX + name for name in run.degenerate), reason)
    truth = Truth(measured=other.flow, control=run.sample(pair).control.flow)
    cells: dict[str, CellsOrReason] = {}
    for name, predictor in run.degenerate.items():
        generator = run.stream(pair.name, pair.condition.label, "audit", name)
        cells[PREFIX + name] = run.files.decoded(predictor(truth, generator))
    return cells


def _extra_cells(name: str, pair: Aligned, rows: Int[np.ndarray, " n"], run: EvaluationRun) -> CellsOrReason:
    try:
        return run.files.decoded(run.extra_predictions[name](pair, rows, run.alignment.pairs))
    except MetricError as error:
        return str(error)


def _baseline_cells(name: str, pair: Aligned, n: int, run: EvaluationRun) -> CellsOrReason:
    if not len(pair.control):
        return _NO_CONTROL
    sample = run.sample(pair)
    control = sample.control.take(n)
    if not n:
        return control
    request = BaselineRequest(
        control=control.flow,
        sample=pair.name,
        condition=pair.condition,
        population=sample.population,
        cell_types=None if sample.cell_types is None else sample.cell_types[:n],
    )
    generator = run.stream(pair.name, pair.condition.label, name)
    try:
        flow = run.baselines[name].predict(request, run.summaries, generator)
    except MetricError as error:
        return str(error)
    return control if flow is control.flow else run.files.decoded(flow)
