"""Prediction: control cells of an AnnData to predicted cells, part by part."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cellflow_cli._version import __version__
from cellflow_cli.config import to_dict
from cellflow_cli.data.columns import distinct, labels
from cellflow_cli.data.populations import POOLED, PopulationRows
from cellflow_cli.data.read import feature_names
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.errors import DataError, listed
from cellflow_cli.model._request import PredictionRequest, Task, tasks
from cellflow_cli.model._told import label_of, training_controls, why_blind
from cellflow_cli.prediction.transport import from_noise, prepare, start, transport
from cellflow_cli.types import Condition, Population

if TYPE_CHECKING:
    import anndata

    from cellflow_cli.model._model import Model


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """Rows of the output that were made together.

    Attributes:
        obs: Their obs, one row per cell, unique names.
        expression: Float32, shape [n, g].
        control: The source cells in expression space, shape [n, g]; NaN where a cell comes from noise.
        flow: In the feature space of the flow, shape [n, d].
        n_clipped: Values below zero that were set to zero.
    """

    obs: pd.DataFrame
    expression: np.ndarray
    control: np.ndarray
    flow: np.ndarray
    n_clipped: int = 0


@dataclass(eq=False, kw_only=True)
class Prediction:
    """A prediction about to be made: what it will hold, and an iterator over its parts.

    Attributes:
        model: The trained model.
        adata: Data with control cells.
        request: What to predict.
        tasks: Control populations with their conditions.
        warnings: Remarks for the user, kept in the output.
        facts: Further entries of `uns["cellflow"]`, such as the command line.
    """

    model: "Model"
    adata: "anndata.AnnData"
    request: PredictionRequest
    tasks: list[Task]
    warnings: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    n_clipped: int = 0
    n_values: int = 0
    n_evaluations: int = 0

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
        reader = _reader(self.model, self.adata, self.request)
        self.n_clipped = self.n_values = self.n_evaluations = 0
        if self.request.controls:
            for task in self.tasks:
                yield from self._control_parts(task.control)
        average = training_controls(self.model) if self.request.population == "average" else []
        for position, task in enumerate(self.tasks):
            population = reader.population(task.control)
            instead: Sequence[Population] = average
            if self.request.population == "other":
                instead = [reader.population(self.tasks[position - 1].control)]
            for condition in task.conditions:
                yield from self._predicted_parts(population, instead, task.control, condition)

    def uns(self) -> dict[str, Any]:
        """`uns["cellflow"]`, complete once all parts were made."""
        model, solver = self.model, self.model.config.solver
        transform, summaries = model.transform, model.summaries.light()
        return {
            "version": __version__,
            "model_id": model.id,
            "method": model.config.method.name,
            "seed": self.request.seed,
            "population": self.request.population,
            "solver": {name: value for name, value in to_dict(solver).items() if value is not None},
            "n_evaluations": self.n_evaluations,
            "n_clipped": self.n_clipped,
            "fraction_clipped": self.n_clipped / max(1, self.n_values),
            "spec": json.dumps(to_dict(model.config.data), ensure_ascii=False),
            "transform_json": json.dumps(transform.to_json(), ensure_ascii=False),
            "transform": dict(transform.arrays()),
            "summaries_json": json.dumps(summaries.to_json(), ensure_ascii=False),
            "summaries": summaries.arrays(),
            "train_groups": np.array(model.trained_groups, dtype=object),
            "warnings": np.array(self.warnings, dtype=object),
            **self.facts,
        }

    def obsm(self, flow: np.ndarray) -> dict[str, np.ndarray]:
        """Coordinates of the flow, where they are not the expression itself."""
        return {"X_pca": flow} if self.model.transform.kind == "pca" else {}

    def varm(self) -> dict[str, np.ndarray]:
        """Principal axes, where there are any."""
        transform = self.model.transform
        return {"PCs": transform.components.astype(np.float32)} if transform.kind == "pca" else {}

    def counts(self) -> Any:
        """`layers["counts"]` as CSR, shape [rows, g], empty for predicted rows; None without counts."""
        transform = self.model.transform
        if transform.expression_kind != "counts" or not len(self.control_rows):
            return None
        import scipy.sparse as sp

        from cellflow_cli.data.read import values

        at = pd.Index(feature_names(self.adata, transform.features)).get_indexer(pd.Index(transform.genes))
        matrix = values(self.adata, transform.features)
        found = sp.csr_matrix(matrix[self.control_rows], dtype=np.float32)
        known = np.flatnonzero(at >= 0)
        chosen = sp.csr_matrix(
            (np.ones(len(known), dtype=np.float32), (at[known], known)), shape=(matrix.shape[1], len(at))
        )
        counts = (found @ chosen).tocsr()
        starts = np.append(counts.indptr, np.full(self.n_rows - len(self.control_rows), counts.nnz))
        return sp.csr_matrix((counts.data, counts.indices, starts), shape=(self.n_rows, len(at)))

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
        instead: Sequence[Population],
        control: PopulationRows,
        condition: Condition,
    ) -> Iterator[Part]:
        method: Any = self.model.method
        label = label_of(self.model, population)
        prepared = prepare(method, population, condition, self.request.seed, label, instead)
        begin = start(method, population, condition, self.request.seed)
        obs = self._obs(control, condition)
        for at in _chunks(np.arange(len(control.rows)), self.request.chunk):
            cells = begin[torch.from_numpy(at).to(begin.device)]
            moved = transport(method, cells, prepared, self.model.config.solver, self.request.chunk)
            flow = moved.cells.cpu().numpy()
            expression, n_clipped = self.model.transform.invert(flow)
            source = np.full_like(expression, np.nan)
            if not from_noise(self.model.method):
                source = self._expression(control.rows[at])
            self.n_clipped += n_clipped
            self.n_values += expression.size
            self.n_evaluations = max(self.n_evaluations, moved.n_evaluations)
            yield Part(
                obs=obs.iloc[at], expression=expression, control=source, flow=flow, n_clipped=n_clipped
            )

    def _expression(self, rows: np.ndarray) -> np.ndarray:
        return self.model.transform.expression(self.adata, rows, self.request.min_coverage)

    def _obs(self, control: PopulationRows, condition: Condition | None) -> pd.DataFrame:
        """Obs of the rows made from a control population; without a condition, of its own rows.

        A cell that comes from noise is no control cell's: it keeps what is true of the whole population.
        """
        spec = self.model.config.data
        old = self.adata.obs.iloc[control.rows]
        is_noise = condition is not None and from_noise(self.model.method)
        names = old.index.astype(str)
        if is_noise:
            sample = "-".join(value for value in control.sample if value != POOLED)
            names = pd.Index([f"{sample}-predicted-{i:04d}" for i in range(len(old))])
        table = pd.DataFrame(index=names if condition is None else names + f":{condition.label}")
        of_sample = _sample_columns(spec)
        told = dict(zip(spec.sample_key, control.sample, strict=True))
        for key in dict.fromkeys([*of_sample, *([spec.cell_type_key] if spec.cell_type_key else [])]):
            values = labels(old[key]) if key in old else told.get(key, control.group)
            is_shared = key in of_sample and (key not in old or len(set(values)) == 1)
            table[key] = values if is_shared or not is_noise else None
        if condition is None:
            has_label = spec.treatment_key in old
            table[spec.treatment_key] = labels(old[spec.treatment_key]) if has_label else spec.control[0]
        else:
            table[spec.treatment_key] = condition.treatment
        if spec.dose_key is not None:
            dose = np.nan if condition is None or condition.dose is None else condition.dose
            table[spec.dose_key] = np.float64(dose)
        table["cellflow_source_cell"] = "" if is_noise else names
        table["cellflow_is_predicted"] = condition is not None
        return table


def prediction(
    model: "Model", adata: "anndata.AnnData", request: PredictionRequest, facts: dict[str, Any] | None = None
) -> Prediction:
    """Check what is asked for against the model and the data, before anything is computed.

    Raises:
        BundleError: If the data lack features of the model.
        ConfigError, DataError: As `tasks`.
    """
    made, warnings = tasks(model, adata.obs, request)
    if request.population != "own":
        if request.population == "other" and len(made) < 2:
            raise DataError("Expected two samples or more to exchange populations between, found one.")
        if request.population == "average":
            training_controls(model)  # are there any?
        which = "another sample's control population"
        if request.population == "average":
            which = "the average control population of the training part"
        warnings.append(f"each sample was predicted from {which}: a check, no prediction")
        if why := why_blind(model):
            warnings.append(f"the population that the model is told makes no difference: {why}")
    model.transform.apply(adata, made[0].control.rows[:1], request.min_coverage)  # are the features there?
    missing = model.transform.coverage(feature_names(adata, model.transform.features)).missing
    if missing:
        warnings.append(f"missing features stand at their training means: {listed(missing)}")
    if model.run.get("stopped") == "interrupted":
        warnings.append("the training of this model was interrupted before it had finished")
    warnings += _told(_reader(model, adata, request), made)
    if from_noise(model.method):
        warnings.append(_of_no_cell(model.config.data))
    return Prediction(
        model=model, adata=adata, request=request, tasks=made, warnings=warnings, facts=facts or {}
    )


def _reader(model: "Model", adata: "anndata.AnnData", request: PredictionRequest) -> PopulationReader:
    return PopulationReader(
        adata=adata,
        spec=model.config.data,
        transform=model.transform,
        vocabulary=model.vocabulary,
        device=model.device,
        min_coverage=request.min_coverage,
    )


def _told(reader: PopulationReader, made: Sequence[Task]) -> list[str]:
    """A warning about cell types that the model does not know.

    Raises:
        DataError: If a covariate or a cell type cannot be told.
    """
    unseen: list[str] = []
    for task in made:
        reader.covariates(task.control)
        unseen += reader.unseen_types(task.control)
    if not unseen:
        return []
    n = sum(len(task.control.rows) for task in made)
    return [
        f'the type of {len(unseen)} of {n} control cells in `obs["{reader.spec.cell_type_key}"]` was never '
        f"trained on ({listed(distinct(unseen))}): the model is told no type of them"
    ]


def _sample_columns(spec: DataSpec) -> list[str]:
    return [*spec.sample_key, spec.group, *spec.covariate_key]


def _of_no_cell(spec: DataSpec) -> str:
    """The warning of a flow from noise."""
    own = ['`layers["control"]`', '`obs["cellflow_source_cell"]`']
    if spec.cell_type_key and spec.cell_type_key not in _sample_columns(spec):
        own.append(f'`obs["{spec.cell_type_key}"]`')
    return (
        "the flow starts from noise, so that predicted cells come from no control cell: "
        f"{', '.join(own[:-1])} and {own[-1]} are empty for them"
    )


def predict(model: "Model", adata: "anndata.AnnData", request: PredictionRequest) -> "anndata.AnnData":
    """Carry control cells to treatments, in memory.

    Args:
        model: A trained model.
        adata: Holds control cells of one or more samples; not modified.
        request: What to predict.

    Returns:
        One row per control cell and condition, and the control rows: X in the model's expression
        space, `layers["control"]`, obs with the user's columns and `cellflow_source_cell`,
        `cellflow_is_predicted`, `uns["cellflow"]`. Cells that come from noise have no source cell:
        NaN in the layer, no cell type, names of the sample.

    Raises:
        BundleError, ConfigError, DataError: If model, data and request do not fit.
        NumericalError: If a cell is no longer finite.
    """
    import anndata

    planned = prediction(model, adata, request)
    parts = list(planned.parts())
    flow = np.concatenate([part.flow for part in parts])
    made = anndata.AnnData(
        X=np.concatenate([part.expression for part in parts]),
        obs=obs_table([part.obs for part in parts]),
        var=pd.DataFrame(index=pd.Index(model.transform.genes, dtype=object)),
        layers={"control": np.concatenate([part.control for part in parts])},
        obsm=planned.obsm(flow),
        varm=planned.varm(),
        uns={"cellflow": planned.uns()},
    )
    counts = planned.counts()
    if counts is not None:
        made.layers["counts"] = counts
    return made


def obs_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Obs of all parts with categorical labels and unique names."""
    table = pd.concat(list(parts))
    while not table.index.is_unique:  # a name made unique may meet another one
        repeat = table.groupby(level=0).cumcount().astype(str)
        table.index = pd.Index(np.where(repeat == "0", table.index, table.index + "-" + repeat))
    for key in table.columns:
        if key != "cellflow_source_cell" and table[key].dtype == object:
            table[key] = pd.Categorical(table[key])
    return table


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
