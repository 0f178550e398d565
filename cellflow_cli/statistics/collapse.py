"""The collapse alarm: predictions that vary much less, or much more, than measured cells."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from cellflow_cli.statistics.lines import DECODED, FLOOR, MODEL, Lines
from cellflow_cli.statistics.means import over_groups
from cellflow_cli.types import Condition

BOUNDS = (0.5, 2.0)
OUT_OF_RANGE = "out-of-range"
"""What stands in the column `metric` of the table of values out of range."""
METRICS = ("variance-ratio", "variance-ratio-genes")
MAX_OUTSIDE = 0.25
"""Share of the conditions that may be out of bounds: too narrow here and too wide there do not cancel."""


@dataclass(frozen=True)
class OutOfBounds:
    """A condition whose predicted cells vary much less or much more than measured ones.

    Attributes:
        sample: Values of the sample keys as text.
        condition: Treatment and dose as text.
        ratio: Predicted over measured variance.
    """

    sample: str
    condition: str
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """Variance of predicted over that of measured cells, and whether it is out of bounds.

    Attributes:
        alarm: True where the model's mean ratio over groups is outside `bounds`, or the ratio of more
            than a quarter of the conditions; None, with a `reason`, if no ratio is known.
        bounds: Ratios between them are no collapse.
        conditions: Conditions outside the bounds.
        n_conditions: Conditions with a ratio.
        ratios: For each metric the mean of the predictors model, truth-decoded and floor.
        fraction_clipped: Share of the predicted values that the decoder set to zero, if known.
        out_of_range: Share of the values beyond all measured ones, mean over groups, by predictor.
        reason: Why no ratio is known.
    """

    alarm: bool | None
    bounds: tuple[float, float] = BOUNDS
    conditions: tuple[OutOfBounds, ...] = ()
    n_conditions: int
    ratios: Mapping[str, Mapping[str, float | None]]
    fraction_clipped: float | None = None
    out_of_range: Mapping[str, float | None] = field(default_factory=dict)
    reason: str = ""


def collapse(lines: Lines, fraction_clipped: float | None = None, outside: Lines | None = None) -> Collapse:
    """Variance of predicted over that of measured cells, and whether it is out of bounds.

    The alarm looks at the features of the flow, which no decoder has narrowed. The ratio over genes
    is to be read beside `truth-decoded`: a perfect prediction that went through a few components keeps
    no more variance than that.

    Args:
        lines: Scores.
        fraction_clipped: Share of the predicted values that the decoder set to zero, if known.
        outside: Share of the values out of range in each condition, if known (see `share_outside`).
    """
    predictors = [name for name in (MODEL, DECODED, FLOOR) if name in set(lines.table["predictor"])]
    metrics = [metric for metric in METRICS if metric in set(lines.table["metric"])]
    means = over_groups(lines, predictors, metrics)
    ratios = {metric: {name: means[name][metric].mean for name in predictors} for metric in metrics}
    conditions = _outside(lines)
    n_conditions = int(lines.of(MODEL, METRICS[0])["value"].notna().sum())
    ratio = ratios.get(METRICS[0], {}).get(MODEL)
    many = len(conditions) > MAX_OUTSIDE * n_conditions
    return Collapse(
        alarm=None if ratio is None else many or not _within(ratio),
        conditions=conditions,
        n_conditions=n_conditions,
        ratios=ratios,
        fraction_clipped=None if fraction_clipped is None else float(fraction_clipped),
        out_of_range={} if outside is None else _out_of_range(outside),
        reason=f"no value of `{METRICS[0]}` for the model" if ratio is None else "",
    )


def how_far(collapse: Collapse) -> str:
    """The finding of a known alarm in words, on or off.

    Args:
        collapse: With `alarm` True or False.
    """
    low, high = collapse.bounds
    ratio, outside, n = collapse.ratios[METRICS[0]][MODEL], len(collapse.conditions), collapse.n_conditions
    if ratio is None:
        raise ValueError("the collapse alarm is not known")
    text = f"predicted cells have {ratio:.3g} times the variance of measured ones in the mean over groups"
    place = "within" if low <= ratio <= high else "outside"
    return f"{text}, {place} the bounds {low:g} and {high:g}; {outside} of {n} populations are outside"


def _out_of_range(outside: Lines) -> dict[str, float | None]:
    predictors = list(dict.fromkeys(outside.table["predictor"]))
    means = over_groups(outside, predictors, [OUT_OF_RANGE])
    return {name: of_metric[OUT_OF_RANGE].mean for name, of_metric in means.items()}


def _within(ratio: float) -> bool:
    return BOUNDS[0] <= ratio <= BOUNDS[1]


def _outside(lines: Lines) -> tuple[OutOfBounds, ...]:
    model = lines.of(MODEL, METRICS[0]).dropna(subset=["value"])
    columns = (model[column] for column in ("sample", "treatment", "dose", "value"))
    return tuple(
        OutOfBounds(
            sample=str(sample),
            condition=Condition(str(treatment), None if pd.isna(dose) else float(dose)).label,
            ratio=float(value),
        )
        for sample, treatment, dose, value in zip(*columns, strict=True)
        if not _within(value)
    )
