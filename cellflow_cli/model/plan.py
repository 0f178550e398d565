"""What a training run would do: which populations take part, and which groups pick the model."""

from dataclasses import dataclass, replace

import pandas as pd

from cellflow_cli.config import RunConfig
from cellflow_cli.data.columns import distinct
from cellflow_cli.data.pairs import pair_findings
from cellflow_cli.data.populations import PopulationTable, population_table
from cellflow_cli.data.split import Split, split_groups, validation_groups
from cellflow_cli.data.validation.finding import Finding, raise_first
from cellflow_cli.errors import DataError, listed


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
    def training_groups(self) -> tuple[str, ...]:
        """Groups of `train` and `val`, sorted."""
        return tuple(sorted({*self.split.train, *self.split.val}))

    def learned_groups(self, refit: bool) -> tuple[str, ...]:
        """Groups that weights, features and summaries are of: without a refit, validation groups are none."""
        return self.training_groups if refit else self.split.train


def plan(obs: pd.DataFrame, run: RunConfig) -> Plan:
    """Pair populations and split groups.

    Args:
        obs: Obs of the data.
        run: Gives the data specification and the seed.

    Raises:
        DataError, ConfigError: As `population_table` and `split_groups`; if nothing is left to train on, or
            if no treated cell to train on has a partner by `pairs_key`.
    """
    table = population_table(obs, run.data)
    split = split_groups(obs, run.data, table, run.seed)
    if run.data.split_key is None:
        split = _without_untreated(split, table)
    if not split.val:
        val = validation_groups(split.train, run.seed)
        split = replace(split, train=tuple(g for g in split.train if g not in val), val=val)
    planned = Plan(table=table, split=split)
    if not any(treated.group in split.train for treated in table.treated):
        raise DataError(
            f"Expected treated populations in the training groups, found none in {listed(split.train)}. "
            "Hold out fewer groups with `--holdout`."
        )
    findings = pair_findings(table, obs, run.data, planned.training_groups)
    raise_first(findings)
    return replace(planned, findings=tuple(findings))


def _without_untreated(split: Split, table: PopulationTable) -> Split:
    """Groups of controls alone teach nothing: they are left for prediction, like held-out ones."""
    treated = {population.group for population in table.treated}
    rest = [group for group in split.train if group not in treated]
    train = tuple(group for group in split.train if group in treated)
    return replace(split, train=train, test=tuple(distinct([*split.test, *rest])))
