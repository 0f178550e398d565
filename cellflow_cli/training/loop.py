"""The training loop: written once, for every method."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cellflow_cli.errors import NumericalError
from cellflow_cli.methods import Method
from cellflow_cli.rng import scoped
from cellflow_cli.training.config import TrainingConfig, learning_rate_factor
from cellflow_cli.training.ema import Ema
from cellflow_cli.training.history import History
from cellflow_cli.types import Batch

_MEAN_OVER = 50  # steps that the running mean of the loss is over


class Progress(NamedTuple):
    """Where a run stands, for whoever shows it.

    Attributes:
        step: Steps done.
        steps: Steps planned.
        loss: Running mean of the loss, shape []: reading it waits for the device, so read it only to show it.
        score: Latest validation score, or None.
        best_step: Step of the best score so far, or None.
        seconds: Time spent.
    """

    step: int
    steps: int
    loss: Tensor
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


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What a run calls on its way; the loop itself knows nothing of data, files or screens.

    Attributes:
        validate: Called as `(state) -> score`, lower is better, every `validate_every` steps.
        report: Called as `(progress)` after every step.
        save: Called as `(state, step)` with the weights to keep so far if the run is interrupted,
            before the interrupt goes on.
    """

    validate: Callable[[Mapping[str, Tensor]], float] | None = None
    report: Callable[[Progress], None] | None = None
    save: Callable[[Mapping[str, Tensor], int], None] | None = None


def fit(
    method: Method,
    draw: Callable[[torch.Generator], Batch],
    config: TrainingConfig,
    rngs: Mapping[str, torch.Generator],
    *,
    hooks: Hooks = Hooks(),
    stop_at: int | None = None,
    max_time_s: float | None = None,
    stage: str = "train",
) -> Fit:
    """Train a method in place and return the averaged weights to keep.

    Args:
        method: Its `phases` and `loss` are used.
        draw: Called as `(rng) -> Batch`.
        config: Steps, rates and averaging.
        rngs: Named generators (`rng.streams`): batches, coupling and dropout are used.
        hooks: What is called on the way.
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
            if run.step % config.validate_every == 0 or run.step == steps:
                run.validate(hooks.validate)
            if hooks.report is not None:
                hooks.report(run.progress(steps))
        if run.validated != run.step:  # out of time between two validations
            run.validate(hooks.validate)
    except KeyboardInterrupt:
        method.eval()
        if hooks.save is not None and run.step > 0:
            so_far = run.end(steps)
            hooks.save(so_far.state, so_far.best_step)
        raise
    finally:
        method.eval()
    return run.end(steps)


class _Run:
    def __init__(
        self,
        method: Method,
        draw: Callable[[torch.Generator], Batch],
        config: TrainingConfig,
        rngs: Mapping[str, torch.Generator],
        stage: str,
    ) -> None:
        self.method = method
        self.draw, self.config, self.rngs, self.stage = draw, config, rngs, stage
        self.phases = list(self.method.phases())
        self.rates = [phase.learning_rate or config.learning_rate for phase in self.phases]
        self.optimizers = [
            torch.optim.AdamW(
                list(phase.parameters),
                lr=rate,
                betas=phase.betas,
                weight_decay=config.weight_decay,
            )
            for phase, rate in zip(self.phases, self.rates, strict=True)
        ]
        self.turns = [i for i, phase in enumerate(self.phases) for _ in range(phase.steps)]
        self.ema = Ema(method, config.ema)
        self.history = History()
        self.terms: dict[str, Tensor] = {}  # the latest of each phase
        self.step, self.validated = 0, 0
        self.mean_loss = torch.zeros((), dtype=torch.float64)
        self.bad_step = torch.zeros((), dtype=torch.int64)  # the first whose loss was not finite; 0: none
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
        """One step of the phase whose turn it is."""
        turn = self.turns[self.step % len(self.turns)]
        optimizer, phase = self.optimizers[turn], self.phases[turn]
        for group in optimizer.param_groups:
            group["lr"] = self.rates[turn] * learning_rate_factor(self.step, self.config)
        with scoped(self.rngs["dropout"]):
            terms = self.method.loss(self.draw(self.rngs["batches"]), self.rngs["coupling"], phase.name)
        loss: Tensor = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.after_backward(phase.parameters)
        optimizer.step()
        self.ema.update()
        self.step += 1
        self.keep(loss.detach(), {name: term.detach() for name, term in terms.items()})
        if self.step % self.config.validate_every == 0:
            self._log()

    def after_backward(self, parameters: Sequence[nn.Parameter]) -> None:
        """What happens to the gradients between the backward pass and the step."""
        nn.utils.clip_grad_norm_(list(parameters), self.config.clip_norm)

    def keep(self, loss: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Take a loss into its running mean on its own device, where nobody waits for it."""
        if self.step == 1:
            self.mean_loss, self.bad_step = self.mean_loss.to(loss.device), self.bad_step.to(loss.device)
        self.mean_loss = self.mean_loss + (loss.double() - self.mean_loss) / min(self.step, _MEAN_OVER)
        is_first = (self.bad_step == 0) & ~loss.isfinite()
        self.bad_step = torch.where(is_first, self.step, self.bad_step)
        self.terms |= terms

    def validate(self, score: Callable[[Mapping[str, Tensor]], float] | None) -> None:
        """Score the averaged weights and keep them if they are the best so far."""
        self.validated = self.step
        if score is None:
            return
        self._check_losses()
        state = self.ema.state()
        self.method.eval()
        self.score = float(score(state))
        self.method.train()
        if not math.isfinite(self.score):
            raise NumericalError(
                f"Expected a finite validation score, found {self.score} at step {self.step}."
            )
        self.history.add(
            stage=self.stage, step=self.step, validation=self.score, seconds=round(self.seconds, 3)
        )
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

    def _check_losses(self) -> None:
        """Refuse to go on after a loss that was not finite; here the device is waited for."""
        if step := int(self.bad_step):
            phase = self.phases[self.turns[(step - 1) % len(self.turns)]]
            raise NumericalError(
                f"Expected a finite loss, found NaN or infinity at step {step} of phase `{phase.name}`. "
                "Lower training.learning_rate, or look for extreme values with `cellflow check`."
            )

    def _log(self) -> None:
        self._check_losses()
        terms = {name: float(term) for name, term in self.terms.items()}
        self.history.add(
            stage=self.stage,
            step=self.step,
            loss=float(self.mean_loss),
            **terms,
            seconds=round(self.seconds, 3),
        )
