"""Cells of the degenerate predictors of one condition."""

from cellflow_cli.degenerate import Truth
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.cells import Cells
from cellflow_cli.evaluation.run import Job
from cellflow_cli.statistics.degenerate_ranks import PREFIX

_NO_CONTROL = "no control cells of the sample in either file"


def audit_cells(pair: Aligned, other: Cells | str, job: Job) -> dict[str, Cells | str]:
    """For each degenerate predictor its cells, or why it has none; all go through the decoder.

    Args:
        pair: The condition.
        other: Half of the measured cells that no row is compared with, or why there is none.
        job: What stays the same.
    """
    if not job.audit:
        return {}
    if isinstance(other, str) or not len(pair.control):
        return dict.fromkeys(
            (PREFIX + name for name in job.audit), other if isinstance(other, str) else _NO_CONTROL
        )
    truth = Truth(measured=other.flow, control=job.sample(pair).control.flow)
    found: dict[str, Cells | str] = {}
    for name, predictor in job.audit.items():
        generator = job.stream(pair.name, pair.condition.label, "audit", name)
        found[PREFIX + name] = job.files.decoded(predictor(truth, generator))
    return found
