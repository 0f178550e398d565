"""The folder is the table."""

import importlib.metadata
import subprocess
import sys

import pytest

from cellflow_cli.catalog import Catalog, Choice, Entry, rooms
from cellflow_cli.embedders.knn_graph import KnnGraphConfig
from cellflow_cli.errors import ConfigError

ROOMS = (
    *("methods", "metrics", "couplings", "embedders", "conditions"),
    *("baselines", "degenerate", "features", "published_metrics", "export"),
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_is_an_entry_with_a_summary(room):
    found = Catalog(room)
    assert found.names()
    assert list(found.summaries()) == found.names()
    for name, line in found.summaries().items():
        assert found.load(name) is not None
        assert "_" not in name
        assert 10 < len(line) < 110
        assert not line.endswith(".")


def test_private_files_are_no_entries():
    assert not [name for room in ROOMS for name in Catalog(room).names() if name.startswith(("_", "-"))]


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from cellflow_cli.catalog import Catalog\n"
        f"for room in {ROOMS}: Catalog(room).names(), Catalog(room).summaries()\n"
        "sys.exit('torch' in sys.modules or 'anndata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("wrong", "right"), [("exact-to", "exact-ot"), ("exact_ot", "exact-ot"), ("Independent", "independent")]
)
def test_a_name_with_a_slip_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(
        ConfigError, match=rf"name of a coupling, found '{wrong}'\. Did you mean '{right}'\?.*Known: '"
    ):
        Catalog("couplings").load(wrong)


def test_a_room_that_does_not_exist():
    with pytest.raises(ValueError, match="no room 'kitchens'"):
        Catalog("kitchens")


def test_choices_are_configs_with_a_name():
    choice = Catalog("embedders").choose("knn-graph", k=3)
    assert choice == Choice("knn-graph", KnnGraphConfig(k=3))
    with pytest.raises(ConfigError, match="k of at least 0"):
        Catalog("embedders").choose("knn-graph", k=-3)


class Theirs:
    """An entry point of somebody else's package."""

    name, value = "sinkhorn", "their_package.sinkhorn:ENTRY"

    def load(self):
        return Entry(dict, lambda config: "built by them")


@pytest.fixture
def plugged_in(monkeypatch):
    def entry_points(group):
        return [Theirs()] if group == "cellflow.couplings" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


@pytest.mark.usefixtures("plugged_in")
def test_packages_of_others_join():
    room = Catalog("couplings")
    assert "sinkhorn" in room.names()
    assert room.summaries()["sinkhorn"] == "from their_package.sinkhorn"
    assert room.build(Choice("sinkhorn", {})) == "built by them"
    assert "sinkhorn" not in Catalog("metrics").names()


@pytest.mark.usefixtures("plugged_in")
def test_but_do_not_replace_ours(monkeypatch):
    monkeypatch.setattr(Theirs, "name", "exact-ot")
    assert Catalog("couplings").load("exact-ot").config is not dict


def test_the_open_rooms_are_known_by_what_their_entries_are_called():
    assert set(rooms()) == set(ROOMS)
    assert rooms()["conditions"] == "condition encoder"
