"""What stays the same for all conditions of an evaluation, and what is read once per sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from cellflow_cli import rng
from cellflow_cli.baselines import Baseline, Summaries
from cellflow_cli.data.columns import distinct, is_missing, labels
from cellflow_cli.degenerate import DegeneratePredictor
from cellflow_cli.evaluation.align import Aligned, Alignment
from cellflow_cli.evaluation.cells import Cells, Files
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.floor import subsample
from cellflow_cli.metrics.discrimination import mean_error
from cellflow_cli.published_metrics import find
from cellflow_cli.types import Condition

MIN_CELLS = 2
"""Of a condition that others are distinguished from: the error of a mean of one cell is not known."""


class MeanCell(NamedTuple):
    """The mean of some cells.

    Attributes:
        flow: Features as metrics see them, shape [d].
        genes: Genes or markers, shape [g].
        error: Squared sampling error of `flow`.
    """

    flow: Float64[Tensor, " d"]
    genes: Float64[Tensor, " g"]
    error: Float64[Tensor, ""]


class ExtraPrediction(Protocol):
    """Another prediction of the same cells."""

    def __call__(
        self, pair: Aligned, rows: Int[np.ndarray, " n"], pairs: Sequence[Aligned]
    ) -> Float[Tensor, "n d"]:
        """Features of the flow of n predicted cells.

        Args:
            pair: The condition.
            rows: The cells that are predicted anew, as rows of the prediction, shape [n].
            pairs: All conditions.

        Raises:
            MetricError: If there is no such prediction; the message says why.
        """
        ...


class SampleCells(NamedTuple):
    """What all conditions of a sample share.

    Attributes:
        control: Control cells in random order, at most `max_cells`; of one type where one is scored.
        population: Flow features of control cells of all types, shape [k, d].
        cell_types: Type of each of them; None where the file does not say.
        means: Mean measured cell under each measured condition, predicted or not; empty if no metric
            needs them.
    """

    control: Cells
    population: Float[Tensor, "k d"]
    cell_types: tuple[str, ...] | None
    means: Mapping[Condition, MeanCell]


@dataclass(frozen=True, eq=False, kw_only=True)
class EvaluationRun:
    """What stays the same for all conditions.

    Attributes:
        config: Settings.
        files: Prediction and truth.
        alignment: All conditions, sorted by sample, and measured ones that were not predicted.
        summaries: Of the training populations.
        scale: Flow features are divided by it, shape [d]; None leaves them as they are.
        metrics: Names.
        baselines: Built baselines by name.
        degenerate: Degenerate predictors by name.
        extra_predictions: More predictions of the cells that the model's are made of, by predictor.
    """

    config: EvaluationConfig
    files: Files
    alignment: Alignment
    summaries: Summaries
    scale: Float[Tensor, " d"] | None
    metrics: tuple[str, ...]
    baselines: Mapping[str, Baseline]
    degenerate: Mapping[str, DegeneratePredictor]
    extra_predictions: Mapping[str, ExtraPrediction]
    _samples: dict[tuple[tuple[str, ...], str | None], SampleCells] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def cell_type_key(self) -> str | None:
        """Column of obs with the cell type, if the training data had one."""
        return self.files.prediction.spec.cell_type_key

    @property
    def replicate_key(self) -> str | None:
        """Column of the truth with the technical replicate, which it may lack; None without a floor."""
        return None if self.config.all_cells else self.files.prediction.spec.batch_key

    @property
    def has_replicates(self) -> bool:
        """Whether the truth says which cells are of one replicate."""
        return self.replicate_key in self.files.truth.obs.columns

    def stream(self, *names: object) -> torch.Generator:
        """The generator of one purpose."""
        return rng.stream(self.config.seed, "evaluation", *names)

    def scaled(self, flow: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
        """Flow features in the units that metrics see."""
        return flow.double() if self.scale is None else flow.double() / self.scale

    def n_measured(self, pair: Aligned) -> int:
        """Measured cells that predictors can be compared with: half of them, or all."""
        return len(pair.target) if self.config.all_cells else len(pair.target) // 2

    def sample(self, pair: Aligned) -> SampleCells:
        """Cells of the sample that `pair` is of, and of its type if it has one."""
        key = (pair.sample, pair.cell_type)
        if key not in self._samples:
            if any(sample != pair.sample for sample, _ in self._samples):
                self._samples.clear()  # pairs come sorted by sample: one sample in memory is enough
            self._samples[key] = self._read(pair)
        return self._samples[key]

    def replicates(self, pair: Aligned) -> list[Int[np.ndarray, " m"]]:
        """Rows of the truth of each replicate of a measured population; cells without a label are in none."""
        if not self.has_replicates:
            return []
        column = self.files.truth.obs[self.replicate_key].iloc[pair.target]
        is_labelled = ~is_missing(column)
        names, rows = labels(column)[is_labelled], pair.target[is_labelled]
        return [rows[names == name] for name in distinct(names)]

    def _read(self, pair: Aligned) -> SampleCells:
        read = self.files.of_truth if pair.control_in_truth else self.files.of_prediction
        obs = self.files.truth.obs if pair.control_in_truth else self.files.predicted_obs
        rows = self._controls(pair.control, pair)
        control = read(rows)
        population = control.flow
        if pair.population is not None:
            population = read(self._controls(pair.population, pair)).flow
        return SampleCells(control, population, self._types(obs, rows), self._means(pair))

    def _controls(self, rows: Int[np.ndarray, " k"], pair: Aligned) -> Int[np.ndarray, " n"]:
        return subsample(rows, self.config.max_cells, self.stream(pair.name, "control"))

    def _types(self, obs: pd.DataFrame, rows: Int[np.ndarray, " n"]) -> tuple[str, ...] | None:
        key = self.cell_type_key
        return None if key is None or key not in obs else tuple(labels(obs[key].iloc[rows]))

    def _means(self, pair: Aligned) -> dict[Condition, MeanCell]:
        if not any(find(name).others for name in self.metrics):
            return {}
        return {
            condition: self._mean(rows, pair, condition)
            for condition, rows in self.alignment.measured_conditions(pair.sample).items()
            if len(rows) >= MIN_CELLS
        }

    def _mean(self, rows: Int[np.ndarray, " m"], pair: Aligned, condition: Condition) -> MeanCell:
        draw = self.stream(pair.name, condition.label, "mean")
        cells = self.files.of_truth(subsample(rows, self.config.max_cells, draw))
        flow, n = self.scaled(cells.flow), len(rows) if self.config.all_cells else len(rows) // 2
        genes = cells.genes[:n].double().mean(0)  # as many cells as the target of that condition has
        return MeanCell(flow.mean(0), genes, mean_error(flow))
