"""`cellflow evaluate --fail-if-worse-than`: a bar that the user sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cellflow_cli.cli import _options as opt
from cellflow_cli.cli import console

if TYPE_CHECKING:
    from cellflow_cli.evaluation.result import Scores

FailIfWorseThan = Annotated[
    str | None,
    typer.Option(
        "--fail-if-worse-than",
        metavar="BASELINE",
        help="End with exit code 7 if the model's mean is worse than that of this row.",
        rich_help_panel=opt.COMPUTE,
    ),
]
GateMetric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Metric of `--fail-if-worse-than`.",
        show_default="energy",
        rich_help_panel=opt.COMPUTE,
    ),
]


def bar(
    baseline: str | None, metric: str | None, metrics: list[str] | None, definitions: list[str]
) -> tuple[str, str] | None:
    """Baseline and metric of `--fail-if-worse-than`, checked before any file is opened; None without it.

    Args:
        baseline: Its name, if given.
        metric: Its name, if given.
        metrics: Those to score; None for all of ours.
        definitions: Projects whose metrics are scored too.

    Raises:
        ConfigError: If a name is unknown, the metric is not scored, or there is a metric alone.
    """
    from cellflow_cli.errors import ConfigError
    from cellflow_cli.evaluation.config import EvaluationConfig
    from cellflow_cli.evaluation.evaluate import metric_names
    from cellflow_cli.statistics.gate import DEFAULT_METRIC, check_names

    if baseline is None:
        if metric is not None:
            raise ConfigError(
                f"Expected `--fail-if-worse-than BASELINE` beside `--metric`, found {metric!r} alone. "
                "The metrics to score are chosen with `--metrics`."
            )
        return None
    config = EvaluationConfig(metrics=tuple(metrics) if metrics else None, definitions=tuple(definitions))
    check_names(baseline, metric or DEFAULT_METRIC, metric_names(config))
    return baseline, metric or DEFAULT_METRIC


def fail_if_worse(scores: "Scores", baseline: str, metric: str, output: Path) -> None:
    """Say how the model stands with the bar, and raise if it is below; the report is already written.

    Raises:
        GateError: If the model's mean is worse.
        MetricError: If the two cannot be compared.
    """
    from cellflow_cli.errors import GateError, MetricError
    from cellflow_cli.statistics.gate import gate

    try:
        found = gate(scores.table, baseline, metric, seen_in_training=scores.seen_in_training)
    except MetricError as error:
        raise MetricError(f"{error} The report is in `{output}`.") from error
    if found.worse:
        raise GateError(
            f"Expected the model not to be worse than `{baseline}`, found {found.text}. "
            f"The report is in `{output}`."
        )
    console.say(f"Not worse than {baseline}: {found.text.replace('`', '')}")
