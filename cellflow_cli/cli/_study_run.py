"""Running a comparison: a line for each job, and the results at the end or where jobs fail."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cellflow_cli.cli import console
from cellflow_cli.errors import CellflowError

if TYPE_CHECKING:
    from cellflow_cli.study import Study, StudyJob

Failures = list[dict[str, Any]]


def run_jobs(study: "Study", workers: int, publish: Callable[[Failures], None]) -> None:
    """Do the jobs that are not done, and publish the results, also of those that finish where others fail.

    Args:
        study: What is compared.
        workers: Processes.
        publish: Called with the failures once there are results.
    """
    from cellflow_cli.study import run

    n_pending = len(study.pending())
    if n_pending:
        console.say(f"Training {n_pending}, {min(workers, n_pending)} at a time")
    progress = _Progress(n_pending)
    try:
        run(study, workers, progress.done, progress.failed)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"Interrupted. Finished trainings are kept in `{study.folder}`; the same command resumes there."
        ) from interrupt
    except CellflowError:
        if progress.failures and not study.costs().empty:
            publish(progress.failures)
        raise
    publish([])


class _Progress:
    """A line for each job, with the time left; the failures are kept."""

    def __init__(self, n_pending: int) -> None:
        self.failures: Failures = []
        self._started, self._n_pending, self._n_ended = time.monotonic(), n_pending, 0

    def done(self, done: int, total: int, job: "StudyJob", facts: dict[str, Any]) -> None:
        self._n_ended += 1
        spent, seconds = time.monotonic() - self._started, facts["seconds"]
        left = max(0.0, spent / self._n_ended * (self._n_pending - self._n_ended))
        console.say(
            f"{done}/{total} {job.title}: trained in {seconds['train']:.0f} s, predicted in "
            f"{seconds['predict']:.0f} s, scored in {seconds['score']:.0f} s; about "
            f"{console.duration(left)} left"
        )

    def failed(self, job: "StudyJob", error: CellflowError) -> None:
        self._n_ended += 1
        console.say(f"{job.title} failed: {error}", style="yellow")
        self.failures.append(
            {"job": job.title, "predictor": job.variant.name, "fold": job.fold.name, "seed": job.seed,
             "reason": str(error)}
        )  # fmt: skip
