"""A comparison as a folder: which jobs are done, the rest run side by side, and what came out."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from cellflow_cli.errors import CellflowError, ConfigError, NumericalError, OutputError
from cellflow_cli.study.folds import Fold
from cellflow_cli.study.jobs import JOB_FILE, SCORES_FILE, Job, Measure, finished, of_rivals, run_job
from cellflow_cli.study.variants import Variant, check_variants

JOBS = "jobs"
OnDone = Callable[[int, int, Job, dict[str, Any]], None]
OnFailed = Callable[[Job, CellflowError], None]


@dataclass(frozen=True, kw_only=True)
class Study:
    """Variants by folds by seeds, and where the results are.

    Attributes:
        variants, folds, seeds: What is compared.
        data: Files.
        data_hashes: Of the files.
        measure: How to score.
        device: Where to compute.
        folder: Holds a folder `jobs`; each finished job is one folder in it.
    """

    variants: tuple[Variant, ...]
    folds: tuple[Fold, ...]
    seeds: tuple[int, ...]
    data: tuple[Path, ...]
    data_hashes: tuple[str, ...]
    measure: Measure
    folder: Path
    device: str = "auto"

    def __post_init__(self) -> None:
        check_variants(self.variants)

    def jobs(self) -> list[Job]:
        """All jobs, seeds outermost, so that a study cut short has whole tables of fewer seeds.

        One job of each fold scores the baselines, unless a finished one in the folder has, of whatever
        variant: a finished job, whose model need not be trained again, or else the first one.
        """
        folds = [fold for fold in self.folds if fold.scored]
        made = [
            self._job(variant, fold, seed)
            for seed in self.seeds
            for variant in self.variants
            for fold in folds
        ]
        have = set(self._scored_rivals())
        done = [i for i, job in enumerate(made) if finished(job.folder)]
        for i in [*done, *range(len(made))]:
            if made[i].fold.name not in have:
                made[i] = replace(made[i], rivals=True)
                have.add(made[i].fold.name)
        return made

    def _scored_rivals(self) -> dict[str, Path]:
        """For each fold a finished job that scored the baselines on it, if there is one."""
        found: dict[str, Path] = {}
        wanted = {fold.name: self._job(self.variants[0], fold, 0).rival_settings() for fold in self.folds}
        for file in sorted((self.folder / JOBS).glob(f"*/{JOB_FILE}")):
            if file.parent.name.startswith("."):
                continue  # half written, by a comparison that was killed or runs now
            facts = finished(file.parent)
            if not facts or not facts["rivals"] or facts["fold"] in found:
                continue
            if of_rivals(facts["settings"]) == wanted.get(facts["fold"]):
                found[facts["fold"]] = file.parent
        return found

    def _job(self, variant: Variant, fold: Fold, seed: int) -> Job:
        return Job(
            variant=variant, fold=fold, seed=seed, data=self.data, data_hashes=self.data_hashes,
            measure=self.measure, device=self.device,
            folder=self.folder / JOBS / f"{variant.slug}_{fold.name}_{seed}",
        )  # fmt: skip

    def pending(self) -> list[Job]:
        """Jobs that are not done.

        Raises:
            OutputError: If the folder holds other things than a comparison, which its tables would replace.
            ConfigError: If a finished job was trained otherwise: results of two kinds never share a table.
                One that was only scored otherwise is scored again.
        """
        if self.folder.is_dir() and not (self.folder / JOBS).is_dir() and any(self.folder.iterdir()):
            raise OutputError(
                f"Expected a new folder, or that of an earlier comparison, found other files in "
                f"`{self.folder}`. Nothing was changed. Choose another `--output`."
            )
        left = []
        for job in self.jobs():
            facts = finished(job.folder)
            if facts is None:
                left.append(job)
            elif facts["fingerprint"] == job.fingerprint():
                left += [job] if job.rivals else []
            elif job.is_trained(facts):
                left.append(job)
            else:
                raise ConfigError(
                    f"Expected the settings of the job `{job.folder}`, found others: "
                    f"{_difference(facts['settings'], job.settings())}. Choose another `--output`, another "
                    "name for the variant, or remove that folder to have it done again."
                )
        return left

    def scores(self) -> pd.DataFrame:
        """Scores of all finished jobs of the study in tidy form.

        Returns:
            The columns of `Scores.table`, with `row` the name of the variant, a baseline or floor, and
            besides `fold`, `part` and `seed` (missing for baselines, which have none).
        """
        tables = []
        for job in self.jobs():
            if _facts(job):
                table = _read_scores(job.folder / SCORES_FILE)
                own = table[table["predictor"] == "model"]
                tables.append(
                    own.assign(predictor=job.variant.name, fold=job.fold.name, seed=float(job.seed))
                )
        if not tables:
            return pd.DataFrame()
        for fold, folder in self._scored_rivals().items():
            table = _read_scores(folder / SCORES_FILE)
            tables.append(table[table["predictor"] != "model"].assign(fold=fold, seed=float("nan")))
        scores = pd.concat(tables, ignore_index=True)
        order = list(dict.fromkeys([*(variant.name for variant in self.variants), *scores["predictor"]]))
        return scores.sort_values("predictor", key=lambda rows: rows.map(order.index), kind="stable")

    def costs(self) -> pd.DataFrame:
        """For each finished job its variant, fold, seed, steps, parameters and seconds."""
        found = []
        for job in self.jobs():
            if facts := _facts(job):
                seconds, cells = facts["seconds"], facts["cells_predicted"]
                found.append(
                    {
                        "predictor": job.variant.name,
                        "fold": job.fold.name,
                        "seed": job.seed,
                        "steps": facts["steps"],
                        "parameters": facts["run"]["n_parameters"],
                        "train_s": seconds["train"],
                        "step_s": seconds["train"] / max(1, facts["steps"]),
                        "predict_s_per_1000": 1000 * seconds["predict"] / max(1, cells),
                    }
                )
        return pd.DataFrame(found)


def run(study: Study, workers: int, on_done: OnDone | None = None, on_failed: OnFailed | None = None) -> None:
    """Do the jobs of a study that are not done yet, `workers` of them side by side.

    A job that fails leaves the others running; its error is raised at the end. A finished training is
    never done again, so an interrupted study goes on where it was.

    Args:
        study: What to compare.
        workers: Processes; with one, jobs run in this process.
        on_done: Called as `(done, total, job, facts)` after each job, done ones included.
        on_failed: Called as `(job, error)` after each job that failed.

    Raises:
        ConfigError: As `Study.pending`.
        OutputError: If the folder cannot be written.
        CellflowError: The first error of a job.
    """
    pending, total = study.pending(), len(study.jobs())
    try:
        (study.folder / JOBS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Expected to be able to write `{study.folder}`, found: {error.strerror}. Choose another "
            "`--output`."
        ) from error
    done = {job.title for job in study.jobs()} - {job.title for job in pending}
    failed = []
    for job, result in _attempts(study, pending, workers):
        if isinstance(result, CellflowError):
            failed.append((job, result))
            if on_failed is not None:
                on_failed(job, result)
            continue
        done.add(job.title)
        if on_done is not None:
            on_done(len(done), total, job, result)
    if failed:
        job, first = failed[0]
        raise type(first)(
            f"{len(failed)} of {total} jobs failed, first {job.title}: {first} The {len(done)} that are done "
            f"are kept in `{study.folder}`. Where a variant is at fault, leave it out, or give it other "
            "settings under another name with `--variants`."
        )


def _attempts(study: Study, jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Any]]:
    """The jobs, and then, where the one that had the baselines of a fold failed, another of the fold."""
    yield from _results(jobs, workers)
    yield from _results([job for job in study.pending() if finished(job.folder)], workers)


def _results(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any] | CellflowError]]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, _result(job)
        return
    with _pool(min(workers, len(jobs))) as pool:
        futures: dict[Future[Any], Job] = {pool.submit(_result, job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                yield (
                    futures[future],
                    OutputError(
                        "Expected the process of the training to end by itself, found it killed, as happens "
                        "where memory runs out. Run fewer side by side with `--jobs 1`."
                    ),
                )


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that share the cores evenly; an interrupt drops the jobs that have not begun."""
    threads = max(1, cores() // workers)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(threads,),
    )
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


def _begin(threads: int) -> None:
    """A worker leaves an interrupt to the process that started it, which then ends it, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)


def _end_with(parent: int) -> None:
    """A killed parent cannot end its workers: they look after it."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def _result(job: Job) -> dict[str, Any] | CellflowError:
    try:
        return run_job(job)
    except CellflowError as error:
        return error
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _is_memory(error)):
            raise
        return NumericalError(
            "Expected enough memory for the training, found too little. Give the variant a smaller network "
            "or fewer cells a step, or run fewer side by side with `--jobs 1`."
        )


def _is_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "alloc" in str(error)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _facts(job: Job) -> dict[str, Any] | None:
    """What the folder says of the job if it is done, and scored as this study scores."""
    facts = finished(job.folder)
    return facts if facts and facts["fingerprint"] == job.fingerprint() else None


def _read_scores(file: Path) -> pd.DataFrame:
    """A table of scores; labels stay text, also those that look like numbers or like a missing value."""
    text = dict.fromkeys(("sample", "group", "treatment", "predictor", "metric", "reason", "part"), str)
    return pd.read_csv(
        file, dtype=text, keep_default_na=False, na_values=dict.fromkeys(("dose", "value", "se"), [""])
    )


def _difference(found: Any, wanted: Any, at: str = "") -> str:
    """The first setting in which two trees of settings differ, as text."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in [*found, *(k for k in wanted if k not in found)]:
            if found.get(key) != wanted.get(key):
                return _difference(found.get(key), wanted.get(key), f"{at}.{key}" if at else str(key))
    return f"{at} was {found!r} and is {wanted!r}"
