"""A model folder and back."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import cellflow_cli as cf
from cellflow_cli.errors import BundleError, ConfigError, OutputError
from tests.model.tampering import edit, reseal


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", ["markers", "counts"])
def test_predictions_are_the_same_bit_for_bit(kind, model, pca_model, cohort, counts, tmp_path):
    trained, adata = (model, cohort) if kind == "markers" else (pca_model, counts)
    trained.save(tmp_path / "m")
    loaded = cf.load(tmp_path / "m")
    first, second = trained.predict(adata), loaded.predict(adata)
    assert np.array_equal(first.X, second.X)
    assert first.obs.equals(second.obs)
    assert loaded.id == trained.id == first.uns["cellflow"]["model_id"]


def test_everything_else_comes_back_too(model, folder):
    loaded = cf.load(folder)
    assert loaded.config == model.config
    assert loaded.shape == model.shape
    assert loaded.split == model.split
    assert loaded.vocabulary == model.vocabulary
    assert loaded.history == model.history
    assert loaded.conditions == model.conditions
    assert loaded.transform.to_json() == model.transform.to_json()
    assert np.array_equal(loaded.summaries.arrays()["cells"], model.summaries.arrays()["cells"])
    assert loaded.run == {**model.run, "model_id": model.id}
    assert not loaded.method.training


def test_no_code_is_stored(folder):
    assert {path.suffix for path in folder.rglob("*")} == {".json", ".jsonl", ".safetensors", ""}
    for path in folder.rglob("*"):
        assert not path.read_bytes().startswith((b"\x80", b"PK"))  # pickle, and torch.save's zip


def test_saving_again_is_the_same(folder, tmp_path):
    cf.load(folder).save(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_an_existing_folder_is_kept_without_force(model, folder):
    with pytest.raises(OutputError, match="--force"):
        model.save(folder)
    model.save(folder, force=True)


def test_a_newer_folder(folder):
    edit(folder / "config.json", lambda c: c.update(format=99))
    with pytest.raises(BundleError, match="format 99"):
        cf.load(folder)


@pytest.mark.parametrize("name", ["config.json", "features.json", "weights.safetensors", "history.jsonl"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        cf.load(folder)


def test_weights_of_another_size(folder):
    edit(folder / "config.json", lambda c: c["config"]["method"]["field"].update(width=20))
    with pytest.raises(
        BundleError,
        match=r"weights that fit the configuration.*some of another shape: 'field.point.weight'.* and 8 more",
    ):
        cf.load(folder)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_weights_that_lack_one_or_have_one_more(folder, change):
    weights = load_file(folder / "weights.safetensors")
    if change == "missing":
        del weights["method.field.out.weight"]
    else:
        weights["method.field.more"] = torch.zeros(1)
    save_file(weights, folder / "weights.safetensors")
    reseal(folder)
    named = {"missing": r"missing: 'field\.out\.weight'", "extra": r"unknown: 'field\.more'"}[change]
    with pytest.raises(BundleError, match=rf"weights that fit.*{named}"):
        cf.load(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", lambda c: c["config"]["method"].update(name="magic"), "'magic'"),
        ("config.json", lambda c: c["config"].update(extra=1), "`extra`"),
        ("config.json", lambda c: c["config"].pop("data"), "`data`"),
        ("features.json", lambda f: f.pop("shape"), "shape"),
        ("features.json", lambda f: f["shape"].pop("doses"), "doses"),
        ("features.json", lambda f: f["shape"].update(doses=[1]), "model of this version"),
        ("features.json", lambda f: f["transform"]["space"].pop("names"), "names"),
        ("features.json", lambda f: f["transform"]["space"]["names"].pop(), "shape"),
        ("features.json", lambda f: f["split"].update(more=[]), "model of this version"),
        ("summaries.json", lambda s: s.pop("groups"), "groups"),
    ],
)
def test_a_folder_somebody_edited(folder, name, change, message):
    edit(folder / name, change)
    with pytest.raises(BundleError, match=message):
        cf.load(folder)


def test_a_history_somebody_edited(folder):
    (folder / "history.jsonl").write_text("{not json\n")
    reseal(folder)
    with pytest.raises(BundleError, match="model of this version"):
        cf.load(folder)


def test_weights_are_where_they_were_asked_to_be(folder, model):
    assert cf.load(folder, device="cpu").device == torch.device("cpu")
    assert model.to("cpu").device == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device"):
        cf.load(folder, device="tpu")


@pytest.mark.gpu
def test_a_model_predicts_alike_on_a_gpu(folder, cohort):
    """float32 rounding through a few dozen evaluations of the field, in units of the data (spread one)."""
    there, here = cf.load(folder, device="cuda"), cf.load(folder)
    assert there.id == here.id
    assert np.allclose(there.predict(cohort).X, here.predict(cohort).X, atol=1e-4)


@pytest.mark.gpu
def test_a_model_trained_on_a_gpu_loads_without_one(cohort, tmp_path):
    from tests.model.conftest import TINY, make_spec, tiny_method

    made = cf.train(cohort, make_spec(), method=tiny_method(), training=TINY, device="cuda")
    made.save(tmp_path / "m")
    assert made.run["device"].startswith("cuda")
    assert np.allclose(cf.load(tmp_path / "m").predict(cohort).X, made.predict(cohort).X, atol=1e-4)
