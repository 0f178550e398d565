"""The collapse alarm: predictions that vary much less, or much more, than measured cells."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cellflow_cli.statistics.lines import DECODED, Lines
from cellflow_cli.statistics.means import over_groups
from cellflow_cli.types import Condition

BOUNDS = (0.5, 2.0)
OUT_OF_RANGE = "out-of-range"
"""What stands in the column `metric` of the table of values out of range."""
METRICS = ("variance-ratio", "variance-ratio-genes")
MAX_OUTSIDE = 0.25
"""Share of the conditions that may be out of bounds: too narrow here and too wide there do not cancel."""


def collapse(
    lines: Lines, fraction_clipped: float | None = None, outside: Lines | None = None
) -> dict[str, Any]:
    """Variance of predicted over that of measured cells, and whether it is out of bounds.

    The alarm looks at the features of the flow, which no decoder has narrowed. The ratio over genes
    is to be read beside the row `truth-decoded`: a perfect prediction that went through a few
    components keeps no more variance than that.

    Args:
        lines: Scores.
        fraction_clipped: Share of the predicted values that the decoder set to zero, if known.
        outside: Share of the values out of range in each condition, if known (see `share_outside`).

    Returns:
        alarm: True where the model's mean ratio over groups is outside `bounds`, or the ratio of more
            than a quarter of the conditions; None, with a `reason`, if no ratio is known.
        conditions: Conditions outside the bounds, with their ratio; n_conditions: of so many.
        ratios: For each metric the mean of the rows model, truth-decoded and floor.
        bounds, fraction_clipped: As they are.
        out_of_range: Mean of `outside` over groups, for the rows that it has.
    """
    rows = [row for row in ("model", DECODED, "floor") if row in set(lines.table["row"])]
    metrics = [metric for metric in METRICS if metric in set(lines.table["metric"])]
    means = over_groups(lines, rows, metrics)
    found: dict[str, Any] = {
        "alarm": None,
        "bounds": list(BOUNDS),
        "conditions": _outside(lines),
        "n_conditions": int(lines.of("model", METRICS[0])["value"].notna().sum()),
        "ratios": {metric: {row: means[row][metric]["mean"] for row in rows} for metric in metrics},
        "fraction_clipped": None if fraction_clipped is None else float(fraction_clipped),
        "out_of_range": {} if outside is None else _out_of_range(outside),
    }
    ratio = found["ratios"].get(METRICS[0], {}).get("model")
    if ratio is None:
        return {**found, "reason": f"no value of `{METRICS[0]}` for the model"}
    many = len(found["conditions"]) > MAX_OUTSIDE * found["n_conditions"]
    return {**found, "alarm": many or not _within(ratio)}


def how_far(collapse: Mapping[str, Any]) -> str:
    """The finding of a known alarm in words, on or off.

    Args:
        collapse: What `collapse` returns, with `alarm` True or False.
    """
    low, high = collapse["bounds"]
    ratio, outside, n = (
        collapse["ratios"][METRICS[0]]["model"],
        len(collapse["conditions"]),
        collapse["n_conditions"],
    )
    text = f"predicted cells have {ratio:.3g} times the variance of measured ones in the mean over groups"
    place = "within" if low <= ratio <= high else "outside"
    return f"{text}, {place} the bounds {low:g} and {high:g}; {outside} of {n} populations are outside"


def _out_of_range(outside: Lines) -> dict[str, float | None]:
    rows = list(dict.fromkeys(outside.table["row"]))
    return {
        row: found[OUT_OF_RANGE]["mean"] for row, found in over_groups(outside, rows, [OUT_OF_RANGE]).items()
    }


def _within(ratio: float) -> bool:
    return BOUNDS[0] <= ratio <= BOUNDS[1]


def _outside(lines: Lines) -> list[dict[str, Any]]:
    model = lines.of("model", METRICS[0]).dropna(subset=["value"])
    return [
        {
            "sample": str(sample),
            "condition": Condition(str(treatment), None if pd.isna(dose) else float(dose)).label,
            "ratio": float(value),
        }
        for sample, treatment, dose, value in zip(
            *(model[column] for column in ("sample", "treatment", "dose", "value")), strict=True
        )
        if not _within(value)
    ]
