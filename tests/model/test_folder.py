"""The model folder as files: what is written, and what is refused when read."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cellflow_cli.errors import BundleError, OutputError
from cellflow_cli.model import folder as bundle
from cellflow_cli.plain import Plain
from tests.model.tampering import reseal


@pytest.fixture
def content():
    return bundle.Bundle(
        config={"seed": 3, "data": {"control": ["DMSO"]}},
        state={"field.weight": torch.randn(3, 2), "field.constant": torch.zeros(0)},
        transform={"components": np.asfortranarray(np.arange(6.0).reshape(3, 2)), "shares": np.zeros(0)},
        features={"genes": ["CD3", "α-SMA"]},
        summaries={"groups": ["P1"]},
        summary_arrays={"mean": np.ones((2, 3)), "offsets": np.arange(3)},
        history='{"step": 1}\n',
        run={"seed": 3},
    )


@pytest.fixture
def folder(content, tmp_path):
    bundle.write(tmp_path / "model", content, version="9.8.7", force=False)
    return tmp_path / "model"


def test_there_and_back(content, folder):
    found = bundle.read(folder)
    for field in dataclasses.fields(bundle.Bundle):
        old, new = getattr(content, field.name), getattr(found, field.name)
        new = new.value if isinstance(new, Plain) else new
        if field.name in ("state", "transform", "summary_arrays"):
            assert old.keys() == new.keys()
            assert all(
                np.array_equal(old[name], new[name]) and old[name].dtype == new[name].dtype for name in old
            )
        else:
            assert old == new


def test_the_folder_holds_text_and_tensors_only(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "SHA256SUMS",
        "config.json",
        "features.json",
        "history.jsonl",
        "run.json",
        "summaries.json",
        "summaries.safetensors",
        "weights.safetensors",
    ]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["format"] == bundle.FORMAT
    assert config["cellflow_version"] == "9.8.7"
    assert "α-SMA" in (folder / "features.json").read_text(encoding="utf-8")


def test_tensors_that_share_memory_or_have_strides_can_be_written(content, tmp_path):
    weight = torch.randn(4, 3)
    state = {"a": weight, "b": weight, "c": weight.T, "d": weight[:, 1]}
    bundle.write(tmp_path / "m", dataclasses.replace(content, state=state), version="1", force=False)
    found = bundle.read(tmp_path / "m").state
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_model_folder_is_replaced_with_force_alone(content, folder):
    with pytest.raises(OutputError, match="--force"):
        bundle.write(folder, content, version="1", force=False)
    bundle.write(folder, dataclasses.replace(content, run={"seed": 4}), version="1", force=True)
    assert bundle.read(folder).run == {"seed": 4}


def test_another_folder_is_not_replaced(content, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cells.h5ad").touch()
    with pytest.raises(OutputError, match="in it too"):
        bundle.write(tmp_path / "data", content, version="1", force=True)


def test_values_that_json_does_not_know_leave_nothing_behind(content, tmp_path):
    wrong = dataclasses.replace(content, run={"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        bundle.write(tmp_path / "m", wrong, version="1", force=False)
    assert not list(tmp_path.iterdir())


def test_the_identity_changes_with_any_weight_and_setting(content):
    first = bundle.model_id(content.state, content.config)
    assert len(first) == 12
    assert first == bundle.model_id(dict(reversed(content.state.items())), content.config)
    weights = {**content.state, "field.weight": content.state["field.weight"] + 1e-6}
    assert bundle.model_id(weights, content.config) != first
    assert bundle.model_id(content.state, {**content.config, "seed": 4}) != first


def edited(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_newer_format_is_refused_before_its_files_are_missed(folder):
    edited(folder, format=bundle.FORMAT + 1, cellflow_version="77.0")
    (folder / "summaries.json").unlink()
    with pytest.raises(
        BundleError,
        match=rf"found format {bundle.FORMAT + 1} written by cellflow-cli 77\.0\. Update",
    ):
        bundle.read(folder)


def test_an_older_format_says_how_to_train_again(folder):
    edited(folder, format=bundle.FORMAT - 1, cellflow_version="0.0.1")
    with pytest.raises(BundleError, match=r"written by cellflow-cli 0\.0\.1.*train again.*run\.json"):
        bundle.read(folder)


@pytest.mark.parametrize("found", [None, "1"])
def test_no_format_at_all(folder, found):
    edited(folder, format=found)
    with pytest.raises(BundleError, match="without a format number"):
        bundle.read(folder)


@pytest.mark.parametrize(
    "name",
    ["config.json", "features.json", "run.json", "summaries.json", "history.jsonl", "weights.safetensors"],
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        bundle.read(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "features.json", "weights.safetensors", "summaries.safetensors"]
)
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_damaged_file_is_named(folder, name, damage):
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "noise": b"\xff\x00" * 40, "empty": b""}[damage])
    for seal in (False, True):
        if seal:
            reseal(folder)
        with pytest.raises(BundleError, match=rf"(?s){name}.*Copy the"):
            bundle.read(folder)


def test_json_of_another_kind(folder):
    (folder / "features.json").write_text("[1, 2]")
    reseal(folder)
    with pytest.raises(BundleError, match="JSON object in .*features.json.*list"):
        bundle.read(folder)


def test_no_configuration_inside(folder):
    (folder / "config.json").write_text(f'{{"format": {bundle.FORMAT}}}')
    reseal(folder)
    with pytest.raises(BundleError, match="`config` at `config.json`"):
        bundle.read(folder)


def test_what_is_no_folder(folder, tmp_path):
    with pytest.raises(BundleError, match=r"model folder at .*found nothing.*cellflow train"):
        bundle.read(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"model folder at .*found a file"):
        bundle.read(folder / "config.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"with `config\.json`, found none"):
        bundle.read(tmp_path / "empty")


def test_an_address_is_no_folder():
    with pytest.raises(BundleError, match=r"found the address `gs://bucket/model`"):
        bundle.read(Path("gs://bucket/model"))
