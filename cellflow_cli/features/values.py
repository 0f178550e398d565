"""The values of X, of a layer or of an obsm entry as they are."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from cellflow_cli.features import Decoded, SpaceEntry, TrainingCells, check_shapes

MAX_GENES = 200
"""Of X or a layer: the width that distances and flows between single cells can take."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Values:
    """Each gene or marker is a feature: z = x.

    Attributes:
        names: Genes or markers.
        mean: Training mean, float64, shape [g].
        scale: Training standard deviation, 1 where constant, float64, shape [g].
    """

    names: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    obsm_key: ClassVar[str | None] = None
    is_lossy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        shape = (len(self.names),)
        check_shapes(mean=(self.mean, shape), scale=(self.scale, shape))

    @property
    def genes(self) -> tuple[str, ...]:
        """The same as `names`."""
        return self.names

    def encode(self, expression: Float32[np.ndarray, "n g"]) -> Float32[np.ndarray, "n g"]:
        """The values themselves."""
        return expression

    def decode(self, cells: Float32[np.ndarray, "n g"]) -> Decoded:
        """The values themselves; negative ones are possible, so nothing is clipped."""
        return Decoded(cells, 0)

    def varm(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}


@dataclass(frozen=True, kw_only=True)
class ValuesConfig:
    """Has no settings."""

    def n_features(self, n_genes: int) -> int:
        """As many as genes."""
        return n_genes

    def fault(self, n_cells: int, n_genes: int) -> str:
        """None: any number of cells will do."""
        return ""

    def fit(self, cells: TrainingCells, seed: int = 0) -> Values:
        """Mean and standard deviation of each feature, by two passes over the blocks."""
        total = np.zeros(len(cells.genes))
        for block in cells.blocks():
            total += np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()
        mean = total / cells.n_cells
        squares = np.zeros(len(cells.genes))
        for block in cells.blocks():
            dense = block.toarray() if hasattr(block, "toarray") else block
            squares += ((dense - mean) ** 2).sum(axis=0)
        std = np.sqrt(squares / cells.n_cells)
        return Values(names=cells.genes, mean=mean, scale=np.where(std > 0, std, 1.0))


def parse(text: str) -> ValuesConfig:
    """The space of a plain matrix, which is given without a value."""
    if text:
        raise ValueError("the values of a matrix take no setting")
    return ValuesConfig()


ENTRY = SpaceEntry(parse=parse, space=Values, usage="", needs_expression=False, max_genes=MAX_GENES)
