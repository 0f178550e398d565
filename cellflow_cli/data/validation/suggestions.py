"""Which columns and labels are likely meant, as suggestions in messages; nothing is ever assumed."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cellflow_cli.data.columns import distinct, labels, where
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import listed

_MAX_LABELS = 200  # a column with more of them names cells, not treatments or samples
_SAMPLE_WORDS = ("patient", "donor", "sample", "subject", "individual", "mouse", "animal", "line", "organoid")
_UNTREATED = (
    *(
        "control",
        "ctrl",
        "ctl",
        "untreated",
        "vehicle",
        "dmso",
        "pbs",
        "mock",
        "none",
        "reference",
        "baseline",
    ),
    *("unstim", "unstimulated", "non-targeting", "nt", "ntc", "wt", "wildtype"),
)


def likely_controls(values: Sequence[str]) -> list[str]:
    """Labels that usually mean untreated, such as `DMSO` or `ctrl`: to be named in errors, never assumed."""
    words = {value: value.lower().replace("_", " ").replace("+", " ").split() for value in values}
    return [value for value in values if value.lower() in _UNTREATED or set(words[value]) & set(_UNTREATED)]


def missing_settings(
    obs: pd.DataFrame, treatment_key: str | None, control: Sequence[str], sample_key: Sequence[str]
) -> list[Finding]:
    """Findings for required settings that were not given, each naming the likely answer in these data.

    Args:
        obs: Obs of the data.
        treatment_key: As given, or None.
        control: As given, maybe none.
        sample_key: As given, maybe none.
    """
    findings = []
    if not treatment_key:
        findings.append(_required("treatment-key", "the column with the treatment", _treatments(obs), obs))
    if not control:
        findings.append(
            _required("control", "the value for untreated cells", _controls(obs, treatment_key), obs)
        )
    if not sample_key:
        likely = dict.fromkeys(likely_samples(obs), "")
        findings.append(
            _required("sample-key", "the column(s) that identify a biological sample", likely, obs)
        )
    return findings


def likely_treatments(obs: pd.DataFrame) -> dict[str, list[str]]:
    """Columns with a label that looks untreated, and these labels."""
    candidates = {str(name): likely_controls(_few_labels(obs[name])) for name in obs.columns}
    return {name: values for name, values in candidates.items() if values}


def likely_samples(obs: pd.DataFrame) -> list[str]:
    """Columns that sound like a sample and have between 2 and 200 labels."""
    sounding = [str(name) for name in obs.columns if any(word in str(name).lower() for word in _SAMPLE_WORDS)]
    return [name for name in sounding if len(_few_labels(obs[name])) > 1]


def _treatments(obs: pd.DataFrame) -> dict[str, str]:
    return {name: f"it contains {listed(values, 2)}" for name, values in likely_treatments(obs).items()}


def _controls(obs: pd.DataFrame, treatment_key: str | None) -> dict[str, str]:
    if treatment_key in obs.columns:
        known = _few_labels(obs[treatment_key])
        return dict.fromkeys(likely_controls(known) or known[:5], f'in `obs["{treatment_key}"]`')
    return {
        value: f'in `obs["{name}"]`' for name, values in likely_treatments(obs).items() for value in values
    }


def _required(option: str, meaning: str, likely: Mapping[str, str], obs: pd.DataFrame) -> Finding:
    what = f"Expected `--{option}`, {meaning}, found none given.{where(obs)}"
    if not likely:
        one = (
            " If all cells are of one sample, name it with `--sample-name`." if option == "sample-key" else ""
        )
        return Finding("error", what, f"Choose among the columns {listed(map(str, obs.columns), 12)}.{one}")
    options = [f"`--{option} {_quoted(v)}`" + (f" ({why})" if why else "") for v, why in likely.items()]
    return Finding("error", what, f"Perhaps {' or '.join(options[:3])}.")


def _few_labels(column: pd.Series) -> list[str]:
    """Distinct labels of a column that could be categories, otherwise none."""
    if pd.api.types.is_float_dtype(column.dtype) or column.nunique() > _MAX_LABELS:
        return []
    return distinct(labels(column.dropna()))


def _quoted(value: str) -> str:
    return f"'{value}'" if any(c.isspace() for c in value) else value
