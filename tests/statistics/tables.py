"""Tables of scores made by hand."""

import numpy as np
import pandas as pd

from cellflow_cli.evaluation.result import Scores


def table(rows, metric="energy", se=0.01, reason="why"):
    """For each predictor a dict of values per group; a NaN has a reason. Conditions are doses 1, 2, ..."""
    lines = []
    for predictor, groups in rows.items():
        for group, values in groups.items():
            for i, value in enumerate(values):
                why = reason if np.isnan(value) else ""
                error = se if predictor == "floor" else np.nan
                head = (f"{group} | a", group, "drug", float(i) if i else None, predictor, metric)
                lines.append((*head, value, why, 30, error))
    return pd.DataFrame(lines, columns=[*Scores.COLUMNS, "se"])


# Group means: null 6 and 4, model 3 and 2, floor 1 and 0.
ROWS = {
    "model": {"P1": [1.0, 5.0], "P2": [2.0]},
    "identity": {"P1": [2.0, 10.0], "P2": [4.0]},
    "floor": {"P1": [0.0, 2.0], "P2": [0.0]},
}


# P1 has three conditions and P2 one; each group counts once.
ENERGY = {
    "model": {"P1": [1.0, 2.0, 6.0], "P2": [5.0]},
    "identity": {"P1": [4.0, 4.0, 4.0], "P2": [4.0]},
    "mean-shift": {"P1": [0.5, 3.0, np.nan], "P2": [6.0]},
    "floor": {"P1": [0.0, 0.0, 0.0], "P2": [0.1]},
}


def few_scores(energy=ENERGY, **settings):
    """Scores of two groups with an `energy` of each predictor and a ratio out of bounds."""
    rows = []
    for row, groups in energy.items():
        for group, values in groups.items():
            for i, v in enumerate(values):
                head = (f"{group} | a", group, "drug", float(i) if i else None, row)
                ratio = 0.5 if row == "model" else 2.1
                rows.append((*head, "energy", v, "unseen dose" if np.isnan(v) else "", 30))
                rows.append((*head, "variance-ratio", ratio, "", 30))
    lines = pd.DataFrame(rows, columns=Scores.COLUMNS)
    metrics, baselines = ("energy", "variance-ratio"), ("identity", "mean-shift")
    return Scores(table=lines, metrics=metrics, baselines=baselines, **settings)
