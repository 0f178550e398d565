"""Rows of obs become populations: the cells that share a sample and a treatment.

What is wrong is found by functions that return findings, so that `cellflow check` can show all of
them; `population_table` raises the first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import distinct, dose_values, is_control, labels, missing_column, where
from cellflow_cli.data.faults import column_findings, key_findings
from cellflow_cli.data.findings import Finding, raise_first
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, DataError, listed
from cellflow_cli.types import Condition

POOLED = "*"
"""Stands in a sample for the keys over which controls are pooled."""
_DOSE = "\x00dose"  # no column of a user has this name
_JOIN = "\x00"  # between the groups of controls pooled across groups, which `crossed` refuses


@dataclass(frozen=True, kw_only=True)
class PopulationRows:
    """Where the cells of one population are.

    Attributes:
        sample: Values of the sample keys, in their order; `POOLED` for a key that is not matched on.
        group: Unit of holding out.
        condition: What was done, or None for controls.
        rows: Ascending positions in obs, int64, shape [n].
    """

    sample: tuple[str, ...]
    group: str
    condition: Condition | None = None
    rows: np.ndarray = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Sample values joined for people, such as `"P7 | PDOF"`."""
        return " | ".join(self.sample)

    @property
    def title(self) -> str:
        """Sample and what was done, such as `"P7 | PDOF, control"`."""
        return f"{self.name}, {'control' if self.condition is None else self.condition.label}"


@dataclass(frozen=True)
class PopulationTable:
    """Control and treated populations of one data set, sorted by sample, then condition.

    Attributes:
        controls: One per value of the match keys, pooled over the other sample keys.
        treated: One per sample and condition; each has its control among `controls`.
        matched: Positions, within a sample, of the keys on which treated find their controls.
        dropped: Titles of populations left out by `drop_small` or `drop_unpaired`.
    """

    controls: tuple[PopulationRows, ...]
    treated: tuple[PopulationRows, ...]
    matched: tuple[int, ...]
    dropped: tuple[str, ...] = ()

    def source_of(self, treated: PopulationRows) -> PopulationRows:
        """The control population of a treated one.

        Raises:
            DataError: If there is none (a population of another table).
        """
        found = self._by_match.get(_match(treated, self.matched))
        if found is None:
            raise DataError(f"Expected a control population for {treated.title!r}, found none.")
        return found

    def rows_of(self, groups: Collection[str]) -> np.ndarray:
        """Ascending positions of all cells of some groups.

        Raises:
            ConfigError: If there are none.
        """
        chosen = [p.rows for p in (*self.controls, *self.treated) if p.group in groups]
        if not chosen:
            raise ConfigError("Expected groups to train on, found none. Hold out fewer with `--holdout`.")
        return np.unique(np.concatenate(chosen))

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups, sorted."""
        return tuple(distinct(population.group for population in (*self.controls, *self.treated)))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions of the treated populations, by treatment, then dose."""
        return tuple(sorted({_condition(p) for p in self.treated}, key=_condition_order))

    @cached_property
    def _by_match(self) -> dict[tuple[str, ...], PopulationRows]:
        return {_match(control, self.matched): control for control in self.controls}


def population_table(obs: pd.DataFrame, spec: DataSpec) -> PopulationTable:
    """Pair the treated populations of a data set with their controls.

    Reads the columns of obs that `spec` names; obs is not modified.

    Raises:
        DataError: If a column or value is missing, the control label does not occur, a dose is not a
            number, a sample belongs to two groups, controls would serve several groups, a treated
            population has no control (unless `spec.drop_unpaired`) or a population is too small
            (unless `spec.drop_small`).
    """
    raise_first(column_findings(obs, spec))
    table = all_populations(obs, spec)
    raise_first(crossed(table, spec) + ambiguous_pairs(table, obs, spec))
    if not spec.drop_unpaired:
        raise_first(unpaired(table))
    table = without(table, unpaired_populations(table))
    if not spec.drop_small:
        raise_first(small(table, spec))
    table = without(table, small_populations(table, spec))
    raise_first(empty(table, obs, spec))
    return table


def control_table(
    obs: pd.DataFrame, spec: DataSpec, assume_control: bool = False, sample_name: str | None = None
) -> tuple[PopulationRows, ...]:
    """Control populations of a file to predict from; its treated cells are left aside.

    Args:
        obs: Obs of the file.
        spec: The model's data specification.
        assume_control: Take every cell as a control where the treatment column is missing.
        sample_name: Value for sample keys that the file lacks.

    Raises:
        DataError: If a column is missing that neither argument stands in for, the control label does
            not occur, or a population is too small (unless `spec.drop_small`).
    """
    filled = _filled(obs, spec, assume_control, sample_name)
    raise_first(key_findings(filled, spec, [spec.treatment_key, *spec.match, spec.group], "--rename"))
    controls = _controls(filled, spec)
    table = PopulationTable(controls, (), _matched(spec))
    raise_first(crossed(table, spec))
    if not spec.drop_small:
        raise_first(small(table, spec))
    kept = without(table, small_populations(table, spec)).controls
    if not kept:
        raise DataError(
            f"Expected control populations of at least {spec.min_cells} cells, found none.{where(obs)} "
            "Lower `--min-cells`."
        )
    return kept


def all_populations(obs: pd.DataFrame, spec: DataSpec) -> PopulationTable:
    """Every population of a data set whose columns are sound, small and unpaired ones included."""
    return PopulationTable(_controls(obs, spec), _treated(obs, spec), _matched(spec))


def crossed(table: PopulationTable, spec: DataSpec) -> list[Finding]:
    """The finding that controls would serve several groups, and so show held-out cells to training."""
    if spec.group in spec.match:
        return []
    by_match: dict[tuple[str, ...], set[str]] = {}
    for population in (*table.controls, *table.treated):
        by_match.setdefault(_match(population, table.matched), set()).update(population.group.split(_JOIN))
    torn = {match: groups for match, groups in by_match.items() if len(groups) > 1}
    if not torn:
        return []
    match, groups = min(torn.items())
    what = (
        f"Expected the cells that share {' | '.join(spec.match)} to belong to one {spec.group}, found "
        f"{listed(distinct(groups))} in {' | '.join(match)!r}. Held-out cells would be seen in training."
    )
    return [Finding("error", what, f"Add `--match-key {spec.group}`, or choose another `--group-key`.")]


def ambiguous_pairs(table: PopulationTable, obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that a number of the pairs column occurs twice within one population."""
    if not spec.pairs_key:
        return []
    numbers = pd.to_numeric(obs[spec.pairs_key])
    for population in (*table.controls, *table.treated):
        held = numbers.iloc[population.rows].dropna()
        if not held.is_unique:
            twice = held[held.duplicated()].unique().tolist()
            what = (
                f'Expected each number of `obs["{spec.pairs_key}"]` once within a population, found '
                f"{listed(twice, 3)} more than once in {population.title!r}.{where(obs)}"
            )
            return [
                Finding("error", what, "Number the pairs within each sample, or leave out `--pairs-key`.")
            ]
    return []


def unpaired_populations(table: PopulationTable) -> list[PopulationRows]:
    """Treated populations whose match keys meet no control cell."""
    known = {_match(control, table.matched) for control in table.controls}
    return [population for population in table.treated if _match(population, table.matched) not in known]


def unpaired(table: PopulationTable) -> list[Finding]:
    """The finding that treated populations have no control."""
    found = unpaired_populations(table)
    if not found:
        return []
    what = (
        f"Expected control cells for every treated population, found none for {len(found)} of "
        f"{len(table.treated)}: {listed(population.title for population in found)}."
    )
    fix = "Go on without them with `--drop-unpaired`, or match on fewer columns with `--match-key`."
    return [Finding("error", what, fix)]


def small_populations(table: PopulationTable, spec: DataSpec) -> list[PopulationRows]:
    """Populations of fewer than `spec.min_cells` cells."""
    return [p for p in (*table.controls, *table.treated) if len(p.rows) < spec.min_cells]


def small(table: PopulationTable, spec: DataSpec) -> list[Finding]:
    """The finding that populations are too small to be a distribution."""
    found = small_populations(table, spec)
    if not found:
        return []
    sizes = [f"{population.title} ({len(population.rows)} cells)" for population in found]
    what = (
        f"Expected at least {spec.min_cells} cells in every population, found fewer in {len(found)} of "
        f"{len(table.controls) + len(table.treated)}: {listed(sizes)}."
    )
    fix = "Go on without them with `--drop-small`, or change the limit with `--min-cells`."
    return [Finding("error", what, fix)]


def empty(table: PopulationTable, obs: pd.DataFrame, spec: DataSpec) -> list[Finding]:
    """The finding that no treated population is left to learn from."""
    if table.treated:
        return []
    gone = f" after leaving out {listed(table.dropped)}" if table.dropped else ""
    what = f"Expected treated cells to learn from, found controls only{gone}.{where(obs)}"
    return [Finding("error", what, f"Check `--treatment-key {spec.treatment_key}` and `--control`.")]


def without(table: PopulationTable, populations: Sequence[PopulationRows]) -> PopulationTable:
    """The table less some populations, and less the treated ones that lose their control by it."""
    if not populations:
        return table
    gone = set(populations)
    controls = tuple(p for p in table.controls if p not in gone)
    gone |= set(unpaired_populations(PopulationTable(controls, table.treated, table.matched)))
    treated = tuple(p for p in table.treated if p not in gone)
    titles = tuple(p.title for p in (*table.controls, *table.treated) if p in gone)
    return PopulationTable(controls, treated, table.matched, (*table.dropped, *titles))


def _controls(obs: pd.DataFrame, spec: DataSpec) -> tuple[PopulationRows, ...]:
    rows = np.flatnonzero(is_control(obs, spec))
    table = obs.iloc[rows]
    frame = pd.DataFrame({key: labels(table[key]) for key in spec.match})
    groups = labels(table[spec.group])
    found = []
    for values, positions in _grouped(frame).items():
        matched = dict(zip(spec.match, values, strict=True))
        sample = tuple(matched.get(key, POOLED) for key in spec.sample_key)
        group = _JOIN.join(distinct(groups[positions]))
        found.append(PopulationRows(sample=sample, group=group, rows=rows[positions]))
    return tuple(sorted(found, key=_order))


def _treated(obs: pd.DataFrame, spec: DataSpec) -> tuple[PopulationRows, ...]:
    rows = np.flatnonzero(~is_control(obs, spec))
    table = obs.iloc[rows]
    keys = dict.fromkeys([*spec.sample_key, spec.group, spec.treatment_key])
    frame = pd.DataFrame({key: labels(table[key]) for key in keys})
    doses = dose_values(table[spec.dose_key])[0] if spec.dose_key else np.full(len(rows), np.nan)
    frame = frame.assign(**{_DOSE: np.where(np.isnan(doses), -1.0, doses)})
    found = []
    for values, positions in _grouped(frame).items():
        fact = dict(zip(frame.columns, values, strict=True))
        dose = None if fact[_DOSE] < 0 else float(fact[_DOSE])
        found.append(
            PopulationRows(
                sample=tuple(fact[key] for key in spec.sample_key),
                group=fact[spec.group],
                condition=Condition(fact[spec.treatment_key], dose),
                rows=rows[positions],
            )
        )
    return tuple(sorted(found, key=_order))


def _grouped(frame: pd.DataFrame) -> Mapping[tuple, np.ndarray]:
    """Ascending positions of the rows of each distinct combination of values."""
    if frame.empty:
        return {}
    codes = frame.groupby(list(frame.columns), sort=True).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    parts = np.split(order.astype(np.int64), starts[1:])
    return {tuple(frame.iloc[part[0]]): part for part in parts}


def _filled(obs: pd.DataFrame, spec: DataSpec, assume_control: bool, sample_name: str | None) -> pd.DataFrame:
    """Obs with the columns that `assume_control` and `sample_name` stand in for."""
    added: dict[str, str] = {}
    if assume_control and spec.treatment_key in obs.columns:
        raise DataError(
            f'Expected no `obs["{spec.treatment_key}"]` with `--assume-control`, found the column.'
            f"{where(obs)} Leave the option out: the column says which cells are controls."
        )
    if sample_name is not None and all(key in obs.columns for key in (*spec.match, spec.group)):
        raise DataError(
            f"Expected a missing sample column with `--sample-name`, found {listed(spec.match)}.{where(obs)} "
            "Leave the option out: the columns name the samples."
        )
    if spec.treatment_key not in obs.columns:
        if not assume_control:
            finding = missing_column(obs, spec.treatment_key, "--rename")
            raise DataError(
                f"{finding.what if finding else ''} Map it with `--rename {spec.treatment_key}=COLUMN`, or "
                "pass `--assume-control` if all cells are untreated."
            )
        added[spec.treatment_key] = spec.control[0]
    for key in dict.fromkeys([*spec.match, spec.group]):
        if key not in obs.columns:
            if sample_name is None:
                finding = missing_column(obs, key, "--rename")
                raise DataError(
                    f"{finding.what if finding else ''} Map it with `--rename {key}=COLUMN`, or name the "
                    "sample with `--sample-name`."
                )
            added[key] = sample_name
    return obs.assign(**added) if added else obs


def _matched(spec: DataSpec) -> tuple[int, ...]:
    return tuple(i for i, key in enumerate(spec.sample_key) if key in spec.match)


def _match(population: PopulationRows, matched: Sequence[int]) -> tuple[str, ...]:
    return tuple(population.sample[i] for i in matched)


def _condition(population: PopulationRows) -> Condition:
    if population.condition is None:
        raise ValueError("a treated population has a condition")
    return population.condition


def _condition_order(condition: Condition) -> tuple[str, float]:
    return (condition.treatment, -1.0 if condition.dose is None else condition.dose)


def _order(population: PopulationRows) -> tuple[tuple[str, ...], tuple[str, float]]:
    condition = population.condition
    return (population.sample, ("", -1.0) if condition is None else _condition_order(condition))
