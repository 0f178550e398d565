"""Scores of each cell type by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cellflow_cli.statistics._json import plain_fields
from cellflow_cli.statistics.lines import Lines, count_conditions
from cellflow_cli.statistics.means import Means, Range, over_groups

NOT_REQUESTED = "cell types were not requested"


@dataclass(frozen=True, eq=False, kw_only=True)
class TypeScores:
    """Metrics of every predictor of every condition and cell type.

    Attributes:
        table: Column `cell_type`, then the columns of `Scores.table`; empty where there are no types.
        metrics: Names of the metrics.
        reason: Why there are no types.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    metrics: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class CellTypeMeans:
    """Means of one cell type.

    Attributes:
        n_conditions: Conditions with cells of the type.
        n_cells: The smallest and largest number of cells on either side.
        predictors: As in `Summary`.
    """

    n_conditions: int
    n_cells: Range
    predictors: Means


@dataclass(frozen=True)
class CellTypes:
    """Means of each cell type; or none, and why."""

    types: Mapping[str, CellTypeMeans] = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The types, or the reason alone."""
        return {"reason": self.reason} if self.reason else plain_fields(self)


def of_types(scores: TypeScores, predictors: Sequence[str]) -> CellTypes:
    """Means over conditions within a group, then over groups, type by type."""
    if scores.table.empty:
        return CellTypes(reason=scores.reason or NOT_REQUESTED)
    parts = scores.table.groupby("cell_type", sort=False)
    return CellTypes({str(name): _of_type(part, predictors, scores.metrics) for name, part in parts})


def _of_type(table: pd.DataFrame, predictors: Sequence[str], metrics: Sequence[str]) -> CellTypeMeans:
    return CellTypeMeans(
        n_conditions=count_conditions(table),
        n_cells=Range(int(table["n"].min()), int(table["n"].max())),
        predictors=over_groups(Lines(table.reset_index(drop=True)), predictors, metrics),
    )
