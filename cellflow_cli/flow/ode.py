"""Integration of dx/dt = v(t, x) from t = 0 to 1: fixed steps, or adaptive by torchdiffeq."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.errors import ConfigError, NumericalError, nearest

FIXED = ("euler", "midpoint", "rk4")
ADAPTIVE = ("dopri5",)
_MAX_STEPS = 100_000
_STEPS_BY_DEFAULT = 32
_EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4}

Velocity = Callable[[Float[Tensor, ""], Float[Tensor, "*s d"]], Float[Tensor, "*s d"]]


@dataclass(frozen=True, kw_only=True)
class SolverConfig:
    """How cells are moved along the velocity field."""

    method: str = field(
        default="midpoint", metadata={"help": "euler, midpoint, rk4 (fixed steps) or dopri5."}
    )
    steps: int | None = field(
        default=None, metadata={"help": "Fixed steps from 0 to 1; left out: calibrated after training."}
    )
    atol: float = field(default=1e-5, metadata={"help": "Absolute tolerance of dopri5, network units."})
    rtol: float = field(default=1e-5, metadata={"help": "Relative tolerance of dopri5."})
    tolerance: float = field(
        default=1e-3,
        metadata={"help": "Maximum root-mean-square error of calibrated steps, network units."},
    )
    max_evaluations: int = field(
        default=10_000, metadata={"help": "Field evaluations before dopri5 gives up."}
    )

    def __post_init__(self) -> None:
        known = (*FIXED, *ADAPTIVE)
        if self.method not in known:
            hint = nearest(self.method, known)
            raise ConfigError(
                f"Expected method.solver.method to be one of {known}, found {self.method!r}.{hint}"
            )
        if self.steps is not None and not 1 <= self.steps <= _MAX_STEPS:
            raise ConfigError(
                f"Expected method.solver.steps of at least 1 and at most {_MAX_STEPS:,}, found {self.steps}."
            )
        for name in ("atol", "rtol", "tolerance", "max_evaluations"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Expected method.solver.{name} above zero, found {getattr(self, name)}.")


class Trajectory(NamedTuple):
    """Cells at the requested times.

    Attributes:
        cells: One after another the cells at each of k times, shape [k, ..., d].
        n_evaluations: Evaluations of the velocity.
    """

    cells: Float[Tensor, "k *s d"]
    n_evaluations: int

    @property
    def end(self) -> Float[Tensor, "*s d"]:
        """Cells at the last time, shape of the start."""
        return self.cells[-1]


def integrate(
    velocity: Velocity,
    x0: Float[Tensor, "*s d"],
    solver: SolverConfig,
    times: Sequence[float] = (1.0,),
) -> Trajectory:
    """Solve dx/dt = v(t, x), x(0) = x0, up to t = 1, and keep the cells at some times.

    The steps do not depend on the times: between two fixed steps a shorter one leads to the time and is
    then forgotten, so that the cells end where they do without it.

    Args:
        velocity: Called as `(t, x) -> velocity`, `t` of shape [] and `x` of the shape of `x0`.
        x0: Start, shape [..., d].
        solver: Method with its steps or tolerances; fixed steps default to 32 where not calibrated.
        times: Ascending, within [0, 1], one or more.

    Returns:
        Cells at the times in the dtype of `x0`, and the number of evaluations.

    Raises:
        NumericalError: If a cell is no longer finite, or dopri5 exceeds its evaluations.
    """
    if not times or list(times) != sorted(times) or not 0 <= times[0] <= times[-1] <= 1:
        raise ValueError(f"times must ascend within [0, 1], found {tuple(times)}")
    if solver.method in ADAPTIVE:
        result = _adaptive(velocity, x0, solver, times)
    else:
        result = _fixed(velocity, x0, solver, times)
    if not torch.isfinite(result.cells).all():
        raise NumericalError(
            f"Expected finite cells at the end of the flow, found non-finite ones ({solver.method}). "
            "The field was not trained on cells like these: check the units of the input, or use more steps."
        )
    return result


def _fixed(velocity: Velocity, x: Tensor, solver: SolverConfig, times: Sequence[float]) -> Trajectory:
    steps = solver.steps or _STEPS_BY_DEFAULT
    step, h = _STEPS[solver.method], 1.0 / steps
    cells, done, n_steps = [], 0, 0
    for time in times:
        whole = math.floor(time * steps + 1e-9)  # steps that end by then
        for i in range(done, whole):
            x = step(velocity, x.new_tensor(i * h), x, h)
        rest, done, n_steps = time - whole * h, whole, n_steps + whole - done
        between = rest * steps > 1e-9
        cells.append(step(velocity, x.new_tensor(whole * h), x, rest) if between else x)
        n_steps += between
    return Trajectory(torch.stack(cells), n_steps * _EVALUATIONS[solver.method])


def _euler(velocity: Velocity, t: Tensor, x: Tensor, h: float) -> Tensor:
    return x + h * velocity(t, x)


def _midpoint(velocity: Velocity, t: Tensor, x: Tensor, h: float) -> Tensor:
    return x + h * velocity(t + h / 2, x + h / 2 * velocity(t, x))


def _rk4(velocity: Velocity, t: Tensor, x: Tensor, h: float) -> Tensor:
    k1 = velocity(t, x)
    k2 = velocity(t + h / 2, x + h / 2 * k1)
    k3 = velocity(t + h / 2, x + h / 2 * k2)
    k4 = velocity(t + h, x + h * k3)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


_STEPS = {"euler": _euler, "midpoint": _midpoint, "rk4": _rk4}


class _TooManyEvaluationsError(Exception):
    pass


def _worst(error: Float[Tensor, "*s d"]) -> Float[Tensor, ""]:
    """Root mean square over the features of the cell with the largest: no cell hides behind the others."""
    return error.square().mean(-1).max().sqrt()


def _adaptive(velocity: Velocity, x0: Tensor, solver: SolverConfig, times: Sequence[float]) -> Trajectory:
    from torchdiffeq import odeint

    count = 0

    def counted(t: Tensor, x: Tensor) -> Tensor:
        nonlocal count
        count += 1
        if count > solver.max_evaluations:
            raise _TooManyEvaluationsError
        return velocity(t.to(x.dtype), x)

    try:
        grid = sorted({0.0, 1.0, *times})
        path = odeint(
            counted, x0, x0.new_tensor(grid), method=solver.method, atol=solver.atol, rtol=solver.rtol,
            options={"norm": _worst},
        )  # fmt: skip
    except (_TooManyEvaluationsError, AssertionError) as error:
        raise NumericalError(
            f"Expected {solver.method} to reach t = 1 within {solver.max_evaluations} evaluations at "
            f"tolerance {solver.atol:g}, found {count} spent ({error or 'limit'}). Loosen "
            "method.solver.atol and method.solver.rtol or use fixed steps."
        ) from error
    return Trajectory(path[[grid.index(time) for time in times]], count)


class Calibration(NamedTuple):
    """Fixed steps chosen against a tight solve.

    Attributes:
        solver: The solver with its `steps` filled in.
        error: Root-mean-square difference from the tight solve, network units.
        within: Whether `error` is within `solver.tolerance`.
    """

    solver: SolverConfig
    error: float
    within: bool


def calibrate(transport: Callable[[SolverConfig], Float[Tensor, "n d"]], solver: SolverConfig) -> Calibration:
    """The smallest number of fixed steps whose result stays within the tolerance of a tight adaptive solve.

    Fixed steps move each cell independently of the others in its chunk, which an adaptive solver, with the
    same steps for all, does up to its tolerance only.

    Args:
        transport: Called as `(solver) -> cells`, network units, shape [n, d].
        solver: Its `method` and `tolerance` are used.

    Returns:
        128 steps at most, which may not be enough. Where the adaptive solver gives up, 256 fixed steps
        stand in for it; where these fail too, the error is infinite.
    """
    error = float("inf")
    try:
        tight = _tight(transport, solver)
    except NumericalError:
        return Calibration(replace(solver, steps=128), error, False)
    for steps in (4, 8, 16, 32, 64, 128):
        candidate = replace(solver, steps=steps)
        try:
            error = float((transport(candidate) - tight).square().mean().sqrt())
        except NumericalError:  # so few steps may overshoot without bound
            continue
        if error <= solver.tolerance:
            return Calibration(candidate, error, True)
    return Calibration(replace(solver, steps=128), error, False)


def _tight(
    transport: Callable[[SolverConfig], Float[Tensor, "n d"]], solver: SolverConfig
) -> Float[Tensor, "n d"]:
    try:
        return transport(replace(solver, method="dopri5", atol=1e-6, rtol=1e-6))
    except NumericalError:
        return transport(replace(solver, steps=256))
