"""What may be wrong with the populations of a data set, as findings."""

import pandas as pd

from cellflow_cli.data.columns import distinct, where
from cellflow_cli.data.population_rows import PopulationTable
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.split import Split
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import listed


def controls_shared_across_groups(table: PopulationTable, spec: DataSpec) -> list[Finding]:
    """The finding that groups share controls, so that training would see cells of held-out groups."""
    if spec.group in spec.match:
        return []
    by_match: dict[tuple[str, ...], set[str]] = {}
    for population in (*table.controls, *table.treated):
        by_match.setdefault(table.match_of(population), set()).update(population.groups)
    shared = {match: groups for match, groups in by_match.items() if len(groups) > 1}
    if not shared:
        return []
    match, groups = min(shared.items())
    what = (
        f"Expected the cells that share {' | '.join(spec.match)} to belong to one {spec.group}, found "
        f"{listed(distinct(groups))} in {' | '.join(match)!r}. Held-out cells would be seen in training."
    )
    return [Finding("error", what, f"Add `--match-key {spec.group}`, or choose another `--group-key`.")]


def repeated_pair_numbers(table: PopulationTable, obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that a number of the pairs column occurs twice within one population."""
    if not spec.pairs_key:
        return []
    numbers = pd.to_numeric(obs[spec.pairs_key])
    for population in (*table.controls, *table.treated):
        present = numbers.iloc[population.rows].dropna()
        if not present.is_unique:
            repeated = present[present.duplicated()].unique().tolist()
            what = (
                f'Expected each number of `obs["{spec.pairs_key}"]` once within a population, found '
                f"{listed(repeated, 3)} more than once in {population.title!r}.{where(obs)}"
            )
            fix = "Number the pairs within each sample, or leave out `--pairs-key`."
            return [Finding("error", what, fix)]
    return []


def treated_without_control(table: PopulationTable) -> list[Finding]:
    """The finding that treated populations have no control."""
    unpaired = table.unpaired()
    if not unpaired:
        return []
    what = (
        f"Expected control cells for every treated population, found none for {len(unpaired)} of "
        f"{len(table.treated)}: {listed(population.title for population in unpaired)}."
    )
    fix = "Exclude them with `--drop-unpaired`, or match on fewer columns with `--match-key`."
    return [Finding("error", what, fix)]


def small_populations(table: PopulationTable, spec: DataSpec) -> list[Finding]:
    """The finding that populations are too small to be a distribution."""
    small = table.small(spec.min_cells)
    if not small:
        return []
    sizes = [f"{population.title} ({len(population.rows)} cells)" for population in small]
    what = (
        f"Expected at least {spec.min_cells} cells in every population, found fewer in {len(small)} of "
        f"{len(table.controls) + len(table.treated)}: {listed(sizes)}."
    )
    fix = "Exclude them with `--drop-small`, or change the limit with `--min-cells`."
    return [Finding("error", what, fix)]


def no_treated_populations(table: PopulationTable, obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that no treated population is left to train on."""
    if table.treated:
        return []
    excluded = f" after excluding {listed(table.dropped)}" if table.dropped else ""
    what = f"Expected treated cells to train on, found controls only{excluded}.{where(obs)}"
    return [Finding("error", what, f"Check `--treatment-key {spec.treatment_key}` and `--control`.")]


def split_coverage(table: PopulationTable, split: Split) -> list[Finding]:
    """Conditions without training cells, no group left for validation, training groups without treated."""
    findings = []
    trained = {p.condition for p in table.treated if p.group in split.train}
    if unseen := [c.label for c in table.conditions if c not in trained]:
        what = f"Expected every treatment and dose in a training group, found {listed(unseen)} held out only."
        findings.append(Finding("warning", what, "The model cannot learn them; hold out other groups."))
    if len(split.train) < 2 and not split.val:
        what = f"Expected at least 2 training groups, so that one can validate, found {len(split.train)}."
        fix = "No group is left to select the model; hold out fewer groups, or add samples."
        findings.append(Finding("warning", what, fix))
    with_treated = {population.group for population in table.treated}
    if controls_only := [group for group in split.train if group not in with_treated]:
        what = f"{len(controls_only)} training group(s) have controls only: {listed(controls_only)}."
        findings.append(Finding("note", what, "Training does not use them, but they can be predicted."))
    return findings
