"""The same cells predicted again, the model being told another control population."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.data.columns import labels
from cellflow_cli.errors import BundleError, MetricError
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.model._controls import controls_of
from cellflow_cli.model._told import label_of, training_controls, why_blind
from cellflow_cli.prediction.transport import from_noise, prepare, start, transport
from cellflow_cli.statistics.ablation import AVERAGE, OTHER
from cellflow_cli.types import Population

if TYPE_CHECKING:
    from cellflow_cli.model._model import Model


class Ablation:
    """Extra predictions for `evaluate`: another sample's population, and the average one.

    The other sample is the one before it among those scored, the last one for the first. The average
    population is made of the control populations of the training part: one subsample of each is
    embedded by itself, and the contexts are averaged, so that no embedder meets a mixture of samples.

    Args:
        model: Made the prediction.
        predicted: Its output, with control cells; reads X, `obsm["X_pca"]`, obs and `uns["cellflow"]`.
    """

    def __init__(self, model: "Model", predicted: anndata.AnnData) -> None:
        self.model, self.predicted = model, predicted
        facts = predicted.uns.get("cellflow", {})
        self.seed, self.population = int(facts.get("seed", 0)), str(facts.get("population", "own"))

    @property
    def rows(self) -> dict[str, Any]:
        """Functions for the argument `extra_predictions` of `evaluate`."""
        return {OTHER: self.other, AVERAGE: self.average}

    def other(self, pair: Aligned, rows: np.ndarray, pairs: Sequence[Aligned]) -> Float[Tensor, "n d"]:
        """Told the control population of another sample."""
        self._check(pair)
        controls = list({tuple(p.control[:1]): p for p in pairs if len(p.control)}.values())
        at = next(i for i, p in enumerate(controls) if p.control[0] == pair.control[0])
        if len(controls) < 2:
            raise MetricError("there is no other sample to take a control population from")
        return self.carried(pair, rows, [controls_of(self.model, self.predicted, controls[at - 1])])

    def average(self, pair: Aligned, rows: np.ndarray, pairs: Sequence[Aligned]) -> Float[Tensor, "n d"]:
        """Told the average control population of the training part."""
        self._check(pair)
        try:
            return self.carried(pair, rows, self._averaged)
        except BundleError as error:
            raise MetricError(str(error)) from error

    @cached_property
    def _averaged(self) -> list[Population]:
        return training_controls(self.model)

    def _check(self, pair: Aligned) -> None:
        if why := why_blind(self.model):
            raise MetricError(why)
        if self.population != "own":
            raise MetricError(f"the prediction itself was told another population (`{self.population}`)")
        if from_noise(self.model.method) and len(pair.predicted) != len(pair.control):
            raise MetricError("the prediction does not hold as many cells as controls of the sample")
        if pair.control_in_truth or not len(pair.control):
            raise MetricError("the prediction holds no control cells; predict without `--no-controls`")

    def carried(self, pair: Aligned, rows: np.ndarray, instead: Sequence[Population]) -> Float[Tensor, "n d"]:
        """Cells of the prediction carried again, told `instead`; told nothing else, they are as predicted."""
        model: Any = self.model
        population = controls_of(self.model, self.predicted, pair)
        begin = start(model.method, population, pair.condition, self.seed)
        begin = begin[torch.from_numpy(self._sources(pair, rows)).to(begin.device)]
        label = label_of(model, population)
        prepared = prepare(model.method, population, pair.condition, self.seed, label, instead)
        return transport(model.method, begin, prepared, model.config.solver).cells

    def _sources(self, pair: Aligned, rows: np.ndarray) -> np.ndarray:
        """Position among the controls of the sample of the cell that each predicted cell was made from.

        A flow from noise has as many draws as there are controls, in their order.
        """
        if from_noise(self.model.method):
            return pd.Index(pair.predicted).get_indexer(pd.Index(rows))
        names = labels(self.predicted.obs["cellflow_source_cell"])
        controls = pd.Index(names[pair.control])
        found = controls.get_indexer(pd.Index(names[rows])) if controls.is_unique else np.array([-1])
        if (found < 0).any():
            raise MetricError("the prediction does not hold the control cell of each predicted cell, by name")
        return found
