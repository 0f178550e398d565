"""The cells of a page as numbers that its script draws."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from cellflow_cli.report._moves import Marginal
from cellflow_cli.report.cell_figures import moves_text
from cellflow_cli.report.pictures import Picture, Pictures

_LEVELS = 65535
_MARGIN = 0.04


def payload(pictures: Pictures, first: Picture) -> dict[str, Any]:
    """Plain values for JSON; points as pairs of 16 bit integers over the range of each axis.

    Args:
        pictures: Everything to draw.
        first: The population shown when the page opens.
    """
    low, high = _ranges(pictures)
    populations = [
        {
            "title": one.title,
            "sample": one.sample,
            "text": moves_text(one),
            "measured": _packed(one.measured, low, high),
            "predicted": _packed(one.predicted, low, high),
            "marginals": [_marginal(found) for found in one.marginals],
            "moves": [[m.feature, _short(m.measured), _short(m.predicted)] for m in one.moves.moves],
        }
        for one in pictures.populations
    ]
    return {
        "axes": list(pictures.axes),
        "ranges": [[_short(low[i]), _short(high[i])] for i in range(2)],
        "controls": {one.sample: _packed(one.control, low, high) for one in pictures.populations},
        "populations": populations,
        "first": next(i for i, one in enumerate(pictures.populations) if one is first),
    }


def _marginal(found: Marginal) -> dict[str, Any]:
    return {
        "feature": found.feature,
        "low": _short(found.edges[0]),
        "width": _short(found.edges[1] - found.edges[0]),
        **{
            role: [round(float(v), 4) for v in getattr(found, role)]
            for role in ("control", "predicted", "measured")
        },
    }


def _ranges(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the plane that hold all control and measured cells, and nearly all predicted ones."""
    spans: list[np.ndarray] = []
    for one in pictures.populations:
        for cloud, percent in ((one.control, 0.0), (one.measured, 0.0), (one.predicted, 0.5)):
            if len(cloud):
                spans.append(np.percentile(cloud, [percent, 100 - percent], axis=0))
    low, high = np.min(spans, axis=(0, 1)), np.max(spans, axis=(0, 1))
    margin = _MARGIN * np.maximum(high - low, 1e-6)
    return low - margin, high + margin


def _packed(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Points as text; those beyond the range lie on its border."""
    levels = np.clip((np.asarray(points, dtype=np.float64) - low) / (high - low), 0, 1) * _LEVELS
    return base64.b64encode(np.rint(levels).astype("<u2").tobytes()).decode("ascii")


def _short(x: float) -> float:
    return float(f"{float(x):.5g}")


def chosen(pictures: Pictures, values: dict[tuple[str, str], float], n: int) -> Sequence[Picture]:
    """The best, the median and the worst predicted populations, or fewer; the first ones without values.

    Args:
        pictures: Everything that could be shown.
        values: For sample and condition how well it is predicted, low is best.
        n: How many at most, three or more are spread evenly over the ranks.
    """
    known = [one for one in pictures.populations if (one.sample, one.condition) in values]
    ranked = sorted(known, key=lambda one: values[one.sample, one.condition])
    if not ranked:
        return pictures.populations[:n]
    ranks = np.unique(np.rint(np.linspace(0, len(ranked) - 1, min(n, len(ranked)))).astype(int))
    return [ranked[i] for i in ranks]
