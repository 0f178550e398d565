"""Cells of a file to the features of the flow, and back, as fitted on training cells.

    counts:  x = log1p(10,000 count / total over the training genes)
    else:    x = the values of the matrix as they are
    flow:    z = encode(x), by the feature space over its genes

Features are found by name, so the order of the columns and further columns do not matter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, blocks, checked_blocks, dense, normalised
from cellflow_cli.data.columns import where
from cellflow_cli.data.feature_source import parse_features
from cellflow_cli.data.matrices import fault_of
from cellflow_cli.data.names import name_difference
from cellflow_cli.data.read import feature_table, unique_feature_names, values
from cellflow_cli.data.schema import COUNTS, EXPRESSIONS
from cellflow_cli.errors import BundleError, listed
from cellflow_cli.features import Decoded, FeatureSpace, check_shapes, from_parts, to_parts
from cellflow_cli.plain import Plain, PlainError, array

TARGET_TOTAL = 1e4
"""Counts per cell after normalisation."""


class Coverage(NamedTuple):
    """How far the features of a file cover those of a model.

    Attributes:
        fraction: Share of the model's features that the file has.
        missing: The others, in training order.
        n_extra: Features of the file that the model does not know.
    """

    fraction: float
    missing: tuple[str, ...]
    n_extra: int


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureTransform:
    """A fitted transform between files, expression space [n, g] and flow space [n, d].

    Attributes:
        features: The setting it was fitted with, such as `"pca:30"`.
        expression_kind: One of `EXPRESSIONS`, or None where nothing was said.
        input_genes: Features that a file must have: with counts all training genes, else `genes`.
        shares: Mean share of a cell's total that each input gene holds; empty unless counts.
        space: From expression to the features of the flow, and back.
    """

    features: str
    expression_kind: str | None
    input_genes: tuple[str, ...]
    shares: Float64[np.ndarray, " i"]
    space: FeatureSpace

    def __post_init__(self) -> None:
        n_shares = len(self.input_genes) if self.expression_kind in COUNTS else 0
        check_shapes(shares=(self.shares, (n_shares,)))

    @property
    def names(self) -> tuple[str, ...]:
        """The d features of the flow."""
        return self.space.names

    @property
    def n_features(self) -> int:
        """Width d of the flow space."""
        return len(self.space.names)

    @property
    def genes(self) -> tuple[str, ...]:
        """The g features of the expression space, in training order."""
        return self.space.genes

    @property
    def mean(self) -> Float64[np.ndarray, " g"]:
        """Training mean of each gene in expression space."""
        return self.space.mean

    @property
    def scale(self) -> Float64[np.ndarray, " d"]:
        """Training spread of each feature of the flow; 1 where they are compared as they are."""
        return np.ones(self.n_features) if self.space.scale is None else self.space.scale

    @property
    def has_scale(self) -> bool:
        """Whether distances divide the features by `scale`; not where they share a unit."""
        return self.space.scale is not None

    @property
    def is_lossy(self) -> bool:
        """Whether decoding encoded expression loses some of it."""
        return self.space.is_lossy

    @property
    def obsm_key(self) -> str | None:
        """Where a prediction keeps the features of the flow; None where they are the expression itself."""
        return self.space.obsm_key

    @property
    def kind(self) -> str:
        """Catalog name of the feature space."""
        return type(self.space).__module__.rpartition(".")[2].replace("_", "-")

    @property
    def unit(self) -> str:
        """Unit of the expression, for labels."""
        is_log1p = self.expression_kind in (*COUNTS, "log1p")
        return "log1p expression" if is_log1p else "units of the data"

    def varm(self) -> dict[str, Float32[np.ndarray, "g ..."]]:
        """Facts of each gene that a prediction keeps in varm, such as principal axes."""
        return self.space.varm()

    def apply(
        self, adata: anndata.AnnData, rows: Int[np.ndarray, " n"] | None = None, min_coverage: float = 1.0
    ) -> Float32[np.ndarray, "n d"]:
        """Cells in flow space.

        Args:
            adata: Holds what `features` names; not modified.
            rows: Positions of cells, default all.
            min_coverage: Smallest share of the model's features that is accepted; missing ones take
                their training mean.

        Raises:
            BundleError: If too many features are missing.
            DataError: If values are not finite or not what `expression_kind` says.
        """
        return self._filled(adata, rows, min_coverage, self.n_features, self.space.encode)

    def expression(
        self, adata: anndata.AnnData, rows: Int[np.ndarray, " n"] | None = None, min_coverage: float = 1.0
    ) -> Float32[np.ndarray, "n g"]:
        """Cells in expression space: the values as they are, or log1p of normalised counts.

        Raises:
            BundleError, DataError: As `apply`.
        """
        return self._filled(adata, rows, min_coverage, len(self.genes), lambda cells: cells)

    def check(self, adata: anndata.AnnData, rows: Int[np.ndarray, " n"]) -> None:
        """Read cells and keep none of them.

        Raises:
            BundleError, DataError: As `apply`.
        """
        for _ in self._expression_blocks(adata, rows, 1.0):
            pass

    def invert(self, cells: Float[np.ndarray, "n d"]) -> Decoded:
        """Flow space back to expression space, block by block."""
        expression = np.empty((len(cells), len(self.genes)), dtype=np.float32)
        n_clipped = 0
        for start in range(0, len(cells), ROWS_PER_BLOCK):
            decoded = self.space.decode(cells[start : start + ROWS_PER_BLOCK])
            expression[start : start + ROWS_PER_BLOCK] = decoded.expression
            n_clipped += decoded.n_clipped
        return Decoded(expression, n_clipped)

    def coverage(self, names: Sequence[str]) -> Coverage:
        """Compare the feature names of a file with those the model needs."""
        present = set(map(str, names))
        missing = tuple(name for name in self.input_genes if name not in present)
        n_present = len(self.input_genes) - len(missing)
        return Coverage(n_present / len(self.input_genes), missing, len(present) - n_present)

    def to_json(self) -> dict[str, Any]:
        """All that is text or a plain number, for `features.json`; the rest is in `arrays`."""
        return {
            "features": self.features,
            "expression": self.expression_kind,
            "input_genes": list(self.input_genes),
            "space": to_parts(self.space)[0],
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays, float64, by name."""
        return {"shares": self.shares, **to_parts(self.space)[1]}

    @classmethod
    def from_parts(
        cls, text: Mapping[str, Any] | Plain, arrays: Mapping[str, np.ndarray]
    ) -> "FeatureTransform":
        """The inverse of `to_json` and `arrays`.

        Raises:
            PlainError: If a part is missing or of another type, or names and numbers disagree in size.
            ConfigError: If this version has no such feature space.
        """
        plain = Plain.of(text, "feature transform").exactly(
            ("features", "expression", "input_genes", "space")
        )
        kind = plain.get("expression")
        if kind is not None and kind.text() not in EXPRESSIONS:
            kind.fail(f"one of {listed(EXPRESSIONS)}")
        genes = plain["input_genes"].texts(distinct=True, at_least=1)
        source = parse_features(plain["features"].text())
        space = from_parts(source.entry.space, plain["space"], arrays)
        if unknown := sorted(set(space.genes) - set(genes)):
            plain["space"].fail("genes that are input genes too", listed(unknown))
        try:
            return cls(
                features=plain["features"].text(),
                expression_kind=None if kind is None else kind.text(),
                input_genes=genes,
                shares=array(arrays, "shares", "the arrays of the feature transform"),
                space=space,
            )
        except PlainError:
            raise
        except ValueError as error:
            raise PlainError(f"Expected the stored feature transform to have {error}.") from error

    def _filled(
        self,
        adata: anndata.AnnData,
        rows: Int[np.ndarray, " n"] | None,
        min_coverage: float,
        width: int,
        project: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        n = adata.n_obs if rows is None else len(rows)
        filled = np.empty((n, width), dtype=np.float32)
        start = 0
        for cells in self._expression_blocks(adata, rows, min_coverage):
            filled[start : start + len(cells)] = project(cells)
            start += len(cells)
        return filled

    def _expression_blocks(
        self, adata: anndata.AnnData, rows: Int[np.ndarray, " n"] | None, min_coverage: float
    ) -> Iterator[np.ndarray]:
        """Dense float32 blocks of expression space, missing genes at their training mean."""
        names, table = unique_feature_names(adata, self.features), feature_table(adata, self.features)
        position = self._positions(names, min_coverage, table)
        inputs = pd.Index(self.input_genes)[position >= 0]
        gene_at = inputs.get_indexer(pd.Index(self.genes))
        total = TARGET_TOTAL
        if self.shares.size and (position < 0).any():
            total *= float(self.shares[position >= 0].sum())  # counts that the genes of the file would hold
        kind = self.expression_kind if parse_features(self.features).entry.needs_expression else None
        raw = blocks(values(adata, self.features), rows, position[position >= 0])
        fault = fault_of(adata, self.features, kind, of_model=True)
        for block in checked_blocks(raw, adata.obs_names, inputs, where(adata.obs), fault=fault):
            cells = np.tile(self.mean.astype(np.float32), (len(block.rows), 1))
            scaled = normalised(block.values, total) if self.shares.size else block.values
            cells[:, gene_at >= 0] = dense(scaled[:, gene_at[gene_at >= 0]])
            yield cells

    def _positions(
        self, names: Sequence[str], min_coverage: float, table: pd.DataFrame | None = None
    ) -> Int[np.ndarray, " i"]:
        """Position in the file of each input gene, -1 where missing.

        Raises:
            BundleError: If fewer than `min_coverage` of them are there.
        """
        cover = self.coverage(names)
        if cover.missing and (cover.fraction < min_coverage or cover.fraction == 0):
            accepted = _floor(cover.fraction)
            fix = f"Add them, or accept their training means with `--min-feature-coverage {accepted}`."
            if cover.fraction < _HALF:
                fix = name_difference(self.input_genes, names, table)
            raise BundleError(
                f"Expected all {len(self.input_genes)} features that the model was trained on, found "
                f"{len(self.input_genes) - len(cover.missing)}; missing are {listed(cover.missing)}. {fix}"
            )
        return pd.Index(names).get_indexer(pd.Index(self.input_genes))


_HALF = 0.5  # fewer features than this are rather called by other names


def _floor(fraction: float) -> float:
    """The fraction in two digits, rounded down, so that it is accepted; here at least 0.5."""
    return float(np.floor(fraction * 100) / 100)
