"""Context ablation: the same cells predicted again, with another control population as context."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.errors import BundleError, MetricError
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.run import ExtraPrediction
from cellflow_cli.model.model import Model
from cellflow_cli.prediction.context import training_controls, why_context_is_ignored
from cellflow_cli.prediction.file import PredictionFile
from cellflow_cli.prediction.population import control_population
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.statistics.ablation import AVERAGE, OTHER
from cellflow_cli.types import Population


class ContextAblation:
    """More predictions for `evaluation.evaluate`: from another sample's population, and from the average one.

    The other sample is the one before it among those scored, the last one for the first. The average
    population is made of the control populations of the training part: one subsample of each is
    embedded by itself, and the contexts are averaged, so that no embedder meets a mixture of samples.

    Args:
        model: Made the prediction.
        file: The prediction, with control cells.
    """

    def __init__(self, model: Model, file: PredictionFile) -> None:
        self.model, self.file = model, file

    @property
    def predictions(self) -> dict[str, ExtraPrediction]:
        """Functions for the argument `extra_predictions` of `evaluation.evaluate`."""
        return {OTHER: self.other, AVERAGE: self.average}

    def other(self, pair: Aligned, rows: np.ndarray, pairs: Sequence[Aligned]) -> Float[Tensor, "n d"]:
        """From the control population of another sample."""
        self._check(pair)
        controls = list({tuple(p.control[:1]): p for p in pairs if len(p.control)}.values())
        at = next(i for i, p in enumerate(controls) if p.control[0] == pair.control[0])
        if len(controls) < 2:
            raise MetricError("there is no other sample to take a control population from")
        before = controls[at - 1]
        context = control_population(self.model, self.file, before.control, before.group)
        return self.predicted_again(pair, rows, [context])

    def average(self, pair: Aligned, rows: np.ndarray, pairs: Sequence[Aligned]) -> Float[Tensor, "n d"]:
        """From the average control population of the training part."""
        self._check(pair)
        try:
            return self.predicted_again(pair, rows, self._training_controls)
        except BundleError as error:
            raise MetricError(str(error)) from error

    @cached_property
    def _training_controls(self) -> list[Population]:
        return training_controls(self.model)

    def _check(self, pair: Aligned) -> None:
        if why := why_context_is_ignored(self.model):
            raise MetricError(why)
        if self.file.context != "own":
            raise MetricError(
                f"the prediction itself is conditioned on another population (`{self.file.context}`)"
            )
        if self.model.method.from_noise and len(pair.predicted) != len(pair.control):
            raise MetricError("the prediction does not hold as many cells as controls of the sample")
        if pair.control_in_truth or not len(pair.control):
            raise MetricError("the prediction holds no control cells; predict without `--no-controls`")

    def predicted_again(
        self, pair: Aligned, rows: np.ndarray, context: Sequence[Population]
    ) -> Float[Tensor, "n d"]:
        """Cells of the prediction carried again with `context`; without one, they are as predicted.

        Args:
            pair: The sample and what is done to it.
            rows: Predicted cells, as rows of the prediction, shape [n].
            context: See `prediction.transport.prepare`.
        """
        model = self.model
        population = control_population(model, self.file, pair.control, pair.group)
        label = model.shape.label_of(population.name)
        prepared = prepare(
            model.method, population, pair.condition, self.file.seed, label=label, context=context
        )
        kept = torch.from_numpy(self._sources(pair, rows)).to(prepared.start.device)
        return transport(model.method, prepared._replace(start=prepared.start[kept])).end

    def _sources(self, pair: Aligned, rows: np.ndarray) -> np.ndarray:
        """Position among the controls of the sample of the cell that each predicted cell was made from.

        A flow from noise has as many draws as there are controls, in their order.
        """
        if self.model.method.from_noise:
            return pd.Index(pair.predicted).get_indexer(pd.Index(rows))
        controls = pd.Index(self.file.source_cells(pair.control))
        if not controls.is_unique:
            positions = np.array([-1])
        else:
            positions = controls.get_indexer(pd.Index(self.file.source_cells(rows)))
        if (positions < 0).any():
            raise MetricError("the prediction does not hold the control cell of each predicted cell, by name")
        return positions
