"""Does the population matter? The model told its own control population, another one, the average one."""

from collections.abc import Mapping
from typing import Any

from cellflow_cli.statistics.intervals import MIN_GROUPS, intervals
from cellflow_cli.statistics.lines import Lines
from cellflow_cli.statistics.means import better_than, by_group, over_groups

OTHER, AVERAGE = "model, other population", "model, average population"
ROWS = (OTHER, AVERAGE)


def ablation(lines: Lines, best: Mapping[str, str], seed: int = 0) -> dict[str, Any]:
    """Model beside the same model, told another population; cells and condition stay the same.

    Args:
        lines: Scores.
        best: Best value of each metric: low, high or one.
        seed: For the bootstrap.

    Returns:
        rows: For each of `ROWS` and each metric `mean`, `difference` (model minus this row), `low` and
            `high` as in `intervals`, `k` and `n` groups where the own population is better, and `matters`:
            yes, no, reverse (the own population is worse) or unclear. With six groups or more the interval
            decides, with two to five all of them have to agree.
        groups: For each group, row (`model` among them) and metric the mean over its conditions.
        Or a `reason` alone.
    """
    values = lines.table[lines.table["row"].isin(ROWS)]
    if values.empty:
        return {"reason": "it takes the model, `--model MODEL`"}
    if values["value"].isna().all():
        return {"reason": str(values["reason"].iloc[0])}
    return {
        "rows": {row: _row(lines, row, best, seed) for row in ROWS},
        "groups": by_group(lines, ("model", *ROWS), list(best)),
    }


def _row(lines: Lines, row: str, best: Mapping[str, str], seed: int) -> dict[str, Any]:
    means = over_groups(lines, [row], list(best))[row]
    differences, counts = intervals(lines, row, best, seed), better_than(lines, row, best)
    return {
        metric: {
            "mean": means[metric]["mean"],
            **differences[metric],
            **counts[metric],
            "matters": _matters(differences[metric], counts[metric], wish),
        }
        for metric, wish in best.items()
    }


def _matters(difference: Mapping[str, Any], count: Mapping[str, int], wish: str) -> str:
    if difference["difference"] is None:
        return "unclear"
    sign = 1 if wish == "high" else -1
    if count["n"] >= MIN_GROUPS and difference["low"] is not None:
        ends = sorted(sign * difference[end] for end in ("low", "high"))
        if ends == [0, 0]:
            return "no"
        return "yes" if ends[0] > 0 else "reverse" if ends[1] < 0 else "unclear"
    if difference["difference"] == 0:
        return "no"
    if count["n"] > 1 and count["k"] in (0, count["n"]):
        return "yes" if count["k"] else "reverse"
    return "unclear"
