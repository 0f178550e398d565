"""One job of a comparison: train one variant on one fold with one seed, predict, score, write a folder."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import pandas as pd

from cellflow_cli.config import to_dict
from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.read import read
from cellflow_cli.data.renaming import as_named
from cellflow_cli.data.unchanged import check_unchanged
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.evaluation.evaluate import evaluate
from cellflow_cli.files import replaced_folder
from cellflow_cli.model import Model, load, plan, train
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.prediction.flags import PREDICTED
from cellflow_cli.statistics.lines import MODEL
from cellflow_cli.study.folds import TRAINING, Fold, marks
from cellflow_cli.study.variants import Variant

JOB_FILE, SCORES_FILE, MODEL_FOLDER = "job.json", "scores.csv", "model"
_FACTS = {"fingerprint", "settings", "score_baselines", "fold", "seconds", "steps", "cells_predicted", "run"}


@dataclass(frozen=True, kw_only=True)
class StudyJob:
    """One variant on one fold with one seed.

    Attributes:
        variant, fold, seed: Which.
        data: Files, absolute.
        data_hashes: Of the files, so that a study is not continued on other data.
        scoring: How predictions are scored.
        device: Where to compute.
        score_baselines: Whether baselines and floor are scored too: they are the same for all variants and
            seeds of a fold, so one job has them.
        folder: Where the result goes.
    """

    variant: Variant
    fold: Fold
    seed: int
    data: tuple[Path, ...]
    data_hashes: tuple[str, ...]
    scoring: EvaluationConfig
    device: str = "auto"
    score_baselines: bool = False
    folder: Path = field(default=Path())

    @property
    def title(self) -> str:
        """For progress lines and messages."""
        return f"{self.variant.name}, fold {self.fold.name}, seed {self.seed}"

    def settings(self) -> dict[str, Any]:
        """All that the scores depend on."""
        config = replace(self.variant.config, data=self.fold.spec, seed=self.seed)
        settings = {
            "config": to_dict(config),
            "scored": self.fold.scored,
            "training_column": self.fold.training_column,
            "scoring": asdict(self.scoring),
            "data": self.data_hashes,
        }
        return json.loads(json.dumps(settings))  # as a finished job has them: lists for tuples

    def baseline_settings(self) -> dict[str, Any]:
        """All that the scores of baselines and floor depend on."""
        return baseline_settings(self.settings())

    def is_trained(self, facts: Mapping[str, Any]) -> bool:
        """Whether a finished job has the model that this one would train, however it was scored."""
        return _model_settings(facts["settings"]) == _model_settings(self.settings())

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the settings."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def baseline_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What baselines and floor depend on in the settings of a job: all but the method and its training."""
    kept = {name: value for name, value in settings.items() if name != "config"}
    return {**kept, "data_spec": settings["config"]["data"]}


def _model_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "scoring"}


def run_job(job: StudyJob) -> dict[str, Any]:
    """Do the job and write its folder: `job.json`, `scores.csv` and the model.

    Where the folder has the model of a job that is finished, that one is predicted and scored with.

    Returns:
        The content of `job.json`.

    Raises:
        CellflowError: Whatever training, prediction or scoring find; nothing is written then.
    """
    adata = as_named(read(job.data, job.fold.spec.features), job.fold.spec)
    check_unchanged(job.data, job.data_hashes)
    populations = population_table(adata.obs, job.fold.spec)
    if populations.dropped:  # dropped from the training, and so from the scores
        adata = adata[populations.rows_of(populations.groups)].copy()
    model = _model(job, adata)
    scores = _scores(model, adata, job)
    facts = {
        "variant": job.variant.name,
        "fold": job.fold.name,
        "seed": job.seed,
        "score_baselines": job.score_baselines,
        "fingerprint": job.fingerprint(),
        "settings": job.settings(),
        "seconds": {"train": _training_seconds(model), **scores.seconds},
        "steps": _training_steps(model),
        "cells_predicted": scores.n_cells,
        "run": dict(model.run),
    }
    with replaced_folder(job.folder, force=True) as temporary:
        model.save(temporary / MODEL_FOLDER)
        scores.table.to_csv(temporary / SCORES_FILE, index=False)
        text = json.dumps(facts, indent=2, ensure_ascii=False, default=str)
        (temporary / JOB_FILE).write_text(f"{text}\n", encoding="utf-8")
    return facts


def _model(job: StudyJob, adata: anndata.AnnData) -> Model:
    """The model of the finished job, or a new one."""
    facts = finished(job.folder)
    if facts is not None and job.is_trained(facts):
        return load(job.folder / MODEL_FOLDER, device=job.device)
    run = replace(job.variant.config, data=job.fold.spec.of_named_data(), seed=job.seed)
    return train(adata, run, plan=plan(adata.obs, run), device=job.device)  # checked before the first job


class _JobScores(NamedTuple):
    """Scores of all parts, seconds spent on them, and the number of predicted cells."""

    table: pd.DataFrame
    seconds: dict[str, float]
    n_cells: int


def _scores(model: Model, adata: anndata.AnnData, job: StudyJob) -> _JobScores:
    """Predict and score one group at a time, so that memory does not grow with their number.

    Degenerate predictors and single cell types are never scored: a study compares variants.
    """
    baselines = job.scoring.baselines if job.score_baselines else ()
    config = replace(job.scoring, baselines=baselines, audit=False, cell_types=False)
    known: dict[str, Any] = {"transform": model.transform, "summaries": model.summaries}
    tables, seconds, n_cells = [], {"predict": 0.0, "score": 0.0}, 0
    for part, samples in _parts(adata, job.fold):
        started = time.monotonic()
        predicted = predict(model, adata, PredictionRequest(samples=samples, like=adata.obs))
        between = time.monotonic()
        n_cells += int(predicted.obs[PREDICTED].sum())
        table = evaluate(predicted, adata, config, device=model.device, **known).table
        seconds["predict"] += between - started
        seconds["score"] += time.monotonic() - between
        kept = table if job.score_baselines else table[table["predictor"] == MODEL]
        tables.append(kept.assign(part=part))
    rounded = {name: round(value, 3) for name, value in seconds.items()}
    return _JobScores(pd.concat(tables, ignore_index=True), rounded, n_cells)


def finished(folder: Path) -> dict[str, Any] | None:
    """The content of `job.json` if the job is done, else None; a damaged folder is as good as none."""
    try:
        facts = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    whole = isinstance(facts, dict) and facts.keys() >= _FACTS and (folder / SCORES_FILE).exists()
    return facts if whole else None


def _parts(adata: anndata.AnnData, fold: Fold) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each part with the values of obs columns that choose one group of it."""
    marked: dict[str, list[str]] = {}
    if fold.training_column is not None:
        rows = marks(adata.obs, fold.training_column)
        marked = {fold.training_column: distinct(labels(adata.obs[fold.training_column][rows]))}
    for part, names in fold.scored:
        for name in names:
            yield part, {fold.spec.group: [name], **(marked if part == TRAINING else {})}


def _training_seconds(model: Model) -> float:
    """Seconds in the loop, validation included, over both stages."""
    return round(sum(_last(model, "seconds")), 3)


def _training_steps(model: Model) -> int:
    return sum(_last(model, "step"))


def _last(model: Model, column: str) -> list[Any]:
    """The largest value that each stage of the training has in a column of the history."""
    rows = model.history.rows
    stages = dict.fromkeys(row["stage"] for row in rows)
    return [max(row[column] for row in rows if row["stage"] == stage) for stage in stages]
