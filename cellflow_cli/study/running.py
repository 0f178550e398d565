"""Running the jobs of a study: in this process or in several, each failure kept apart."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import torch

from cellflow_cli.errors import CellflowError, NumericalError, OutputError, is_out_of_memory
from cellflow_cli.study.job import StudyJob, finished, run_job
from cellflow_cli.study.study import JOBS, Study

Facts = dict[str, Any]
DoJob = Callable[[StudyJob], Facts]
OnDone = Callable[[int, int, StudyJob, Facts], None]
OnFailed = Callable[[StudyJob, CellflowError], None]


def run(
    study: Study,
    workers: int,
    on_done: OnDone | None = None,
    on_failed: OnFailed | None = None,
    do: DoJob = run_job,
) -> None:
    """Do the jobs of a study that are not done yet, `workers` of them in parallel.

    A job that fails leaves the others running; its error is raised at the end. A finished training is
    never repeated, so an interrupted study resumes where it was.

    Args:
        study: What to compare.
        workers: Processes; with one, jobs run in this process.
        on_done: Called as `(done, total, job, facts)` after each job, done ones included.
        on_failed: Called as `(job, error)` after each job that failed.
        do: Called as `(job) -> facts`; with several workers in a process of its own.

    Raises:
        ConfigError: As `Study.pending`.
        OutputError: If the folder cannot be written.
        CellflowError: The first error of a job.
    """
    pending, total = study.pending(), len(study.jobs())
    _make_folder(study)
    done = {job.title for job in study.jobs()} - {job.title for job in pending}
    failed = []
    for job, result in _attempts(study, pending, workers, do):
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


def _make_folder(study: Study) -> None:
    try:
        (study.folder / JOBS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Expected to be able to write `{study.folder}`, found: {error.strerror}. Choose another "
            "`--output`."
        ) from error


def _attempts(
    study: Study, jobs: Sequence[StudyJob], workers: int, do: DoJob
) -> Iterator[tuple[StudyJob, Facts | CellflowError]]:
    """The jobs, and then, where the one that scored the baselines of a fold failed, another of the fold."""
    yield from _results(jobs, workers, do)
    yield from _results([job for job in study.pending() if finished(job.folder)], workers, do)


def _results(
    jobs: Sequence[StudyJob], workers: int, do: DoJob
) -> Iterator[tuple[StudyJob, Facts | CellflowError]]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, _result(job, do)
        return
    with _pool(min(workers, len(jobs))) as pool:
        futures: dict[Future[Any], StudyJob] = {pool.submit(_result, job, do): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                yield (
                    futures[future],
                    OutputError(
                        "Expected the process of the training to end by itself, found it killed, as happens "
                        "where memory runs out. Run fewer in parallel with `--jobs 1`."
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
    """End this process once its parent is gone: a killed parent cannot end its workers."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def _result(job: StudyJob, do: DoJob) -> Facts | CellflowError:
    try:
        return do(job)
    except CellflowError as error:
        return error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return NumericalError(
            "Expected enough memory for the training, found too little. Give the variant a smaller network "
            "or fewer cells a step, or run fewer in parallel with `--jobs 1`."
        )


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
