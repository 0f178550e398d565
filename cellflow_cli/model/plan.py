"""What a training run would do: which populations take part, and which groups pick the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from cellflow_cli.config import RunConfig
from cellflow_cli.data.pairs import pair_findings
from cellflow_cli.data.populations import PopulationTable, population_table
from cellflow_cli.data.renaming import as_named
from cellflow_cli.data.split import Split, training_split
from cellflow_cli.data.validation.finding import Finding, raise_first


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training run would do, found without training.

    Attributes:
        table: Populations that take part.
        split: Groups to train on, to validate on and held out.
        findings: What is worth knowing of the training data and does not stop training.
    """

    table: PopulationTable
    split: Split
    findings: tuple[Finding, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The findings that are warnings, as sentences."""
        return tuple(f"{f.what} {f.fix}".strip() for f in self.findings if f.level == "warning")

    @property
    def training_groups(self) -> tuple[str, ...]:
        """Groups of `train` and `val`, sorted."""
        return tuple(sorted({*self.split.train, *self.split.val}))

    def learned_groups(self, refit: bool) -> tuple[str, ...]:
        """Groups that weights, features and summaries are of: without a refit, validation groups are none."""
        return self.training_groups if refit else self.split.train


def plan(obs: pd.DataFrame, run: RunConfig, findings: Sequence[Finding] | None = None) -> Plan:
    """Pair populations and split groups.

    Args:
        obs: Obs of the data as they are stored.
        run: Gives the data specification and the seed.
        findings: Of `check` on the same data, which the model remembers; default: those on known pairs.

    Raises:
        DataError, ConfigError: As `population_table` and `split_groups`; if nothing is left to train on, or
            if no treated cell to train on has a partner by `pairs_key`.
    """
    obs = as_named(obs, run.data)
    table = population_table(obs, run.data)
    split = training_split(obs, run.data, table, run.seed)
    planned = Plan(table=table, split=split)
    of_pairs = pair_findings(table, obs, run.data, planned.training_groups)
    raise_first(of_pairs)
    return replace(planned, findings=tuple(of_pairs if findings is None else findings))
