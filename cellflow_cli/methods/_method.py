"""What a method is: the contract that training, prediction and the model folder rest on.

A method carries control cells of a sample to a condition. It answers four questions: what is learned
(`phases`), what is the loss (`loss`), where do cells go (`prepare` once per population and condition,
then `transport` for any chunk of cells), and what does it need of the data (`needs`). Nothing else is
read of it, least of all its name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.embedders import Context, ContextNeeds
from cellflow_cli.types import Batch, ConditionBatch, ModelShape, PopulationBatch, PopulationPair, Transported


class Phase(NamedTuple):
    """A group of parameters that one optimizer steps together.

    Attributes:
        name: Shown in the history.
        parameters: What is stepped.
        steps: Consecutive steps before the next phase has its turn.
        learning_rate: Peak of the schedule where it is not that of the training configuration.
        betas: Decays of Adam's two averages.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    steps: int = 1
    learning_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a method needs of the data beside control and treated cells.

    Attributes:
        context: What it is conditioned on beyond the condition: cells of the control population, the label
            of the sample, or nothing.
        known_pairs: Whether known pairs of cells are drawn together; if not, as where none are known.
    """

    context: ContextNeeds = field(default_factory=ContextNeeds)
    known_pairs: bool = False


class Conditioning(NamedTuple):
    """All that a network is conditioned on for one population under one condition.

    Attributes:
        condition: Encoded condition, shape [b, c].
        context: Of the population, or None.
    """

    condition: Float[Tensor, "b c"]
    context: Context | None = None


class Calibrated(NamedTuple):
    """What a trained method settled on.

    Attributes:
        settings: Fields of its configuration with their new values, such as `{"solver": ...}`.
        facts: For `run.json`, plain values.
    """

    settings: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}


@runtime_checkable
class Method(Protocol):
    """Learns to carry a source population to its target under a condition; an `nn.Module`.

    Attributes:
        shape: Sizes and codes of the data.
        needs: What is needed of the data.
        from_noise: Whether predicted cells come from draws of noise, so that none is a control cell's.
        is_straight: Whether cells move on straight lines: where they arrive is learned, not how.
    """

    shape: ModelShape
    from_noise: bool
    is_straight: bool

    @property
    def needs(self) -> Needs:
        """What is needed of the data."""
        ...

    def fit_units(self, pairs: Sequence[PopulationPair], unit: Float[Tensor, " d"]) -> None:
        """Set the units of the networks from the training populations, before anything is learned.

        Args:
            pairs: Training pairs.
            unit: Unit of each feature, positive, shape [d] (see `Standardizer.fit`).
        """
        ...

    def phases(self) -> Iterator[Phase]:
        """Groups of parameters that are stepped in turn."""
        ...

    def loss(self, batch: Batch, rng: torch.Generator, phase: str) -> Mapping[str, Float[Tensor, ""]]:
        """Named terms of the loss of a phase; their sum is minimised.

        Args:
            batch: Cells in the units of the data.
            rng: For what is drawn, on the CPU.
            phase: Name of the phase.
        """
        ...

    def prepare(self, population: PopulationBatch, condition: ConditionBatch) -> Conditioning:
        """All that is needed for one population under one condition, whatever its chunks.

        Args:
            population: Subsamples of the control population (see `embedders.cover`).
            condition: One condition, b = 1.
        """
        ...

    def start(self, cells: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Where the cells of a population start: at the control cells, or at as many draws of noise.

        Args:
            cells: Control cells, units of the data, shape [n, d].
            rng: Draws the noise, if there is any.
        """
        ...

    def transport(
        self,
        x0: Float[Tensor, "n d"],
        conditioning: Conditioning,
        times: Sequence[float] = (1.0,),
        *,
        rough: bool = False,
    ) -> Transported:
        """Carry cells to the treated state; each cell by itself, so that chunks do not matter.

        Args:
            x0: Any chunk of what `start` returned, units of the data, shape [n, d].
            conditioning: From `prepare`.
            times: Flow times to keep the cells at, ascending, within [0, 1].
            rough: Whether a cheaper, rougher solution will do, as for validation.

        Raises:
            NumericalError: If a cell does not stay finite.
        """
        ...

    def calibrate(self, cases: Sequence[tuple[Float[Tensor, "_n d"], Conditioning]]) -> Calibrated:
        """Settle after training what only a trained method can tell, such as the number of solver steps.

        Args:
            cases: Some starts of cells with their conditioning.
        """
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """As `nn.Module.parameters`."""
        ...

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """As `nn.Module.named_parameters`."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """As `nn.Module.state_dict`."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """As `nn.Module.load_state_dict`."""
        ...

    def train(self, mode: bool = True) -> "Method":
        """As `nn.Module.train`."""
        ...

    def eval(self) -> "Method":
        """As `nn.Module.eval`."""
        ...

    def to(self, device: torch.device) -> "Method":
        """As `nn.Module.to`."""
        ...
