"""Known pairs of cells: which control cell became which treated cell, by a column of numbers."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from jaxtyping import Int

from cellflow_cli.data.columns import where
from cellflow_cli.data.population_rows import PopulationRows, PopulationTable
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.validation.finding import Finding


def known_pairs(
    obs: pd.DataFrame, pairs_key: str, control: PopulationRows, treated: PopulationRows
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Positions, within a control and a treated population, of the cells that share a number, each shape [k].

    Args:
        obs: Reads `obs[pairs_key]`; a cell without a number has no partner.
        pairs_key: Column of numbers, each once within a population.
        control: Cells before treatment.
        treated: Cells after it.
    """
    left, right = (
        pd.to_numeric(obs[pairs_key].iloc[part.rows]).to_numpy(dtype=float, na_value=np.nan)
        for part in (control, treated)
    )
    shared, source, target = np.intersect1d(left, right, return_indices=True)
    known = ~np.isnan(shared)
    return source[known], target[known]


def pair_findings(
    table: PopulationTable, obs: pd.DataFrame, spec: DataSpec, groups: Collection[str]
) -> list[Finding]:
    """How many treated cells have a known partner: an error where none has, a note where not all have.

    Args:
        table: Its treated populations have controls.
        obs: Reads `obs[spec.pairs_key]`.
        spec: Names the columns.
        groups: Groups to look at, usually those of training.
    """
    treated = [population for population in table.treated if population.group in groups]
    if spec.pairs_key is None or not treated:
        return []
    n_treated = sum(len(population.rows) for population in treated)
    n_known = sum(len(known_pairs(obs, spec.pairs_key, table.source_of(p), p)[0]) for p in treated)
    if n_known == n_treated:
        return []
    if n_known == 0:
        what = (
            "Expected control and treated cells of a training sample that share values of "
            f'`obs["{spec.pairs_key}"]`, found none.{where(obs)}'
        )
        return [Finding("error", what, "Correct the column, or leave out `--pairs-key`.")]
    what = (
        f'By `obs["{spec.pairs_key}"]`, {n_known} of {n_treated} treated cells for training '
        f"({n_known / n_treated:.1%}) have a known partner among the controls."
    )
    return [Finding("note", what, "The others are used too, paired as where no pairs are known.")]
