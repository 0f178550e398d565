"""Rows of a prediction that are made together, and what is counted on the way."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd


class Counts(NamedTuple):
    """What is counted while cells are predicted.

    Attributes:
        n_clipped: Values below zero that were set to zero.
        n_values: Predicted values.
        n_evaluations: Most evaluations of the velocity field that a cell took.
    """

    n_clipped: int = 0
    n_values: int = 0
    n_evaluations: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Counts of two parts together."""
        return Counts(
            self.n_clipped + other.n_clipped,
            self.n_values + other.n_values,
            max(self.n_evaluations, other.n_evaluations),
        )

    @property
    def fraction_clipped(self) -> float:
        """Share of the predicted values that were set to zero."""
        return self.n_clipped / max(1, self.n_values)


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """Rows of the output that were made together.

    Attributes:
        obs: Their obs, one row per cell.
        expression: Float32, shape [n, g].
        control: The source cells in expression space, shape [n, g]; NaN where a cell comes from noise.
        flow: In the feature space of the flow, shape [n, d].
        counts: What was counted on the way.
    """

    obs: pd.DataFrame
    expression: np.ndarray
    control: np.ndarray
    flow: np.ndarray
    counts: Counts = Counts()
