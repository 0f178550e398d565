"""Rules of the house that no linter knows."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "cellflow_cli"
ROOMS = (
    *("data", "metrics", "published_metrics", "baselines", "degenerate"),
    *("evaluation", "statistics", "external"),
)
"""Rooms that must not know which feature spaces there are."""
KIND = re.compile(r"""["']pca["']|\bkind\s*[!=]=\s*["']values["']|startswith\(["']pca|["']X_pca["']""")


def offences(text):
    return [line.strip() for line in text.splitlines() if KIND.search(line)]


def test_no_room_compares_the_kind_of_a_feature_space():
    files = [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
    found = {path.relative_to(PACKAGE).as_posix(): offences(path.read_text("utf-8")) for path in files}
    assert len(files) > 10
    assert not {name: lines for name, lines in found.items() if lines}


def test_the_test_above_can_fail():
    assert offences('if transform.kind == "pca":')
    assert offences("X = None if kind != 'values' else adata.obsm['X_pca']")
    assert not offences("Choose them with `--features pca:50`.")
