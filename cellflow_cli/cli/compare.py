"""`cellflow compare`: methods side by side on the user's own data, over seeds and held-out groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import _study_plan as plan
from cellflow_cli.cli import _study_tables as tables
from cellflow_cli.cli import console
from cellflow_cli.cli._command import command
from cellflow_cli.cli._fields import COMPUTE, MODEL, OUTPUT, OptionsOf
from cellflow_cli.cli._findings import checked
from cellflow_cli.cli._study_run import run_jobs
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, listed, nearest
from cellflow_cli.evaluation.config import EvaluationConfig

if TYPE_CHECKING:
    from cellflow_cli.study import Fold, Variant

_METHODS = ("mfm", "fm")
_SCORING = EvaluationConfig(metrics=("energy", "w2", "mmd-median", "r2-delta"), audit=False, cell_types=False)
_FIXED = ("definitions", "floor_splits", "audit", "cell_types", "seed")  # the same in every comparison


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is compared: methods, folds and seeds, and what stands beside."""

    methods: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Methods of `cellflow list methods`; repeatable, or separated by commas.",
            "metavar": "NAME,..",
            "commas": True,
            "default": ",".join(_METHODS),
            "panel": MODEL,
        },
    )
    variants: Path | None = field(
        default=None,
        metadata={
            "help": "TOML file of model variants, one table of settings per variant.",
            "metavar": "FILE",
            "panel": MODEL,
        },
    )
    by: str | None = field(
        default=None,
        metadata={
            "help": "Hold out the groups of this column in turn.",
            "metavar": "COLUMN",
            "default": "the group key, unless --split-key is given",
        },
    )
    folds: int | None = field(
        default=None,
        metadata={"help": "Folds of the groups.", "default": "one per group, at most 10", "min": 2},
    )
    seeds: int = field(default=1, metadata={"help": "Seeds 0, 1, ...", "min": 1, "panel": COMPUTE})
    score_training: str | None = field(
        default=None,
        metadata={
            "help": "With --split-key: also score the training samples where this column is true.",
            "metavar": "COLUMN",
        },
    )
    against: str | None = field(
        default=None,
        metadata={
            "help": "Reference for paired differences.",
            "metavar": "PREDICTOR",
            "default": "mean-shift, else the first baseline",
            "panel": COMPUTE,
        },
    )
    reference: Path | None = field(
        default=None,
        metadata={
            "help": "Published scores to show beside: predictor,part,metric,value.",
            "metavar": "CSV",
        },
    )


Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="STUDY",
        help="Study folder; resumed if it exists.",
        rich_help_panel=OUTPUT,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Parallel training jobs.",
        show_default="one per core, on a GPU one",
        rich_help_panel=COMPUTE,
    ),
]


@command
def compare(
    data: opt.Data,
    output: Output,
    spec: Annotated[dict[str, Any], OptionsOf(DataSpec, without=("holdout",), given=True)],
    design: Annotated[Design, OptionsOf(Design)],
    settings: Annotated[opt.Settings, OptionsOf(opt.Settings, panel=MODEL)],
    scoring: Annotated[EvaluationConfig, OptionsOf(_SCORING, without=_FIXED, panel=COMPUTE)],
    jobs: Jobs = None,
    device: opt.Device = "auto",
    dry_run: opt.DryRun = False,
    as_json: opt.Json = False,
) -> None:
    """Train, predict and score several methods on held-out groups, and print one table.

    Finished trainings are kept in the folder: the same command resumes where it was stopped, and
    another method or seed only adds its own.

    Example: cellflow compare plates.h5ad --treatment-key treatment --control DMSO --sample-key patient
    --methods mfm,fm --folds 4 -o study
    """
    from cellflow_cli.data.unchanged import file_hashes
    from cellflow_cli.files import check_apart
    from cellflow_cli.study import Study

    check_apart(output, data)
    common = _common_settings(design, settings, spec)
    variants = _variants(design, common)
    against = _reference_predictor(design.against, variants, scoring)
    for data_spec in dict.fromkeys(variant.config.data for variant in variants):
        checked(data, data_spec, 0)
    study = Study(
        variants=variants,
        folds=_folds(design, common, data, variants),
        seeds=tuple(range(design.seeds)),
        data=tuple(path.absolute() for path in data),
        data_hashes=tuple(file_hashes(data).values()),
        scoring=scoring,
        folder=output,
        device=device,
    )
    plan.show(study)
    if not dry_run:
        reference = None if design.reference is None else tables.read_reference(design.reference, study)
        publish = partial(tables.publish, study, against=against, reference=reference, as_json=as_json)
        run_jobs(study, jobs or _workers(device), publish)
    elif as_json:
        console.emit_json(plan.as_json(study))


def _common_settings(design: Design, settings: opt.Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a run that the variants have in common.

    Raises:
        ConfigError: If one of them is none for a comparison, or two options contradict each other.
    """
    by = {} if design.by is None else {"group_key": design.by}
    common = settings.below({"data": {**spec, **by}})
    if common.get("seed", 0) != 0:
        raise ConfigError(
            f"Expected no `seed` in the settings of a comparison, whose seeds are 0, 1 and so on, found "
            f"{common['seed']}. Choose their number with `--seeds`."
        )
    if "split_key" in common["data"]:
        for name in ("by", "folds"):
            if getattr(design, name) is not None:
                raise ConfigError(f"Expected `--{name}` or `--split-key`, found both. Leave one of them out.")
    elif common["data"].get("holdout"):
        raise ConfigError(
            "Expected no `data.holdout` in the settings of a comparison, which holds out every group in "
            f"turn, found {common['data']['holdout']}. Leave those cells out of the data, or divide the "
            "groups with `--split-key`."
        )
    elif design.score_training is not None:
        raise ConfigError("Expected `--split-key` with `--score-training`, found none. Give it too.")
    return common


def _variants(design: Design, common: Mapping[str, Any]) -> "tuple[Variant, ...]":
    from cellflow_cli.study import read_variants, variants_of_methods

    if design.variants is None:
        return tuple(variants_of_methods(design.methods or _METHODS, common))
    return (*variants_of_methods(design.methods, common), *read_variants(design.variants, common))


def _folds(
    design: Design, common: Mapping[str, Any], data: list[Path], variants: "tuple[Variant, ...]"
) -> "tuple[Fold, ...]":
    """What is held out in turn: the groups of `--split-key`, or all groups in folds."""
    from cellflow_cli.config import from_dict
    from cellflow_cli.data.read import read_obs
    from cellflow_cli.data.renaming import as_named
    from cellflow_cli.study import folds_by_column, folds_by_group

    spec = from_dict(common).data
    obs = as_named(read_obs(data), spec)
    if spec.split_key is None:
        return tuple(folds_by_group(obs, spec, design.folds))
    # a refit learns from the validation groups, which are then no longer unseen
    unseen = not any(variant.config.training.refit for variant in variants)
    folds = folds_by_column(obs, spec, design.score_training, validation=unseen)
    if not unseen:
        console.say("Validation groups are part of the final training and not scored; see training.refit")
    return tuple(folds)


def _reference_predictor(name: str | None, variants: "tuple[Variant, ...]", scoring: EvaluationConfig) -> str:
    """The predictor that paired differences are against; names are checked before anything is trained.

    Raises:
        ConfigError: If there is no metric, baseline or predictor of a name.
    """
    from cellflow_cli.catalog import Catalog
    from cellflow_cli.evaluation.evaluate import metric_names

    metric_names(scoring)
    baselines = scoring.baselines or Catalog("baselines").names()
    for baseline in baselines:
        Catalog("baselines").load(baseline)
    known = [*(variant.name for variant in variants), *baselines, "floor"]
    if name is None:
        return "mean-shift" if "mean-shift" in baselines else baselines[0]
    if name not in known:
        raise ConfigError(
            f"Expected one of the predictors {listed(known, 20)}, found {name!r}.{nearest(name, known)} "
            "Choose with `--against`."
        )
    return name


def _workers(device: str) -> int:
    from cellflow_cli.device import resolve
    from cellflow_cli.study import cores

    return cores() if resolve(device).type == "cpu" else 1
