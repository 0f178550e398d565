"""One job of a comparison: train one variant on one fold with one seed, predict, score, write a folder."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import anndata
import pandas as pd

from cellflow_cli.config import to_dict
from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.data.populations import population_table
from cellflow_cli.data.read import read
from cellflow_cli.evaluation.evaluate import score
from cellflow_cli.files import replaced_folder
from cellflow_cli.model import Model, load, train
from cellflow_cli.prediction import PredictionRequest, predict
from cellflow_cli.study.folds import TRAINING, Fold, marks
from cellflow_cli.study.variants import Variant

JOB_FILE, SCORES_FILE, MODEL_FOLDER = "job.json", "scores.csv", "model"
_FACTS = {"fingerprint", "settings", "rivals", "fold", "seconds", "steps", "cells_predicted", "run"}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How predictions are scored, the same for all jobs.

    Attributes:
        metrics: Catalog names.
        baselines: Catalog names of the rows that need no model; None: all.
        max_cells: Most cells on either side of a comparison.
        all_cells: Compare with all measured cells, not with half of them.
        scale: Divide features by their training spread; None: yes unless they are components.
        seed: Of the subsamples.
    """

    metrics: tuple[str, ...] = ("energy", "w2", "mmd-median", "r2-delta")
    baselines: tuple[str, ...] | None = None
    max_cells: int = 2500
    all_cells: bool = False
    scale: bool | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Job:
    """One variant on one fold with one seed.

    Attributes:
        variant, fold, seed: Which.
        data: Files, absolute.
        data_hashes: Of the files, so that a study is not continued on other data.
        measure: How to score.
        device: Where to compute.
        rivals: Whether baselines and floor are scored too: they are the same for all variants and seeds of
            a fold, so one job has them.
        folder: Where the result goes.
    """

    variant: Variant
    fold: Fold
    seed: int
    data: tuple[Path, ...]
    data_hashes: tuple[str, ...]
    measure: Measure
    device: str = "auto"
    rivals: bool = False
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
            "only": self.fold.only,
            "measure": asdict(self.measure),
            "data": self.data_hashes,
        }
        return json.loads(json.dumps(settings))  # as a finished job has them: lists for tuples

    def rival_settings(self) -> dict[str, Any]:
        """All that the scores of the rows that need no model depend on."""
        return of_rivals(self.settings())

    def is_trained(self, facts: Mapping[str, Any]) -> bool:
        """Whether a finished job has the model that this one would train, however it was scored."""
        return _of_model(facts["settings"]) == _of_model(self.settings())

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the settings."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def of_rivals(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What baselines and floor depend on in a job's settings: all but the method and its training."""
    kept = {name: value for name, value in settings.items() if name != "config"}
    return {**kept, "data_spec": settings["config"]["data"]}


def _of_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "measure"}


def run_job(job: Job) -> dict[str, Any]:
    """Do the job and write its folder: `job.json`, `scores.csv` and the model.

    Where the folder has the model of a job that is finished, that one is predicted and scored with.

    Returns:
        The content of `job.json`.

    Raises:
        CellflowError: Whatever training, prediction or scoring find; nothing is written then.
    """
    adata = read(job.data, job.fold.spec.features)
    populations = population_table(adata.obs, job.fold.spec)
    if populations.dropped:  # what is left out of training is left out of scores too
        adata = adata[populations.rows_of(populations.groups)].copy()
    config, before = job.variant.config, finished(job.folder)
    if before is not None and job.is_trained(before):
        model = load(job.folder / MODEL_FOLDER, device=job.device)
    else:
        run = replace(config, data=job.fold.spec, seed=job.seed)
        model = train(adata, run, device=job.device)
    table, seconds, n_cells = scored(model, adata, job)
    facts = {
        "variant": job.variant.name,
        "fold": job.fold.name,
        "seed": job.seed,
        "rivals": job.rivals,
        "fingerprint": job.fingerprint(),
        "settings": job.settings(),
        "seconds": {"train": _training_seconds(model), **seconds},
        "steps": _training_steps(model),
        "cells_predicted": n_cells,
        "run": dict(model.run),
    }
    with replaced_folder(job.folder, force=True) as temporary:
        model.save(temporary / MODEL_FOLDER)
        table.to_csv(temporary / SCORES_FILE, index=False)
        text = json.dumps(facts, indent=2, ensure_ascii=False, default=str)
        (temporary / JOB_FILE).write_text(f"{text}\n", encoding="utf-8")
    return facts


def scored(model: Model, adata: anndata.AnnData, job: Job) -> tuple[pd.DataFrame, dict[str, float], int]:
    """Scores of all parts, seconds spent on them, and the number of predicted cells.

    One group at a time is predicted, so that memory does not grow with their number.
    """
    tables, spent, n_cells = [], {"predict": 0.0, "score": 0.0}, 0
    for part, samples in _parts(adata, job.fold):
        started = time.monotonic()
        predicted = predict(model, adata, PredictionRequest(samples=samples, like=adata.obs))
        at = time.monotonic()
        spent["predict"] += at - started
        n_cells += int(predicted.obs["cellflow_is_predicted"].sum())
        found = score(
            predicted, adata, transform=model.transform, summaries=model.summaries,
            metrics=job.measure.metrics, baselines=job.measure.baselines if job.rivals else (),
            max_cells=job.measure.max_cells, all_cells=job.measure.all_cells, seed=job.measure.seed,
            scale=job.measure.scale, device=model.device, audit=False, cell_types=False,
        )  # fmt: skip
        spent["score"] += time.monotonic() - at
        table = found.table if job.rivals else found.table[found.table["row"] == "model"]
        tables.append(table.assign(part=part))
    return pd.concat(tables, ignore_index=True), {k: round(v, 3) for k, v in spent.items()}, n_cells


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
    if fold.only is not None:
        column = adata.obs[fold.only]
        marked = {fold.only: distinct(labels(column[marks(adata.obs, fold.only)]))}
    for part, names in fold.scored:
        for name in names:
            yield part, {fold.spec.group: [name], **(marked if part == TRAINING else {})}


def _training_seconds(model: Model) -> float:
    """Seconds in the loop, validation included, over both stages."""
    rows = model.history.rows
    stages = dict.fromkeys(row["stage"] for row in rows)
    return round(sum(max(r["seconds"] for r in rows if r["stage"] == stage) for stage in stages), 3)


def _training_steps(model: Model) -> int:
    rows = model.history.rows
    stages = dict.fromkeys(row["stage"] for row in rows)
    return sum(max(r["step"] for r in rows if r["stage"] == stage) for stage in stages)
