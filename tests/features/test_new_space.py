"""A feature space of somebody else's package: one file, and every part of `data` takes it."""

import dataclasses
import importlib.metadata
import json
from types import SimpleNamespace

import numpy as np
import pytest

from cellflow_cli.data.feature_source import parse_features
from cellflow_cli.data.fitting import fit_features
from cellflow_cli.data.schema import DataSpec
from cellflow_cli.data.transform import FeatureTransform
from cellflow_cli.data.validation.check import check
from cellflow_cli.errors import ConfigError
from cellflow_cli.features import Decoded, SpaceEntry
from tests.data.conftest import build_counts


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class RandomProjection:
    names: tuple[str, ...]
    genes: tuple[str, ...]
    mean: np.ndarray
    axes: np.ndarray
    scale = None
    obsm_key = "X_random"
    is_lossy = True

    def encode(self, expression):
        return ((expression - self.mean) @ self.axes).astype(np.float32)

    def decode(self, cells):
        return Decoded((cells @ self.axes.T + self.mean).astype(np.float32), 0)

    def varm(self):
        return {"random_axes": self.axes.astype(np.float32)}


@dataclasses.dataclass(frozen=True)
class RandomProjectionConfig:
    n: int

    def n_features(self, n_genes):
        return self.n

    def fault(self, n_cells, n_genes):
        return "" if self.n <= n_genes else f"Expected at most {n_genes} axes, found {self.n}."

    def fit(self, cells, seed=0):
        mean = sum(np.asarray(b.sum(axis=0)).ravel() for b in cells.blocks()) / cells.n_cells
        axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(cells.genes), self.n)))
        names = tuple(f"R{i}" for i in range(self.n))
        return RandomProjection(names=names, genes=cells.genes, mean=mean, axes=axes)


ENTRY = SpaceEntry(
    parse=lambda text: RandomProjectionConfig(int(text)), space=RandomProjection, usage="random:N"
)


@pytest.fixture(autouse=True)
def plugged_in(monkeypatch):
    def entry_points(group):
        theirs = SimpleNamespace(name="random", value="their_package:ENTRY", load=lambda: ENTRY)
        return [theirs] if group == "cellflow.features" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    yield
    parse_features.cache_clear()


@pytest.fixture
def counts():
    return build_counts(n_cells=240)


def spec(n=4, **settings):
    return DataSpec(
        treatment_key="treatment", control="DMSO", sample_key="patient", features=f"random:{n}", **settings
    )


def test_it_is_fitted_used_and_stored(counts):
    transform = fit_features(counts, spec(expression="counts"), np.arange(100))
    cells, genes = transform.apply(counts), transform.expression(counts)
    axes = transform.varm()["random_axes"]
    np.testing.assert_allclose(cells, (genes - transform.mean) @ axes, atol=1e-4)
    np.testing.assert_allclose((transform.invert(cells).expression - transform.mean) @ axes, cells, atol=1e-4)
    assert (transform.obsm_key, transform.is_lossy, transform.n_features) == ("X_random", True, 4)
    again = FeatureTransform.from_parts(json.loads(json.dumps(transform.to_json())), transform.arrays())
    np.testing.assert_array_equal(again.apply(counts), cells)


def test_it_needs_to_know_what_x_holds():
    with pytest.raises(ConfigError, match="--expression counts"):
        spec()


def test_it_is_checked(counts, tmp_path):
    counts.write_h5ad(tmp_path / "cells.h5ad")
    report = check([tmp_path / "cells.h5ad"], spec(expression="counts"))
    assert not report.stops
    assert report.overview["features_of_flow"] == 4
    report = check([tmp_path / "cells.h5ad"], spec(50, expression="counts"))
    (error,) = [finding for finding in report.findings if finding.level == "error"]
    assert (error.what, "random:N" in error.fix) == ("Expected at most 40 axes, found 50.", True)


def test_messages_name_it():
    with pytest.raises(ConfigError, match="pca:K or random:N, found 'randon:3'.*Did you mean 'random'"):
        parse_features("randon:3")
    with pytest.raises(ConfigError, match="random:N, found 'random:x'"):
        parse_features("random:x")
