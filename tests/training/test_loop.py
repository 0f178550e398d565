"""The loop on methods small enough to know what must happen."""

import math

import pytest
import torch

from cellflow_cli.errors import ConfigError, NumericalError
from cellflow_cli.methods import Phase
from cellflow_cli.rng import streams
from cellflow_cli.training.config import TrainingConfig, learning_rate_factor
from cellflow_cli.training.loop import Hooks, fit


class Bowl(torch.nn.Module):
    """Loss (w - batch)^2 + |v - 1|^2 with a minimum that batches draw around 3."""

    def __init__(self, n_phases=1, dropout=0.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))
        self.v = torch.nn.Parameter(torch.zeros(2))
        self.dropout = torch.nn.Dropout(dropout)
        self.n_phases = n_phases
        self.phases_seen = []

    def phases(self):
        if self.n_phases == 1:
            yield Phase("all", [self.w, self.v])
        else:
            yield Phase("w", [self.w], steps=1)
            yield Phase("v", [self.v], steps=2)

    def loss(self, batch, rng, phase):
        self.phases_seen.append(phase)
        noise = torch.randn((), generator=rng)
        return {"w": (self.w - batch - 0.1 * noise).square(), "v": (self.dropout(self.v) - 1).square().sum()}


def draw(rng):
    return 3 + 0.1 * torch.randn((), generator=rng)


def trained(method=None, *, seed=0, config=None, validate=None, report=None, save=None, **arguments):
    method = Bowl() if method is None else method
    hooks = Hooks(validate=validate, report=report, save=save)
    config = config or TrainingConfig(
        steps=60, learning_rate=0.2, warmup_steps=5, validate_every=10, patience=0
    )
    return method, fit(method, draw, config, streams(seed), hooks=hooks, **arguments)


def test_the_learning_rate_rises_then_falls_to_a_hundredth():
    config = TrainingConfig(steps=1000, warmup_steps=50)
    factors = [learning_rate_factor(step, config) for step in range(1001)]
    assert factors[0] == pytest.approx(1 / 50)
    assert factors[49] == pytest.approx(1)
    assert factors[:50] == sorted(factors[:50])
    assert factors[50:] == sorted(factors[50:], reverse=True)
    assert factors[525] == pytest.approx(0.01 + 0.99 / 2)  # half of the cosine
    assert factors[1000] == pytest.approx(0.01)


def test_warm_up_takes_a_tenth_of_a_short_run():
    config = TrainingConfig(steps=20, warmup_steps=100)
    assert [learning_rate_factor(step, config) for step in range(2)] == [0.5, 1.0]
    no_warm_up = TrainingConfig(steps=5, warmup_steps=100)
    assert learning_rate_factor(0, no_warm_up) == 1


def test_steps_are_as_long_as_the_schedule_says():
    """Adam's first step has the length of the learning rate: here a tenth of the peak."""
    config = TrainingConfig(steps=100, learning_rate=0.5, warmup_steps=10, weight_decay=0.0)
    method, _ = trained(config=config, stop_at=1)
    assert method.w.item() == pytest.approx(0.05, rel=1e-4)


class Slope(torch.nn.Module):
    """Loss batch * w, whose gradient is the batch."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))

    def phases(self):
        yield Phase("all", [self.w])

    def loss(self, batch, rng, phase):
        return {"slope": batch * self.w}


def test_each_step_has_a_gradient_of_its_own_clipped():
    method, batches, gradients = Slope(), iter([0.5, -0.25, 4.0]), []
    config = TrainingConfig(steps=3, clip_norm=1.0)
    fit(
        method,
        lambda rng: torch.tensor(next(batches)),
        config,
        streams(0),
        hooks=Hooks(report=lambda progress: gradients.append(method.w.grad.item())),
    )
    assert gradients == pytest.approx([0.5, -0.25, 1.0], abs=1e-5)


def test_it_learns():
    method, end = trained()
    assert end.state["w"] == pytest.approx(3, abs=0.2)
    assert end.best_step == 60
    assert end.best_score is None
    assert end.stopped == "done"
    assert not method.training


def test_what_is_kept_is_the_average_not_the_last_step():
    method, end = trained(config=TrainingConfig(steps=30, learning_rate=0.5, ema=0.9))
    assert end.state["w"] != method.w


def test_same_seed_same_weights():
    first, again, other = (trained(Bowl(dropout=0.5), seed=s)[1].state for s in (0, 0, 1))
    assert torch.equal(first["w"], again["w"])
    assert torch.equal(first["v"], again["v"])
    assert not torch.equal(first["v"], other["v"])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    trained(Bowl(dropout=0.5))
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_picks_the_best_weights():
    """The score says how far w is from 1.5, which it passes on its way to 3."""
    scores = {}

    def validate(state):
        scores[len(scores) + 1] = abs(float(state["w"]) - 1.5)
        return scores[len(scores)]

    config = TrainingConfig(
        steps=60, learning_rate=0.2, warmup_steps=5, validate_every=2, ema=0.0, patience=0
    )
    _, end = trained(config=config, validate=validate)
    best = min(scores, key=scores.get)
    assert 1 < best < 25
    assert end.best_step == 2 * best
    assert end.best_score == scores[best]
    assert abs(float(end.state["w"]) - 1.5) == scores[best]


def test_kept_weights_do_not_change_as_training_goes_on():
    """The first validation is the best: its weights are those of a run that stops there."""
    count = iter(range(100))
    config = TrainingConfig(steps=60, learning_rate=0.2, warmup_steps=5, validate_every=10, patience=0)
    _, end = trained(config=config, validate=lambda state: float(next(count)))
    _, short = trained(config=config, stop_at=10)
    assert end.best_step == 10
    assert torch.equal(end.state["w"], short.state["w"])


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_how_often_we_look_leaves_training_untouched(every):
    def peek(state):
        torch.rand(3)  # a validation that draws from the global generator
        return float(state["w"])

    config = TrainingConfig(steps=40, learning_rate=0.1, validate_every=every, patience=0)
    watched, _ = trained(Bowl(dropout=0.5), config=config, validate=peek)
    alone, _ = trained(Bowl(dropout=0.5), config=TrainingConfig(steps=40, learning_rate=0.1))
    assert torch.equal(watched.w, alone.w)
    assert torch.equal(watched.v, alone.v)


def test_validation_happens_in_evaluation_mode_and_training_goes_on_in_training_mode():
    method, seen = Bowl(dropout=0.5), []

    def validate(state):
        seen.append(method.training)
        return 0.0

    modes = []
    original = method.loss
    method.loss = lambda *a: modes.append(method.training) or original(*a)
    trained(method, validate=validate)
    assert not any(seen)
    assert all(modes)
    assert not method.training


def test_the_end_is_always_validated():
    config = TrainingConfig(steps=25, validate_every=10)
    scored = []
    _, end = trained(config=config, validate=lambda state: -float(len(scored.append(0) or scored)))
    assert len(scored) == 3
    assert end.best_step == 25


def test_stopping_early_follows_the_same_schedule():
    config = TrainingConfig(steps=60, learning_rate=0.2, warmup_steps=5)
    weights = {}
    trained(config=config, report=lambda p: None, stop_at=20)
    _, short = trained(config=config, stop_at=20)

    def validate(state):
        weights[len(weights)] = state
        return 1.0

    checked = TrainingConfig(steps=60, learning_rate=0.2, warmup_steps=5, validate_every=20)
    trained(config=checked, validate=validate)
    assert short.best_step == 20
    assert torch.equal(short.state["w"], weights[0]["w"])


def test_patience_ends_a_run_that_no_longer_improves():
    """w rises from the first validation on: with a patience of 2 the third is the last."""
    config = TrainingConfig(steps=60, learning_rate=0.2, warmup_steps=5, validate_every=5, patience=2)
    scored = []
    _, end = trained(config=config, validate=lambda state: scored.append(0) or float(state["w"]))
    assert len(scored) == 3
    assert end.best_step == 5
    assert end.stopped == "patience"


def test_patience_does_not_end_a_run_that_improves():
    config = TrainingConfig(steps=60, learning_rate=0.2, warmup_steps=5, validate_every=5, patience=1)
    better = iter(range(100, 0, -1))
    _, end = trained(config=config, validate=lambda state: float(next(better)))
    assert end.stopped == "done"
    assert end.best_step == 60


def test_time_runs_out():
    _, end = trained(max_time_s=1e-9)
    assert end.stopped == "max-time"
    assert end.best_step == 1  # one step at least


def test_out_of_time_between_validations_is_validated_too():
    method, end = trained(max_time_s=1e-9, validate=lambda state: float(state["w"]))
    assert end.best_step == 1
    assert end.best_score == float(end.state["w"])
    assert not method.training


def test_progress_is_reported_after_every_step():
    seen = []
    trained(report=seen.append, validate=lambda state: 1.0)
    assert [p.step for p in seen] == list(range(1, 61))
    assert {p.steps for p in seen} == {60}
    assert seen[8].score is None
    assert seen[9].score == 1.0
    assert seen[-1].best_step == 10
    assert seen[-1].loss < seen[0].loss


def interrupt_at(step):
    def report(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return report


def test_an_interrupt_saves_and_goes_on():
    saved = []
    method = Bowl()
    with pytest.raises(KeyboardInterrupt):
        trained(
            method,
            report=interrupt_at(7),
            save=lambda state, step: saved.append((state, step, method.training)),
        )
    ((state, step, training),) = saved
    assert step == 7
    assert not training
    assert torch.equal(state["w"], trained(stop_at=7)[1].state["w"])


def test_an_interrupt_saves_the_best_where_there_is_one():
    saved = []
    config = TrainingConfig(steps=60, learning_rate=0.2, warmup_steps=5, validate_every=3)
    with pytest.raises(KeyboardInterrupt):
        trained(
            config=config,
            validate=lambda state: float(state["w"]),  # rises
            report=interrupt_at(10),
            save=lambda state, step: saved.append(step),
        )
    assert saved == [3]


def test_an_interrupt_before_the_first_step_saves_nothing():
    def impatient(rng):
        raise KeyboardInterrupt

    saved = []
    with pytest.raises(KeyboardInterrupt):
        fit(Bowl(), impatient, TrainingConfig(), streams(0), hooks=Hooks(save=lambda *a: saved.append(a)))
    assert not saved


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused_by_its_step(wrong):
    def explode(rng, calls=[0]):  # noqa: B006
        calls[0] += 1
        return torch.tensor(wrong if calls[0] == 4 else 3.0)

    with pytest.raises(NumericalError, match=r"finite loss, found NaN or infinity at step 4 of phase `all`"):
        fit(Bowl(), explode, TrainingConfig(steps=10), streams(0))


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(NumericalError, match="finite validation score, found nan at step 10"):
        trained(validate=lambda state: math.nan)


def test_phases_take_turns():
    method = Bowl(n_phases=2)
    config = TrainingConfig(steps=6, learning_rate=0.1, weight_decay=0.0)
    moves = []

    def watch(progress):
        moves.append((method.w.item(), method.v[0].item()))

    trained(method, config=config, report=watch)
    assert method.phases_seen == ["w", "v", "v"] * 2
    w, v = zip((0.0, 0.0), *moves, strict=True)
    assert [a != b for a, b in zip(w, w[1:], strict=False)] == [True, False, False] * 2
    assert [a != b for a, b in zip(v, v[1:], strict=False)] == [False, True, True] * 2


def test_a_phase_may_have_a_rate_and_betas_of_its_own():
    """The first step of Adam goes as far as the rate; the second shows the betas."""

    class Two(Bowl):
        betas = (0.9, 0.999)

        def phases(self):
            yield Phase("w", [self.w], learning_rate=0.3, betas=self.betas)
            yield Phase("v", [self.v])

    config = TrainingConfig(steps=4, learning_rate=0.1, weight_decay=0.0, warmup_steps=0, clip_norm=100.0)
    method, _ = trained(Two(), config=config, stop_at=2)
    assert method.w.item() == pytest.approx(0.3, rel=1e-3)
    factor = learning_rate_factor(1, config)  # the schedule is one for all
    assert method.v.tolist() == pytest.approx([0.1 * factor] * 2, rel=1e-3)
    fast = Two()
    fast.betas = (0.0, 0.5)
    usual, other = (trained(m, config=config, stop_at=3)[0] for m in (Two(), fast))
    assert usual.w != other.w


def test_history_holds_the_latest_terms_of_every_phase():
    class Named(Bowl):
        def loss(self, batch, rng, phase):
            return {phase: super().loss(batch, rng, phase)[phase]}

    config = TrainingConfig(steps=6, validate_every=3)  # logs fall on `v` alone
    _, end = trained(Named(n_phases=2), config=config)
    assert all({"w", "v"} <= set(row) for row in end.history.rows)


def test_history_holds_losses_and_scores():
    _, end = trained(validate=lambda state: float(state["w"]), stage="refit")
    assert {row["stage"] for row in end.history.rows} == {"refit"}
    assert [row["step"] for row in end.history.rows if "validation" in row] == [10, 20, 30, 40, 50, 60]
    losses = [row for row in end.history.rows if "loss" in row]
    assert all({"w", "v", "seconds"} <= set(row) for row in losses)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "training.steps of at least 1"),
        ({"validate_every": 0}, "training.validate_every of at least 1"),
        ({"learning_rate": 0.0}, "training.learning_rate above zero"),
        ({"learning_rate": math.nan}, "training.learning_rate above zero"),
        ({"weight_decay": -1.0}, "training.weight_decay of at least 0"),
        ({"ema": 1.0}, r"training.ema in \[0, 1\)"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**settings)


def test_weights_that_no_loss_holds_decay():
    """Decoupled: with rate r and decay d a weight without gradient keeps prod (1 - r_t d)."""

    class Idle(Bowl):
        def loss(self, batch, rng, phase):
            return {"v": 0 * self.v.sum() + 0 * self.w}

    method = Idle()
    torch.nn.init.ones_(method.v)
    config = TrainingConfig(steps=5, learning_rate=0.1, weight_decay=0.5, warmup_steps=0, patience=0)
    trained(method, config=config)
    kept = math.prod(1 - 0.1 * learning_rate_factor(step, config) * 0.5 for step in range(5))
    assert method.v.tolist() == pytest.approx([kept, kept], rel=1e-5)


def test_pairing_has_a_generator_of_its_own():
    """What it draws leaves the batches alone."""
    batches = []

    class Drawing(Bowl):
        def __init__(self, n):
            super().__init__()
            self.n = n

        def loss(self, batch, rng, phase):
            batches[-1].append(float(batch))
            torch.randn(self.n, generator=rng)
            return super().loss(batch, rng, phase)

    for n in (1, 7):
        batches.append([])
        trained(Drawing(n))
    assert batches[0] == batches[1]
