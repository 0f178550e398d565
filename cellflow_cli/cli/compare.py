"""`cellflow compare`: methods side by side on the user's own data, over seeds and held-out groups."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import _study_plan as plan
from cellflow_cli.cli import _study_tables as tables
from cellflow_cli.cli import console
from cellflow_cli.errors import CellflowError, ConfigError

if TYPE_CHECKING:
    from cellflow_cli.study import Job, Measure, Study


def compare(
    data: opt.Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="STUDY", help="Folder to write, or to go on with.",
            rich_help_panel=opt.OUTPUT,
        ),
    ],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,..",
            help="Methods of `cellflow list methods`; repeatable, or separated by commas.",
            show_default="mfm,fm",
            rich_help_panel=opt.MODEL,
        ),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Further rows as TOML: a table of settings for each, such as method.embedder.name.",
            rich_help_panel=opt.MODEL,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Hold out the groups of this column in turn.",
            show_default="the group key, unless --split-key is given",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2, help="Folds of the groups.", show_default="one per group, at most 10",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ...", rich_help_panel=opt.COMPUTE)] = 1,
    score_training: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="With --split-key: also score the training samples where this column is true.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    treatment_key: opt.TreatmentKey = None,
    control: opt.Control = None,
    sample_key: opt.SampleKey = None,
    group_key: opt.GroupKey = None,
    match_key: opt.MatchKey = None,
    batch_key: opt.BatchKey = None,
    dose_key: opt.DoseKey = None,
    dose_unit: opt.DoseUnit = None,
    cell_type_key: opt.CellTypeKey = None,
    covariate_key: opt.CovariateKey = None,
    pairs_key: opt.PairsKey = None,
    features: opt.Features = None,
    expression: opt.Expression = None,
    split_key: opt.SplitKey = None,
    min_cells: opt.MinCells = None,
    drop_small: opt.DropSmall = None,
    drop_unpaired: opt.DropUnpaired = None,
    config: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    metrics: Annotated[list[str] | None, opt.metrics_option("energy,w2,mmd-median,r2-delta")] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,..", help="Rows of `cellflow list baselines`; repeatable, or separated by commas.",
            show_default="all", rich_help_panel=opt.COMPUTE,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="ROW", help="Row that the paired differences are against.",
            show_default="mean-shift, else the first baseline", rich_help_panel=opt.COMPUTE,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Rows from elsewhere to show beside: predictor,part,metric,value.",
            rich_help_panel=opt.INPUT,
        ),
    ] = None,
    scale: opt.Scale = None,
    max_cells: opt.MaxCells = 2500,
    all_cells: opt.AllCells = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Trainings side by side.", show_default="one per core, on a GPU one",
            rich_help_panel=opt.COMPUTE,
        ),
    ] = None,
    device: opt.Device = "auto",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what would be trained, and stop.", show_default=False,
            rich_help_panel=opt.COMPUTE,
        ),
    ] = False,
    as_json: opt.Json = False,
) -> None:  # fmt: skip
    """Train, predict and score several methods on held-out groups, and print one table.

    Finished trainings are kept in the folder: the same command goes on where it was stopped, and a
    further method or seed only adds its own.

    Example: cellflow compare plates.h5ad --treatment-key treatment --control DMSO --sample-key patient
    --methods mfm,fm --folds 4 -o study
    """
    given = locals()
    study = _study(given, _settings(given))
    plan.show(study)
    workers = jobs or _workers(device)
    if dry_run:
        if as_json:
            console.emit_json(plan.as_json(study))
        return
    _finish(study, workers, given, as_json)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """All common settings of a run."""
    data = opt.data_settings(given)
    if given["by"] is not None:
        data["group_key"] = given["by"]
    common = opt.settings(given["config"], given["assignments"], {"data": data})
    if common.get("seed", 0) != 0:
        raise ConfigError(
            f"Expected no `seed` in the settings of a comparison, whose seeds are 0, 1 and so on, found "
            f"{common['seed']}. Choose their number with `--seeds`."
        )
    if "split_key" in common["data"]:
        for name in ("by", "folds"):
            if given[name] is not None:
                raise ConfigError(f"Expected `--{name}` or `--split-key`, found both. Leave one of them out.")
    elif common["data"].get("holdout"):
        raise ConfigError(
            "Expected no `data.holdout` in the settings of a comparison, which holds out every group in "
            f"turn, found {common['data']['holdout']}. Leave those cells out of the data, or divide the "
            "groups with `--split-key`."
        )
    elif given["score_training"] is not None:
        raise ConfigError("Expected `--split-key` with `--score-training`, found none. Give it too.")
    return common


def _study(given: dict[str, Any], common: dict[str, Any]) -> "Study":
    from cellflow_cli.config import from_dict
    from cellflow_cli.data.read import file_hashes, read_obs
    from cellflow_cli.study import Study, folds_by_column, folds_by_group, read_variants, variants_of_methods

    named = opt.names(given["methods"])
    if not named and given["variants"] is None:
        named = ["mfm", "fm"]
    variants = variants_of_methods(named, common)
    variants += read_variants(given["variants"], common) if given["variants"] is not None else []
    measure = _measure(given)
    _check_against(given["against"], [*(variant.name for variant in variants), *_baselines(measure)])
    spec = from_dict(common).data
    obs = read_obs(given["data"])
    if spec.split_key is not None:
        # a refit learns from the validation groups, which are then no longer unseen
        unseen = not any(variant.config.training.refit for variant in variants)
        folds = folds_by_column(obs, spec, given["score_training"], validation=unseen)
        if not unseen:
            console.say("Groups of val are trained on in the end and not scored; see training.refit")
    else:
        folds = folds_by_group(obs, spec, given["folds"])
    paths = tuple(path.absolute() for path in given["data"])
    return Study(
        variants=tuple(variants), folds=tuple(folds), seeds=tuple(range(given["seeds"])), data=paths,
        data_hashes=tuple(file_hashes(given["data"]).values()), measure=measure, folder=given["output"],
        device=given["device"],
    )  # fmt: skip


def _measure(given: dict[str, Any]) -> "Measure":
    """How to score, names checked before anything is trained."""
    from cellflow_cli.catalog import Catalog
    from cellflow_cli.study import Measure

    baselines = opt.names(given["baselines"])
    for name in baselines:
        Catalog("baselines").load(name)
    return Measure(
        metrics=tuple(opt.metric_names(given["metrics"]) or Measure().metrics),
        baselines=tuple(baselines) or None, max_cells=given["max_cells"], all_cells=given["all_cells"],
        scale=given["scale"],
    )  # fmt: skip


def _baselines(measure: "Measure") -> tuple[str, ...]:
    from cellflow_cli.catalog import Catalog

    return tuple(Catalog("baselines").names()) if measure.baselines is None else measure.baselines


def _usual_rival(measure: "Measure") -> str:
    rows = _baselines(measure)
    return "mean-shift" if "mean-shift" in rows else rows[0]


def _check_against(row: str | None, rows: list[str]) -> None:
    from cellflow_cli.errors import listed, nearest

    known = [*rows, "floor"]
    if row is not None and row not in known:
        raise ConfigError(
            f"Expected one of the rows {listed(known, 20)}, found {row!r}.{nearest(row, known)} Choose with "
            "`--against`."
        )


def _workers(device: str) -> int:
    from cellflow_cli.device import resolve
    from cellflow_cli.study import cores

    return cores() if resolve(device).type == "cpu" else 1


def _finish(study: "Study", workers: int, given: dict[str, Any], as_json: bool) -> None:
    from cellflow_cli.study import run

    reference = None if given["reference"] is None else tables.read_reference(given["reference"], study)
    pending = len(study.pending())
    if pending:
        console.say(f"Training {pending}, {min(workers, pending)} at a time")
    progress = _Progress(pending)
    against = given["against"] or _usual_rival(study.measure)
    try:
        run(study, workers, progress.done, progress.failed)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"Interrupted. Finished trainings are kept in `{study.folder}`; the same command goes on there."
        ) from interrupt
    except CellflowError:
        if progress.failures and not study.costs().empty:
            _tell(study, against, reference, progress.failures, as_json)
        raise
    _tell(study, against, reference, [], as_json)


def _tell(
    study: "Study", against: str, reference: Any, failures: list[dict[str, Any]], as_json: bool
) -> None:
    """What the finished jobs found."""
    found = tables.write(study, against, reference, failures)
    tables.show(found, study, reference)
    if as_json:
        console.emit_json(found["summary"])
    tables.draw(study)


class _Progress:
    """A line for each job, with the time left; the failures are kept."""

    def __init__(self, n_pending: int) -> None:
        self.failures: list[dict[str, Any]] = []
        self._started, self._n_pending, self._n_ended = time.monotonic(), n_pending, 0

    def done(self, done: int, total: int, job: "Job", facts: dict[str, Any]) -> None:
        self._n_ended += 1
        spent, seconds = time.monotonic() - self._started, facts["seconds"]
        left = max(0.0, spent / self._n_ended * (self._n_pending - self._n_ended))
        console.say(
            f"{done}/{total} {job.title}: trained in {seconds['train']:.0f} s, predicted in "
            f"{seconds['predict']:.0f} s, scored in {seconds['score']:.0f} s; about "
            f"{console.duration(left)} left"
        )

    def failed(self, job: "Job", error: CellflowError) -> None:
        self._n_ended += 1
        console.say(f"{job.title} failed: {error}", style="yellow")
        self.failures.append(
            {"job": job.title, "predictor": job.variant.name, "fold": job.fold.name, "seed": job.seed,
             "reason": str(error)}
        )  # fmt: skip
