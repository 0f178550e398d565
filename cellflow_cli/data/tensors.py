"""Population tables and a fitted transform become populations of cells on a device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.data.columns import distinct, labels, missing_column, missing_values, where
from cellflow_cli.data.pairs import known_pairs
from cellflow_cli.data.population_rows import PopulationRows, PopulationTable
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.errors import DataError, listed, nearest
from cellflow_cli.plain import Plain
from cellflow_cli.types import Population, PopulationPair


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Categories that a model was trained on, in the order of their one-hot slots.

    Attributes:
        cell_types: Values of the cell-type column; empty where none is used.
        covariates: Values of each covariate column.
    """

    cell_types: tuple[str, ...] = ()
    covariates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def n_covariates(self) -> int:
        """Width of the one-hot covariates."""
        return sum(len(values) for values in self.covariates.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values for `features.json`."""
        return {
            "cell_types": list(self.cell_types),
            "covariates": {key: list(values) for key, values in self.covariates.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | Plain) -> "Vocabulary":
        """The reverse of `to_json`.

        Raises:
            PlainError: If a value is not what it has to be.
        """
        plain = Plain.of(value, "vocabulary").exactly(("cell_types", "covariates"))
        covariates = {key: values.texts(distinct=True) for key, values in plain["covariates"].items()}
        return cls(cell_types=plain["cell_types"].texts(distinct=True), covariates=covariates)


def vocabulary(obs: pd.DataFrame, spec: DataSpec, rows: Int[np.ndarray, " n"]) -> Vocabulary:
    """Categories among the training cells.

    Args:
        obs: Reads the cell-type and covariate columns of `spec`.
        spec: Names the columns.
        rows: Positions of the training cells.
    """
    wanted = [*spec.covariate_key, *([spec.cell_type_key] if spec.cell_type_key else [])]
    values = {key: tuple(distinct(labels(obs[key].iloc[rows]))) for key in wanted}
    cell_types = values[spec.cell_type_key] if spec.cell_type_key else ()
    return Vocabulary(cell_types=cell_types, covariates={key: values[key] for key in spec.covariate_key})


@dataclass(frozen=True, kw_only=True)
class PopulationReader:
    """Turns rows of an AnnData into populations.

    Attributes:
        adata: Not modified.
        spec: What its columns mean.
        transform: From its values to the flow space.
        vocabulary: One-hot slots.
        device: Where the cells go.
        min_coverage: Smallest share of the model's features that is accepted.
    """

    adata: anndata.AnnData
    spec: DataSpec
    transform: FeatureTransform
    vocabulary: Vocabulary
    device: torch.device
    min_coverage: float = 1.0

    def population(self, rows: PopulationRows) -> Population:
        """The cells of one population in flow space.

        Raises:
            BundleError, DataError: As `FeatureTransform.apply`, `node_features` and `covariates`.
        """
        cells = self.transform.apply(self.adata, rows.rows, self.min_coverage)
        return Population(
            sample=rows.sample,
            group=rows.group,
            condition=rows.condition,
            cells=torch.from_numpy(cells).to(self.device),
            node_features=self.node_features(rows),
            covariates=self.covariates(rows),
        )

    def pairs(self, table: PopulationTable, groups: Sequence[str]) -> list[PopulationPair]:
        """Pairs of control and treated populations of some groups; each control is read once."""
        wanted = set(groups)
        sources: dict[int, Population] = {}
        pairs = []
        for treated in table.treated:
            if treated.group not in wanted:
                continue
            control = table.source_of(treated)
            if id(control) not in sources:
                sources[id(control)] = self.population(control)
            known = self._known_pairs(control, treated)
            pairs.append(
                PopulationPair(source=sources[id(control)], target=self.population(treated), pairs=known)
            )
        return pairs

    def node_features(self, rows: PopulationRows) -> Float[Tensor, "n q"]:
        """One-hot cell types, shape [n, q]; q is zero without a cell-type column.

        A type that was not in training has a row of zeros.

        Raises:
            DataError: If the column or the type of a cell is missing.
        """
        key, q = self.spec.cell_type_key, len(self.vocabulary.cell_types)
        if key is None:
            return torch.zeros(len(rows.rows), 0, device=self.device)
        _, codes = self._codes(key, rows.rows, self.vocabulary.cell_types)
        hot = np.eye(q + 1, q, dtype=np.float32)[codes]  # code -1 is the last row, zeros
        return torch.from_numpy(hot).to(self.device)

    def unseen_types(self, rows: PopulationRows) -> list[str]:
        """Types of the cells whose type was not in training, one for each such cell.

        Raises:
            DataError: As `node_features`.
        """
        key = self.spec.cell_type_key
        if key is None:
            return []
        values, codes = self._codes(key, rows.rows, self.vocabulary.cell_types)
        return list(values[codes < 0])

    def covariates(self, rows: PopulationRows) -> Float[Tensor, " v"]:
        """One-hot covariates of the sample, shape [v].

        Raises:
            DataError: If a column or value is missing, was not in training, or differs within the sample.
        """
        parts = []
        for key, known in self.vocabulary.covariates.items():
            values, codes = self._codes(key, rows.rows, known)
            if (codes < 0).any():
                new = distinct(values[codes < 0])
                raise DataError(
                    f'Expected values of `obs["{key}"]` that the model was trained on ({listed(known, 10)}), '
                    f"found {listed(new)}.{nearest(new[0], known)}{where(self.adata.obs)} Rename them, or "
                    "train with them."
                )
            slots = np.unique(codes)
            if len(slots) > 1:
                raise DataError(
                    f'Expected one value of `obs["{key}"]` in sample {rows.name!r}, found '
                    f"{listed([known[i] for i in slots])}.{where(self.adata.obs)} A covariate is the "
                    "same for all cells of a sample; add the column to `--sample-key` or leave out "
                    "`--covariate-key`."
                )
            parts.append(np.eye(len(known), dtype=np.float32)[slots[0]])
        return torch.from_numpy(np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)).to(
            self.device
        )

    def _codes(
        self, key: str, rows: Int[np.ndarray, " n"], known: Sequence[str]
    ) -> tuple[np.ndarray, Int[np.ndarray, " n"]]:
        """Values of a column and their positions among the known ones, -1 for others, shape [n] each."""
        obs = self.adata.obs
        finding = missing_column(obs, key, "--rename") or missing_values(obs, key, rows)
        raise_first([finding] if finding else [])
        values = labels(obs[key].iloc[rows])
        return values, pd.Index(known).get_indexer(pd.Index(values))

    def _known_pairs(
        self, control: PopulationRows, treated: PopulationRows
    ) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]] | None:
        """Rows of both populations, or None where no pair of theirs is known."""
        if self.spec.pairs_key is None:
            return None
        source, target = known_pairs(self.adata.obs, self.spec.pairs_key, control, treated)
        return (torch.from_numpy(source), torch.from_numpy(target)) if len(source) else None
