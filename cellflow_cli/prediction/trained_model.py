"""What prediction needs of a trained model."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from cellflow_cli.baselines import Summaries
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.tensors import Vocabulary
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.methods import Method
from cellflow_cli.types import ModelShape


class TrainedModel(Protocol):
    """A trained method with the features, categories and summaries of its training data."""

    @property
    def method(self) -> Method:
        """The trained method, in evaluation mode."""
        ...

    @property
    def method_name(self) -> str:
        """Its catalog name, for texts."""
        ...

    @property
    def spec(self) -> DataSpec:
        """What the columns of the data mean."""
        ...

    @property
    def transform(self) -> FeatureTransform:
        """From expression to the feature space of the flow, and back."""
        ...

    @property
    def shape(self) -> ModelShape:
        """Treatments, doses, training samples and sizes."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Cell types and covariates."""
        ...

    @property
    def summaries(self) -> Summaries:
        """Training populations in short."""
        ...

    @property
    def trained_groups(self) -> tuple[str, ...]:
        """Groups that the weights or their selection have seen."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def run(self) -> Mapping[str, Any]:
        """Facts of the training run."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Version, id, method and its settings, for the prediction file: plain values."""
        ...
