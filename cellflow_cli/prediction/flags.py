"""Which rows of a prediction are predicted cells, and which are controls."""

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import IS_PREDICTED, labels, where
from cellflow_cli.errors import DataError

PREDICTED = IS_PREDICTED
"""Column of obs that is true for predicted cells, false for controls."""
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def predicted_flags(obs: pd.DataFrame) -> np.ndarray:
    """Which rows of a prediction are predicted cells, shape [n]; the others are controls.

    Raises:
        DataError: If the column holds anything but true and false, or nothing is predicted.
    """
    column = obs[PREDICTED]
    texts = labels(column) if isinstance(column, pd.Series) else np.array(["twice"])
    lowered = np.array([_FLAGS.get(text.lower()) for text in texts], dtype=object)
    if (wrong := np.flatnonzero(lowered == None)).size:  # noqa: E711
        raise DataError(
            f"Expected true or false in every row of `obs[{PREDICTED!r}]`, found {str(texts[wrong[0]])!r} in "
            f"{len(wrong):,} of {len(texts):,}.{where(obs)} Give the file as `cellflow predict` wrote it, or "
            "predict again."
        )
    if not (flags := lowered.astype(bool)).any():
        raise DataError(
            f"Expected predicted cells, found none: `obs[{PREDICTED!r}]` is false in all {len(texts):,} rows."
            f"{where(obs)} Keep predicted cells beside their controls, or predict again."
        )
    return flags
