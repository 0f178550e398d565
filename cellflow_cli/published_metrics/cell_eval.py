"""cell-eval (Arc Institute): errors of mean genes, discrimination, overlap of differential genes."""

from typing import NamedTuple

import numpy as np
import scipy.stats
import torch
from jaxtyping import Float64
from torch import Tensor

from cellflow_cli.metrics import Comparison, Metric, MetricValue
from cellflow_cli.metrics._correlation import pearson
from cellflow_cli.published_metrics._definitions import Definitions
from cellflow_cli.published_metrics._shared import mean_difference

LEVEL = 0.05
_NO_CONTROL = "no control cells to measure changes against"


class _Tops(NamedTuple):
    """Indices of the significant genes by falling size of their fold change, or why they are not known."""

    predicted: np.ndarray
    target: np.ndarray
    reason: str


def mse(comparison: Comparison) -> MetricValue:
    r"""Mean squared difference of mean cells.

    MSE = mean_g (mean_i x_ig - mean_j y_jg)^2

    Source: cell-eval, src/cell_eval/metrics/_anndata.py, `mse`.
    Ours: none; `energy` sees the difference of means, too.
    """
    return MetricValue(float(mean_difference(comparison).square().mean()))


def mae(comparison: Comparison) -> MetricValue:
    r"""Mean absolute difference of mean cells.

    MAE = mean_g |mean_i x_ig - mean_j y_jg|

    Source: cell-eval, src/cell_eval/metrics/_anndata.py, `mae`.
    Ours: none; `energy` sees the difference of means, too.
    """
    return MetricValue(float(mean_difference(comparison).abs().mean()))


def pearson_delta(comparison: Comparison) -> MetricValue:
    r"""Correlation of predicted and measured changes of mean genes, not squared.

    r = corr_g(mean_i x_ig - mean_k c_kg, mean_j y_jg - mean_k c_kg), with control cells c

    Source: cell-eval, src/cell_eval/metrics/_anndata.py, `pearson_delta`, where predicted and real cells each
    have their own controls; here they are the same ones.
    Ours: `r2-delta` is its square, which no longer tells the sign.
    """
    if not len(comparison.control):
        return MetricValue(None, _NO_CONTROL)
    control = comparison.control.mean(0)
    r = pearson(comparison.predicted.mean(0) - control, comparison.target.mean(0) - control)
    return MetricValue(r, "" if r is not None else f"no correlation over {len(control)} changes")


def discrimination_score_l1(comparison: Comparison) -> MetricValue:
    r"""One minus the normalised rank of the right condition, by L1 distance of mean changes.

    score = 1 - #{c : |dx - dy_c| < |dx - dy|} / (o + 1),  with o other conditions and their changes dy_c

    The controls cancel. It runs from 1 / (o + 1) to 1, by chance (1 + 1 / (o + 1)) / 2.

    Source: cell-eval, src/cell_eval/metrics/_anndata.py, `discrimination_score` with metric "l1"; there the
    gene of the perturbation's own name is left out, and conditions are those of one file, here of one sample.
    Ours: `discrimination` divides by o, takes Euclidean distances of flow features, and counts ties one half.
    """
    others = comparison.other_targets
    if others is None or not len(others):
        return MetricValue(None, "needs a second measured condition of the sample, found this one alone")
    predicted = comparison.predicted.mean(0)
    own = (predicted - comparison.target.mean(0)).abs().sum()
    nearer = int(((predicted - others).abs().sum(1) < own).sum())
    return MetricValue(1 - nearer / (len(others) + 1), f"rank {nearer + 1} of {len(others) + 1} conditions")


def overlap_at_n(comparison: Comparison) -> MetricValue:
    r"""Share of the measured differential genes that lead the predicted ones, too.

    overlap = |top_N(predicted) and top_N(target)| / N,  N the number of significant genes of the target

    top_N: of the genes that differ from the controls by Mann-Whitney's U test (false discovery rate below
    5 %), the N with the largest |log2 fold change| of geometric means, expm1 of mean log1p expression.
    Zero where one of the two has no significant gene.

    Source: cell-eval, src/cell_eval/_types/_de.py, `compute_overlap`, on the tests of pdex 0.3, mode "ref".
    Ours: `de-overlap` ranks by change in standard errors, over 20, 50 and 100 genes; predicted genes need no
    significance there, which depends on the number and the spread of predicted cells.
    """
    tops = comparison.once("cell-eval", lambda: _tops(comparison))
    return _overlap(tops, len(tops.target))


def precision_at_n(comparison: Comparison) -> MetricValue:
    r"""Share of the predicted differential genes that lead the measured ones, too.

    precision = |top_N(predicted) and top_N(target)| / N,  N the number of significant genes of the prediction

    With top_N as for `overlap-at-n`.

    Source: cell-eval, src/cell_eval/_types/_de.py, `compute_overlap` with metric "precision".
    Ours: none; `direction` looks at the sign of the measured differential genes.
    """
    tops = comparison.once("cell-eval", lambda: _tops(comparison))
    return _overlap(tops, len(tops.predicted))


def _overlap(tops: _Tops, n: int) -> MetricValue:
    if tops.reason:
        return MetricValue(None, tops.reason)
    counts = f"{len(tops.predicted)} predicted and {len(tops.target)} measured genes are significant"
    if not len(tops.predicted) or not len(tops.target):
        return MetricValue(0.0, f"{counts}: cell-eval counts zero")
    return MetricValue(len(np.intersect1d(tops.predicted[:n], tops.target[:n])) / n, counts)


def _tops(comparison: Comparison) -> _Tops:
    nothing = np.zeros(0, dtype=int)
    roles = (comparison.predicted, comparison.target, comparison.control)
    if not len(comparison.control):
        return _Tops(nothing, nothing, _NO_CONTROL)
    if any(bool((cells < 0).any()) for cells in roles):
        return _Tops(nothing, nothing, "cell-eval takes log1p expression, found values below zero")
    predicted, target = (_top(cells, comparison.control) for cells in roles[:2])
    return _Tops(predicted, target, "")


def _top(cells: Float64[Tensor, "n g"], control: Float64[Tensor, "k g"]) -> np.ndarray:
    """Significant genes by falling |log2 fold change|, infinite where all cells of one side have none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        test = scipy.stats.mannwhitneyu(cells.cpu().numpy(), control.cpu().numpy(), method="asymptotic")
        p = np.nan_to_num(np.clip(test.pvalue, 0, 1), nan=1.0)  # no p value where all cells are equal
        change = torch.log2(cells.mean(0).expm1() / control.mean(0).expm1()).abs().cpu().numpy()
    size = np.nan_to_num(change, nan=0.0, posinf=np.inf)
    order = np.argsort(-size, kind="stable")
    return order[scipy.stats.false_discovery_control(p)[order] < LEVEL]


ENTRY = Definitions(
    project="cell-eval",
    version="release 0.8.2, with pdex 0.3.0",
    space="genes",
    metrics={
        "mse": Metric(mse, best="low", symmetric=True),
        "mae": Metric(mae, best="low", symmetric=True),
        "pearson-delta": Metric(pearson_delta, best="high", symmetric=True, change=True),
        "discrimination-score-l1": Metric(discrimination_score_l1, best="high", symmetric=False, others=True),
        "overlap-at-n": Metric(overlap_at_n, best="high", symmetric=False),
        "precision-at-n": Metric(precision_at_n, best="high", symmetric=False),
    },
)
