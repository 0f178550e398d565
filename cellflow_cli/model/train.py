"""Training: from an AnnData and the settings of a run to a model."""

import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from cellflow_cli._version import __version__
from cellflow_cli.baselines import summarise
from cellflow_cli.catalog import Choice
from cellflow_cli.config import RunConfig
from cellflow_cli.data.renaming import as_named
from cellflow_cli.data.validation.check import check_object
from cellflow_cli.device import resolve
from cellflow_cli.errors import DataError
from cellflow_cli.methods import Calibrated, Method
from cellflow_cli.model.learn import Learned, LearningHooks, Report, learn, some_rows
from cellflow_cli.model.model import Model
from cellflow_cli.model.plan import Plan
from cellflow_cli.model.plan import plan as plan_training
from cellflow_cli.model.training_data import TrainingData, training_data
from cellflow_cli.prediction.transport import prepare
from cellflow_cli.rng import stream

if TYPE_CHECKING:
    import anndata

_LOG = logging.getLogger("cellflow_cli")
_CALIBRATION_PAIRS, _CALIBRATION_CELLS = 4, 256
_LIBRARIES = ("torch", "torch-geometric", "torchdiffeq", "anndata", "scanpy", "numpy", "POT")


def train(
    adata: "anndata.AnnData",
    run: RunConfig,
    *,
    plan: Plan | None = None,
    device: str | torch.device = "auto",
    max_time_s: float | None = None,
    report: Report | None = None,
    save_partial: Callable[[Model], None] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Model:
    """Learn from the control and treated populations of many patients.

    Features are fitted on the training groups only. A part of those groups picks the number of
    steps by the energy distance of predicted against real treated cells; the model is then
    trained again on all training groups (`training.refit`), seeing each population pair as often, in at
    most `training.steps`.

    Args:
        adata: Reads what `run.data` names; not modified.
        run: All settings.
        plan: From `model.plan` on the same obs, whose data were checked; default: both are done here.
        device: `"auto"`, `"cpu"`, `"cuda"`, ...
        max_time_s: Stop learning after this many seconds and keep the best so far.
        report: Called as `(stage, progress)` after every step.
        save_partial: Called with the model so far if the run is interrupted.
        provenance: More facts for `run.json`, such as input hashes.

    Raises:
        DataError, ConfigError: If data and settings do not fit, or `check` finds what stops training.
        NumericalError: If the loss is not finite.
    """
    started = time.monotonic()
    planned = plan or _checked_plan(adata, run)
    data = training_data(as_named(adata, run.data), run, planned, resolve(device))
    facts = dict(provenance or {})

    def save(learned: Learned) -> None:
        if save_partial is not None:
            save_partial(assemble(data, run, learned, started=started, facts=facts, calibrate=False))

    left = None if max_time_s is None else max(1e-3, max_time_s - (time.monotonic() - started))
    hooks = LearningHooks(report=report, save=None if save_partial is None else save, max_time_s=left)
    learned = learn(data, run, hooks)
    try:
        return assemble(data, run, learned, started=started, facts=facts)
    except KeyboardInterrupt:
        save(replace(learned, fit=learned.fit._replace(stopped="interrupted")))
        raise


def _checked_plan(adata: "anndata.AnnData", run: RunConfig) -> Plan:
    """The plan of a run, after the findings that `cellflow check` makes; its warnings are logged too.

    Raises:
        DataError, ConfigError: As `plan`; with the text of all findings that stop training.
    """
    planned = plan_training(adata.obs, run)
    findings = check_object(adata, run.data, run.seed).findings
    if errors := [finding for finding in findings if finding.level == "error"]:
        raise DataError("\n".join(str(finding.error()) for finding in errors))
    planned = replace(planned, findings=findings)
    for warning in planned.warnings:
        _LOG.warning(warning)
    return planned


def assemble(
    data: TrainingData,
    run: RunConfig,
    learned: Learned,
    *,
    started: float,
    facts: Mapping[str, Any],
    calibrate: bool = True,
) -> Model:
    """A model of what was learned.

    Args:
        data: What was learned from.
        run: Settings.
        learned: The trained method.
        started: Time of `time.monotonic` when the run began.
        facts: More facts for `run.json`.
        calibrate: Whether the method is calibrated, which takes a while.
    """
    calibrated = _calibrated(learned.method, data, run) if calibrate else Calibrated()
    settings = replace(run.method.config, **calibrated.settings)
    return Model(
        method=learned.method,
        config=replace(run, method=Choice(run.method.name, settings)),
        transform=data.transform,
        shape=learned.method.shape,
        vocabulary=data.vocabulary,
        split=data.plan.split,
        summaries=replace(
            summarise(
                data.pairs_of(data.plan.learned_groups(learned.refitted)),
                data.unit.cpu(),
                stream(run.seed, "summaries"),
                cell_types=data.vocabulary.cell_types,
            ),
            profiles=data.profiles,
        ),
        history=learned.history,
        run={
            **_run_facts(data, run, learned, started),
            **facts,
            "refitted": learned.refitted,
            **calibrated.facts,
        },
    )


def _calibrated(method: Method, data: TrainingData, run: RunConfig) -> Calibrated:
    """The method calibrated on some cells of some training pairs."""
    rng = stream(run.seed, "calibration")
    cases = []
    for i in some_rows(len(data.pairs), _CALIBRATION_PAIRS, rng).tolist():
        pair = data.pairs[i]
        prepared = prepare(method, pair.source.draw(), pair.condition, 0)
        rows = some_rows(len(prepared.start), _CALIBRATION_CELLS, rng).to(prepared.start.device)
        cases.append((prepared.start[rows], prepared.conditioning))
    with torch.no_grad():
        return method.calibrate(cases)


def _run_facts(data: TrainingData, run: RunConfig, learned: Learned, started: float) -> dict[str, Any]:
    sources = {id(pair.source): pair.source for pair in data.pairs}
    return {
        "cellflow_version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": run.seed,
        "device": str(data.device),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "wall_time_s": round(time.monotonic() - started, 2),
        "best_step": learned.fit.best_step,
        "validation_energy": learned.fit.best_score,
        "stopped": learned.fit.stopped,
        "n_parameters": sum(p.numel() for p in learned.method.parameters()),
        "n_cells": {
            "control": sum(source.n_cells for source in sources.values()),
            "treated": sum(pair.target.n_cells for pair in data.pairs),
        },
        "dropped_populations": list(data.plan.table.dropped),
        "warnings": list(data.plan.warnings),
    }
