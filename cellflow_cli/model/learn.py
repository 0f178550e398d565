"""Learning: the number of steps is validated, then the method is trained again on all training groups."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from cellflow_cli.config import RunConfig
from cellflow_cli.methods import Method
from cellflow_cli.metrics.energy import energy_distance
from cellflow_cli.model.model import build_method
from cellflow_cli.model.training_data import TrainingData
from cellflow_cli.prediction.transport import prepare
from cellflow_cli.rng import stream, streams
from cellflow_cli.training.history import History
from cellflow_cli.training.loop import Fit, Hooks, Progress, fit
from cellflow_cli.training.sampler import PairSampler
from cellflow_cli.types import PopulationPair

Report = Callable[[str, Progress], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Learned:
    """A trained method and how it came about.

    Attributes:
        method: With the weights to keep, in evaluation mode.
        fit: Of the validated run.
        history: Logged rows of all runs.
        refitted: Whether the weights are of all training groups.
    """

    method: Method
    fit: Fit
    history: History
    refitted: bool = False


@dataclass(frozen=True, kw_only=True)
class LearningHooks:
    """What learning calls on its way.

    Attributes:
        report: Called as `(stage, progress)` after every step; stages are `train` and `refit`.
        save: Called with what is learned so far if the run is interrupted, before the interrupt goes on.
        max_time_s: Seconds that learning may take; the best so far is kept.
    """

    report: Report | None = None
    save: Callable[[Learned], None] | None = None
    max_time_s: float | None = None


def learn(data: TrainingData, run: RunConfig, hooks: LearningHooks = LearningHooks()) -> Learned:
    """Train a method; validation groups pick the number of steps, a refit learns from them too.

    The refit sees each population pair as often as the validated run did, in at most `training.steps`.

    Args:
        data: What is learned from.
        run: Settings.
        hooks: What is called on the way.

    Raises:
        NumericalError: If the loss is not finite.
    """
    ends_at = None if hooks.max_time_s is None else time.monotonic() + hooks.max_time_s
    train = data.pairs_of(data.plan.split.train)
    validation = _validation_pairs(data, train)
    refits = bool(validation) and run.training.refit
    left = _seconds_left(ends_at)
    first = _fitted(
        "train", data, run, train, validation=validation, hooks=hooks, max_time_s=left and left / (1 + refits)
    )
    if not refits:
        return first
    try:
        steps = min(run.training.steps, round(first.fit.best_step * len(data.pairs) / len(train)))
        again = _fitted(
            "refit", data, run, data.pairs, hooks=replace(hooks, save=None), steps=steps,
            max_time_s=_seconds_left(ends_at),
        )  # fmt: skip
    except KeyboardInterrupt:
        _save(first, hooks)
        raise
    history = History([*first.history.rows, *again.history.rows])
    if again.fit.stopped != "done":  # cut short, the validated weights are the better ones
        return replace(first, history=history)
    return Learned(method=again.method, fit=first.fit, history=history, refitted=True)


def _validation_pairs(data: TrainingData, train: Sequence[PopulationPair]) -> list[PopulationPair]:
    """Pairs of the validation groups under trained conditions, of two cells or more on either side."""
    conditions = {pair.condition for pair in train}
    return [
        pair
        for pair in data.pairs_of(data.plan.split.val)
        if pair.condition in conditions and min(pair.source.n_cells, pair.target.n_cells) > 1
    ]


def _seconds_left(ends_at: float | None) -> float | None:
    """Seconds left to learn in, at least a token one."""
    return None if ends_at is None else max(1e-3, ends_at - time.monotonic())


def _save(learned: Learned, hooks: LearningHooks) -> None:
    if hooks.save is not None:
        hooks.save(replace(learned, fit=learned.fit._replace(stopped="interrupted")))


def _fitted(
    stage: str,
    data: TrainingData,
    run: RunConfig,
    pairs: Sequence[PopulationPair],
    *,
    hooks: LearningHooks,
    validation: Sequence[PopulationPair] = (),
    steps: int | None = None,
    max_time_s: float | None = None,
) -> Learned:
    """One run of the loop; both stages build the same network, with the conditions of all that is learned."""
    learned_pairs = data.pairs_of(data.plan.learned_groups(run.training.refit))
    shape = data.shape(
        {pair.condition for pair in learned_pairs}, dict.fromkeys(pair.source.name for pair in pairs)
    )
    method = build_method(run, shape).to(data.device)
    method.fit_units(pairs, data.unit)
    sampler = PairSampler(
        pairs,
        shape,
        method.needs,
        n_populations=run.training.populations_per_step,
        n_cells=run.training.cells_per_population,
    )

    def save(state: Mapping[str, Tensor], step: int) -> None:
        method.load_state_dict(dict(state))
        so_far = Fit(dict(state), step, None, History(), "", 0.0)
        _save(Learned(method=method, fit=so_far, history=History()), hooks)

    end = fit(
        method,
        sampler.draw,
        run.training,
        streams(run.seed),
        hooks=Hooks(
            validate=_validator(method, validation, data, run) if validation else None,
            report=None if hooks.report is None else partial(hooks.report, stage),
            save=save if hooks.save is not None else None,
        ),
        stop_at=steps,
        max_time_s=max_time_s,
        stage=stage,
    )
    method.load_state_dict(end.state)
    return Learned(method=method.eval(), fit=end, history=end.history)


def _validator(
    method: Method, pairs: Sequence[PopulationPair], data: TrainingData, run: RunConfig
) -> Callable[[Mapping[str, Tensor]], float]:
    """Mean energy distance of predicted from measured cells, always of the same cells."""
    rng, n = stream(run.seed, "evaluation"), run.training.validation_cells
    cells = []
    for pair in pairs:
        rows = some_rows(pair.source.n_cells, n, rng)
        cells.append((pair, rows, pair.target.draw(some_rows(pair.target.n_cells, n, rng))))

    def validate(state: Mapping[str, Tensor]) -> float:
        kept = {name: value.detach().clone() for name, value in method.state_dict().items()}
        method.load_state_dict(dict(state))
        scores = []
        for pair, rows, target in cells:
            prepared = prepare(method, pair.source.draw(), pair.condition, run.seed)
            x0 = prepared.start[rows.to(prepared.start.device)]
            with torch.no_grad():
                moved = method.transport(x0, prepared.conditioning, rough=True).end
            scores.append(
                float(energy_distance(moved.double() / data.unit, target.cells.double() / data.unit))
            )
        method.load_state_dict(kept)
        return sum(scores) / len(scores)

    return validate


def some_rows(n: int, k: int, rng: torch.Generator) -> Int[Tensor, " k"]:
    """Rows below n, at most k of them, in random order."""
    return torch.randperm(n, generator=rng)[:k]
