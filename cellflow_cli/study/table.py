"""The results of a comparison: one table of means, paired differences, and costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cellflow_cli.published_metrics import find
from cellflow_cli.statistics.means import is_better

REFERENCE_COLUMNS = ("predictor", "part", "metric", "value")
_CONDITION = ["fold", "group", "sample", "treatment", "dose"]


def means(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean of each predictor, part and metric, with its spread over seeds.

    A seed's mean is taken over conditions within a group, then over the groups of all folds.

    Args:
        scores: As `Study.scores`.

    Returns:
        Columns predictor, part, metric, mean, sd (over seeds with n - 1; missing below two), n_seeds,
        n_groups and n_missing, the conditions without a value; predictors in the order of the scores.
    """
    seeds = scores.assign(seed=scores["seed"].fillna(-1))
    by = ["predictor", "part", "metric"]
    groups = seeds.groupby([*by, "seed", "group"], sort=False)["value"].mean()
    per_seed = groups.groupby([*by, "seed"], sort=False).mean()
    over = per_seed.groupby(by, sort=False)
    table = over.agg(mean="mean", sd="std", n_seeds="count")
    table["n_groups"] = seeds.groupby(by, sort=False)["group"].nunique()
    table["n_missing"] = seeds.groupby(by, sort=False)["value"].apply(lambda v: int(v.isna().sum()))
    return table.reset_index()


def paired(scores: pd.DataFrame, against: str) -> pd.DataFrame:
    """Every predictor against one of them, over the conditions where both have a value.

    The unit is the group, or the sample where a part has fewer than two groups; values are averaged over
    conditions and seeds within a unit first. Seeds are paired too, where both predictors have them.

    Args:
        scores: As `Study.scores`.
        against: Name of a predictor.

    Returns:
        Columns predictor, against, part, metric, difference (mean minus that of `against`), sd (over units),
        k and n (better than `against` on k of n units) and n_conditions, the conditions compared.
    """
    rows = []
    for (part, metric), lines in scores.groupby(["part", "metric"], sort=False):
        if against not in set(lines["predictor"]):
            continue
        unit = "group" if lines["group"].nunique() > 1 else "sample"
        values = dict(iter(lines.dropna(subset="value").groupby("predictor", sort=False)))
        none = lines[:0]
        for name in [name for name in lines["predictor"].unique() if name != against]:
            both = _paired_values(values.get(name, none), values.get(against, none))
            units = both.groupby(unit, sort=False)[["value", "reference"]].mean()
            difference = units["value"] - units["reference"]
            better = [is_better(a, b, _best(str(metric))) for a, b in units.to_numpy()]
            rows.append(
                {
                    "predictor": name, "against": against, "part": part, "metric": metric,
                    "difference": difference.mean(), "sd": difference.std(),
                    "k": sum(better), "n": len(difference),
                    "n_conditions": len(both[_CONDITION].drop_duplicates()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _paired_values(own: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Scores of a predictor with those of another as `reference`, repeated for every seed if it has none."""
    seeded = own["seed"].notna().any() and reference["seed"].notna().any()
    keys = [*_CONDITION, "seed"] if seeded else _CONDITION
    return own.merge(reference.rename(columns={"value": "reference"})[[*keys, "reference"]], on=keys)


def layout(
    table: pd.DataFrame, metrics: Sequence[str], reference: pd.DataFrame | None = None
) -> tuple[list[str], list[list[str]]]:
    """The table as text: one line per predictor, for each part its metrics beside one another.

    Args:
        table: As `means`.
        metrics: In the order of the columns.
        reference: Published scores with the columns `REFERENCE_COLUMNS` and perhaps sd, shown below.

    Returns:
        Column titles, and lines of text; MMD is shown times 1,000 as publications do.
    """
    shown = table if reference is None else pd.concat([table, reference.rename(columns={"value": "mean"})])
    parts = list(dict.fromkeys(table["part"]))
    cells = {(r["predictor"], r["part"], r["metric"]): (r["mean"], r.get("sd")) for _, r in shown.iterrows()}
    titles = [f"{part} {metric}{_SHOWN[_factor(metric)]}" for part in parts for metric in metrics]
    lines = []
    for name in dict.fromkeys(shown["predictor"]):
        numbers = [_text(*cells.get((name, p, m), (None, None)), _factor(m)) for p in parts for m in metrics]
        lines.append([str(name), *numbers])
    return ["", *titles], lines


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """Medians over jobs of steps, seconds per step and seconds per 1,000 predicted cells, per variant."""
    return costs.groupby("predictor", sort=False)[
        ["steps", "parameters", "train_s", "step_s", "predict_s_per_1000"]
    ].median().reset_index()  # fmt: skip


def summary(
    scores: pd.DataFrame, costs: pd.DataFrame, against: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """All tables as plain values for JSON; missing numbers are None."""
    return {
        "means": _records(means(scores)),
        "paired": _records(paired(scores, against)),
        "costs": _records(cost_table(costs)),
        "settings": dict(settings),
    }


_SHOWN = {1: "", 1000: " ·10³"}


def _factor(metric: str) -> int:
    return 1000 if metric.startswith("mmd") else 1


def _text(mean: float | None, sd: float | None, factor: int) -> str:
    if mean is None or pd.isna(mean):
        return "–"
    value = f"{mean * factor:.3g}" if abs(mean * factor) >= 1 else f"{mean * factor:.3f}"
    return value if sd is None or pd.isna(sd) else f"{value} ± {sd * factor:.2g}"


def _best(metric: str) -> str:
    return str(find(metric).best)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): None if pd.isna(v) else v for k, v in record.items()}
        for record in table.astype(object).to_dict("records")
    ]
