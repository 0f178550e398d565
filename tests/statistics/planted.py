"""Scores with planted differences."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.result import Scores
from cellflow_cli.statistics.summary import Settings


def make_scores(groups=8, treatments=("chemo", "drug"), missing=(), metrics=("energy", "w1"), **gaps):
    """Scores where every baseline's energy is that of the model plus its gap.

    Args:
        groups: How many.
        treatments: One population each in every group.
        missing: Pairs of predictor and metric without a value.
        metrics: Names; all have the same values.
        gaps: For each baseline a number, or one for each group, underscores for hyphens.
    """
    baselines = {name.replace("_", "-"): np.broadcast_to(gap, groups) for name, gap in gaps.items()}
    lines = []
    for g in range(groups):
        for k, treatment in enumerate(treatments):
            model = 0.2 + 0.01 * g + 0.02 * k
            values = {
                "model": model,
                **{name: model + gap[g] for name, gap in baselines.items()},
                "floor": 0.001 * k,
            }
            for predictor, value in values.items():
                for metric in metrics:
                    number = 0.9 if metric.startswith("variance") else value
                    absent = (predictor, metric) in missing
                    lines.append(
                        [f"P{g}", f"P{g}", treatment, 0.5 * (k + 1), predictor, metric,
                         np.nan if absent else number, "planted gap" if absent else "", 50 + g,
                         0.0001 if predictor == "floor" else np.nan]
                    )  # fmt: skip
    table = pd.DataFrame(lines, columns=[*Scores.COLUMNS, "se"])
    settings = Settings(
        max_cells=500, floor_splits=5, n_features=7, n_genes=7,
        prediction={"model_id": "abc", "method": "mfm", "version": "0.1.0"},
    )  # fmt: skip
    config = EvaluationConfig(metrics=tuple(metrics), max_cells=500)
    return Scores(
        table=table, metrics=tuple(metrics), baselines=tuple(baselines), config=config, settings=settings
    )


def without(scores, predictor, where):
    """The scores, the values of one predictor gone where `where(line)` holds."""
    table = scores.table.copy()
    gone = (table["predictor"] == predictor) & table.apply(where, axis=1)
    table.loc[gone, ["value", "reason"]] = [np.nan, "planted gap"]
    return replace(scores, table=table)
