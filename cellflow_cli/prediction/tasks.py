"""Which samples are carried to which conditions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import dose_values, is_control, labels, missing_column, where
from cellflow_cli.data.populations import POOLED, PopulationRows, control_table
from cellflow_cli.data.validation.columns import predicted_findings
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.errors import ConfigError, DataError, listed, nearest
from cellflow_cli.prediction.context import CONTEXTS
from cellflow_cli.prediction.request import PredictionRequest
from cellflow_cli.prediction.trained_model import TrainedModel
from cellflow_cli.types import Condition


@dataclass(frozen=True, kw_only=True)
class Task:
    """One control population and the conditions it is carried to."""

    control: PopulationRows
    conditions: tuple[Condition, ...]


def tasks(model: TrainedModel, obs: pd.DataFrame, request: PredictionRequest) -> tuple[list[Task], list[str]]:
    """Control populations with their conditions, and warnings.

    Raises:
        ConfigError: If a treatment or dose was not trained, or is the control.
        DataError: If no sample is left.
    """
    if request.population not in CONTEXTS:
        hint = nearest(request.population, CONTEXTS)
        raise ConfigError(f"Expected population {listed(CONTEXTS)}, found {request.population!r}.{hint}")
    controls = control_table(obs, model.spec, request.assume_control, request.sample_name)
    chosen = _samples(model, obs, controls, request.samples)
    conditions, warnings = requested_conditions(model, request)
    if request.like is None:
        return [Task(control=control, conditions=tuple(conditions)) for control in chosen], warnings
    measured = _measured(model, request.like)
    planned = [
        Task(
            control=control,
            conditions=tuple(c for c in conditions if c in _of_sample(measured, control.sample)),
        )
        for control in chosen
    ]
    if not any(task.conditions for task in planned):
        raise DataError(
            f"Expected samples and treatments of the data among the measured ones, found none: samples here "
            f"{listed(c.name for c in chosen)}, measured {listed(' | '.join(s) for s in measured)}."
            f"{where(request.like)} Give another file to `--like`, or leave it out."
        )
    return [task for task in planned if task.conditions], warnings


def requested_conditions(
    model: TrainedModel, request: PredictionRequest
) -> tuple[list[Condition], list[str]]:
    """Conditions to predict, in trained order, and warnings about doses between or beyond trained ones."""
    spec, shape = model.spec, model.shape
    warnings: list[str] = []
    for name in request.treatments or ():
        if name in spec.control:
            raise ConfigError(
                f"Expected treatments to predict, found the control {name!r}. The control cells are part "
                "of the output as they are."
            )
        if name not in shape.treatments:
            raise ConfigError(
                f"Expected treatments that the model was trained on ({listed(shape.treatments, 10)}), found "
                f"{name!r}.{nearest(name, shape.treatments)} Choose with `--treatment`."
            )
    treatments = [t for t in shape.treatments if request.treatments is None or t in request.treatments]
    conditions: list[Condition] = []
    for treatment in treatments:
        trained = shape.doses.get(treatment, ())
        if request.doses is None:
            conditions += [Condition(treatment, dose) for dose in (trained or (None,))]
            continue
        for dose in request.doses:
            known = next((d for d in trained if np.isclose(d, dose, rtol=1e-6, atol=0)), None)
            if known is None:
                warnings.append(_untrained_dose(treatment, dose, trained, spec.dose_unit))
            conditions.append(Condition(treatment, dose if known is None else known))
    return list(dict.fromkeys(conditions)), list(dict.fromkeys(warnings))


def _untrained_dose(treatment: str, dose: float, trained: Sequence[float], unit: str) -> str:
    shown = f"{treatment!r} was trained at {listed(trained)} {unit}"
    if len(trained) < 2:
        known = shown if trained else f"{treatment!r} was trained without doses"
        raise ConfigError(
            f"Expected a trained dose, found {dose:g}: {known}; the response to other doses is unknown. "
            "Choose with `--treatment` and `--dose`."
        )
    if not np.isfinite(dose) or dose < 0:
        raise ConfigError(f"Expected a dose of zero or more, found {dose!r}.")
    between = (
        "between the trained doses" if min(trained) < dose < max(trained) else "OUTSIDE the trained doses"
    )
    return f"dose {dose:g} {unit} lies {between}: {shown}"


def _samples(
    model: TrainedModel,
    obs: pd.DataFrame,
    controls: Sequence[PopulationRows],
    samples: str | Mapping[str, Iterable[str]],
) -> list[PopulationRows]:
    if samples == "all":
        return list(controls)
    if samples == "unseen":
        chosen = [control for control in controls if control.group not in model.trained_groups]
        if not chosen:
            raise DataError(
                f"Expected samples that the model never trained on, found only trained ones: "
                f"{listed(dict.fromkeys(c.group for c in controls))}.{where(obs)} Hold some out when "
                "training (`--holdout`), or predict seen ones with `--samples all`."
            )
        return chosen
    if isinstance(samples, str):
        raise ConfigError(f"Expected samples 'unseen', 'all' or COLUMN=VALUE,..., found {samples!r}.")
    kept = np.ones(len(obs), dtype=bool)
    for column, wanted in samples.items():
        if finding := missing_column(obs, column, "--samples"):
            raise_first([finding])
        values, names = labels(obs[column]), [str(value) for value in wanted]
        unknown = [name for name in names if name not in set(values)]
        if unknown:
            raise DataError(
                f'Expected {listed(unknown)} in `obs["{column}"]`, found {listed(sorted(set(values)))}.'
                f"{nearest(unknown[0], set(values))}{where(obs)} Choose with `--samples`."
            )
        kept &= np.isin(values, names)
    partial = [control.name for control in controls if 0 < kept[control.rows].sum() < len(control.rows)]
    if partial:
        raise DataError(
            f"Expected `--samples` to choose whole samples, found only some of the control cells of "
            f"{listed(partial)}.{where(obs)} A population is predicted as a whole: choose by a column "
            "that is constant within a sample, and cells afterwards in the prediction."
        )
    chosen = [control for control in controls if kept[control.rows].any()]
    if not chosen:
        raise DataError(f"Expected control cells among the chosen samples, found none.{where(obs)}")
    return chosen


def _of_sample(measured: Mapping[tuple[str, ...], set[Condition]], sample: tuple[str, ...]) -> set[Condition]:
    """Conditions of the measured samples that a control serves; it may be pooled over some keys."""
    fits = (
        conditions
        for other, conditions in measured.items()
        if all(mine in (POOLED, theirs) for mine, theirs in zip(sample, other, strict=True))
    )
    return set().union(*fits)


def _measured(model: TrainedModel, obs: pd.DataFrame) -> dict[tuple[str, ...], set[Condition]]:
    """Conditions measured per sample."""
    spec = model.spec
    for column in (spec.treatment_key, *spec.sample_key, *([spec.dose_key] if spec.dose_key else [])):
        if finding := missing_column(obs, column, "--like"):
            raise_first([finding])
    raise_first(predicted_findings(obs))
    treated = ~is_control(obs, spec)
    frame = obs.loc[treated]
    keys = [labels(frame[key]) for key in spec.sample_key]
    treatments = labels(frame[spec.treatment_key])
    doses = dose_values(frame[spec.dose_key])[0] if spec.dose_key else np.full(len(frame), np.nan)
    measured: dict[tuple[str, ...], set[Condition]] = {}
    for *sample, treatment, dose in zip(*keys, treatments, doses, strict=True):
        condition = Condition(str(treatment), None if np.isnan(dose) else float(dose))
        measured.setdefault(tuple(map(str, sample)), set()).add(condition)
    return measured
