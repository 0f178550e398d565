"""Label of the training sample as a one-hot vector; all zero for a sample never trained on."""

from dataclasses import dataclass

from torch import nn

from cellflow_cli.catalog import Entry
from cellflow_cli.embedders._context import PooledContext
from cellflow_cli.embedders._embedder import ContextNeeds, Embedder
from cellflow_cli.types import ModelShape, PopulationBatch


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Nothing to choose."""


class Label(nn.Module):
    """Which training sample a population is, one-hot; it says nothing of a new one.

    Args:
        config: Nothing to choose.
        shape: Gives the training samples.

    Source: the condition-label baseline of Atanackovic et al. (2025), arXiv 2408.14608, section 5.
    Differs: an unseen sample is all zero, where the published code gives it a slot that was never
    trained.
    """

    needs = ContextNeeds(label=True)

    def __init__(self, config: LabelConfig, shape: ModelShape) -> None:
        super().__init__()
        self.width = max(1, len(shape.samples))

    def forward(self, population: PopulationBatch) -> PooledContext:
        """One-hot labels, shape [b, n_samples], dtype of the cells."""
        hot = nn.functional.one_hot(population.label.clamp(min=0), self.width)
        known = (population.label >= 0).unsqueeze(-1)
        return PooledContext((hot * known).to(population.cells.dtype))


ENTRY: Entry[Embedder] = Entry(LabelConfig, Label)
