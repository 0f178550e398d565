"""One condition: what each row predicts, and every metric of every row."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from cellflow_cli.baselines import BaselineRequest
from cellflow_cli.errors import MetricError
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.cells import Cells
from cellflow_cli.evaluation.compute import compute
from cellflow_cli.evaluation.degenerate_rows import audit_cells
from cellflow_cli.evaluation.floor import averaged, deals, halves, replicated, some
from cellflow_cli.evaluation.out_of_range import share_outside
from cellflow_cli.evaluation.run import Job
from cellflow_cli.metrics import Comparison, MetricValue
from cellflow_cli.statistics.collapse import OUT_OF_RANGE
from cellflow_cli.statistics.degenerate_ranks import UNDAMAGED
from cellflow_cli.statistics.lines import DECODED

_NONE_LEFT = "all measured cells are compared, none are left for a floor"


class _Split(NamedTuple):
    """Rows of the truth: the target, and the other half or side, if any are left."""

    target: np.ndarray
    other: np.ndarray | None


class Records(NamedTuple):
    """Lines of one condition, with the standard error of the floor as last entry.

    Attributes:
        scores: Every metric of every row.
        outside: Share of the values out of range of the model, `truth-decoded` and the floor.
    """

    scores: list[tuple[Any, ...]]
    outside: list[tuple[Any, ...]]


def condition_records(pair: Aligned, job: Job) -> Records:
    """Everything that is scored of one condition."""
    n_measured = len(pair.target) if job.all_cells else len(pair.target) // 2
    n = min(n_measured, job.max_cells, len(pair.predicted), len(pair.control) or len(pair.predicted))
    n, between = _between(pair, n, job)
    splits = _splits(pair, n, job)
    target, other = job.files.of_truth(splits[0].target), _other(splits[0], job)
    rows = _rows(pair, n, other, job) | audit_cells(pair, other, job)
    values = {row: _values(cells, target, pair, job) for row, cells in rows.items()}
    floor = _values(other, target, pair, job)
    if job.audit:
        values[UNDAMAGED] = values.get(DECODED, floor)
    found = []
    for row, of_row in values.items():
        found += _lines(pair, row, n, {k: (v, math.nan) for k, v in of_row.items()})
    found += _lines(pair, "floor", n, _floor(floor, splits[1:], between, pair, job))
    return Records(found, _outside({**rows, "floor": other}, target, pair, n, job))


def _between(pair: Aligned, n: int, job: Job) -> tuple[int, list[_Split]]:
    """Cells on either side for all rows, and divisions of whole replicates for the floor, if any."""
    if job.all_cells or not n:
        return n, []
    draw = job.stream(pair.name, pair.condition.label, "replicates")
    n, sides = deals(job.replicates(pair), n, job.floor_splits, draw)
    return n, [_Split(*side) for side in sides]


def _outside(
    rows: dict[str, Cells | str], target: Cells, pair: Aligned, n: int, job: Job
) -> list[tuple[Any, ...]]:
    """Values outside the range of the controls of the sample and the target together."""
    real = torch.cat([job.sample(pair).control.genes, target.genes])
    found = []
    for row in ("model", DECODED, "floor"):
        if row in rows:
            cells = rows[row]
            share = MetricValue(None, cells) if isinstance(cells, str) else share_outside(cells.genes, real)
            found += _lines(pair, row, n, {OUT_OF_RANGE: (share, math.nan)})
    return found


def _splits(pair: Aligned, n: int, job: Job) -> list[_Split]:
    draw = (pair.name, pair.condition.label)
    if job.all_cells:
        return [_Split(some(pair.target, n, job.stream(*draw, "truth")), None)]
    first = _Split(*halves(pair.target, n, job.stream(*draw, "truth")))
    further = range(1, job.floor_splits) if n else ()
    return [first, *(_Split(*halves(pair.target, n, job.stream(*draw, "floor", i))) for i in further)]


def _other(split: _Split, job: Job) -> Cells | str:
    return _NONE_LEFT if split.other is None else job.files.of_truth(split.other)


def _rows(pair: Aligned, n: int, other: Cells | str, job: Job) -> dict[str, Cells | str]:
    """Cells that each row predicts, or why it has none; the floor excepted."""
    drawn = some(pair.predicted, n, job.stream(pair.name, pair.condition.label, "predicted"))
    rows: dict[str, Cells | str] = {"model": job.files.of_prediction(drawn)}
    rows |= {name: _further_cells(name, pair, drawn, job) for name in job.further}
    rows |= {name: _baseline_cells(name, pair, n, job) for name in job.baselines}
    if job.files.transform.kind == "pca":
        rows[DECODED] = other if isinstance(other, str) else job.files.decoded(other.flow)
    return rows


def _further_cells(name: str, pair: Aligned, drawn: np.ndarray, job: Job) -> Cells | str:
    try:
        return job.files.decoded(job.further[name](pair, drawn, job.pairs))
    except MetricError as error:
        return str(error)


def _baseline_cells(name: str, pair: Aligned, n: int, job: Job) -> Cells | str:
    if not len(pair.control):
        return "no control cells of the sample in either file"
    sample = job.sample(pair)
    control = sample.control.take(n)
    asked = BaselineRequest(
        control=control.flow,
        sample=pair.name,
        condition=pair.condition,
        population=sample.population,
        cell_types=None if sample.cell_types is None else sample.cell_types[:n],
    )
    if not n:
        return control
    generator = job.stream(pair.name, pair.condition.label, name)
    try:
        flow = job.baselines[name].predict(asked, job.summaries, generator)
    except MetricError as error:
        return str(error)
    return control if flow is control.flow else job.files.decoded(flow)


def _floor(
    first: dict[str, MetricValue], further: list[_Split], between: list[_Split], pair: Aligned, job: Job
) -> dict[str, tuple[MetricValue, float]]:
    """Mean over splits and its standard error for each metric; the first split is that of all rows."""
    random = [first, *(_of_split(split, pair, job) for split in further)]
    if not between:
        return {metric: averaged([v[metric] for v in random]) for metric in job.metrics}
    dealt = [_of_split(split, pair, job) for split in between]
    return {m: replicated([v[m] for v in random], [v[m] for v in dealt]) for m in job.metrics}


def _of_split(split: _Split, pair: Aligned, job: Job) -> dict[str, MetricValue]:
    return _values(_other(split, job), job.files.of_truth(split.target), pair, job)


def _values(cells: Cells | str, target: Cells, pair: Aligned, job: Job) -> dict[str, MetricValue]:
    if isinstance(cells, str):
        return dict.fromkeys(job.metrics, MetricValue(None, cells))
    if not len(target.flow):
        return dict.fromkeys(job.metrics, MetricValue(None, "fewer than two measured cells: no halves"))
    sample = job.sample(pair)
    control = sample.control
    others = [mean for condition, mean in sample.means.items() if condition != pair.condition]
    comparison = Comparison(
        predicted=job.scaled(cells.flow), target=job.scaled(target.flow), control=job.scaled(control.flow),
        predicted_genes=cells.genes, target_genes=target.genes, control_genes=control.genes,
        other_targets=torch.stack([mean.flow for mean in others]) if others else None,
        other_targets_genes=torch.stack([mean.genes for mean in others]) if others else None,
        other_errors=torch.stack([mean.error for mean in others]) if others else None,
        scale=job.scale,
    )  # fmt: skip
    return compute(job.metrics, comparison)


def _lines(
    pair: Aligned, row: str, n: int, values: dict[str, tuple[MetricValue, float]]
) -> list[tuple[Any, ...]]:
    head = (pair.name, pair.group, pair.condition.treatment, pair.condition.dose, row)
    return [(*head, metric, v.value, v.reason, n, se) for metric, (v, se) in values.items()]
