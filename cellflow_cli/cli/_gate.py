"""`cellflow evaluate --fail-if-worse-than`: a bar that the user sets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cellflow_cli.cli import console
from cellflow_cli.errors import ConfigError, GateError, MetricError

if TYPE_CHECKING:
    from cellflow_cli.evaluation.config import EvaluationConfig
    from cellflow_cli.evaluation.result import Scores


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The baseline that the model must not be worse than; none without its name."""

    baseline: str | None = field(
        default=None,
        metadata={
            "help": "End with exit code 7 if the model's mean is worse than that of this baseline.",
            "flag": "--fail-if-worse-than",
            "metavar": "BASELINE",
        },
    )
    metric: str | None = field(
        default=None,
        metadata={"help": "Metric of `--fail-if-worse-than`.", "metavar": "NAME", "default": "energy"},
    )

    def check(self, config: "EvaluationConfig") -> None:
        """Refuse names that leave nothing to compare, before any file is opened.

        Raises:
            ConfigError: If a name is unknown, the metric is not scored, or there is a metric alone.
        """
        from cellflow_cli.evaluation.evaluate import metric_names
        from cellflow_cli.statistics.gate import DEFAULT_METRIC, check_names

        scored = metric_names(config)
        if self.baseline is not None:
            check_names(self.baseline, self.metric or DEFAULT_METRIC, scored)
        elif self.metric is not None:
            raise ConfigError(
                f"Expected `--fail-if-worse-than BASELINE` beside `--metric`, found {self.metric!r} alone. "
                "The metrics to score are chosen with `--metrics`."
            )

    def fail_if_worse(self, scores: "Scores", output: Path) -> None:
        """Say how the model compares with the bar, and raise if it is below; the report is already written.

        Raises:
            GateError: If the model's mean is worse.
            MetricError: If the two cannot be compared.
        """
        from cellflow_cli.statistics.gate import DEFAULT_METRIC, gate

        if self.baseline is None:
            return
        try:
            result = gate(
                scores.table,
                self.baseline,
                self.metric or DEFAULT_METRIC,
                seen_in_training=scores.seen_in_training,
            )
        except MetricError as error:
            raise MetricError(f"{error} The report is in `{output}`.") from error
        if result.worse:
            raise GateError(
                f"Expected the model not to be worse than `{self.baseline}`, found {result.text}. "
                f"The report is in `{output}`."
            )
        console.say(f"Not worse than {self.baseline}: {result.text.replace('`', '')}")
