"""Genes or markers to the features of the flow, and back, by a transform fitted on training cells.

    values   the columns of X, of a layer or of an obsm entry as they are
    pca      counts:  x = log1p(10,000 count / total over the training genes) on the most variable genes
             log1p:   x = the most variable genes of X as they are
             as-is:   x = the genes of X as they are, those of largest variance if there are too many
             z = (x - mean) W, with W the leading principal axes of the training cells; back: x = z W^T + mean

Features are found by name, so the order of the columns and further columns do not matter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import anndata
import numpy as np
import pandas as pd

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, blocks, checked_blocks, dense, normalised
from cellflow_cli.data.columns import where
from cellflow_cli.data.read import unique_feature_names, values
from cellflow_cli.errors import BundleError, listed

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
    """A fitted transform between expression space [n, g] and flow space [n, d].

    Attributes:
        kind: `"values"` (g equals d) or `"pca"`.
        features: The setting it was fitted with, such as `"pca:30"`.
        expression_kind: `"counts"`, `"log1p"`, `"as-is"`, or None where nothing was said.
        names: Features of the flow: markers, or `PC1` to `PCd`.
        genes: Features of the expression space, in training order.
        input_genes: Features that a file must have: with counts all training genes, else `genes`.
        mean: Training mean of each gene in expression space, float64, shape [g].
        scale: Training standard deviation per flow feature, 1 where constant and for PCs, shape [d].
        components: W, orthonormal columns, float64, shape [g, d]; empty for values.
        shares: Mean share of a cell's total that each input gene holds; empty unless counts.
    """

    kind: Literal["values", "pca"]
    features: str
    expression_kind: str | None
    names: tuple[str, ...]
    genes: tuple[str, ...]
    input_genes: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    shares: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def n_features(self) -> int:
        """Width d of the flow space."""
        return len(self.names)

    def apply(
        self, adata: anndata.AnnData, rows: np.ndarray | None = None, min_coverage: float = 1.0
    ) -> np.ndarray:
        """Cells in flow space.

        Args:
            adata: Holds what `features` names; not modified.
            rows: Positions of cells, default all.
            min_coverage: Smallest share of the model's features that will do; missing ones take
                their training mean.

        Returns:
            float32, shape [n, d].

        Raises:
            BundleError: If too many features are missing.
            DataError: If values are not finite or not what `expression_kind` says.
        """
        return self._filled(adata, rows, min_coverage, self.n_features, self._flow)

    def expression(
        self, adata: anndata.AnnData, rows: np.ndarray | None = None, min_coverage: float = 1.0
    ) -> np.ndarray:
        """Cells in expression space, float32, shape [n, g]: the values as they are, or log1p of the genes.

        Raises:
            BundleError, DataError: As `apply`.
        """
        return self._filled(adata, rows, min_coverage, len(self.genes), lambda cells: cells)

    def check(self, adata: anndata.AnnData, rows: np.ndarray) -> None:
        """Read cells and keep none of them.

        Raises:
            BundleError, DataError: As `apply`.
        """
        for _ in self._expression_blocks(adata, rows, 1.0):
            pass

    @property
    def is_lossy(self) -> bool:
        """Whether the way to the flow and back loses something of the expression."""
        return self.kind == "pca"

    @property
    def obsm_key(self) -> str | None:
        """Where a prediction keeps the features of the flow; None where they are the expression itself."""
        return "X_pca" if self.kind == "pca" else None

    def varm(self) -> dict[str, np.ndarray]:
        """Axes of the flow space for `varm` of a prediction, each shape [g, d]; none for plain values."""
        return {"PCs": self.components.astype(np.float32)} if self.kind == "pca" else {}

    def invert(self, cells: np.ndarray) -> tuple[np.ndarray, int]:
        """Flow space back to expression space.

        Args:
            cells: Shape [n, d].

        Returns:
            Values, float32, shape [n, g], and how many of them were below zero and set to zero
            (counts and log1p only; nothing is clipped where negative values are possible).
        """
        if self.kind == "values":
            return np.asarray(cells, dtype=np.float32), 0
        out = np.empty((len(cells), len(self.genes)), dtype=np.float32)
        n_clipped = 0
        for start in range(0, len(cells), ROWS_PER_BLOCK):
            part = np.asarray(cells[start : start + ROWS_PER_BLOCK], dtype=np.float64)
            decoded = part @ self.components.T + self.mean
            if self.expression_kind != "as-is":
                n_clipped += int((decoded < 0).sum())
                decoded = np.maximum(decoded, 0)
            out[start : start + len(part)] = decoded
        return out, n_clipped

    def coverage(self, names: Sequence[str]) -> Coverage:
        """Compare the feature names of a file with those the model needs."""
        present = set(map(str, names))
        missing = tuple(name for name in self.input_genes if name not in present)
        n_found = len(self.input_genes) - len(missing)
        return Coverage(n_found / len(self.input_genes), missing, len(present) - n_found)

    def to_json(self) -> dict[str, Any]:
        """All that is text, for `features.json`; the numbers are in `arrays`."""
        return {
            "kind": self.kind,
            "features": self.features,
            "expression": self.expression_kind,
            "names": list(self.names),
            "genes": list(self.genes),
            "input_genes": list(self.input_genes),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """All that is numbers, float64, by name."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "components": self.components,
            "shares": self.shares,
        }

    @classmethod
    def from_parts(cls, text: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "FeatureTransform":
        """The inverse of `to_json` and `arrays`.

        Raises:
            BundleError: If a part is missing, or names and numbers disagree in size.
        """
        try:
            transform = cls(
                kind=text["kind"],
                features=text["features"],
                expression_kind=text["expression"],
                names=tuple(text["names"]),
                genes=tuple(text["genes"]),
                input_genes=tuple(text["input_genes"]),
                **{name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS},
            )
        except KeyError as error:
            raise BundleError(
                f"Expected the stored feature transform to have {error.args[0]!r}, found "
                f"{listed(sorted([*text, *arrays]), 12)}. Train again, or copy the model folder again."
            ) from error
        transform._check_sizes()
        return transform

    def _check_sizes(self) -> None:
        d, g = len(self.names), len(self.genes)
        is_pca = self.kind == "pca"
        n_shares = len(self.input_genes) if self.expression_kind == "counts" else 0
        expected = {
            "mean": (g,),
            "scale": (d,),
            "components": (g, d) if is_pca else (0, 0),
            "shares": (n_shares,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise BundleError(
                    f"Expected `{name}` of the stored feature transform to have the shape {shape}, found "
                    f"{getattr(self, name).shape}. Copy the model folder again."
                )

    def _flow(self, cells: np.ndarray) -> np.ndarray:
        """Expression space to flow space; in float64, so that the size of a block hardly matters."""
        if self.kind == "values":
            return cells
        return (cells.astype(np.float64) - self.mean) @ self.components

    def _filled(
        self, adata: anndata.AnnData, rows: np.ndarray | None, min_coverage: float, width: int, project: Any
    ) -> np.ndarray:
        n = adata.n_obs if rows is None else len(rows)
        out = np.empty((n, width), dtype=np.float32)
        start = 0
        for cells in self._expression_blocks(adata, rows, min_coverage):
            out[start : start + len(cells)] = project(cells)
            start += len(cells)
        return out

    def _expression_blocks(
        self, adata: anndata.AnnData, rows: np.ndarray | None, min_coverage: float
    ) -> Iterator[np.ndarray]:
        """Dense float32 blocks of expression space, missing genes at their training mean."""
        found = self._found(unique_feature_names(adata, self.features), min_coverage)
        inputs = pd.Index(self.input_genes)[found >= 0]
        gene_at = inputs.get_indexer(pd.Index(self.genes))
        total = TARGET_TOTAL
        if self.shares.size and (found < 0).any():
            total *= float(self.shares[found >= 0].sum())  # what the genes that are there would hold
        expression = self.expression_kind if self.kind == "pca" else None
        parts = blocks(values(adata, self.features), rows, found[found >= 0])
        for block in checked_blocks(parts, adata.obs_names, inputs, expression, where(adata.obs)):
            cells = np.tile(self.mean.astype(np.float32), (len(block.rows), 1))
            scaled = normalised(block.values, total) if self.shares.size else block.values
            cells[:, gene_at >= 0] = dense(scaled[:, gene_at[gene_at >= 0]])
            yield cells

    def _found(self, names: Sequence[str], min_coverage: float) -> np.ndarray:
        """Position in the file of each input gene, -1 where missing.

        Raises:
            BundleError: If fewer than `min_coverage` of them are there.
        """
        cover = self.coverage(names)
        if cover.missing and (cover.fraction < min_coverage or cover.fraction == 0):
            fix = "accept their training means with `--min-feature-coverage"
            raise BundleError(
                f"Expected all {len(self.input_genes)} features that the model was trained on, found "
                f"{len(self.input_genes) - len(cover.missing)}; missing are {listed(cover.missing)}. "
                + (f"Add them, or {fix} {_floor(cover.fraction)}`." if cover.fraction else _OTHER_NAMES)
            )
        return pd.Index(names).get_indexer(pd.Index(self.input_genes))


_OTHER_NAMES = "Use the feature names of the training data (symbols or identifiers?)."
_ARRAYS = ("mean", "scale", "components", "shares")


def _floor(fraction: float) -> float:
    return float(np.floor(fraction * 100) / 100)
