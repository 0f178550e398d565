"""The table of scores, found by row and metric."""

from collections.abc import Iterable, Mapping

import pandas as pd

NULL = "identity"
"""Row of the controls as prediction: doing nothing."""
DECODED = "truth-decoded"
"""Row of measured cells that went through the decoder: what a perfect prediction would score."""
CONDITION = ["group", "sample", "treatment", "dose"]


class Lines:
    """Lines of the table of scores, indexed by group and a number for each condition.

    Args:
        table: With the columns of `Scores.COLUMNS`, and `se` where the floor was split several times.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        numbers = table.groupby(CONDITION, dropna=False, sort=False).ngroup()
        index = pd.MultiIndex.from_arrays([table["group"], numbers], names=["group", "condition"])
        self.table = table.set_index(index)
        self._parts = dict(iter(self.table.groupby(["row", "metric"], sort=False)))

    def of(self, row: str, metric: str) -> pd.DataFrame:
        """One line per condition."""
        return self._parts.get((row, metric), self.table[:0])

    def only(self, conditions: Iterable[int]) -> "Lines":
        """The lines of some conditions."""
        kept = self.table.index.get_level_values("condition").isin(list(conditions))
        return Lines(self.table[kept].reset_index(drop=True))

    def beside(self, rows: Mapping[str, str], metric: str, column: str = "value") -> pd.DataFrame:
        """One metric of several rows, over the conditions where all of them have a value.

        Args:
            rows: For each column of the result the row it holds.
            metric: Name of the metric.
            column: Which column of the table.
        """
        parts = {name: self.of(row, metric)[column] for name, row in rows.items()}
        return pd.DataFrame(parts).astype(float).dropna()


def group_means(conditions: pd.DataFrame) -> pd.DataFrame:
    """Mean over the conditions of each group."""
    return conditions.groupby(level="group", sort=False).mean()
