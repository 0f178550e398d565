"""Cells of a prediction and of its truth, in the space of the flow and as genes or markers."""

from dataclasses import dataclass
from typing import NamedTuple

import anndata
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, Block, checked_blocks, dense
from cellflow_cli.data.columns import where
from cellflow_cli.data.read import feature_names
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError, listed


class Cells(NamedTuple):
    """The same cells twice, float32.

    Attributes:
        flow: Features of the flow, unscaled, shape [n, d].
        genes: Genes or markers in the expression space of the model, shape [n, g].
    """

    flow: Float[Tensor, "n d"]
    genes: Float[Tensor, "n g"]

    def take(self, n: int) -> "Cells":
        """The first n cells."""
        return Cells(self.flow[:n], self.genes[:n])


@dataclass(frozen=True, eq=False)
class Files:
    """Both files and the transform between their spaces.

    Attributes:
        predicted: Written by `cellflow predict`; X is the expression space, `obsm["X_pca"]` the space
            of the flow where that is another one.
        truth: Measured cells as the training data were given; reads what the transform asks for.
        transform: Fitted on the training part.
        device: Where the cells go.
    """

    predicted: anndata.AnnData
    truth: anndata.AnnData
    transform: FeatureTransform
    device: torch.device

    def __post_init__(self) -> None:
        self._check_prediction()
        self._check_truth()

    def _check_prediction(self) -> None:
        names, genes = [str(name) for name in self.predicted.var_names], list(self.transform.genes)
        if names != genes and sorted(names) == sorted(genes):
            raise DataError(
                f"Expected the features of the model in its order, {listed(genes, 3)}, found all of them in "
                f"another, {listed(names, 3)}.{where(self.predicted.obs)} Predict again, or put the columns "
                "back in order."
            )
        if names != genes:
            raise DataError(
                f"Expected the {len(genes)} features of the model in the prediction, {listed(genes, 3)}, "
                f"found {len(names)}: {listed(names, 3)}.{where(self.predicted.obs)} Predict again."
            )
        if self.transform.kind == "pca" and "X_pca" not in self.predicted.obsm:
            raise DataError(
                f"Expected `obsm['X_pca']` in the prediction, found {listed(self.predicted.obsm) or 'none'}."
                f"{where(self.predicted.obs)} Predict again."
            )

    def _check_truth(self) -> None:
        cover = self.transform.coverage(feature_names(self.truth, self.transform.features))
        if cover.missing:
            raise DataError(
                f"Expected the {len(self.transform.input_genes)} features of the model in the truth, "
                f"found {len(cover.missing)} missing: {listed(cover.missing)}.{where(self.truth.obs)} "
                "Measured values cannot be filled in; give the truth with the features of the training data."
            )

    def check_prediction(self, rows: np.ndarray) -> None:
        """Read rows of the prediction, block by block, and keep none of them.

        Raises:
            DataError: If a value is NaN or infinite: which metrics and draws meet it would be chance.
        """
        rows, place = np.unique(rows), where(self.predicted.obs)
        held = [(self.predicted.X, self.predicted.var_names)]
        if self.transform.kind == "pca":
            held.append((self.predicted.obsm["X_pca"], self.transform.names))
        for matrix, names in held:
            parts = (
                Block(part, matrix[part])
                for part in np.split(rows, range(ROWS_PER_BLOCK, len(rows), ROWS_PER_BLOCK))
            )
            for _ in checked_blocks(parts, self.predicted.obs_names, names, None, place):
                pass

    def of_prediction(self, rows: np.ndarray) -> Cells:
        """Rows of the prediction, its controls included."""
        rows, back = np.unique(rows, return_inverse=True)  # files on disk are read in ascending order
        genes = self._tensor(dense(self.predicted.X[rows])[back])
        if self.transform.kind != "pca":
            return Cells(genes, genes)
        return Cells(self._tensor(dense(self.predicted.obsm["X_pca"][rows])[back]), genes)

    def of_truth(self, rows: np.ndarray) -> Cells:
        """Rows of the truth through the transform of the model."""
        flow = self._tensor(self.transform.apply(self.truth, rows))
        return Cells(flow, self._tensor(self.transform.expression(self.truth, rows)))

    def decoded(self, flow: Float[Tensor, "n d"]) -> Cells:
        """Cells known in the space of the flow only."""
        genes, _ = self.transform.invert(flow.cpu().numpy())
        return Cells(flow, self._tensor(genes))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=self.device)
