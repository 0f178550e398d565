"""Which samples are carried to which conditions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellflow_cli.data.columns import distinct, dose_values, labels, missing_column, where
from cellflow_cli.data.holdout import resolved
from cellflow_cli.data.holdout_text import Holdout
from cellflow_cli.data.populations import POOLED, PopulationRows, control_table
from cellflow_cli.data.spelling import canonical
from cellflow_cli.data.spelling import chosen as chosen_labels
from cellflow_cli.data.validation.columns import predicted_findings
from cellflow_cli.data.validation.finding import raise_first
from cellflow_cli.data.validation.labels import alike_findings
from cellflow_cli.errors import ConfigError, DataError, listed, nearest
from cellflow_cli.prediction.context import CONTEXTS
from cellflow_cli.prediction.labels import known_label_findings, merged_warnings, spec_of_data
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
    spec = spec_of_data(model, obs, request)
    controls = control_table(obs, spec, request.assume_control, request.sample_name)
    raise_first(known_label_findings(model, obs, controls, request.sample_name))
    chosen = _samples(model, obs, controls, request.samples)
    conditions, warnings = requested_conditions(model, request)
    warnings += merged_warnings(spec, obs, chosen)
    if request.like is None:
        return [Task(control=control, conditions=tuple(conditions)) for control in chosen], warnings
    measured = _measured(model, request, chosen)
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
    trained_as = {canonical(name): name for name in shape.treatments}
    warnings: list[str] = []
    for name in request.treatments or ():
        if canonical(name) in (*spec.control, *request.control):
            raise ConfigError(
                f"Expected treatments to predict, found the control {name!r}. The control cells are part "
                "of the output as they are."
            )
        if canonical(name) not in trained_as:
            raise ConfigError(
                f"Expected treatments that the model was trained on ({listed(shape.treatments, 10)}), found "
                f"{name!r}.{nearest(name, shape.treatments)} Choose with `--treatment`."
            )
    wanted = None if request.treatments is None else set(map(canonical, request.treatments))
    treatments = [name for label, name in trained_as.items() if wanted is None or label in wanted]
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
        trained = set(map(canonical, model.trained_groups))
        chosen = [control for control in controls if control.group not in trained]
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
    for name, wanted in samples.items():
        column = name
        if isinstance(wanted, str):
            column, wanted, _ = resolved(obs, Holdout(name, wanted))
        if finding := missing_column(obs, column, "--samples"):
            raise_first([finding])
        values = labels(obs[column])
        names, unknown = _named(wanted, distinct(values))
        if unknown:
            raise DataError(
                f'Expected {listed(unknown)} in `obs["{column}"]`, found {listed(sorted(set(values)))}.'
                f"{nearest(unknown[0], set(values))}{where(obs)} Choose with `--samples`."
            )
        kept &= np.isin(values.astype(str), names)
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


def _named(wanted: Iterable[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
    """Known labels among those that are wanted, and the rest; one text is taken as `--samples` takes it."""
    if isinstance(wanted, str):
        return chosen_labels(wanted, known)
    names = [canonical(value) for value in wanted]
    return [name for name in names if name in known], [name for name in names if name not in known]


def _of_sample(measured: Mapping[tuple[str, ...], set[Condition]], sample: tuple[str, ...]) -> set[Condition]:
    """Conditions of the measured samples that a control serves; it may be pooled over some keys."""
    fits = (
        conditions
        for other, conditions in measured.items()
        if all(mine in (POOLED, theirs) for mine, theirs in zip(sample, other, strict=True))
    )
    return set().union(*fits)


def _measured(
    model: TrainedModel, request: PredictionRequest, chosen: Sequence[PopulationRows]
) -> dict[tuple[str, ...], set[Condition]]:
    """Conditions measured per sample.

    Raises:
        DataError: If a column is missing, or a label looks like one of the model or of the chosen samples.
    """
    spec, obs = model.spec, request.like
    if obs is None:
        return {}
    for column in (spec.treatment_key, *spec.sample_key, *([spec.dose_key] if spec.dose_key else [])):
        if finding := missing_column(obs, column, "--like"):
            raise_first([finding])
    raise_first(predicted_findings(obs))
    known = [*spec.control, *request.control, *map(canonical, model.shape.treatments)]
    raise_first(alike_findings(obs, spec.treatment_key, known, "the model"))
    for i, key in enumerate(spec.sample_key):
        here = [control.sample[i] for control in chosen if control.sample[i] != POOLED]
        raise_first(alike_findings(obs, key, here, "the control cells"))
    treated = ~np.isin(labels(obs[spec.treatment_key]).astype(str), [*spec.control, *request.control])
    frame = obs.loc[treated]
    keys = [labels(frame[key]) for key in spec.sample_key]
    treatments = labels(frame[spec.treatment_key])
    doses = dose_values(frame[spec.dose_key])[0] if spec.dose_key else np.full(len(frame), np.nan)
    trained_as = {canonical(name): name for name in model.shape.treatments}
    measured: dict[tuple[str, ...], set[Condition]] = {}
    for *sample, treatment, dose in zip(*keys, treatments, doses, strict=True):
        name = trained_as.get(treatment, str(treatment))
        condition = Condition(name, None if np.isnan(dose) else float(dose))
        measured.setdefault(tuple(map(str, sample)), set()).add(condition)
    return measured
