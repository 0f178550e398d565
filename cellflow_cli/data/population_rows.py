"""Rows of obs grouped into populations: the cells that share a sample and a treatment."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import distinct, dose_values, is_control, labels
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.errors import ConfigError, DataError
from cellflow_cli.types import Condition

POOLED = "*"
"""Stands in a sample for the keys over which controls are pooled."""
_DOSE = "\x00dose"  # no column of a user has this name
_JOIN = "\x00"  # between the groups of controls pooled across groups, which are refused in the end


@dataclass(frozen=True, kw_only=True)
class PopulationRows:
    """Where the cells of one population are.

    Attributes:
        sample: Values of the sample keys, in their order; `POOLED` for a key that is not matched on.
        group: Unit that is held out as a whole.
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
    def groups(self) -> tuple[str, ...]:
        """The group, or several where controls are pooled across groups."""
        return tuple(self.group.split(_JOIN))

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
        control = self._controls_by_match.get(self.match_of(treated))
        if control is None:
            raise DataError(f"Expected a control population for {treated.title!r}, found none.")
        return control

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

    def match_of(self, population: PopulationRows) -> tuple[str, ...]:
        """Values of the keys on which a population finds its control."""
        return tuple(population.sample[i] for i in self.matched)

    def unpaired(self) -> list[PopulationRows]:
        """Treated populations without a control."""
        return [p for p in self.treated if self.match_of(p) not in self._controls_by_match]

    def small(self, min_cells: int) -> list[PopulationRows]:
        """Populations of fewer cells."""
        return [p for p in (*self.controls, *self.treated) if len(p.rows) < min_cells]

    def drop(self, populations: Sequence[PopulationRows]) -> "PopulationTable":
        """The table less some populations, and less the treated ones that lose their control by it."""
        if not populations:
            return self
        gone = set(populations)
        controls = tuple(p for p in self.controls if p not in gone)
        gone |= set(PopulationTable(controls, self.treated, self.matched).unpaired())
        treated = tuple(p for p in self.treated if p not in gone)
        titles = tuple(p.title for p in (*self.controls, *self.treated) if p in gone)
        return PopulationTable(controls, treated, self.matched, (*self.dropped, *titles))

    @cached_property
    def _controls_by_match(self) -> dict[tuple[str, ...], PopulationRows]:
        return {self.match_of(control): control for control in self.controls}


def all_populations(obs: pd.DataFrame, spec: DataSpec) -> PopulationTable:
    """Every population of a data set whose columns are sound, small and unpaired ones included."""
    return PopulationTable(control_rows(obs, spec), _treated(obs, spec), matched_keys(spec))


def matched_keys(spec: DataSpec) -> tuple[int, ...]:
    """Positions of the match keys among the sample keys."""
    return tuple(i for i, key in enumerate(spec.sample_key) if key in spec.match)


def control_rows(obs: pd.DataFrame, spec: DataSpec) -> tuple[PopulationRows, ...]:
    """The control populations: one per value of the match keys, sorted by sample."""
    rows = np.flatnonzero(is_control(obs, spec))
    table = obs.iloc[rows]
    frame = pd.DataFrame({key: labels(table[key]) for key in spec.match})
    groups = labels(table[spec.group])
    populations = []
    for values, positions in _grouped(frame).items():
        matched = dict(zip(spec.match, values, strict=True))
        sample = tuple(matched.get(key, POOLED) for key in spec.sample_key)
        group = _JOIN.join(distinct(groups[positions]))
        populations.append(PopulationRows(sample=sample, group=group, rows=rows[positions]))
    return tuple(sorted(populations, key=_order))


def _treated(obs: pd.DataFrame, spec: DataSpec) -> tuple[PopulationRows, ...]:
    rows = np.flatnonzero(~is_control(obs, spec))
    table = obs.iloc[rows]
    keys = dict.fromkeys([*spec.sample_key, spec.group, spec.treatment_key])
    frame = pd.DataFrame({key: labels(table[key]) for key in keys})
    doses = dose_values(table[spec.dose_key])[0] if spec.dose_key else np.full(len(rows), np.nan)
    frame = frame.assign(**{_DOSE: np.where(np.isnan(doses), -1.0, doses)})
    populations = []
    for values, positions in _grouped(frame).items():
        fact = dict(zip(frame.columns, values, strict=True))
        dose = None if fact[_DOSE] < 0 else float(fact[_DOSE])
        populations.append(
            PopulationRows(
                sample=tuple(fact[key] for key in spec.sample_key),
                group=fact[spec.group],
                condition=Condition(fact[spec.treatment_key], dose),
                rows=rows[positions],
            )
        )
    return tuple(sorted(populations, key=_order))


def _grouped(frame: pd.DataFrame) -> Mapping[tuple[Any, ...], np.ndarray]:
    """Ascending positions of the rows of each distinct combination of values."""
    if frame.empty:
        return {}
    codes = frame.groupby(list(frame.columns), sort=True).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    parts = np.split(order.astype(np.int64), starts[1:])
    return {tuple(frame.iloc[part[0]]): part for part in parts}


def _condition(population: PopulationRows) -> Condition:
    if population.condition is None:
        raise ValueError("a treated population has a condition")
    return population.condition


def _condition_order(condition: Condition) -> tuple[str, float]:
    return (condition.treatment, -1.0 if condition.dose is None else condition.dose)


def _order(population: PopulationRows) -> tuple[tuple[str, ...], tuple[str, float]]:
    condition = population.condition
    return (population.sample, ("", -1.0) if condition is None else _condition_order(condition))
