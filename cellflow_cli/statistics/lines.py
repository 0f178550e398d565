"""The table of scores, found by predictor and metric."""

from collections.abc import Iterable, Mapping

import pandas as pd

MODEL = "model"
"""Predictor of the prediction itself."""
FLOOR = "floor"
"""Predictor of the noise floor: measured cells as prediction of other measured cells."""
NULL = "identity"
"""Predictor of the controls as prediction: doing nothing."""
DECODED = "truth-decoded"
"""Predictor of measured cells that went through the decoder: what a perfect prediction would score."""
COLUMNS = ("sample", "group", "treatment", "dose", "predictor", "metric", "value", "reason", "n")
"""Columns of the table of scores."""
CONDITION = ["group", "sample", "treatment", "dose"]
"""Columns that name a condition of a sample."""


class Lines:
    """Lines of the table of scores, indexed by group and a number for each condition.

    Args:
        table: With the columns `COLUMNS`, and `se` where the floor was split several times.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        numbers = table.groupby(CONDITION, dropna=False, sort=False).ngroup()
        index = pd.MultiIndex.from_arrays([table["group"], numbers], names=["group", "condition"])
        self.table = table.set_index(index)
        self._parts = dict(iter(self.table.groupby(["predictor", "metric"], sort=False)))

    def of(self, predictor: str, metric: str) -> pd.DataFrame:
        """One line per condition."""
        return self._parts.get((predictor, metric), self.table[:0])

    def only(self, conditions: Iterable[int]) -> "Lines":
        """The lines of some conditions."""
        kept = self.table.index.get_level_values("condition").isin(list(conditions))
        return Lines(self.table[kept].reset_index(drop=True))

    def beside(self, predictors: Mapping[str, str], metric: str, column: str = "value") -> pd.DataFrame:
        """One metric of several predictors, over the conditions where all of them have a value.

        Args:
            predictors: For each column of the result the predictor it holds.
            metric: Name of the metric.
            column: Which column of the table.
        """
        parts = {name: self.of(predictor, metric)[column] for name, predictor in predictors.items()}
        return pd.DataFrame(parts).astype(float).dropna()


def group_means(conditions: pd.DataFrame) -> pd.DataFrame:
    """Mean over the conditions of each group."""
    return conditions.groupby(level="group", sort=False).mean()


def count_conditions(table: pd.DataFrame) -> int:
    """Number of conditions in a table of scores."""
    return len(table[["sample", "treatment", "dose"]].drop_duplicates())
