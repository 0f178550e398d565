"""Model folders edited on purpose, checksums written again: each is refused at once."""

import json
import os
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

import cellflow_cli as cf
from cellflow_cli.errors import BundleError
from tests.model.tampering import reseal

BILLION = 10**9


@pytest.fixture
def folder(pca_model, tmp_path):
    pca_model.save(tmp_path / "model")
    return tmp_path / "model"


def put(name, *keys, value):
    """The value at some keys of a JSON file replaced."""

    def change(folder):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        (folder / name).write_text(json.dumps(content), encoding="utf-8")

    return change


def text(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def tensor(name, key, change):
    """A tensor of a file changed."""

    def changed(folder):
        tensors = load_file(folder / name)
        tensors[key] = change(tensors[key])
        save_file(tensors, folder / name)

    return changed


def config(*keys, value):
    return put("config.json", "config", *keys, value=value)


def features(*keys, value):
    return put("features.json", *keys, value=value)


def poisoned(values):
    values = values.clone()
    values.view(-1)[0] = float("nan")
    return values


DEEP = b'{"config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
WEIGHTS, NUMBERS = "weights.safetensors", "summaries.safetensors"
TAMPERINGS = {
    "nested features": (text("features.json", DEEP), "nested without end|levels of nesting"),
    "nested 100": (text("run.json", b'{"a": ' * 100 + b"1" + b"}" * 100), "32 levels of nesting"),
    "nested history": (text("history.jsonl", b"[" * 100_000), "nested without end"),
    "digits": (text("run.json", b'{"seed": ' + b"9" * 5000 + b"}"), "Expected JSON in `run.json`"),
    "NaN": (text("run.json", b'{"seed": NaN}'), "NaN"),
    "infinite": (text("run.json", b'{"seed": 1e999}'), "1e999"),
    "key twice": (text("run.json", b'{"seed": 1, "seed": 2}'), "the key 'seed' twice"),
    "BOM": (text("run.json", b'\xef\xbb\xbf{"seed": 1}'), "BOM"),
    "Latin-1": (text("run.json", '{"a": "ü"}'.encode("latin-1")), "UTF-8"),
    "half a character": (text("run.json", rb'{"a": "\ud800"}'), "surrogates"),
    "width": (config("method", "field", "width", value=BILLION), "sizes in `config.json`.*fit the"),
    "blocks": (config("method", "field", "n_blocks", value=BILLION), "sizes in `config.json`"),
    "time features": (config("method", "field", "time_features", value=BILLION), "sizes in `config.json`"),
    "layers": (config("method", "embedder", "n_layers", value=BILLION), "sizes in `config.json`"),
    "embedding": (config("method", "embedder", "embedding", value=2**62), "sizes in `config.json`"),
    "steps": (config("method", "solver", "steps", value=BILLION), "solver.steps of at least 1 and at most"),
    "text for a size": (
        config("method", "field", "width", value="64"),
        r"whole number at `method\.field\.width`",
    ),
    "true for a size": (config("method", "field", "width", value=True), r"method\.field\.width`, found True"),
    "seed": (config("seed", value=None), "whole number at `seed`"),
    "number beyond floats": (config("training", "learning_rate", value=10**400), "digits"),
    "data null": (config("data", value=None), "table of settings at `data`"),
    "n_features": (
        features("shape", "n_features", value=BILLION),
        "number of features, 3 at `shape.n_features`",
    ),
    "no width": (features("shape", "n_features", value=-1), "at least 1 at `shape.n_features`"),
    "n_covariates": (features("shape", "n_covariates", value=BILLION), "covariate values, 0"),
    "n_node_features": (features("shape", "n_node_features", value=BILLION), "cell types, 0"),
    "treatment null": (features("shape", "treatments", 0, value=None), r"text at `shape\.treatments\.0`"),
    "treatment twice": (features("shape", "treatments", value=["drug", "drug"]), "'drug' twice"),
    "control": (features("shape", "treatments", 0, value="DMSO"), "treatments"),
    "dose": (features("shape", "doses", "drug", value=[-1.0]), "at least 0"),
    "doses": (features("shape", "doses", "drug", value=[1.0, 0.1]), "ascending"),
    "dose of nobody": (features("shape", "doses", "x", value=[1.0]), "one of the treatments"),
    "no val": (features("split", value={"train": ["P1"], "test": []}), "'train', 'val', 'test' and no other"),
    "train is text": (features("split", "train", value="P1"), r"list of text at `split\.train`"),
    "train and test": (features("split", "test", value=["P1"]), "each group in one of the three"),
    "groups": (features("split", "train", value=["P7"]), "groups that training has seen"),
    "features null": (features("transform", "features", value=None), r"text at `transform\.features`"),
    "features": (features("transform", "features", value="pca:2"), r"`data\.features` of `config\.json`"),
    "features -1": (features("transform", "features", value=-1), r"text at `transform\.features`"),
    "digits of K": (features("transform", "features", value="pca:" + "9" * 5000), "features"),
    "expression": (features("transform", "expression", value="tpm"), "one of 'as-is'"),
    "gene twice": (features("transform", "input_genes", 0, value="gene3"), "differ"),
    "gene unknown": (features("transform", "space", "genes", 0, value="x"), "input genes"),
    "flag": (features("transform", "space", "is_nonnegative", value="no"), "true or false"),
    "vocabulary": (features("vocabulary", "covariates", value=[1]), "table"),
    "more": (features("more", value=1), "no other"),
    "summaries text": (put("summaries.json", "conditions", 0, value="x"), "table"),
    "summaries treatment": (
        put("summaries.json", "conditions", -1, value={"treatment": "new", "dose": None}),
        "treatments of the model",
    ),
    "summaries sample": (put("summaries.json", "samples", 0, value=["P1", "x"]), "1 values for each sample"),
    "NaN weight": (tensor(WEIGHTS, "method.field.out.bias", poisoned), "finite.*field.out.bias"),
    "float64 weight": (tensor(WEIGHTS, "method.field.out.bias", torch.Tensor.double), "another type"),
    "complex": (tensor(WEIGHTS, "transform.mean", lambda v: v.to(torch.complex64)), "numbers at `mean`"),
    "PCA row": (tensor(WEIGHTS, "transform.components", lambda v: v[1:].clone()), "components"),
    "scale": (tensor(NUMBERS, "scale", torch.zeros_like), "`scale` above 0"),
    "std": (tensor(NUMBERS, "std", torch.neg), "`std` of at least 0"),
    "source": (tensor(NUMBERS, "source", lambda v: v + 1000), "`source`"),
    "offsets": (tensor(NUMBERS, "offsets", lambda v: v.flip(0).clone()), "`offsets`"),
    "counts": (tensor(NUMBERS, "n_cells", lambda v: v * 0), "`n_cells`"),
    "NaN mean": (tensor(NUMBERS, "mean", poisoned), "finite numbers at `mean`"),
    "cells": (tensor(NUMBERS, "cells", lambda v: v[:, :2].clone()), "`cells`"),
    "header": (text(WEIGHTS, (2**40).to_bytes(8, "little") + b"{}"), "readable tensors"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_somebody_edited_is_refused(folder, name):
    change, message = TAMPERINGS[name]
    change(folder)
    with pytest.raises(BundleError, match="SHA256SUMS|Expected JSON|nesting"):
        cf.load(folder)
    reseal(folder)
    started = time.monotonic()
    with pytest.raises(BundleError, match=f"(?s){message}"):
        cf.load(folder)
    assert time.monotonic() - started < 5


def test_genes_in_another_order_are_no_accident_that_passes(folder):
    content = json.loads((folder / "features.json").read_text())
    content["transform"]["space"]["genes"].reverse()
    (folder / "features.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"as they were written.*other content of 'features\.json'"):
        cf.load(folder)


@pytest.mark.parametrize("name", ["config.json", "features.json", WEIGHTS, "history.jsonl", "SHA256SUMS"])
def test_pipes_devices_and_links_are_not_read(folder, name):
    (folder / name).rename(folder.parent / "kept")
    os.mkfifo(folder / name)
    with pytest.raises(BundleError, match=rf"{name}.*a named pipe, no regular file"):
        cf.load(folder)
    for target in ("/dev/zero", folder.parent / "kept"):
        (folder / name).unlink()
        (folder / name).symlink_to(target)
        with pytest.raises(BundleError, match=rf"{name}.*a link, which may lead anywhere.*cp -rL"):
            cf.load(folder)


def test_a_link_to_a_whole_folder_is_followed(folder, pca_model):
    (folder.parent / "link").symlink_to(folder)
    assert cf.load(folder.parent / "link").id == pca_model.id


def test_a_file_of_many_gigabytes_is_not_read(folder):
    os.truncate(folder / "config.json", 2**40)
    os.truncate(folder / WEIGHTS, 2**40)
    with pytest.raises(BundleError, match=r"config\.json.*1,099,511,627,776 bytes, above the limit"):
        cf.load(folder)


def test_foreign_and_missing_files(folder):
    (folder / ".DS_Store").touch()
    cf.load(folder)
    (folder / "notes.txt").touch()
    with pytest.raises(BundleError, match=r"found 'notes\.txt' too"):
        cf.load(folder)
    (folder / "notes.txt").unlink()
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(lines[1:]))
    with pytest.raises(BundleError, match=r"'config\.json'"):
        cf.load(folder)
