"""Flow matching between populations: what `fm`, `cgfm` and `mfm` share.

One class, conditioned on three different things beyond treatment and dose: nothing, the label of the
sample, or an embedding of the source population.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.catalog import Catalog, Choice
from cellflow_cli.conditions import Encoder
from cellflow_cli.conditions.dose import DoseConfig
from cellflow_cli.couplings.exact_ot import ExactOTConfig
from cellflow_cli.embedders import Context, ContextNeeds, Embedder
from cellflow_cli.errors import ConfigError, nearest
from cellflow_cli.flow.ode import ADAPTIVE, SolverConfig, calibrate, integrate
from cellflow_cli.flow.path import LinearPath
from cellflow_cli.methods._base import BaseMethod
from cellflow_cli.methods._method import Calibrated, Conditioning, Needs, Phase
from cellflow_cli.networks.field import FieldConfig, VelocityField
from cellflow_cli.types import Batch, ConditionBatch, ModelShape, PopulationBatch, Transported

SOURCES = ("control", "noise")
_ROUGH_STEPS = 8  # of the midpoint rule, in validation


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
    solver: SolverConfig = dataclasses.field(
        default_factory=SolverConfig, metadata={"help": "How the flow is integrated."}
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


class FlowMatching(BaseMethod):
    """Conditional flow matching with an optional embedding of the source population.

    loss = E |v(x_t, t | condition, phi(p0)) - u_t|^2 / d,   one gradient for v and phi together

    Args:
        shape: Sizes of the data.
        field: Velocity network configuration.
        encoder: Condition to vector.
        coupling: Pairs those cells of a population pair whose partners the data do not give.
        embedder: Population to context; or None.
        from_noise: Whether the flow starts from N(0, I) in network units; the population then matters
            through its embedding alone.
        solver: How the flow is integrated; without `steps`, `calibrate` chooses them.

    Source: Atanackovic et al. (2025), arXiv 2408.14608, algorithms 1 and 2. Differs: field and
    embedder are trained jointly; cells are standardised; the time is drawn per cell.
    """

    def __init__(
        self,
        *,
        shape: ModelShape,
        field: FieldConfig,
        encoder: Encoder,
        coupling: Coupling,
        embedder: Embedder | None = None,
        from_noise: bool = False,
        solver: SolverConfig | None = None,
    ) -> None:
        super().__init__(shape, encoder)
        self.from_noise = from_noise
        self.embedder = embedder
        self.coupling = coupling
        self.path = LinearPath()
        self.solver = solver or SolverConfig()
        n_context = 0 if embedder is None else embedder.width
        self.field = VelocityField(field, shape.n_features, encoder.width, n_context)

    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """What the embedder is made of; known pairs, but for noise, which has no partner."""
        context = ContextNeeds() if self.embedder is None else self.embedder.needs
        return Needs(context=context, known_pairs=not self.from_noise)

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
        conditioning = Conditioning(self.encoder(batch.condition), self._context(batch.population))
        vt = self._velocity(xt, t, conditioning)
        return {"flow": (vt - ut).square().mean()}

    def prepare(self, population: PopulationBatch, condition: ConditionBatch) -> Conditioning:
        """The encoded condition and the context of the population, merged from its subsamples.

        Args:
            population: Subsamples of the control population (see `embedders.cover`).
            condition: One condition, b = 1.
        """
        encoded, context = self.encoder(condition), self._context(population)
        return Conditioning(encoded, None if context is None else context.merged())

    def start(self, cells: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """The control cells, or as many draws of noise in the units of the data, shape [n, d]."""
        if not self.from_noise:
            return cells
        noise = torch.randn(len(cells), self.shape.n_features, generator=rng)
        return self.standardizer.inverse(noise.to(self.standardizer.center))

    def transport(
        self,
        x0: Float[Tensor, "n d"],
        conditioning: Conditioning,
        times: Sequence[float] = (1.0,),
        *,
        rough: bool = False,
    ) -> Transported:
        """Carry cells along the flow.

        Args:
            x0: Any chunk of what `start` returned, units of the data, shape [n, d].
            conditioning: From `prepare`.
            times: Flow times to keep the cells at, ascending, within [0, 1].
            rough: Eight steps of the midpoint rule in place of the solver.

        Raises:
            NumericalError: If the integration fails.
        """
        solver = self.solver
        if rough:
            solver = dataclasses.replace(solver, method="midpoint", steps=_ROUGH_STEPS)
        return self._integrated(x0, conditioning, times, solver)

    def calibrate(self, cases: Sequence[tuple[Float[Tensor, "_n d"], Conditioning]]) -> Calibrated:
        """The fixed solver steps that the tolerance needs (see `flow.ode.calibrate`), unless they were given.

        Args:
            cases: Some starts of cells with their conditioning.
        """
        if self.solver.steps is not None or self.solver.method in ADAPTIVE:
            return Calibrated()

        def ends(solver: SolverConfig) -> Float[Tensor, "n d"]:
            moved = [self._integrated(x0, conditioning, (1.0,), solver).end for x0, conditioning in cases]
            return self.standardizer(torch.cat(moved))

        calibration = calibrate(ends, self.solver)
        self.solver = calibration.solver
        error = calibration.error if math.isfinite(calibration.error) else None
        facts = {"solver_error": error, "solver_within_tolerance": calibration.within}
        return Calibrated({"solver": self.solver}, facts)

    def _integrated(
        self,
        x0: Float[Tensor, "n d"],
        conditioning: Conditioning,
        times: Sequence[float],
        solver: SolverConfig,
    ) -> Transported:
        def velocity(t: Float[Tensor, ""], x: Float[Tensor, "1 n d"]) -> Float[Tensor, "1 n d"]:
            return self._velocity(x, t.expand(x.shape[:2]), conditioning)

        path = integrate(velocity, self.standardizer(x0).unsqueeze(0), solver, times)
        return Transported(self.standardizer.inverse(path.cells.squeeze(1)), path.n_evaluations)

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

    def _velocity(
        self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"], conditioning: Conditioning
    ) -> Float[Tensor, "b n d"]:
        context = None if conditioning.context is None else conditioning.context.query(x, t)
        return self.field(x, t, conditioning.condition, context)


def build(config: FlowMatchingConfig, shape: ModelShape, embedder: Choice | None = None) -> FlowMatching:
    """A flow-matching method from its configuration.

    Args:
        config: Parts and sizes.
        shape: Sizes of the data.
        embedder: What the field is conditioned on of the population, if anything.
    """
    return FlowMatching(
        shape=shape,
        field=config.field,
        encoder=Catalog("conditions").build(config.condition, shape),
        coupling=Catalog("couplings").build(config.coupling),
        embedder=None if embedder is None else Catalog("embedders").build(embedder, shape),
        from_noise=config.source == "noise",
        solver=config.solver,
    )
