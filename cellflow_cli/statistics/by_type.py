"""Scores of each cell type by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cellflow_cli.statistics.lines import Lines
from cellflow_cli.statistics.means import over_groups

NOT_ASKED = "cell types were not asked for"


@dataclass(frozen=True, eq=False, kw_only=True)
class TypeScores:
    """Metrics of every row of every condition and cell type.

    Attributes:
        table: Column `cell_type`, then the columns of `Scores.table`; empty where there are no types.
        metrics: Names of the metrics.
        reason: Why there are no types.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    metrics: tuple[str, ...] = ()
    reason: str = ""

    def summary(self, rows: Sequence[str]) -> dict[str, Any]:
        """Means over conditions within a group, then over groups, type by type.

        Returns:
            types: For each type `n_conditions`, `n_cells` (`min` and `max` of the cells on either side)
                and `rows` as in `Scores.summary`. Or a `reason` alone.
        """
        if self.table.empty:
            return {"reason": self.reason or NOT_ASKED}
        parts = self.table.groupby("cell_type", sort=False)
        return {"types": {str(name): self._of_type(part, rows) for name, part in parts}}

    def _of_type(self, table: pd.DataFrame, rows: Sequence[str]) -> dict[str, Any]:
        n = table["n"]
        return {
            "n_conditions": len(table[["sample", "treatment", "dose"]].drop_duplicates()),
            "n_cells": {"min": int(n.min()), "max": int(n.max())},
            "rows": over_groups(Lines(table.reset_index(drop=True)), rows, self.metrics),
        }
