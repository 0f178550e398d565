"""Training: from an AnnData and a data specification to a model."""

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellflow_cli._version import __version__
from cellflow_cli.baselines import summarise
from cellflow_cli.catalog import Choice
from cellflow_cli.config import RunConfig, from_dict
from cellflow_cli.data.columns import distinct
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.pairs import pair_findings
from cellflow_cli.data.populations import PopulationTable, population_table
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import Split, split_groups, validation_groups
from cellflow_cli.data.tensors import PopulationReader, vocabulary
from cellflow_cli.data.validation.finding import Finding, raise_first
from cellflow_cli.device import resolve
from cellflow_cli.errors import DataError, listed
from cellflow_cli.flow.ode import Calibration, SolverConfig, calibrate
from cellflow_cli.metrics.energy import energy_distance
from cellflow_cli.model._model import Model, build_method
from cellflow_cli.prediction.transport import prepare, start, transport
from cellflow_cli.rng import stream, streams
from cellflow_cli.training.history import History
from cellflow_cli.training.loop import Fit, Progress, TrainingConfig, fit
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import ModelShape, PopulationPair

if TYPE_CHECKING:
    import anndata

Report = Callable[[str, Progress], None]
SavePartial = Callable[[Model], None]
_VALIDATION_STEPS = 8
_CALIBRATION_CELLS = 256


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training run would do, found without training.

    Attributes:
        table: Populations that take part.
        split: Groups to train on, to validate on and held out.
        findings: What is worth knowing of the training data and does not stop training.
    """

    table: PopulationTable
    split: Split
    findings: tuple[Finding, ...] = ()

    @property
    def training_groups(self) -> tuple[str, ...]:
        """Groups of `train` and `val`, sorted."""
        return tuple(sorted({*self.split.train, *self.split.val}))


def plan(obs: Any, config: RunConfig) -> Plan:
    """Pair populations and split groups.

    Args:
        obs: Obs of the data.
        config: Gives the data specification and the seed.

    Raises:
        DataError, ConfigError: As `population_table` and `split_groups`; if nothing is left to train on, or
            if no treated cell to train on has a partner by `pairs_key`.
    """
    table = population_table(obs, config.data)
    split = split_groups(obs, config.data, table, config.seed)
    if config.data.split_key is None:
        split = _without_untreated(split, table)
    if not split.val:
        val = validation_groups(split.train, config.seed)
        split = replace(split, train=tuple(g for g in split.train if g not in val), val=val)
    made = Plan(table=table, split=split)
    if not any(treated.group in made.split.train for treated in table.treated):
        raise DataError(
            f"Expected treated populations in the training groups, found none in {listed(split.train)}. "
            "Hold out fewer groups with `--holdout`."
        )
    found = pair_findings(table, obs, config.data, made.training_groups)
    raise_first(found)
    return replace(made, findings=tuple(found))


def _without_untreated(split: Split, table: PopulationTable) -> Split:
    """Groups of controls alone teach nothing: they are left for prediction, like held-out ones."""
    treated = {population.group for population in table.treated}
    rest = [group for group in split.train if group not in treated]
    train = tuple(group for group in split.train if group in treated)
    return replace(split, train=train, test=tuple(distinct([*split.test, *rest])))


def train(
    adata: "anndata.AnnData",
    spec: DataSpec,
    *,
    method: str | Mapping[str, Any] | Choice = "mfm",
    training: TrainingConfig | None = None,
    solver: SolverConfig | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    max_time_s: float | None = None,
    report: Report | None = None,
    save_partial: SavePartial | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Model:
    """Learn from the control and treated populations of many patients.

    Features are fitted on the training groups only. A part of those groups picks the number of
    steps by the energy distance of predicted against real treated cells; the model is then
    trained again on all training groups (`training.refit`), seeing each population pair as often, in at
    most `training.steps`.

    Args:
        adata: Reads what `spec` names; not modified.
        spec: What the columns mean and what is held out.
        method: Catalog name, or a table of settings such as `{"name": "mfm", "embedder": {"name": "mean"}}`,
            or a `Choice` with a config of its own.
        training: Steps, rates, validation.
        solver: Integration; without `steps`, these are calibrated after training.
        seed: Of everything random.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        max_time_s: Stop learning after this many seconds and keep the best so far.
        report: Called as `(stage, progress)` after every step.
        save_partial: Called with the model so far if the run is interrupted.
        provenance: Further facts for `run.json`, such as input hashes.

    Raises:
        DataError, ConfigError: If data and settings do not fit.
        NumericalError: If the loss is not finite.
    """
    settings: dict[str, Any] = {
        "data": spec,
        "method": method,
        "training": training or TrainingConfig(),
        "solver": solver or SolverConfig(),
        "seed": seed,
    }
    config = from_dict(settings)
    run = _Training(adata, config, resolve(device), report, save_partial, dict(provenance or {}))
    return run.model(max_time_s)


class _Training:
    def __init__(
        self,
        adata: "anndata.AnnData",
        config: RunConfig,
        device: torch.device,
        report: Report | None,
        save_partial: SavePartial | None,
        provenance: dict[str, Any],
    ) -> None:
        self.started = time.monotonic()
        self.config, self.report, self.save_partial, self.provenance = (
            config,
            report,
            save_partial,
            provenance,
        )
        self.plan = plan(adata.obs, config)
        rows = self.plan.table.rows_of(self.plan.training_groups)
        fitted = self.plan.table.rows_of(self._learned(config.training.refit))
        self.transform = fit_features(adata, config.data, fitted, seed=config.seed)
        self.vocabulary = vocabulary(adata.obs, config.data, rows)
        reader = PopulationReader(
            adata=adata, spec=config.data, transform=self.transform, vocabulary=self.vocabulary, device=device
        )
        self.pairs = reader.pairs(self.plan.table, self.plan.training_groups)
        self.unit = torch.as_tensor(self.transform.scale, dtype=torch.float64, device=device)
        self.device = device

    def _learned(self, refitted: bool) -> Sequence[str]:
        """Groups that weights, features and summaries are of: without a refit, judges are no part."""
        return self.plan.training_groups if refitted else self.plan.split.train

    def model(self, max_time_s: float | None) -> Model:
        """Train, refit, calibrate."""
        split, training = self.plan.split, self.config.training
        known = [pair for pair in self.pairs if pair.source.group in split.train]
        conditions = {pair.condition for pair in known}
        judges = [
            pair
            for pair in self.pairs
            if pair.source.group in split.val and pair.condition in conditions and _can_judge(pair)
        ]
        refits = bool(judges) and training.refit
        left = self._left(max_time_s)
        method, end = self._fitted("train", known, judges, left and left / (2 if refits else 1))
        history, refitted = end.history, False
        try:
            if refits:
                steps = min(training.steps, round(end.best_step * len(self.pairs) / len(known)))
                second, again = self._fitted("refit", self.pairs, [], self._left(max_time_s), steps)
                history = History([*history.rows, *again.history.rows])
                refitted = again.stopped == "done"  # cut short, the validated weights are the better ones
                method = second if refitted else method
            return self._assembled(method, end, history, refitted=refitted)
        except KeyboardInterrupt:
            self._keep(method, end, history, refitted=refitted)
            raise

    def _keep(self, method: Any, end: Fit, history: History, *, refitted: bool = False) -> None:
        """Hand over the model so far."""
        if self.save_partial is not None:
            end = end._replace(stopped="interrupted")
            self.save_partial(self._assembled(method, end, history, calibrated=False, refitted=refitted))

    def _left(self, max_time_s: float | None) -> float | None:
        """Seconds left to learn in, at least a token one."""
        return None if max_time_s is None else max(1e-3, max_time_s - (time.monotonic() - self.started))

    def _fitted(
        self,
        stage: str,
        pairs: Sequence[PopulationPair],
        judges: Sequence[PopulationPair],
        limit: float | None,
        steps: int | None = None,
    ) -> tuple[Any, Fit]:
        """A trained method; `steps` are fewer than configured. An interrupt of the first stage keeps it."""
        shape = self._shape(pairs)
        method: Any = build_method(self.config, shape).to(self.device)
        method.fit_units(pairs, self.unit)
        training = self.config.training
        sampler = PairSampler(
            pairs,
            shape,
            n_populations=training.populations_per_step,
            n_cells=training.cells_per_population,
            context_cells=method.context_cells,
            apart=getattr(method, "context_apart", False),
            with_pairs=getattr(method, "uses_pairs", True),
        )

        def save(state: Mapping[str, Tensor], step: int) -> None:
            method.load_state_dict(dict(state))
            so_far = Fit(dict(state), step, None, History(), "", 0.0)
            self._keep(method, so_far, so_far.history)

        end = fit(
            method,
            sampler.draw,
            training,
            streams(self.config.seed),
            validate=self._validator(method, judges) if judges else None,
            report=None if self.report is None else (lambda progress: self._tell(stage, progress)),
            save=save if stage == "train" else None,
            stop_at=steps,
            max_time_s=limit,
            stage=stage,
        )
        method.load_state_dict(end.state)
        return method.eval(), end

    def _tell(self, stage: str, progress: Progress) -> None:
        if self.report is not None:
            self.report(stage, progress)

    def _shape(self, pairs: Sequence[PopulationPair]) -> ModelShape:
        """Sizes and codes; conditions of all groups to learn from: both stages build the same network."""
        learned = set(self._learned(self.config.training.refit))
        conditions = sorted(
            {pair.condition for pair in self.pairs if pair.source.group in learned},
            key=lambda c: (c.treatment, c.dose or 0.0),
        )
        treatments = tuple(dict.fromkeys(c.treatment for c in conditions))
        doses = {
            t: tuple(c.dose for c in conditions if c.treatment == t and c.dose is not None)
            for t in treatments
        }
        return ModelShape(
            n_features=self.transform.n_features,
            treatments=treatments,
            doses={t: d for t, d in doses.items() if d},
            samples=tuple(dict.fromkeys(pair.source.name for pair in pairs)),
            n_covariates=self.vocabulary.n_covariates,
            n_node_features=len(self.vocabulary.cell_types),
        )

    def _validator(
        self, method: Any, judges: Sequence[PopulationPair]
    ) -> Callable[[Mapping[str, Tensor]], float]:
        rng = stream(self.config.seed, "evaluation")
        n = self.config.training.validation_cells
        cells = [
            (pair, _rows(pair.source.cells, n, rng), _some(pair.target.cells, n, rng)) for pair in judges
        ]
        solver = replace(self.config.solver, method="midpoint", steps=_VALIDATION_STEPS)

        def validate(state: Mapping[str, Tensor]) -> float:
            kept = {name: value.detach().clone() for name, value in method.state_dict().items()}
            method.load_state_dict(dict(state))
            scores = []
            for pair, rows, x1 in cells:
                prepared = prepare(method, pair.source, pair.condition, self.config.seed)
                x0 = start(method, pair.source, pair.condition, self.config.seed)[rows]
                moved = transport(method, x0, prepared, solver).cells
                scores.append(float(energy_distance(moved.double() / self.unit, x1.double() / self.unit)))
            method.load_state_dict(kept)
            return sum(scores) / len(scores)

        return validate

    def _assembled(
        self, method: Any, end: Fit, history: History, *, calibrated: bool = True, refitted: bool = False
    ) -> Model:
        config, facts = self.config, {**self._facts(method, end), "refitted": refitted}
        if calibrated and config.solver.steps is None and config.solver.method != "dopri5":
            found = self._calibration(method)
            config = replace(config, solver=found.solver)
            facts["solver_error"] = found.error if math.isfinite(found.error) else None
            facts["solver_within_tolerance"] = found.within
        return Model(
            method=method,
            config=config,
            transform=self.transform,
            shape=method.shape,
            vocabulary=self.vocabulary,
            split=self.plan.split,
            summaries=summarise(
                [pair for pair in self.pairs if pair.source.group in self._learned(refitted)],
                self.unit.cpu(),
                stream(config.seed, "summaries"),
                cell_types=self.vocabulary.cell_types,
            ),
            history=history,
            run=facts,
        )

    def _calibration(self, method: Any) -> Calibration:
        rng = stream(self.config.seed, "calibration")
        chosen = [self.pairs[i] for i in torch.randperm(len(self.pairs), generator=rng)[:4].tolist()]
        jobs = [
            (
                _some(start(method, pair.source, pair.condition, 0), _CALIBRATION_CELLS, rng),
                prepare(method, pair.source, pair.condition, 0),
            )
            for pair in chosen
        ]

        def moved(solver: SolverConfig) -> Float[Tensor, "n d"]:
            return torch.cat(
                [method.standardizer(transport(method, x, told, solver).cells) for x, told in jobs]
            )

        return calibrate(moved, self.config.solver)

    def _facts(self, method: nn.Module, end: Fit) -> dict[str, Any]:
        parts = ("torch", "torch-geometric", "torchdiffeq", "anndata", "scanpy", "numpy", "POT")
        return {
            "cellflow_version": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": self.config.seed,
            "device": str(self.device),
            "python": platform.python_version(),
            "libraries": {name: version(name) for name in parts},
            "wall_time_s": round(time.monotonic() - self.started, 2),
            "best_step": end.best_step,
            "validation_energy": end.best_score,
            "stopped": end.stopped,
            "n_parameters": sum(p.numel() for p in method.parameters()),
            "n_cells": {
                "control": sum(len(c) for c in {id(p.source): p.source.cells for p in self.pairs}.values()),
                "treated": sum(len(pair.target.cells) for pair in self.pairs),
            },
            "dropped_populations": list(self.plan.table.dropped),
            **self.provenance,
        }


def _can_judge(pair: PopulationPair) -> bool:
    """Whether both populations have the two cells that an energy distance needs."""
    return min(len(pair.source.cells), len(pair.target.cells)) > 1


def _some(cells: Float[Tensor, "n d"], n: int, rng: torch.Generator) -> Float[Tensor, "k d"]:
    return cells[_rows(cells, n, rng)]


def _rows(cells: Float[Tensor, "n d"], n: int, rng: torch.Generator) -> Int[Tensor, " k"]:
    return torch.randperm(len(cells), generator=rng)[:n].to(cells.device)
