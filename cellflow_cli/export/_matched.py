"""The cells of a prediction and of its truth that belong together, as one AnnData."""

from collections.abc import Callable
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
import torch

from cellflow_cli import rng
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.errors import DataError, listed
from cellflow_cli.evaluation.align import Aligned, align
from cellflow_cli.evaluation.cells import Files
from cellflow_cli.evaluation.floor import subsample
from cellflow_cli.prediction.file import PredictionFile

SAMPLE, CONDITION, ROLE, POPULATION = (
    "cellflow_sample",
    "cellflow_condition",
    "cellflow_role",
    "cellflow_population",
)
CONTROL = "control"
FLOW = "X_flow"


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """What a file of this room ends with.

    Attributes:
        files: Called as `files(cells) -> {file name: AnnData}`, with the AnnData of `matched`.
        names: Of all files that it makes.
        usage: What to run on them; `{folder}` stands for where they are.
    """

    files: Callable[[anndata.AnnData], dict[str, anndata.AnnData]]
    names: tuple[str, ...]
    usage: str


def matched(
    predicted: anndata.AnnData, truth: anndata.AnnData, *, max_cells: int | None = None, seed: int = 0
) -> anndata.AnnData:
    """Control, predicted and measured cells of every population that was both predicted and measured.

    Args:
        predicted: Output of `cellflow predict`, or of `read_external`.
        truth: Measured cells as the training data were given; may hold other samples too.
        max_cells: Maximum cells per population and role, drawn from the seed; default: all.
        seed: For that draw.

    Returns:
        X: Expression space of the model, float32. `obsm["X_flow"]`: features of the flow as metrics see
        them, divided by their training spread if the space has one; components are in `obsm["X_pca"]`
        too. Obs: the columns of samples, treatment and dose under their own names, and
        `cellflow_sample`, `cellflow_condition` (treatment with its dose, or "control"), `cellflow_role`
        (control, predicted or measured) and `cellflow_population`, which is all three in one.

    Raises:
        DataError: As `PredictionFile.read` and `align`; or if a population has no control cells.
    """
    provenance = PredictionFile.read(predicted)
    transform = provenance.transform
    if transform is None:
        raise DataError("Expected a transform in the prediction, found none. Predict again.")
    alignment = align(predicted.obs, truth.obs, provenance.spec)
    pairs = alignment.pairs
    if bare := [pair.name for pair in pairs if not len(pair.control)]:
        raise DataError(
            f"Expected control cells of every sample, found none of {listed(dict.fromkeys(bare))} in either "
            "file. Predict without `--no-controls`, or give the controls with the truth."
        )
    files = Files(provenance, truth, torch.device("cpu"))
    files.check_prediction(alignment.of_prediction)
    reader = _Parts(files, provenance, max_cells, seed)
    parts, samples = [], set()
    for pair in pairs:
        if pair.sample not in samples:
            samples.add(pair.sample)
            parts.append(reader.control(pair))
        parts += [reader.predicted(pair), reader.measured(pair)]
    return anndata.concat(parts, merge="same")


class _Parts:
    """Cells of one role of a population as an AnnData."""

    def __init__(self, files: Files, provenance: PredictionFile, max_cells: int | None, seed: int) -> None:
        self._files, self._spec = files, provenance.spec
        self._transform: FeatureTransform = files.transform
        self._max_cells, self._seed = max_cells, seed

    def control(self, pair: Aligned) -> anndata.AnnData:
        """Untreated cells of the sample."""
        return self._part(pair, CONTROL, pair.control, pair.control_in_truth)

    def predicted(self, pair: Aligned) -> anndata.AnnData:
        """Predicted cells."""
        return self._part(pair, "predicted", pair.predicted, False)

    def measured(self, pair: Aligned) -> anndata.AnnData:
        """Measured treated cells."""
        return self._part(pair, "measured", pair.target, True)

    def _part(self, pair: Aligned, role: str, rows: np.ndarray, in_truth: bool) -> anndata.AnnData:
        condition = CONTROL if role == CONTROL else pair.condition.label
        if self._max_cells is not None:
            rows = subsample(
                rows, self._max_cells, rng.stream(self._seed, "export", pair.name, condition, role)
            )
        cells = (self._files.of_truth if in_truth else self._files.of_prediction)(rows)
        flow = cells.flow.numpy()
        key = self._transform.obsm_key
        obsm = {} if key is None else {key: flow}
        if self._transform.has_scale:
            flow = (flow / np.where(self._transform.scale > 0, self._transform.scale, 1)).astype(np.float32)
        return anndata.AnnData(
            X=cells.genes.numpy(),
            obs=self._labels(pair, condition, role, len(rows)),
            var=pd.DataFrame(index=list(self._transform.genes)),
            obsm={FLOW: flow, **obsm},
        )

    def _labels(self, pair: Aligned, condition: str, role: str, n: int) -> pd.DataFrame:
        spec, is_control = self._spec, role == CONTROL
        columns: dict[str, str | float] = dict(zip(spec.sample_key, pair.sample, strict=True))
        columns[spec.group] = pair.group
        columns[spec.treatment_key] = spec.control[0] if is_control else pair.condition.treatment
        if spec.dose_key:
            dose = None if is_control else pair.condition.dose
            columns[spec.dose_key] = np.nan if dose is None else dose
        own = {SAMPLE: pair.name, CONDITION: condition, ROLE: role}
        own[POPULATION] = ", ".join(dict.fromkeys(own.values()))
        return pd.DataFrame({**columns, **own}, index=[f"{own[POPULATION]}, {i + 1}" for i in range(n)])
