"""Elements of an open AnnData file: matrices in normal form, raw, entries of uns and varm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cellflow_cli.data.columns import where
from cellflow_cli.data.feature_source import Matrix, parse_features
from cellflow_cli.data.matrices import has_raw
from cellflow_cli.data.normal_form import from_disk, layout_finding
from cellflow_cli.data.opening import frame, load
from cellflow_cli.data.stored import unwritten_finding
from cellflow_cli.data.validation.finding import Finding
from cellflow_cli.errors import DataError

KEY = "cellflow"
"""The entry of uns that has to be readable: what `cellflow predict` writes there."""


def readable(group: Any, slot: str, obs: pd.DataFrame) -> dict[str, Any]:
    """Entries of uns or varm; others than ours that cannot be read are left out, with a note."""
    found = {}
    for name in group.get(slot, ()):
        try:
            found[str(name)] = load(group[slot][name])
        except (OSError, KeyError) as error:
            if name == KEY:
                raise
            obs.attrs["reading"].append(_left_out(slot, name, error))
    return found


def wanted_matrices(
    group: Any, features: str | None, obs: pd.DataFrame, var: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """The wanted matrices by slot and name; without `features` those that cannot be read are left out."""
    wanted, found = _wanted(features), dict[str, dict[str, Any]]()
    there = [Matrix("X")] if "X" in group and group["X"].attrs.get("encoding-type") != "null" else []
    there += [Matrix("layers", str(name)) for name in group.get("layers", ())]
    there += [Matrix("obsm", str(name)) for name in group.get("obsm", ())]
    for source in there:
        slot, name = source
        if not wanted(slot, name):
            continue
        try:
            matrix = stored_matrix(group, source, obs, var)
        except (OSError, KeyError, RuntimeError, DataError) as error:
            if features is not None or slot == "X":
                raise
            obs.attrs["reading"].append(_left_out(slot, name, error))
            continue
        found.setdefault(slot, {})[name] = matrix
    return found


def wanted_raw(group: Any, features: str | None, obs: pd.DataFrame, path: Path) -> dict[str, Any] | None:
    """What `raw` holds, a matrix with columns of its own, if it is wanted."""
    if not has_raw(group) or not _wanted(features)("raw", ""):
        return None
    try:
        var = frame(group["raw"], "var", path)
        return {"X": stored_matrix(group, Matrix("raw"), obs, var), "var": var}
    except (OSError, KeyError, RuntimeError, DataError) as error:
        if features is not None:
            raise
        obs.attrs["reading"].append(_left_out("raw", "X", error))
        return None


def stored_matrix(group: Any, source: Matrix, obs: pd.DataFrame, var: pd.DataFrame) -> Any:
    """A matrix of an open file in normal form.

    Raises:
        DataError: If it is no matrix of numbers of these cells and features, or a damaged one.
        OSError: If it cannot be read.
    """
    columns = None if source.slot == "obsm" else len(var)
    element, name = element_of(group, source), source.text
    if finding := layout_finding(element, name, len(obs), columns, where(obs)):
        raise finding.error()
    if element.attrs.get("encoding-type") == "dataframe":
        return load(element)
    if finding := unwritten_finding(element, name, where(obs)):
        obs.attrs["reading"].append(finding)
    return from_disk(element)


def element_of(group: Any, source: Matrix) -> Any:
    """A matrix of an open file; None where none is stored."""
    found: Any = group
    for part in {"X": ("X",), "raw": ("raw", "X")}.get(source.slot, (source.slot, source.name)):
        found = found.get(part) if hasattr(found, "keys") else None
        if found is None or found.attrs.get("encoding-type") == "null":
            return None
    return found


def _wanted(features: str | None) -> Callable[[str, str], bool]:
    if features is None:
        return lambda slot, name: True
    source = parse_features(features).matrix
    return lambda slot, name: (slot, name) == source


def _left_out(slot: str, name: str, error: Exception) -> Finding:
    return Finding("note", f"`{slot}[{name!r}]` cannot be read and is left out ({error}).", "")
