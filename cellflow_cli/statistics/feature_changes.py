"""Which features of a population change, predicted and measured, and how they are distributed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

MAX_CHANGES = 12
"""Features listed."""
N_MARGINALS = 6
"""Features whose distribution is shown."""
N_BINS = 30
SHARE = 0.8


class FeatureChange(NamedTuple):
    """Change of the mean of one feature against the control.

    Attributes:
        feature: Name.
        measured, predicted: Changes in the units of the feature.
        size: Measured change in standard deviations within the populations.
    """

    feature: str
    measured: float
    predicted: float
    size: float


class FeatureChanges(NamedTuple):
    """The features that change most, and how far they explain the change.

    Attributes:
        changes: By falling size of the measured change.
        n_for_share: Minimum number of features that hold 80 % of the squared standardised change.
        n_features: Features looked at.
        n_right: How many of `changes` are predicted to change in the right direction.
    """

    changes: tuple[FeatureChange, ...]
    n_for_share: int
    n_features: int
    n_right: int


class Marginal(NamedTuple):
    """Distribution of one feature over common bins.

    Attributes:
        feature: Name.
        edges: Of the bins, shape [b + 1].
        control, predicted, measured: Share of the cells in each bin, shape [b]; what lies beyond the bins
            is left out, so that no outer bin looks like a peak.
    """

    feature: str
    edges: Float[np.ndarray, " b1"]
    control: Float[np.ndarray, " b"]
    predicted: Float[np.ndarray, " b"]
    measured: Float[np.ndarray, " b"]


def feature_changes(
    control: Float[np.ndarray, "k g"],
    predicted: Float[np.ndarray, "n g"],
    measured: Float[np.ndarray, "m g"],
    names: Sequence[str],
) -> FeatureChanges:
    r"""Changes of feature means against the control, by falling standardised size.

    size_g = (mean measured_g - mean control_g) / ((var control_g + var measured_g) / 2)^1/2

    Args:
        control: Untreated cells, genes or markers; below two of them nothing is listed.
        predicted: Cells of the prediction; without any nothing is listed.
        measured: Treated cells; below two of them nothing is listed.
        names: Of the features.
    """
    nothing = FeatureChanges((), 0, len(names), 0)
    if min(len(control), len(measured)) < 2 or not len(predicted):
        return nothing
    base = control.mean(0, dtype=np.float64)
    real = measured.mean(0, dtype=np.float64) - base
    ours = predicted.mean(0, dtype=np.float64) - base
    spread = np.sqrt((control.var(0, dtype=np.float64) + measured.var(0, dtype=np.float64)) / 2)
    # a feature without spread that changes at all would be infinitely large; it is as good as constant
    has_spread = spread > 1e-6 * np.abs(base).max(initial=1e-9)
    size = np.divide(real, spread, out=np.zeros_like(real), where=has_spread)
    order = np.argsort(-np.abs(size), kind="stable")
    squares = np.cumsum(size[order] ** 2)
    if squares[-1] == 0:
        return nothing
    top = [i for i in order[:MAX_CHANGES] if size[i] != 0]
    changes = tuple(FeatureChange(str(names[i]), float(real[i]), float(ours[i]), float(size[i])) for i in top)
    return FeatureChanges(
        changes=changes,
        n_for_share=int(np.searchsorted(squares, SHARE * squares[-1]) + 1),
        n_features=len(names),
        n_right=sum(change.measured * change.predicted > 0 for change in changes),
    )


def marginals(
    changes: FeatureChanges,
    control: Float[np.ndarray, "k g"],
    predicted: Float[np.ndarray, "n g"],
    measured: Float[np.ndarray, "m g"],
    names: Sequence[str],
) -> tuple[Marginal, ...]:
    """Distributions of the features that change most; the other arguments are those of `feature_changes`."""
    shown = [names.index(change.feature) for change in changes.changes[:N_MARGINALS]]
    return tuple(marginal(names[j], control[:, j], predicted[:, j], measured[:, j]) for j in shown)


def marginal(
    feature: str,
    control: Float[np.ndarray, " k"],
    predicted: Float[np.ndarray, " n"],
    measured: Float[np.ndarray, " m"],
) -> Marginal:
    """Histograms over the middle 99 % of all values."""
    pooled = np.concatenate([control, predicted, measured]).astype(np.float64)
    low, high = np.percentile(pooled, [0.5, 99.5])
    if high <= low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, N_BINS + 1)
    shares = [_shares(v.astype(np.float64), edges) for v in (control, predicted, measured)]
    return Marginal(feature, edges, *shares)


def _shares(values: Float[np.ndarray, " n"], edges: Float[np.ndarray, " b1"]) -> Float[np.ndarray, " b"]:
    return np.histogram(values, edges)[0] / max(1, len(values))
