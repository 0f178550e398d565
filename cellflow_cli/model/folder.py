"""A trained model as a folder of JSON and safetensors that runs no code when read.

config.json             format, package version, the resolved RunConfig
weights.safetensors     parameters and buffers; arrays of the feature transform under "transform."
features.json           feature transform in words, treatments, doses, categories, groups seen
summaries.json          training populations that baselines need ...
summaries.safetensors   ... and their numbers
history.jsonl           one line per logged step
run.json                seed, device, library versions, input hashes, times
SHA256SUMS              checksum of every other file, as `sha256sum` writes it

Nothing of a folder is believed: files are regular and of a bearable size, their checksums are compared, JSON
is read strictly. Checksums find damage and edits by accident; who edits on purpose can write new ones, so
that every value is checked as well (see `parts.py`).
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellflow_cli.errors import BundleError, listed
from cellflow_cli.files import address_of, lost_output, replaced_folder
from cellflow_cli.model.contents import (
    FILES,
    MARKER,
    SUMS,
    check_foreign,
    check_listing,
    check_sums,
    checksums,
    content_of,
    damaged,
)
from cellflow_cli.plain import Plain, PlainError, parse

FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a model folder holds.

    Attributes:
        config: The resolved `RunConfig` as plain values.
        state: State dict of the method.
        transform: Arrays of the feature transform.
        features: Transform, vocabulary, shape and split as plain values; a `Plain` once read.
        summaries: Training populations as plain values; a `Plain` once read.
        summary_arrays: Their numbers.
        history: Lines of `history.jsonl`.
        run: Provenance as plain values.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    transform: dict[str, np.ndarray]
    features: Plain | dict[str, Any]
    summaries: Plain | dict[str, Any]
    summary_arrays: dict[str, np.ndarray]
    history: str
    run: dict[str, Any]


def model_id(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change with any weight or setting."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def write(folder: Path, bundle: Bundle, *, version: str, force: bool) -> None:
    """Write a model folder, whole or not at all.

    Args:
        folder: Path of the new folder.
        bundle: Its content.
        version: Package version.
        force: Whether an existing model folder may be replaced.

    Raises:
        OutputError: If the folder exists without `force` or is no model folder, or cannot be written.
    """
    from safetensors.torch import save

    weights = {f"method.{name}": _owned(value) for name, value in bundle.state.items()}
    weights |= {f"transform.{name}": _row_major(v) for name, v in bundle.transform.items()}
    texts = {
        "config": {"format": FORMAT, "cellflow_version": version, "config": bundle.config},
        "features": bundle.features,
        "summaries": bundle.summaries,
        "run": bundle.run,
    }
    numbers = {name: _row_major(value) for name, value in bundle.summary_arrays.items()}
    contents = {
        f"{name}.json": (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
        for name, value in texts.items()
    }
    contents |= {
        "history.jsonl": bundle.history.encode(),
        "weights.safetensors": save(weights),
        "summaries.safetensors": save(numbers),
    }
    contents[SUMS] = checksums(contents)
    with replaced_folder(folder, force=force, holds=FILES) as temporary:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)


def read(folder: Path) -> Bundle:
    """Read a model folder.

    Raises:
        BundleError: If it is no model folder, incomplete, damaged, or of a newer format.
    """
    if address := address_of(folder):
        raise BundleError(
            f"Expected a local model folder, found the address `{address}`. Download it first, or mount it."
        )
    folder = Path(folder)
    if not os.path.isdir(folder):  # noqa: PTH112  # false for a name that is too long
        raise BundleError(
            f"Expected a model folder at `{folder}`, found {_what(folder)}."
            f"{lost_output(folder) or ' Make one with `cellflow train`.'}"
        )
    check_listing(folder)
    contents = {MARKER: content_of(folder, MARKER)}
    config = _object(contents, MARKER, folder)
    _check_format(config, folder)  # before the rest, which a newer version may have laid out otherwise
    check_foreign(folder)
    contents |= {name: content_of(folder, name) for name in FILES if name != MARKER}
    check_sums(contents, folder)
    features, summaries, run = (
        _object(contents, f"{name}.json", folder) for name in ("features", "summaries", "run")
    )
    weights = _tensors(contents, "weights.safetensors", folder)
    numbers = _tensors(contents, "summaries.safetensors", folder)
    _check_finite(weights, folder)
    return Bundle(
        config=_table(config, "config", folder),
        state=_under(weights, "method."),
        transform={name: value.numpy() for name, value in _under(weights, "transform.").items()},
        features=features,
        summaries=summaries,
        summary_arrays={name: value.numpy() for name, value in numbers.items()},
        history=_text(contents, "history.jsonl", folder),
        run=run.table(),
    )


def _check_format(config: Plain, folder: Path) -> None:
    facts = config.table()
    number = facts.get("format")
    if type(number) is not int:
        raise BundleError(
            f"Expected a model folder at `{folder}`, found a `{MARKER}` without a format number. "
            "Is this the folder that `cellflow train` wrote?"
        )
    if number == FORMAT:
        return
    what = (
        f"Expected a model folder of format {FORMAT} at `{folder}`, found format {number} written by "
        f"cellflow-cli {str(facts.get('cellflow_version'))[:40]}."
    )
    if number > FORMAT:
        raise BundleError(f"{what} Update cellflow-cli.")
    raise BundleError(
        f"{what} Its settings have other names now: train again. The command that made it is in "
        f"`{folder / 'run.json'}`, its settings in `{folder / MARKER}`."
    )


def _row_major(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, order="C"))  # safetensors takes no other layout


def _owned(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _what(path: Path) -> str:
    return "a file" if os.path.exists(path) else "nothing"  # noqa: PTH110


def _check_finite(weights: Mapping[str, Tensor], folder: Path) -> None:
    wrong = [name for name, value in weights.items() if not _is_finite(value)]
    if wrong:
        raise BundleError(
            f"Expected finite numbers in `{folder / 'weights.safetensors'}`, found others in "
            f"{listed(wrong)}. Train again, or copy the whole model folder again."
        )


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.float()).all())


def _text(contents: Mapping[str, bytes], name: str, folder: Path) -> str:
    try:
        return contents[name].decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(folder / name, "text in UTF-8 in", error) from error


def _object(contents: Mapping[str, bytes], name: str, folder: Path) -> Plain:
    try:
        value = parse(contents[name], name)
    except PlainError as error:
        raise BundleError(f"{error} It is in `{folder}`. Copy the whole model folder again.") from error
    if not isinstance(value.value, dict):
        raise BundleError(f"Expected a JSON object in `{folder / name}`, found {type(value.value).__name__}.")
    return value


def _table(value: Plain, key: str, folder: Path) -> dict[str, Any]:
    try:
        return value[key].table()
    except PlainError as error:
        raise BundleError(f"{error} It is in `{folder}`. Copy the whole model folder again.") from error


def _tensors(contents: Mapping[str, bytes], name: str, folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(contents[name])
    except (SafetensorError, KeyError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise damaged(folder / name, "readable tensors in", error) from error
