"""`cellflow train`: learn from control and treated populations of many patients."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import COMPUTE, MODEL, OUTPUT, OptionsOf
from cellflow_cli.cli._findings import checked
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError

if TYPE_CHECKING:
    from cellflow_cli.config import RunConfig
    from cellflow_cli.model import Model, Plan
    from cellflow_cli.training.loop import Progress


Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="MODEL", help="Model folder to write.", rich_help_panel=OUTPUT),
]


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Settings of a run that have an option of their own, and how long to learn."""

    method: str | None = field(
        default=None, metadata={"help": "See `cellflow list methods`.", "default": "mfm"}
    )
    steps: int | None = field(
        default=None, metadata={"help": "Gradient steps (training.steps).", "default": "1000", "min": 1}
    )
    refit: bool = field(
        default=True,
        metadata={
            "flag": "--no-refit",
            "help": "Keep the validated model instead of training again on all training groups.",
        },
    )
    seed: int | None = field(
        default=None,
        metadata={
            "help": "Seed of everything random.",
            "default": "0",
            "min": 0,
            "max": 2**63 - 1,
            "panel": COMPUTE,
        },
    )

    max_time: str | None = field(
        default=None,
        metadata={"help": "Stop learning after 90s, 30m, 2h ...", "metavar": "TIME", "panel": COMPUTE},
    )

    @property
    def max_time_s(self) -> float | None:
        """Seconds after which to stop.

        Raises:
            ConfigError: If the text is no time above zero.
        """
        return None if self.max_time is None else seconds(self.max_time)

    def settings(self) -> dict[str, Any]:
        """Those that were given, nested as in `RunConfig`."""
        given: dict[str, Any] = {} if self.method is None else {"method": {"name": self.method}}
        given["training"] = {} if self.steps is None else {"steps": self.steps}
        given["training"] |= {} if self.refit else {"refit": False}
        return given if self.seed is None else {**given, "seed": self.seed}


@command
def train(
    data: opt.Data,
    output: Output,
    spec: Annotated[dict[str, Any], OptionsOf(DataSpec, given=True)],
    learning: Annotated[Learning, OptionsOf(Learning, panel=MODEL)],
    settings: Annotated[opt.Settings, OptionsOf(opt.Settings, panel=MODEL)],
    device: opt.Device = "auto",
    dry_run: opt.DryRun = False,
    force: opt.Force = False,
    as_json: opt.Json = False,
) -> None:
    """Learn how treated populations follow from control populations.

    Example: cellflow train plates.h5ad --treatment-key treatment --control DMSO --sample-key patient
    --holdout patient=P7,P9 -o model
    """
    from cellflow_cli.config import from_dict
    from cellflow_cli.data.read import read
    from cellflow_cli.data.unchanged import file_hashes
    from cellflow_cli.device import resolve
    from cellflow_cli.files import check_apart, check_writable
    from cellflow_cli.model import plan, train
    from cellflow_cli.model.contents import FILES

    run = from_dict(settings.below({"data": spec, **learning.settings()}))
    limit = learning.max_time_s
    partial = output.parent / f"{output.name}.partial"
    where = resolve(device)
    check_apart(output, data)
    if not dry_run:
        check_writable(output, force=force, holds=FILES)
        check_writable(partial, force=True, holds=FILES)
    findings = checked(data, run.data, run.seed)
    adata = read(data, run.data.features)
    planned = plan(adata.obs, run, findings)
    _show_plan(planned, run, str(where))
    if dry_run:
        if as_json:
            console.emit_json({"dry_run": True, **_plan_json(planned, run)})
        return
    with _progress() as report:
        model = train(
            adata,
            run,
            plan=planned,
            device=where,
            max_time_s=limit,
            report=report,
            save_partial=lambda model: _save_partial(model, partial),
            provenance={
                "command": console.command_line(["cellflow", *sys.argv[1:]]),
                "input_hashes": file_hashes(data),
            },
        )
    model.save(output, force=force)
    _show_model(model, output, data)
    if as_json:
        console.emit_json({"model": str(output), **_plan_json(planned, run), "run": dict(model.run)})


def seconds(text: str) -> float:
    """Seconds of a time such as `"90"`, `"90s"`, `"30m"` or `"1.5h"`.

    Raises:
        ConfigError: If the text is no time above zero.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smh]?)\s*", text)
    value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if value <= 0:
        raise ConfigError(f"Expected a time such as 90s, 30m or 2h, found {text!r} (`--max-time`).")
    return value


@contextmanager
def _progress() -> "Iterator[Callable[[str, Progress], None]]":
    """A live bar with loss, validation and time left in a terminal; a plain line now and then in a log."""
    screen = console.stderr()
    if not screen.is_terminal:
        yield _PlainProgress()
        return
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[facts]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=screen) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, at: "Progress") -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(_STAGES[stage], total=at.steps, facts="")
            bar.update(tasks[stage], completed=at.step, total=at.steps, facts=_facts(at))

        yield report


class _PlainProgress:
    """One line at the first step, then every ten seconds, and at the end of a stage."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def __call__(self, stage: str, at: "Progress") -> None:
        if at.seconds < self._next.get(stage, 0.0) and at.step < at.steps:
            return
        self._next[stage] = at.seconds + 10
        left = at.seconds / at.step * (at.steps - at.step)
        console.say(f"{_STAGES[stage]} {at.step}/{at.steps}, {_facts(at)}, {console.duration(left)} left")


_STAGES = {"train": "Training", "refit": "Refitting on all training groups"}


def _facts(at: "Progress") -> str:
    score = "" if at.score is None else f", validation {at.score:.4g} (best at step {at.best_step})"
    return f"loss {at.loss:.4g}{score}"


def _save_partial(model: "Model", folder: Path) -> None:
    model.save(folder, force=True)
    raise KeyboardInterrupt(
        f"Interrupted. The model so far is in `{folder}`: usable for prediction, but learning had not "
        "finished."
    )


def _plan_json(planned: "Plan", run: "RunConfig") -> dict[str, Any]:
    from cellflow_cli.config import to_dict

    return {
        "config": to_dict(run),
        "split": {name: list(getattr(planned.split, name)) for name in ("train", "val", "test")},
        "conditions": [condition.label for condition in planned.table.conditions],
        "dropped_populations": list(planned.table.dropped),
        "warnings": list(planned.warnings),
    }


def _show_plan(planned: "Plan", run: "RunConfig", device: str) -> None:
    from cellflow_cli.errors import listed

    table, split = planned.table, planned.split
    n_cells = sum(len(population.rows) for population in (*table.controls, *table.treated))
    console.say(
        f"{run.method.name} on {device}: {len(table.controls)} control and {len(table.treated)} treated "
        f"populations, {n_cells:,} cells, features {run.data.features}"
    )
    console.say(f"Treatments: {listed((c.label for c in table.conditions), 12)}")
    for name, groups in (("Training", split.train), ("Validation", split.val), ("Held out", split.test)):
        console.say(
            f"{name}: {len(groups)} {run.data.group}{'' if len(groups) == 1 else 's'} {listed(groups, 12)}"
        )
    if table.dropped:
        console.say(f"Excluded: {listed(table.dropped)}", style="yellow")
    if not split.test:
        console.say(
            "Nothing is held out: an evaluation on these data will not show unseen patients.", style="yellow"
        )


def _show_model(model: "Model", output: Path, data: list[Path]) -> None:
    score = model.run["validation_energy"]
    validation = (
        "" if score is None else f", validation energy distance {score:.4g} at step {model.run['best_step']}"
    )
    console.say(f"Trained in {model.run['wall_time_s']:.0f} s{validation}. Model in {output}")
    if model.split.test:
        words = ["cellflow", "predict", str(output), *map(str, data), "-o", "predicted.h5ad"]
        console.say(f"Next: {console.command_line(words)}")
