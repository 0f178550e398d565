"""Which predicted population is held against which measured one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import (
    distinct,
    dose_values,
    is_control,
    is_missing,
    labels,
    near_columns,
    where,
)
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.spelling import column_option, rename_option
from cellflow_cli.data.validation.columns import predicted_findings, wrong_doses
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.data.validation.labels import alike_findings
from cellflow_cli.data.validation.suggestions import likely_controls
from cellflow_cli.errors import DataError, listed, nearest
from cellflow_cli.prediction.flags import predicted_flags
from cellflow_cli.types import Condition


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A predicted population and where its measured and its control cells are.

    Attributes:
        sample: Values of the sample keys.
        group: Unit of holding out.
        condition: What was done.
        predicted: Rows of the prediction, shape [n].
        target: Rows of the truth, shape [m].
        control: Rows of the controls, shape [k]; none if neither file has any.
        cell_type: The type that all cells are of; None for all types together.
        population: Rows of all controls of the sample, whatever their type; None if `control` are all.
        control_in_truth: True where `control` are rows of the truth, because the prediction has none.
    """

    sample: tuple[str, ...]
    group: str
    condition: Condition
    predicted: np.ndarray = field(repr=False)
    target: np.ndarray = field(repr=False)
    control: np.ndarray = field(repr=False)
    cell_type: str | None = None
    population: np.ndarray | None = field(default=None, repr=False)
    control_in_truth: bool = False

    @property
    def name(self) -> str:
        """Sample values joined for people, such as `"P7 | PDOF"`."""
        return " | ".join(self.sample)


@dataclass(frozen=True)
class Alignment:
    """Pairs of predicted and measured populations, and what found no partner.

    Attributes:
        pairs: Sorted by sample, then condition.
        only_predicted: Predicted populations (match keys, condition) that were not measured, as text.
        only_truth: Measured populations of predicted samples that were not predicted, as text.
        others: Their rows of the truth, by sample and condition.
        n_unlabelled: Treated cells of the truth without a value in a sample or treatment column: no
            population has them.
    """

    pairs: tuple[Aligned, ...]
    only_predicted: tuple[str, ...] = ()
    only_truth: tuple[str, ...] = ()
    others: Mapping[tuple[tuple[str, ...], Condition], np.ndarray] = field(default_factory=dict, repr=False)
    n_unlabelled: int = 0

    @property
    def of_prediction(self) -> np.ndarray:
        """Rows of the prediction that any score looks at, ascending."""
        controls = [pair.control for pair in self.pairs if not pair.control_in_truth]
        return np.unique(np.concatenate([*(pair.predicted for pair in self.pairs), *controls]))

    @property
    def of_truth(self) -> np.ndarray:
        """Rows of the truth that any score may look at, ascending."""
        controls = [pair.control for pair in self.pairs if pair.control_in_truth]
        targets = [pair.target for pair in self.pairs]
        return np.unique(np.concatenate([*targets, *controls, *self.others.values()]))

    def measured_conditions(self, sample: tuple[str, ...]) -> dict[Condition, np.ndarray]:
        """Rows of the truth of every measured condition of a sample, those that were predicted first."""
        predicted = {pair.condition: pair.target for pair in self.pairs if pair.sample == sample}
        others = {condition: rows for (other, condition), rows in self.others.items() if other == sample}
        return predicted | others


@dataclass(frozen=True)
class _Rows:
    """The cells of one sample under one condition."""

    sample: tuple[str, ...]
    condition: Condition
    rows: np.ndarray = field(repr=False)

    @property
    def title(self) -> str:
        return f"{' | '.join(self.sample)}, {self.condition.label}"


def align(predicted: pd.DataFrame, truth: pd.DataFrame, spec: DataSpec) -> Alignment:
    """Pair populations that agree in the match keys, treatment and dose.

    The match keys are all sample keys unless the data specification names fewer; controls pooled over the
    other sample keys predict every measured sample they were matched to. Columns are compared as
    text, so that a patient 7 is the same in an integer and in a text column; doses as numbers.

    Args:
        predicted: Obs of the prediction; reads the columns of `spec` and `cellflow_is_predicted`.
        truth: Obs of the truth; reads the same columns, the group excepted.
        spec: Data specification of the model.

    Raises:
        DataError: If a column is missing or a dose no number, if labels of the truth look like those
            of the prediction without being them, or if no predicted population was measured.
    """
    _check_columns(predicted, truth, spec)
    _check_labels(predicted, truth, spec)
    is_predicted = predicted_flags(predicted)
    predictions = _populations(predicted, np.flatnonzero(is_predicted), spec, spec.match)
    if not predictions:
        raise DataError(f"Expected predicted cells, found none.{where(predicted)} Predict again.")
    treated = np.flatnonzero(~is_control(truth, spec))
    measured = _populations(truth, treated, spec, spec.sample_key)
    controls = _Controls(predicted, np.flatnonzero(~is_predicted), truth, spec)
    pairs, used, unpredicted = [], set(), []
    samples = {prediction.sample for prediction in predictions}
    for target in measured:
        matched = tuple(target.sample[i] for i in matched_positions(spec))
        prediction = next((p for p in predictions if p.sample == matched and _same(p, target)), None)
        if prediction is None:
            unpredicted += [target] if matched in samples else []
            continue
        used.add(prediction.title)
        control, in_truth = controls.of(matched)
        pairs.append(
            Aligned(
                sample=target.sample,
                group=_group(prediction, predicted, spec),
                condition=target.condition,
                predicted=prediction.rows,
                target=target.rows,
                control=control,
                control_in_truth=in_truth,
            )
        )
    if not pairs:
        raise _no_overlap(predictions, measured, predicted, truth)
    return Alignment(
        pairs=tuple(pairs),
        only_predicted=tuple(p.title for p in predictions if p.title not in used),
        only_truth=tuple(target.title for target in unpredicted),
        others={(target.sample, target.condition): target.rows for target in unpredicted},
        n_unlabelled=len(treated) - sum(len(target.rows) for target in measured),
    )


class _Controls:
    """Control cells of a sample: those of the prediction, or of the truth where it has none."""

    def __init__(
        self, predicted: pd.DataFrame, rows: np.ndarray, truth: pd.DataFrame, spec: DataSpec
    ) -> None:
        in_truth = np.flatnonzero(is_control(truth, spec))
        self._sources = [
            (_keys(predicted, rows, spec.match), rows, False),
            (_keys(truth, in_truth, spec.match), in_truth, True),
        ]

    def of(self, matched: tuple[str, ...]) -> tuple[np.ndarray, bool]:
        """Rows of the controls with these match keys, and whether they are rows of the truth."""
        for keys, rows, in_truth in self._sources:
            controls = rows[(keys == np.array(matched, dtype=object)).all(axis=1)]
            if len(controls):
                return controls, in_truth
        return np.empty(0, dtype=np.int64), False


def matched_positions(spec: DataSpec) -> list[int]:
    """Positions of the match keys among the sample keys."""
    return [spec.sample_key.index(key) for key in spec.match]


def _keys(obs: pd.DataFrame, rows: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    return np.stack([labels(obs[key].iloc[rows]) for key in keys], axis=1)


def _check_columns(predicted: pd.DataFrame, truth: pd.DataFrame, spec: DataSpec) -> None:
    raise_first(predicted_findings(truth))
    keys = [*spec.sample_key, spec.treatment_key, *([spec.dose_key] if spec.dose_key else [])]
    for obs, role, wanted in ((predicted, "the prediction", [*keys, spec.group]), (truth, "the truth", keys)):
        for key in wanted:
            if key not in obs.columns:
                columns = sorted(map(str, obs.columns))
                raise DataError(
                    f'Expected `obs["{key}"]` in {role}, found the columns {listed(columns, 10) or "none"}.'
                    f"{where(obs)}{nearest(key, columns)} Name its columns as the training data did, with "
                    f"`{column_option(key, next(iter(near_columns(obs, key)), 'COLUMN'))}`."
                )


def _check_labels(predicted: pd.DataFrame, truth: pd.DataFrame, spec: DataSpec) -> None:
    """Refuse labels of the truth that look like predicted ones: they would find no partner.

    Raises:
        DataError: Naming both and the option that reads one as the other.
    """
    rows = np.flatnonzero(predicted_flags(predicted))
    known = {key: set(labels(predicted[key].iloc[rows])) for key in spec.match}
    known[spec.treatment_key] = {*spec.control, *labels(predicted[spec.treatment_key].iloc[rows])}
    if spec.cell_type_key and {spec.cell_type_key} <= {*predicted.columns} & {*truth.columns}:
        known[spec.cell_type_key] = set(labels(predicted[spec.cell_type_key]))
    for key, values in known.items():
        raise_first(alike_findings(truth, key, distinct(values - {""}), "the prediction"))
    treatments = set(labels(truth[spec.treatment_key])) - known[spec.treatment_key]
    untreated = likely_controls(distinct(treatments))
    if untreated and not is_control(truth, spec).any():
        option = rename_option(spec.treatment_key, spec.control[0], untreated[0])
        raise DataError(
            f'Expected the control {listed(spec.control)} in `obs["{spec.treatment_key}"]` of the truth, '
            f"found {listed(untreated)}, which would be scored as a treatment.{where(truth)} Read it as the "
            f"control with `{option}`."
        )


def _populations(
    obs: pd.DataFrame, rows: np.ndarray, spec: DataSpec, sample_key: Sequence[str]
) -> list[_Rows]:
    keys = [*sample_key, spec.treatment_key]
    complete = ~np.any([is_missing(obs[key].iloc[rows]) for key in keys], axis=0)
    rows = rows[complete]
    if not len(rows):
        return []
    table = obs.iloc[rows]
    raise_first(wrong_doses(table, spec))
    frame = pd.DataFrame({i: labels(table[key]) for i, key in enumerate(keys)})
    doses = dose_values(table[spec.dose_key])[0] if spec.dose_key else np.full(len(rows), np.nan)
    frame = frame.assign(dose=np.where(np.isnan(doses), -1.0, doses))  # no dose sorts first
    populations = []
    for values, part in frame.groupby(list(frame.columns), sort=True):
        *sample, treatment, dose = cast(tuple[Any, ...], values)
        condition = Condition(str(treatment), None if dose < 0 else float(dose))
        populations.append(_Rows(tuple(map(str, sample)), condition, rows[part.index.to_numpy()]))
    return populations


def _group(prediction: _Rows, predicted: pd.DataFrame, spec: DataSpec) -> str:
    return str(labels(predicted[spec.group].iloc[prediction.rows[:1]])[0])


def _same(prediction: _Rows, target: _Rows) -> bool:
    """Same treatment at the same dose, up to the rounding of a column of float32."""
    a, b = prediction.condition, target.condition
    if a.treatment != b.treatment or (a.dose is None) != (b.dose is None):
        return False
    return a.dose is None or b.dose is None or math.isclose(a.dose, b.dose, rel_tol=1e-5)


def _no_overlap(
    predictions: Sequence[_Rows], measured: Sequence[_Rows], predicted: pd.DataFrame, truth: pd.DataFrame
) -> DataError:
    first, second = (
        where(predicted).strip(" .") or "first object",
        where(truth).strip(" .") or "second object",
    )
    return DataError(
        "Expected measured cells of at least one predicted population, found none. "
        f"Predicted ({first}): {_contents(predictions)}. Measured ({second}): {_contents(measured)}. "
        "Choose the file with the treated cells of the predicted samples, labelled as the training data were "
        "(labels of another tool's prediction: `--predicted-obs`)."
    )


def _contents(populations: Sequence[_Rows]) -> str:
    if not populations:
        return "no treated cells"
    samples = dict.fromkeys(" | ".join(p.sample) for p in populations)
    conditions = dict.fromkeys(p.condition.label for p in populations)
    return f"samples {listed(samples)}, treatments {listed(conditions)}"
