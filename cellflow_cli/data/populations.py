"""The populations of a data set, refused where something is wrong with them.

What is wrong is found by functions that return findings, so that `cellflow check` can show all of
them; here the first is raised.
"""

import pandas as pd

from cellflow_cli.data.columns import is_control, missing_column, near_columns, where
from cellflow_cli.data.population_rows import (
    POOLED,
    PopulationRows,
    PopulationTable,
    all_populations,
    control_rows,
    matched_keys,
)
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import column_option
from cellflow_cli.data.validation.columns import column_findings, key_findings
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.data.validation.labels import alike_findings, twin_findings
from cellflow_cli.data.validation.populations import (
    controls_shared_across_groups,
    no_treated_populations,
    repeated_pair_numbers,
    small_populations,
    treated_without_control,
)
from cellflow_cli.errors import DataError, listed

__all__ = ["POOLED", "PopulationRows", "PopulationTable", "control_table", "population_table"]


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
    raise_first(controls_shared_across_groups(table, spec) + repeated_pair_numbers(table, obs, spec))
    if not spec.drop_unpaired:
        raise_first(treated_without_control(table))
    table = table.drop(table.unpaired())
    if not spec.drop_small:
        raise_first(small_populations(table, spec))
    table = table.drop(table.small(spec.min_cells))
    raise_first(no_treated_populations(table, obs, spec))
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
            not occur, labels look alike, or a population is too small (unless `spec.drop_small`).
    """
    filled = _filled(obs, spec, assume_control, sample_name)
    keys = [spec.treatment_key, *spec.match, spec.group]
    raise_first(key_findings(filled, spec, keys, "--rename"))
    raise_first(alike_findings(filled, spec.treatment_key, spec.control, "the model"))
    raise_first(twin_findings(filled[is_control(filled, spec)], keys[1:]))
    table = PopulationTable(control_rows(filled, spec), (), matched_keys(spec))
    raise_first(controls_shared_across_groups(table, spec))
    if not spec.drop_small:
        raise_first(small_populations(table, spec))
    kept = table.drop(table.small(spec.min_cells)).controls
    if not kept:
        raise DataError(
            f"Expected control populations of at least {spec.min_cells} cells, found none.{where(obs)} "
            "Lower `--min-cells`."
        )
    return kept


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
                f"{finding.what if finding else ''} Map it with `{_mapping(obs, spec.treatment_key)}`, or "
                "pass `--assume-control` if all cells are untreated."
            )
        added[spec.treatment_key] = spec.control[0]
    for key in dict.fromkeys([*spec.match, spec.group]):
        if key not in obs.columns:
            if sample_name is None:
                finding = missing_column(obs, key, "--rename")
                raise DataError(
                    f"{finding.what if finding else ''} Map it with `{_mapping(obs, key)}`, or name the "
                    "sample with `--sample-name`."
                )
            added[key] = sample_name
    return obs.assign(**added) if added else obs


def _mapping(obs: pd.DataFrame, key: str) -> str:
    return column_option(key, next(iter(near_columns(obs, key)), "COLUMN"))
