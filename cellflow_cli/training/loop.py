"""The training loop: written once, for every method."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from cellflow_cli.errors import ConfigError, NumericalError
from cellflow_cli.rng import scoped
from cellflow_cli.training.ema import Ema
from cellflow_cli.training.history import History
from cellflow_cli.types import Batch


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast to learn."""

    steps: int = field(default=1000, metadata={"help": "Gradient steps."})
    populations_per_step: int = field(default=8, metadata={"help": "Population pairs per step."})
    cells_per_population: int = field(default=128, metadata={"help": "Cells of each pair per step."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate of AdamW."})
    weight_decay: float = field(default=1e-4, metadata={"help": "Decoupled weight decay of AdamW."})
    warmup_steps: int = field(default=100, metadata={"help": "Steps of linear warm-up before the cosine."})
    ema: float = field(default=0.98, metadata={"help": "Decay of the moving average of weights."})
    clip_norm: float = field(default=1.0, metadata={"help": "Largest norm of a gradient."})
    validate_every: int = field(default=50, metadata={"help": "Steps between validations."})
    validation_cells: int = field(default=500, metadata={"help": "Cells per population in validation."})
    patience: int = field(
        default=8, metadata={"help": "Stop after this many validations without a better one; 0: never."}
    )
    refit: bool = field(
        default=True,
        metadata={"help": "Train again on all training groups for the steps that validation found."},
    )

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "populations_per_step",
            "cells_per_population",
            "validate_every",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"Expected training.{name} of at least 1, found {getattr(self, name)}.")
        if self.validation_cells < 2:
            raise ConfigError(
                f"Expected training.validation_cells of at least 2, found {self.validation_cells}."
            )
        if self.patience < 0:
            raise ConfigError(f"Expected training.patience of at least 0, found {self.patience}.")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Expected training.{name} above zero, found {getattr(self, name)}.")
        for name in ("weight_decay", "warmup_steps"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"Expected training.{name} of at least 0, found {getattr(self, name)}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"Expected training.ema in [0, 1), found {self.ema}.")


class PhaseLike(Protocol):
    """A group of parameters that one optimizer steps together.

    It may also have a `learning_rate`, the peak of the schedule in place of
    `TrainingConfig.learning_rate`, and `betas` in place of Adam's; None and absent mean the usual.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    steps: int


class Trainable(Protocol):
    """What the loop needs of a method, which is also an `nn.Module`."""

    def phases(self) -> Iterator[PhaseLike]:
        """Groups of parameters that alternate."""
        ...

    def loss(self, batch: Batch, rng: torch.Generator, phase: str) -> Mapping[str, Tensor]:
        """Named terms, summed by the loop."""
        ...


class Progress(NamedTuple):
    """Where a run stands, for whoever shows it.

    Attributes:
        step: Steps done.
        steps: Steps planned.
        loss: Running mean of the loss.
        score: Latest validation score, or None.
        best_step: Step of the best score so far, or None.
        seconds: Time spent.
    """

    step: int
    steps: int
    loss: float
    score: float | None
    best_step: int | None
    seconds: float


class Fit(NamedTuple):
    """End of a training run.

    Attributes:
        state: Averaged weights, at the best validation or at the end without one.
        best_step: Step of those weights.
        best_score: Validation score there, or None.
        history: Logged rows.
        stopped: "done", "patience" or "max-time".
        seconds: Wall time.
    """

    state: dict[str, Tensor]
    best_step: int
    best_score: float | None
    history: History
    stopped: str
    seconds: float


Validate = Callable[[Mapping[str, Tensor]], float]
Report = Callable[[Progress], None]
Save = Callable[[Mapping[str, Tensor], int], None]


def fit(
    method: nn.Module,
    draw: Callable[[torch.Generator], Batch],
    config: TrainingConfig,
    rngs: Mapping[str, torch.Generator],
    *,
    validate: Validate | None = None,
    report: Report | None = None,
    save: Save | None = None,
    stop_at: int | None = None,
    max_time_s: float | None = None,
    stage: str = "train",
) -> Fit:
    """Train a method in place and return the averaged weights to keep.

    Args:
        method: A module that answers `phases` and `loss` (see `Trainable`).
        draw: Called as `(rng) -> Batch`.
        config: Steps, rates and averaging.
        rngs: Named generators (`rng.streams`): batches, coupling and dropout are used.
        validate: Called as `(state) -> score`, lower is better, every `validate_every` steps.
        report: Called as `(progress)` after every step.
        save: Called as `(state, step)` with the weights to keep so far if the run is interrupted,
            before the interrupt goes on.
        stop_at: Stop after this many steps of the same schedule.
        max_time_s: Stop after this many seconds.
        stage: Name of the run in the history.

    Raises:
        NumericalError: If the loss is not finite.
    """
    run = _Run(method, draw, config, rngs, stage)
    steps = min(stop_at or config.steps, config.steps)
    method.train()
    try:
        while run.step < steps and not run.out_of_time(max_time_s) and not run.out_of_patience:
            run.advance()
            if validate is not None and (run.step % config.validate_every == 0 or run.step == steps):
                run.judge(validate)
            if report is not None:
                report(run.progress(steps))
        if validate is not None and run.judged != run.step:  # out of time between two validations
            run.judge(validate)
    except KeyboardInterrupt:
        method.eval()
        if save is not None and run.step > 0:
            so_far = run.end(steps)
            save(so_far.state, so_far.best_step)
        raise
    finally:
        method.eval()
    return run.end(steps)


class _Run:
    def __init__(
        self,
        method: Any,
        draw: Callable[[torch.Generator], Batch],
        config: TrainingConfig,
        rngs: Mapping[str, torch.Generator],
        stage: str,
    ) -> None:
        self.method = method
        self.draw, self.config, self.rngs, self.stage = draw, config, rngs, stage
        self.phases = list(self.method.phases())
        self.rates = [getattr(p, "learning_rate", None) or config.learning_rate for p in self.phases]
        self.optimizers = [
            torch.optim.AdamW(
                list(phase.parameters),
                lr=rate,
                betas=getattr(phase, "betas", None) or (0.9, 0.999),
                weight_decay=config.weight_decay,
            )
            for phase, rate in zip(self.phases, self.rates, strict=True)
        ]
        self.turns = [i for i, phase in enumerate(self.phases) for _ in range(phase.steps)]
        self.ema = Ema(method, config.ema)
        self.history = History()
        self.terms: dict[str, Tensor] = {}  # the latest of each phase
        self.step, self.judged, self.mean_loss = 0, 0, 0.0
        self.score: float | None = None
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def out_of_time(self, limit: float | None) -> bool:
        return limit is not None and self.step > 0 and self.seconds >= limit

    @property
    def out_of_patience(self) -> bool:
        """Whether validation has not improved for `patience` validations."""
        patience = self.config.patience * self.config.validate_every
        return bool(patience) and self.best is not None and self.step - self.best[1] >= patience

    def advance(self) -> None:
        turn = self.turns[self.step % len(self.turns)]
        optimizer, phase = self.optimizers[turn], self.phases[turn]
        for group in optimizer.param_groups:
            group["lr"] = self.rates[turn] * learning_rate_factor(self.step, self.config)
        with scoped(self.rngs["dropout"]):
            terms = self.method.loss(self.draw(self.rngs["batches"]), self.rngs["coupling"], phase.name)
        loss: Tensor = torch.stack(list(terms.values())).sum()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NumericalError(
                f"Expected a finite loss, found {value} at step {self.step + 1} of phase `{phase.name}`. "
                "Lower training.learning_rate, or look for extreme values with `cellflow check`."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(list(phase.parameters), self.config.clip_norm)
        optimizer.step()
        self.ema.update()
        self.step += 1
        self.mean_loss += (value - self.mean_loss) / min(self.step, 50)
        self.terms |= {name: term.detach() for name, term in terms.items()}
        if self.step % self.config.validate_every == 0:
            self._log()

    def judge(self, validate: Validate) -> None:
        state = self.ema.state()
        self.method.eval()
        self.score = float(validate(state))
        self.method.train()
        if not math.isfinite(self.score):
            raise NumericalError(
                f"Expected a finite validation score, found {self.score} at step {self.step}."
            )
        self.history.add(
            stage=self.stage, step=self.step, validation=self.score, seconds=round(self.seconds, 3)
        )
        self.judged = self.step
        if self.best is None or self.score < self.best[0]:
            self.best = (self.score, self.step, state)

    def progress(self, steps: int) -> Progress:
        best_step = None if self.best is None else self.best[1]
        return Progress(self.step, steps, self.mean_loss, self.score, best_step, self.seconds)

    def end(self, steps: int) -> Fit:
        stopped = "done" if self.step >= steps else "patience" if self.out_of_patience else "max-time"
        if self.step % self.config.validate_every:
            self._log()  # the last step is always in the history
        score, step, state = self.best or (None, self.step, self.ema.state())
        return Fit(state, step, score, self.history, stopped, self.seconds)

    def _log(self) -> None:
        terms = {name: float(term) for name, term in self.terms.items()}
        self.history.add(
            stage=self.stage, step=self.step, loss=self.mean_loss, **terms, seconds=round(self.seconds, 3)
        )


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to a hundredth."""
    warmup = min(config.warmup_steps, config.steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
