"""One condition: every metric of every predictor, as lines of the table of scores."""

import math
from typing import NamedTuple

import torch

from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.cells import Cells
from cellflow_cli.evaluation.compute import compute, share_outside
from cellflow_cli.evaluation.floor import Sides, averaged, replicate_splits, replicated, split_half, subsample
from cellflow_cli.evaluation.predictors import CellsOrReason, degenerate_cells, predictor_cells
from cellflow_cli.evaluation.run import EvaluationRun
from cellflow_cli.metrics import Comparison, MetricValue
from cellflow_cli.statistics.collapse import OUT_OF_RANGE
from cellflow_cli.statistics.degenerate_ranks import UNDAMAGED
from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL

_NONE_LEFT = "all measured cells are compared, none are left for a floor"

Values = dict[str, MetricValue]
"""By metric."""


class Line(NamedTuple):
    """One line of the table of scores: the columns `lines.COLUMNS` and `se`."""

    sample: str
    group: str
    treatment: str
    dose: float | None
    predictor: str
    metric: str
    value: float | None
    reason: str
    n: int
    se: float


class ConditionScores(NamedTuple):
    """Lines of one condition.

    Attributes:
        scores: Every metric of every predictor.
        out_of_range: Share of the values out of range of the model, `truth-decoded` and the floor.
    """

    scores: list[Line]
    out_of_range: list[Line]


def score_condition(pair: Aligned, run: EvaluationRun) -> ConditionScores:
    """Everything that is scored of one condition."""
    n = min(
        run.n_measured(pair),
        run.config.max_cells,
        len(pair.predicted),
        len(pair.control) or len(pair.predicted),
    )
    n, between = _between_replicates(pair, n, run)
    splits = _random_splits(pair, n, run)
    target, other = run.files.of_truth(splits[0].target), _other(splits[0], run)
    cells = predictor_cells(pair, n, other, run)
    values = {
        name: _values(predicted, target, pair, run)
        for name, predicted in (cells | degenerate_cells(pair, other, run)).items()
    }
    first = _values(other, target, pair, run)
    if run.degenerate:
        values[UNDAMAGED] = values.get(DECODED, first)
    floor = _floor(first, splits[1:], between, pair, run)
    scores = [line for name, of_name in values.items() for line in _lines(pair, name, n, of_name)]
    errors = {metric: se for metric, (_, se) in floor.items()}
    scores += _lines(pair, FLOOR, n, {metric: value for metric, (value, _) in floor.items()}, errors)
    return ConditionScores(scores, _out_of_range({**cells, FLOOR: other}, target, pair, n, run))


def line_of(
    pair: Aligned, predictor: str, metric: str, n: int, value: MetricValue, se: float = math.nan
) -> Line:
    """One number of one predictor of one condition."""
    condition = pair.condition
    return Line(
        pair.name, pair.group, condition.treatment, condition.dose, predictor, metric, value.value,
        value.reason, n, se,
    )  # fmt: skip


def _lines(
    pair: Aligned, predictor: str, n: int, values: Values, errors: dict[str, float] | None = None
) -> list[Line]:
    errors = errors or {}
    return [
        line_of(pair, predictor, metric, n, value, errors.get(metric, math.nan))
        for metric, value in values.items()
    ]


def _between_replicates(pair: Aligned, n: int, run: EvaluationRun) -> tuple[int, list[Sides]]:
    """Cells on either side for all predictors, and divisions of whole replicates for the floor, if any."""
    if run.config.all_cells or not n:
        return n, []
    draw = run.stream(pair.name, pair.condition.label, "replicates")
    return replicate_splits(run.replicates(pair), n, run.config.floor_splits, draw)


def _random_splits(pair: Aligned, n: int, run: EvaluationRun) -> list[Sides]:
    """The first gives the target of all predictors; the others are for the floor alone."""
    names = (pair.name, pair.condition.label)
    draw = run.stream(*names, "truth")
    if run.config.all_cells:
        return [Sides(subsample(pair.target, n, draw), None)]
    others = range(1, run.config.floor_splits) if n else ()
    return [
        split_half(pair.target, n, draw),
        *(split_half(pair.target, n, run.stream(*names, "floor", i)) for i in others),
    ]


def _other(sides: Sides, run: EvaluationRun) -> CellsOrReason:
    return _NONE_LEFT if sides.other is None else run.files.of_truth(sides.other)


def _floor(
    first: Values, splits: list[Sides], between: list[Sides], pair: Aligned, run: EvaluationRun
) -> dict[str, tuple[MetricValue, float]]:
    """Mean over splits and its standard error by metric; `first` is of the split of all predictors."""
    random = [first, *(_of_split(sides, pair, run) for sides in splits)]
    if not between:
        return {metric: averaged([values[metric] for values in random]) for metric in run.metrics}
    whole = [_of_split(sides, pair, run) for sides in between]
    return {m: replicated([v[m] for v in random], [v[m] for v in whole]) for m in run.metrics}


def _of_split(sides: Sides, pair: Aligned, run: EvaluationRun) -> Values:
    return _values(_other(sides, run), run.files.of_truth(sides.target), pair, run)


def _values(predicted: CellsOrReason, target: Cells, pair: Aligned, run: EvaluationRun) -> Values:
    if isinstance(predicted, str):
        return dict.fromkeys(run.metrics, MetricValue(None, predicted))
    if not len(target.flow):
        return dict.fromkeys(run.metrics, MetricValue(None, "fewer than two measured cells: no halves"))
    return compute(run.metrics, _comparison(predicted, target, pair, run))


def _comparison(predicted: Cells, target: Cells, pair: Aligned, run: EvaluationRun) -> Comparison:
    sample = run.sample(pair)
    control = sample.control
    others = [mean for condition, mean in sample.means.items() if condition != pair.condition]
    return Comparison(
        predicted=run.scaled(predicted.flow), target=run.scaled(target.flow),
        control=run.scaled(control.flow),
        predicted_genes=predicted.genes, target_genes=target.genes, control_genes=control.genes,
        other_targets=torch.stack([mean.flow for mean in others]) if others else None,
        other_targets_genes=torch.stack([mean.genes for mean in others]) if others else None,
        other_errors=torch.stack([mean.error for mean in others]) if others else None,
        scale=run.scale,
    )  # fmt: skip


def _out_of_range(
    cells: dict[str, CellsOrReason], target: Cells, pair: Aligned, n: int, run: EvaluationRun
) -> list[Line]:
    """Values outside the range of the controls of the sample and the target together."""
    real = torch.cat([run.sample(pair).control.genes, target.genes])
    lines = []
    for name in (MODEL, DECODED, FLOOR):
        if name in cells:
            ours = cells[name]
            share = MetricValue(None, ours) if isinstance(ours, str) else share_outside(ours.genes, real)
            lines.append(line_of(pair, name, OUT_OF_RANGE, n, share))
    return lines
