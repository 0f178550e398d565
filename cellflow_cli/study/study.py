"""A comparison as a folder: which jobs are done, which are pending, and what came out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cellflow_cli.errors import ConfigError, OutputError
from cellflow_cli.evaluation.config import EvaluationConfig
from cellflow_cli.files import address_of
from cellflow_cli.statistics.lines import MODEL
from cellflow_cli.study.folds import Fold
from cellflow_cli.study.job import JOB_FILE, SCORES_FILE, StudyJob, baseline_settings, finished
from cellflow_cli.study.variants import Variant, check_variants

JOBS = "jobs"
_TEXT = ("sample", "group", "treatment", "predictor", "metric", "reason", "part")
_NUMBERS = ("dose", "value", "se")


@dataclass(frozen=True, kw_only=True)
class Study:
    """Variants by folds by seeds, and where the results are.

    Attributes:
        variants, folds, seeds: What is compared.
        data: Files.
        data_hashes: Of the files.
        scoring: How predictions are scored.
        device: Where to compute.
        folder: Holds a folder `jobs`; each finished job is one folder in it.
    """

    variants: tuple[Variant, ...]
    folds: tuple[Fold, ...]
    seeds: tuple[int, ...]
    data: tuple[Path, ...]
    data_hashes: tuple[str, ...]
    scoring: EvaluationConfig
    folder: Path
    device: str = "auto"

    def __post_init__(self) -> None:
        check_variants(self.variants)

    def jobs(self) -> list[StudyJob]:
        """All jobs, seeds outermost, so that a study cut short has whole tables of fewer seeds.

        One job of each fold scores the baselines, unless a finished one in the folder has, of whatever
        variant: a finished job, whose model need not be trained again, or else the first one.
        """
        folds = [fold for fold in self.folds if fold.scored]
        jobs = [
            self._job(variant, fold, seed)
            for seed in self.seeds
            for variant in self.variants
            for fold in folds
        ]
        with_baselines = set(self._baseline_folders())
        done = [i for i, job in enumerate(jobs) if finished(job.folder)]
        for i in [*done, *range(len(jobs))]:
            if jobs[i].fold.name not in with_baselines:
                jobs[i] = replace(jobs[i], score_baselines=True)
                with_baselines.add(jobs[i].fold.name)
        return jobs

    def _baseline_folders(self) -> dict[str, Path]:
        """For each fold a finished job that scored the baselines on it, if there is one."""
        folders: dict[str, Path] = {}
        wanted = {fold.name: self._job(self.variants[0], fold, 0).baseline_settings() for fold in self.folds}
        for file in sorted((self.folder / JOBS).glob(f"*/{JOB_FILE}")):
            if file.parent.name.startswith("."):
                continue  # half written, by a comparison that was killed or runs now
            facts = finished(file.parent)
            if not facts or not facts["score_baselines"] or facts["fold"] in folders:
                continue
            if baseline_settings(facts["settings"]) == wanted.get(facts["fold"]):
                folders[facts["fold"]] = file.parent
        return folders

    def _job(self, variant: Variant, fold: Fold, seed: int) -> StudyJob:
        return StudyJob(
            variant=variant,
            fold=fold,
            seed=seed,
            data=self.data,
            data_hashes=self.data_hashes,
            scoring=self.scoring,
            device=self.device,
            folder=self.folder / JOBS / f"{variant.slug}_{fold.name}_{seed}",
        )

    def pending(self) -> list[StudyJob]:
        """Jobs that are not done.

        Raises:
            OutputError: If the folder is an address, or holds other things than a comparison, which its
                tables would replace.
            ConfigError: If a finished job was trained otherwise: results of two kinds never share a table.
                One that was only scored otherwise is scored again.
        """
        if address := address_of(self.folder):
            raise OutputError(
                f"Expected a local folder for the study, found the address `{address}`. Choose a local or "
                "mounted folder with `--output`."
            )
        if self.folder.is_dir() and not (self.folder / JOBS).is_dir() and any(self.folder.iterdir()):
            raise OutputError(
                f"Expected a new folder, or that of an earlier comparison, found other files in "
                f"`{self.folder}`. Nothing was changed. Choose another `--output`."
            )
        pending = []
        for job in self.jobs():
            facts = finished(job.folder)
            if facts is None:
                pending.append(job)
            elif facts["fingerprint"] == job.fingerprint():
                pending += [job] if job.score_baselines else []
            elif job.is_trained(facts):
                pending.append(job)
            else:
                raise ConfigError(
                    f"Expected the settings of the job `{job.folder}`, found others: "
                    f"{_difference(facts['settings'], job.settings())}. Choose another `--output`, another "
                    "name for the variant, or remove that folder to have it done again."
                )
        return pending

    def scores(self) -> pd.DataFrame:
        """Scores of all finished jobs of the study in tidy form.

        Returns:
            The columns of `Scores.table`, where `predictor` is a variant, a baseline or the floor, and
            `fold`, `part` and `seed` (missing for baselines, which have none).
        """
        tables = []
        for job in self.jobs():
            if _facts(job):
                table = _read_scores(job.folder / SCORES_FILE)
                own = table[table["predictor"] == MODEL]
                tables.append(
                    own.assign(predictor=job.variant.name, fold=job.fold.name, seed=float(job.seed))
                )
        if not tables:
            return pd.DataFrame()
        for fold, folder in self._baseline_folders().items():
            table = _read_scores(folder / SCORES_FILE)
            tables.append(table[table["predictor"] != MODEL].assign(fold=fold, seed=float("nan")))
        scores = pd.concat(tables, ignore_index=True)
        order = list(dict.fromkeys([*(variant.name for variant in self.variants), *scores["predictor"]]))
        return scores.sort_values("predictor", key=lambda names: names.map(order.index), kind="stable")

    def costs(self) -> pd.DataFrame:
        """For each finished job its variant, fold, seed, steps, parameters and seconds."""
        return pd.DataFrame([_cost(job, facts) for job in self.jobs() if (facts := _facts(job))])


def _cost(job: StudyJob, facts: Mapping[str, Any]) -> dict[str, Any]:
    seconds, steps = facts["seconds"], facts["steps"]
    return {
        "predictor": job.variant.name,
        "fold": job.fold.name,
        "seed": job.seed,
        "steps": steps,
        "parameters": facts["run"]["n_parameters"],
        "train_s": seconds["train"],
        "step_s": seconds["train"] / max(1, steps),
        "predict_s_per_1000": 1000 * seconds["predict"] / max(1, facts["cells_predicted"]),
    }


def _facts(job: StudyJob) -> dict[str, Any] | None:
    """The content of `job.json` if the job is done, and scored as this study scores."""
    facts = finished(job.folder)
    return facts if facts and facts["fingerprint"] == job.fingerprint() else None


def _read_scores(file: Path) -> pd.DataFrame:
    """A table of scores; labels stay text, also those that look like numbers or like a missing value."""
    return pd.read_csv(
        file,
        dtype=dict.fromkeys(_TEXT, str),
        keep_default_na=False,
        na_values=dict.fromkeys(_NUMBERS, [""]),
    )


def _difference(before: Any, now: Any, at: str = "") -> str:
    """The first setting in which two trees of settings differ, as text."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(k for k in now if k not in before)]:
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{at}.{key}" if at else str(key))
    return f"{at} was {before!r} and is {now!r}"
