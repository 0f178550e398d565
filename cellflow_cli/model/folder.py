"""A trained model as a folder of JSON and safetensors that runs no code when read.

config.json             format, package version, the resolved RunConfig
weights.safetensors     parameters and buffers; arrays of the feature transform under "transform."
features.json           feature transform in words, treatments, doses, categories, groups seen
summaries.json          training populations that baselines need ...
summaries.safetensors   ... and their numbers
history.jsonl           one line per logged step
run.json                seed, device, library versions, input hashes, times
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellflow_cli.errors import BundleError
from cellflow_cli.files import address_of, replaced_folder

FORMAT = 2
MARKER = "config.json"
"""The file by which a model folder is known."""
FILES = (
    MARKER,
    "features.json",
    "history.jsonl",
    "run.json",
    "summaries.json",
    "summaries.safetensors",
    "weights.safetensors",
)
"""All that a model folder holds; one with anything else in it is never replaced."""
_JSON = ("features", "summaries", "run")
_TENSORS = ("weights", "summaries")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a model folder holds.

    Attributes:
        config: The resolved `RunConfig` as plain values.
        state: State dict of the method.
        transform: Arrays of the feature transform.
        features: Transform, vocabulary, shape and split as plain values.
        summaries: Training populations as plain values.
        summary_arrays: Their numbers.
        history: Lines of `history.jsonl`.
        run: Provenance as plain values.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    transform: dict[str, np.ndarray]
    features: dict[str, Any]
    summaries: dict[str, Any]
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
    with replaced_folder(folder, force=force, holds=FILES) as temporary:
        for name, value in texts.items():
            text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
            (temporary / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        (temporary / "history.jsonl").write_text(bundle.history, encoding="utf-8")
        (temporary / "weights.safetensors").write_bytes(save(weights))
        numbers = {name: _row_major(value) for name, value in bundle.summary_arrays.items()}
        (temporary / "summaries.safetensors").write_bytes(save(numbers))


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
    if not folder.is_dir():
        raise BundleError(
            f"Expected a model folder at `{folder}`, found {_what(folder)}. Make one with `cellflow train`."
        )
    config = _json(folder / MARKER)
    _check_format(config, folder)  # before the rest, which a newer version may have laid out otherwise
    texts = {name: _json(folder / f"{name}.json") for name in _JSON}
    tensors = {name: _tensors(folder / f"{name}.safetensors") for name in _TENSORS}
    weights = tensors["weights"]
    return Bundle(
        config=_part(config, "config", folder),
        state=_under(weights, "method."),
        transform={name: value.numpy() for name, value in _under(weights, "transform.").items()},
        features=texts["features"],
        summaries=texts["summaries"],
        summary_arrays={name: value.numpy() for name, value in tensors["summaries"].items()},
        history=_text(folder / "history.jsonl"),
        run=texts["run"],
    )


def _check_format(config: Mapping[str, Any], folder: Path) -> None:
    number = config.get("format")
    if not isinstance(number, int):
        raise BundleError(
            f"Expected a model folder at `{folder}`, found a `{MARKER}` without a format number. "
            "Is this the folder that `cellflow train` wrote?"
        )
    if number == FORMAT:
        return
    what = (
        f"Expected a model folder of format {FORMAT} at `{folder}`, found format {number} written by "
        f"cellflow-cli {config.get('cellflow_version')}."
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


def _part(value: Mapping[str, Any], key: str, folder: Path) -> Any:
    if key not in value:
        raise BundleError(
            f"Expected `{key}` in `{folder / 'config.json'}`, found {sorted(value)}. Copy the folder again."
        )
    return value[key]


def _what(path: Path) -> str:
    return "a file" if path.exists() else "nothing"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(
            f"Expected a readable `{path}`, found: {error}. Copy the model folder again."
        ) from error


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise BundleError(
            f"Expected a model folder with `{path.name}`, found none in `{path.parent}`. "
            "Make one with `cellflow train`, or copy the whole folder again."
        )
    try:
        value = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise BundleError(
            f"Expected JSON in `{path}`, found: {error}. Copy the model folder again."
        ) from error
    if not isinstance(value, dict):
        raise BundleError(f"Expected a JSON object in `{path}`, found {type(value).__name__}.")
    return value


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"Expected a readable `{path}`, found: {error}. Copy the model folder again."
        ) from error
