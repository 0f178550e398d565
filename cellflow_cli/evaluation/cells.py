"""Cells of a prediction and of its truth, in the space of the flow and as genes or markers."""

from dataclasses import dataclass
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.data.blocks import ROWS_PER_BLOCK, Block, checked_blocks
from cellflow_cli.data.columns import where
from cellflow_cli.data.read import feature_names
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError, listed
from cellflow_cli.prediction.file import PredictionFile


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
    """A prediction and its truth, whose features fit.

    Attributes:
        prediction: With the transform that was fitted on the training part.
        truth: Measured cells as the training data were given; reads what the transform needs.
        device: Where the cells go.

    Raises:
        DataError: If one of them has other features than the transform.
    """

    prediction: PredictionFile
    truth: anndata.AnnData
    device: torch.device

    def __post_init__(self) -> None:
        self.prediction.check_features()
        coverage = self.transform.coverage(feature_names(self.truth, self.transform.features))
        if coverage.missing:
            raise DataError(
                f"Expected the {len(self.transform.input_genes)} features of the model in the truth, found "
                f"{len(coverage.missing)} missing: {listed(coverage.missing)}.{where(self.truth.obs)} "
                "Measured values cannot be filled in; give the truth with the features of the training data."
            )

    @property
    def transform(self) -> FeatureTransform:
        """From genes or markers to the features of the flow and back."""
        return self.prediction.features

    @property
    def predicted_obs(self) -> pd.DataFrame:
        """Obs of the prediction."""
        return self.prediction.adata.obs

    def check_prediction(self, rows: Int[np.ndarray, " n"]) -> None:
        """Read rows of the prediction, block by block, and keep none of them.

        Raises:
            DataError: If a value is NaN or infinite: which metrics and draws meet it would be chance.
        """
        rows, adata = np.unique(rows), self.prediction.adata
        matrices = [(adata.X, adata.var_names)]
        if self.transform.obsm_key is not None:
            matrices.append((adata.obsm[self.transform.obsm_key], self.transform.names))
        for matrix, names in matrices:
            blocks = (
                Block(part, matrix[part])
                for part in np.split(rows, range(ROWS_PER_BLOCK, len(rows), ROWS_PER_BLOCK))
            )
            for _ in checked_blocks(blocks, adata.obs_names, names, where(adata.obs)):
                pass

    def of_prediction(self, rows: Int[np.ndarray, " n"]) -> Cells:
        """Rows of the prediction, its controls included."""
        genes = self._tensor(self.prediction.expression(rows))
        if self.transform.obsm_key is None:
            return Cells(genes, genes)
        return Cells(self._tensor(self.prediction.flow(rows)), genes)

    def of_truth(self, rows: Int[np.ndarray, " n"]) -> Cells:
        """Rows of the truth through the transform of the model."""
        flow = self._tensor(self.transform.apply(self.truth, rows))
        return Cells(flow, self._tensor(self.transform.expression(self.truth, rows)))

    def decoded(self, flow: Float[Tensor, "n d"]) -> Cells:
        """Cells known in the space of the flow only."""
        genes, _ = self.transform.invert(flow.cpu().numpy())
        return Cells(flow, self._tensor(genes))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=self.device)
