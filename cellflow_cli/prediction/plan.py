"""Prediction: control cells of an AnnData to predicted cells, part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cellflow_cli.data.columns import distinct
from cellflow_cli.data.moving import moved
from cellflow_cli.data.populations import PopulationRows
from cellflow_cli.data.read import feature_names
from cellflow_cli.data.schema import COUNTS, DataSpec
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.errors import DataError, listed
from cellflow_cli.prediction.context import training_controls, why_context_is_ignored
from cellflow_cli.prediction.file import SOURCE_CELL, provenance
from cellflow_cli.prediction.known_cells import known_cell_warnings
from cellflow_cli.prediction.new_data import new_data_warnings
from cellflow_cli.prediction.obs import population_obs, sample_columns
from cellflow_cli.prediction.part import Counts, Part
from cellflow_cli.prediction.request import PredictionRequest
from cellflow_cli.prediction.tasks import Task, tasks
from cellflow_cli.prediction.trained_model import TrainedModel
from cellflow_cli.prediction.transport import prepare, transport
from cellflow_cli.types import Condition, Population

if TYPE_CHECKING:
    import anndata


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What is to be predicted, checked, and an iterator that predicts it; `plan_prediction` makes one.

    Attributes:
        model: The trained model.
        adata: Data with control cells.
        request: What to predict.
        tasks: Control populations with their conditions.
        warnings: Remarks for the user, kept in the output.
        facts: More entries of `uns["cellflow"]`, such as the command line.
    """

    model: TrainedModel
    adata: "anndata.AnnData"
    request: PredictionRequest
    tasks: tuple[Task, ...]
    warnings: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def control_rows(self) -> np.ndarray:
        """Positions in the data of the control rows of the output, in their order."""
        if not self.request.controls:
            return np.zeros(0, dtype=np.int64)
        return np.concatenate([task.control.rows for task in self.tasks])

    @property
    def n_rows(self) -> int:
        """Rows of the output."""
        return len(self.control_rows) + sum(len(t.control.rows) * len(t.conditions) for t in self.tasks)

    def parts(self) -> Iterator[Part]:
        """Controls of all samples, then predicted cells, sample by sample; at most `chunk` rows each."""
        if self.request.controls:
            for task in self.tasks:
                yield from self._control_parts(task.control)
        average = training_controls(self.model) if self.request.population == "average" else []
        for position, task in enumerate(self.tasks):
            population = self._reader.population(task.control)
            context: Sequence[Population] = average
            if self.request.population == "other":
                context = [self._reader.population(self.tasks[position - 1].control)]
            for condition in task.conditions:
                yield from self._predicted_parts(population, context, task.control, condition)

    def uns(self, counts: Counts) -> dict[str, Any]:
        """`uns["cellflow"]`.

        Args:
            counts: Of all parts together.
        """
        facts = {
            **self.model.provenance(),
            "seed": self.request.seed,
            "population": self.request.population,
            "n_evaluations": counts.n_evaluations,
            "n_clipped": counts.n_clipped,
            "fraction_clipped": counts.fraction_clipped,
            "train_groups": np.array(self.model.trained_groups, dtype=object),
            **self.facts,
        }
        return provenance(
            self.model.spec, self.model.transform, self.model.summaries.light(), self.warnings, facts
        )

    def counts_layer(self) -> Any:
        """`layers["counts"]` as CSR, shape [rows, g], empty for predicted rows; None without counts."""
        transform = self.model.transform
        if transform.expression_kind not in COUNTS or not len(self.control_rows):
            return None
        import scipy.sparse as sp

        from cellflow_cli.data.read import values

        at = pd.Index(feature_names(self.adata, transform.features)).get_indexer(pd.Index(transform.genes))
        matrix = values(self.adata, transform.features)
        controls = sp.csr_matrix(matrix[self.control_rows], dtype=np.float32)
        known = np.flatnonzero(at >= 0)
        chosen = sp.csr_matrix(
            (np.ones(len(known), dtype=np.float32), (at[known], known)), shape=(matrix.shape[1], len(at))
        )
        counts = (controls @ chosen).tocsr()
        starts = np.append(counts.indptr, np.full(self.n_rows - len(self.control_rows), counts.nnz))
        return sp.csr_matrix((counts.data, counts.indices, starts), shape=(self.n_rows, len(at)))

    @cached_property
    def _reader(self) -> PopulationReader:
        return _reader(self.model, self.adata, self.request)

    def _control_parts(self, control: PopulationRows) -> Iterator[Part]:
        obs = self._obs(control, None)
        for at in _chunks(np.arange(len(control.rows)), self.request.chunk):
            rows = control.rows[at]
            expression = self._expression(rows)
            flow = self.model.transform.apply(self.adata, rows, self.request.min_coverage)
            yield Part(obs=obs.iloc[at], expression=expression, control=expression, flow=flow)

    def _predicted_parts(
        self,
        population: Population,
        context: Sequence[Population],
        control: PopulationRows,
        condition: Condition,
    ) -> Iterator[Part]:
        method = self.model.method
        label = self.model.shape.label_of(population.name)
        prepared = prepare(method, population, condition, self.request.seed, label=label, context=context)
        obs = self._obs(control, condition)
        for at in _chunks(np.arange(len(control.rows)), self.request.chunk):
            rows = torch.from_numpy(at).to(prepared.start.device)
            moved = transport(method, prepared._replace(start=prepared.start[rows]), chunk=self.request.chunk)
            flow = moved.end.cpu().numpy()
            expression, n_clipped = self.model.transform.invert(flow)
            source = np.full_like(expression, np.nan)
            if not method.from_noise:
                source = self._expression(control.rows[at])
            counts = Counts(n_clipped, expression.size, moved.n_evaluations)
            yield Part(obs=obs.iloc[at], expression=expression, control=source, flow=flow, counts=counts)

    def _expression(self, rows: np.ndarray) -> np.ndarray:
        return self.model.transform.expression(self.adata, rows, self.request.min_coverage)

    def _obs(self, control: PopulationRows, condition: Condition | None) -> pd.DataFrame:
        return population_obs(
            self.adata.obs, self.model.spec, control, condition, from_noise=self.model.method.from_noise
        )


def plan_prediction(
    model: TrainedModel,
    adata: "anndata.AnnData",
    request: PredictionRequest,
    facts: Mapping[str, Any] | None = None,
) -> Prediction:
    """Check what is requested against the model and the data, before anything is computed.

    Args:
        model: A trained model.
        adata: Holds control cells of one or more samples; not modified.
        request: What to predict.
        facts: More entries of `uns["cellflow"]`, such as the command line.

    Raises:
        BundleError: If the data lack features of the model.
        ConfigError, DataError: As `tasks`.
    """
    adata = moved(adata, model.transform.features, request.layer)
    planned, warnings = tasks(model, adata.obs, request)
    warnings += _context_warnings(model, request, len(planned))
    model.transform.apply(adata, planned[0].control.rows[:1], request.min_coverage)  # are the features there?
    missing = model.transform.coverage(feature_names(adata, model.transform.features)).missing
    if missing:
        warnings.append(f"missing features stand at their training means: {listed(missing)}")
    if model.run.get("stopped") == "interrupted":
        warnings.append("the training of this model was interrupted before it had finished")
    warnings += new_data_warnings(
        model.transform,
        model.summaries.profiles,
        adata,
        [task.control for task in planned],
        request.min_coverage,
    )
    warnings += _type_warnings(_reader(model, adata, request), planned)
    warnings += known_cell_warnings(model, _reader(model, adata, request), planned)
    if model.method.from_noise:
        warnings.append(_noise_warning(model.spec))
    return Prediction(
        model=model, adata=adata, request=request, tasks=tuple(planned), warnings=tuple(warnings),
        facts=facts or {},
    )  # fmt: skip


def _context_warnings(model: TrainedModel, request: PredictionRequest, n_samples: int) -> list[str]:
    """That a prediction from another population is a check.

    Raises:
        BundleError, DataError: If there is no such population.
    """
    if request.population == "own":
        return []
    which = "another sample's control population"
    if request.population == "other" and n_samples < 2:
        raise DataError("Expected two samples or more to exchange populations between, found one.")
    if request.population == "average":
        training_controls(model)  # are there any?
        which = "the average control population of the training part"
    warnings = [f"each sample was predicted from {which}: a check, no prediction"]
    if why := why_context_is_ignored(model):
        warnings.append(f"the population makes no difference to the model: {why}")
    return warnings


def _reader(model: TrainedModel, adata: "anndata.AnnData", request: PredictionRequest) -> PopulationReader:
    return PopulationReader(
        adata=adata,
        spec=model.spec,
        transform=model.transform,
        vocabulary=model.vocabulary,
        device=model.device,
        min_coverage=request.min_coverage,
    )


def _type_warnings(reader: PopulationReader, planned: Sequence[Task]) -> list[str]:
    """A warning about cell types that the model does not know.

    Raises:
        DataError: If a covariate or a cell type is missing or was never trained on.
    """
    unseen: list[str] = []
    for task in planned:
        reader.covariates(task.control)
        unseen += reader.unseen_types(task.control)
    if not unseen:
        return []
    n = sum(len(task.control.rows) for task in planned)
    return [
        f'the type of {len(unseen)} of {n} control cells in `obs["{reader.spec.cell_type_key}"]` was never '
        f"trained on ({listed(distinct(unseen))}): these cells enter without a type"
    ]


def _noise_warning(spec: DataSpec) -> str:
    """The warning of a flow from noise."""
    empty = ['`layers["control"]`', f'`obs["{SOURCE_CELL}"]`']
    if spec.cell_type_key and spec.cell_type_key not in sample_columns(spec):
        empty.append(f'`obs["{spec.cell_type_key}"]`')
    return (
        "the flow starts from noise, so that predicted cells come from no control cell: "
        f"{', '.join(empty[:-1])} and {empty[-1]} are empty for them"
    )


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
