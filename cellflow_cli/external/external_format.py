"""What a prediction of another tool does not say of itself, and so has to be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import anndata

from cellflow_cli.data.schema import EXPRESSIONS, parse_features
from cellflow_cli.errors import ConfigError, listed, nearest
from cellflow_cli.prediction.file import KEY, PREDICTED


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What a file of another tool does not say of itself.

    Attributes:
        matrix: Where the predicted cells are: `"X"`, `"layers/NAME"` or `"obsm/NAME"`. None is X too,
            but then a matrix that holds the measured cells themselves is refused.
        expression: What it holds, `"counts"`, `"log1p"` or `"as-is"`; None: the same as the truth.
        obs: Values that hold for every cell, by column, such as `{"treatment": "5-FU"}`.
        rename: Columns of obs to be read under another name, `{"new": "old"}`.
        assume_feature_order: The columns of the matrix are the features of the truth in their order;
            for files that lost their feature names.
        shared_features: Leave out features of the truth that were not predicted.
    """

    matrix: str | None = None
    expression: str | None = None
    obs: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    assume_feature_order: bool = False
    shared_features: bool = False

    def __post_init__(self) -> None:
        if self.matrix is not None and parse_features(self.matrix).kind == "pca":
            raise ConfigError(
                f"Expected `--predicted-in` to be X, layers/NAME or obsm/NAME, found {self.matrix!r}."
            )
        if self.expression not in (None, *EXPRESSIONS):
            raise ConfigError(
                f"Expected `--predicted-expression` to be one of {listed(EXPRESSIONS)}, found "
                f"{self.expression!r}.{nearest(str(self.expression), EXPRESSIONS)}"
            )


def is_foreign(predicted: anndata.AnnData) -> bool:
    """Whether a prediction bears no mark of `cellflow predict`."""
    return KEY not in predicted.uns and PREDICTED not in predicted.obs
