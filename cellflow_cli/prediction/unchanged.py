"""Whether the cells of a prediction are still those that were predicted."""

import numpy as np
from jaxtyping import Int

from cellflow_cli.data.blocks import dense
from cellflow_cli.prediction.file import CONTROL, OTHER_TOOL, PredictionFile
from cellflow_cli.prediction.flags import predicted_flags

_CHECKED = 64  # cells
_TOLERANCE = 1e-3  # of the largest value: a file may have been written with fewer digits


def change_remarks(file: PredictionFile, rows: Int[np.ndarray, " n"]) -> tuple[str, ...]:
    """A sentence where `X` is not what the two places say that repeat it, as after it was scaled.

    These are `obsm` for predicted cells, and the layer of controls for control cells.

    Args:
        file: The prediction; one of another tool repeats nothing.
        rows: Of which some are looked at.
    """
    if file.facts.get("method") == OTHER_TOOL:
        return ()
    adata, key = file.adata, file.features.obsm_key
    is_predicted = predicted_flags(adata.obs)[rows]
    controls, cells = rows[~is_predicted][:_CHECKED], rows[is_predicted][:_CHECKED]
    gaps: dict[str, float] = {}
    if CONTROL in adata.layers and len(controls):
        source = np.asarray(dense(adata.layers[CONTROL][controls]), dtype=np.float32)
        gaps[f"layers[{CONTROL!r}]"] = _gap(file.expression(controls), source)
    if key is not None and len(cells):
        decoded = file.features.invert(file.flow(cells)).expression
        gaps[f"obsm[{key!r}]"] = _gap(file.expression(cells), decoded)
    return tuple(
        f"`X` of the prediction does not agree with its `{place}`, values differ by up to {gap:.3g}: it was "
        "changed after the prediction, such as scaled, and fits the truth only if that was changed alike. "
        "Give the file as `cellflow predict` wrote it."
        for place, gap in gaps.items()
        if gap
    )


def _gap(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of numbers; zero where it is rounding."""
    compared = np.isfinite(wanted) & np.isfinite(found)
    if not compared.any():
        return 0.0
    gap = float(np.abs(found - wanted)[compared].max())
    return gap if gap > _TOLERANCE * (1 + float(np.abs(wanted[compared]).max())) else 0.0
