"""Flow matching between populations: what `fm` and `mfm` share.

One class, told different things beyond the condition: nothing, or an embedding of the source
population.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellflow_cli.catalog import Catalog, Choice
from cellflow_cli.conditions.dose import DoseConfig
from cellflow_cli.couplings.exact_ot import ExactOTConfig
from cellflow_cli.embedders import Context
from cellflow_cli.errors import ConfigError, nearest
from cellflow_cli.flow.ode import SolverConfig, integrate
from cellflow_cli.flow.path import LinearPath
from cellflow_cli.methods._phase import Phase
from cellflow_cli.networks.field import FieldConfig, VelocityField
from cellflow_cli.networks.standardize import Standardizer
from cellflow_cli.types import Batch, ConditionBatch, ModelShape, PopulationBatch, PopulationPair, Transported

SOURCES = ("control", "noise")
_STEPS_ON_THE_WAY = 32  # where the solver names none


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowMatchingConfig:
    """Parts of a flow-matching method."""

    field: FieldConfig = dataclasses.field(
        default_factory=FieldConfig, metadata={"help": "Velocity network."}
    )
    condition: Choice = dataclasses.field(
        default_factory=lambda: Choice("dose", DoseConfig()),
        metadata={"help": "How treatment and dose are encoded.", "catalog": "conditions"},
    )
    source: str = dataclasses.field(
        default="control",
        metadata={"help": "What flows: control, the control cells; noise, as many draws of N(0, I)."},
    )
    coupling: Choice = dataclasses.field(
        default_factory=lambda: Choice("exact-ot", ExactOTConfig()),
        metadata={"help": "How source and target cells are paired in training.", "catalog": "couplings"},
    )

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            hint = nearest(self.source, SOURCES)
            raise ConfigError(f"Expected method.source to be one of {SOURCES}, found {self.source!r}.{hint}")


@runtime_checkable
class Coupling(Protocol):
    """Pairs source with target cells."""

    def sample(
        self, x0: Float[Tensor, "n d"], x1: Float[Tensor, "m d"], rng: torch.Generator
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Row indices of n pairs."""
        ...


class Told(NamedTuple):
    """All that the field is told about one population under one condition.

    Attributes:
        condition: Encoded condition, shape [1, c].
        context: The population, or None.
    """

    condition: Float[Tensor, "b c"]
    context: Context | None


class FlowMatching(nn.Module):
    """Conditional flow matching with an optional embedding of the source population.

    loss = E |v(x_t, t | condition, phi(p0)) - u_t|^2 / d,   one gradient for v and phi together

    Args:
        shape: Sizes of the data.
        field: Velocity network configuration.
        encoder: Condition to vector, with an attribute `width`.
        coupling: Pairs those cells of a population pair whose partners the data do not give.
        embedder: Population to context, with attributes `width` and `reference_cells`; or None.
        from_noise: Whether the flow starts from N(0, I) in network units; the population is then
            known through its embedding alone.

    Source: Atanackovic et al. (2025), arXiv 2408.14608, algorithms 1 and 2. Differs: field and
    embedder are trained jointly; cells are standardised; the time is drawn per cell.
    """

    def __init__(
        self,
        *,
        shape: ModelShape,
        field: FieldConfig,
        encoder: nn.Module,
        coupling: Coupling,
        embedder: nn.Module | None = None,
        from_noise: bool = False,
    ) -> None:
        super().__init__()
        self.from_noise = from_noise
        self.shape = shape
        self.standardizer = Standardizer(shape.n_features)
        self.encoder = encoder
        self.embedder = embedder
        self.coupling = coupling
        self.path = LinearPath()
        n_context = int(getattr(embedder, "width", 0))
        n_condition = int(encoder.width)  # type: ignore[arg-type]
        self.field = VelocityField(field, shape.n_features, n_condition, n_context)

    @property
    def context_cells(self) -> int:
        """Control cells that the embedder sees at a time; zero where there is no embedder."""
        return int(getattr(self.embedder, "reference_cells", 0))

    @property
    def most_context_cells(self) -> int:
        """Control cells that a prediction is told of, over all subsamples."""
        return int(getattr(self.embedder, "max_cells", 64 * self.context_cells))

    @property
    def context_apart(self) -> bool:
        """Whether the embedder should see other cells than those that flow (see `PairSampler`)."""
        return bool(getattr(self.embedder, "local", False))

    @property
    def uses_pairs(self) -> bool:
        """Whether known pairs of cells are kept: a draw of noise is no control cell and has no partner."""
        return not self.from_noise

    def fit_units(self, pairs: Sequence[PopulationPair], unit: Float[Tensor, " d"]) -> None:
        """Set the units of the network from the training populations (see `Standardizer.fit`)."""
        sources = {id(pair.source): pair.source.cells for pair in pairs}
        self.standardizer.fit([*sources.values(), *(pair.target.cells for pair in pairs)], unit)

    def phases(self) -> Iterator[Phase]:
        """One phase: field, embedder and encoder together."""
        yield Phase("flow", [p for p in self.parameters() if p.requires_grad])

    def loss(
        self, batch: Batch, rng: torch.Generator, phase: str = "flow"
    ) -> Mapping[str, Float[Tensor, ""]]:
        """Mean squared difference of predicted and target velocity, network units.

        Args:
            batch: Cells in the units of the data.
            rng: Draws the pairs and the times, on the CPU.
            phase: There is one.
        """
        x0, x1 = self._ends(batch, rng)
        t = torch.rand(x0.shape[:2], generator=rng).to(x0)
        xt, ut = self.path.sample(x0, x1, t)
        told = self._told(batch.population, batch.condition)
        vt = self._velocity(xt, t, told)
        return {"flow": (vt - ut).square().mean()}

    def embed(self, population: PopulationBatch) -> Context | None:
        """The context of one population from subsamples of it; None without an embedder."""
        context = self._context(population)
        return None if context is None else context.merged()

    def prepare(self, population: PopulationBatch, condition: ConditionBatch) -> Told:
        """All that the field needs for one population under one condition.

        Args:
            population: Subsamples of the control population (see `embedders.cover`).
            condition: One condition, b = 1.
        """
        return Told(self.encoder(condition), self.embed(population))

    def transport(self, x0: Float[Tensor, "n d"], told: Told, solver: SolverConfig) -> Transported:
        """Carry control cells to the treated state.

        Args:
            x0: Any chunk of the population, units of the data, shape [n, d].
            told: From `prepare`.
            solver: How to integrate.

        Raises:
            NumericalError: If the integration fails.
        """

        def velocity(t: Float[Tensor, ""], x: Float[Tensor, "1 n d"]) -> Float[Tensor, "1 n d"]:
            return self._velocity(x, t.expand(x.shape[:2]), told)

        end = integrate(velocity, self.standardizer(x0).unsqueeze(0), solver)
        return Transported(self.standardizer.inverse(end.cells.squeeze(0)), end.n_evaluations)

    def trajectory(
        self, x0: Float[Tensor, "n d"], told: Told, solver: SolverConfig, times: Sequence[float]
    ) -> list[Float[Tensor, "n d"]]:
        """Where the cells are at several flow times.

        Args:
            x0: Start of the cells, units of the data, shape [n, d].
            told: From `prepare`.
            solver: Its fixed steps are those of the prediction, so that cells end where it takes them.
            times: Ascending, within [0, 1].
        """
        x, done, found = self.standardizer(x0).unsqueeze(0), 0, []
        n = solver.steps or _STEPS_ON_THE_WAY
        for time in times:
            whole = math.floor(time * n + 1e-9)  # steps of the prediction that end by then
            x, done = self._stretch(x, (done / n, whole / n), whole - done, told, solver), whole
            shown = self._stretch(x, (whole / n, time), int(time * n - whole > 1e-9), told, solver)
            found.append(self.standardizer.inverse(shown.squeeze(0)))
        return found

    def _stretch(
        self,
        x: Float[Tensor, "1 n d"],
        span: tuple[float, float],
        steps: int,
        told: Told,
        solver: SolverConfig,
    ) -> Float[Tensor, "1 n d"]:
        """Cells in network units carried from one flow time to another."""
        if steps == 0:
            return x
        begin, h = span[0], span[1] - span[0]

        def velocity(s: Float[Tensor, ""], x: Float[Tensor, "1 n d"]) -> Float[Tensor, "1 n d"]:
            return h * self._velocity(x, (begin + h * s).expand(x.shape[:2]), told)

        return integrate(velocity, x, dataclasses.replace(solver, steps=steps)).cells

    def start(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"] | None:
        """Where the flow starts in place of control cells: n draws of noise, units of the data, or None."""
        if not self.from_noise:
            return None
        noise = torch.randn(n, self.shape.n_features, generator=rng)
        return self.standardizer.inverse(noise.to(self.standardizer.center))

    def _ends(
        self, batch: Batch, rng: torch.Generator
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n d"]]:
        """Paired starts and ends of paths, network units."""
        x0, x1 = self.standardizer(batch.x0), self.standardizer(batch.x1)
        if self.from_noise:
            x0 = torch.randn(x0.shape, generator=rng).to(x0)
            return self._coupled(x0, x1, torch.zeros_like(batch.n_paired), rng)
        return self._coupled(x0, x1, batch.n_paired, rng)

    def _coupled(
        self,
        x0: Float[Tensor, "b n d"],
        x1: Float[Tensor, "b n d"],
        n_paired: Int[Tensor, " b"],
        rng: torch.Generator,
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n d"]]:
        """Known pairs as they are, the cells after them as the coupling pairs them."""
        sources, targets = [], []
        for a, b, k in zip(x0, x1, n_paired.tolist(), strict=True):
            if k < len(a):
                i, j = self.coupling.sample(a[k:], b[k:], rng)
                a = torch.cat([a[:k], a[k:][i.to(a.device)]])
                b = torch.cat([b[:k], b[k:][j.to(b.device)]])
            sources.append(a)
            targets.append(b)
        return torch.stack(sources), torch.stack(targets)

    def _context(self, population: PopulationBatch) -> Context | None:
        if self.embedder is None:
            return None
        return self.embedder(population._replace(cells=self.standardizer(population.cells)))

    def _told(self, population: PopulationBatch, condition: ConditionBatch) -> Told:
        return Told(self.encoder(condition), self._context(population))

    def _velocity(
        self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"], told: Told
    ) -> Float[Tensor, "b n d"]:
        context = None if told.context is None else told.context.query(x, t)
        return self.field(x, t, told.condition, context)


def build(config: FlowMatchingConfig, shape: ModelShape, embedder: Choice | None = None) -> FlowMatching:
    """A flow-matching method from its configuration.

    Args:
        config: Parts and sizes.
        shape: Sizes of the data.
        embedder: What the field is told of the population, if anything.
    """
    return FlowMatching(
        shape=shape,
        field=config.field,
        encoder=Catalog("conditions").build(config.condition, shape),
        coupling=Catalog("couplings").build(config.coupling),
        embedder=None if embedder is None else Catalog("embedders").build(embedder, shape),
        from_noise=config.source == "noise",
    )
