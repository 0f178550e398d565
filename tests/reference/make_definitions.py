"""What the projects of `cellflow_cli/published_metrics` compute themselves, stored in `definitions.json`.

Run this file where the packages of one or more of them are installed, and it writes their numbers anew and
leaves those of the others as they are:

    python tests/reference/make_definitions.py

pertpy, cell-eval and cellflow-tools are packages. Of CellOT and Meta Flow Matching it takes functions from
a checkout, whose folder is named by CELLOT_SOURCE or META_FLOW_MATCHING_SOURCE. JAX computes in float32
unless JAX_ENABLE_X64 is set: `usual` is what users of the packages see, `exact` the same in float64 where
that is another number. What the stored numbers were made with, in an environment of its own:

    pip install pertpy==1.0.3 "statsmodels<0.15" cell-eval==0.8.2 POT
    pip install --no-deps cellflow-tools==0.0.9
"""

# ruff: noqa: T201 it talks to who runs it
from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

STORED = Path(__file__).with_name("definitions.json")
PROJECTS = ("paper", "cellot", "cellflow", "pertpy", "cell-eval")
Arrays = dict[str, np.ndarray]
Source = tuple[str, Callable[[Arrays], dict[str, float]]]


def arrays(case: str) -> Arrays:
    """Predicted, target, control and three other conditions; the same numbers in every version of NumPy.

    Args:
        case: `signed`, near Gaussian with correlated features, n unlike m; `genes`, log1p of counts with many
            zeros and a gene that nobody expresses.
    """
    rng = np.random.RandomState(7 if case == "signed" else 8)  # noqa: NPY002 its stream never changes
    if case == "signed":
        mixing = rng.randn(10, 10) / 3 + np.eye(10)
        control = rng.randn(150, 10) @ mixing
        shift = np.linspace(-1, 1.5, 10)
        return {
            "predicted": 0.8 * rng.randn(160, 10) @ mixing + 0.7 * shift,
            "target": rng.randn(200, 10) @ mixing.T + shift,
            "control": control,
            **{f"other{i}": rng.randn(40, 10) @ mixing + i * shift[::-1] for i in range(3)},
        }
    rates = np.exp(rng.randn(30))
    rates[4] = 0
    effects = np.exp(np.where(rng.rand(5, 30) < 0.5, rng.randn(5, 30), 0))
    effects[0] = effects[1] ** 0.6 * np.exp(0.2 * rng.randn(30))
    effects[2] = effects[0] * np.exp(0.1 * rng.randn(30))  # nearer to the prediction than its target
    rows = {"predicted": (180, effects[0]), "target": (200, effects[1]), "control": (220, 1.0)}
    rows |= {f"other{i}": (60, effects[2 + i]) for i in range(3)}
    return {name: np.log1p(rng.poisson(rates * effect, (n, 30)) * 0.7) for name, (n, effect) in rows.items()}


def paper() -> Source:
    """Meta Flow Matching: one function gives all, of cells with a time axis."""
    source, commit = _checkout("META_FLOW_MATCHING_SOURCE")
    module = _module(source / "util/distribution_distances.py")

    def numbers(given: Arrays) -> dict[str, float]:
        import torch

        cells = [torch.as_tensor(given[role]).unsqueeze(1) for role in ("predicted", "target")]
        found = dict(zip(*module.compute_distribution_distances(*cells), strict=True))
        names = {"w1": "1-Wasserstein", "w2": "2-Wasserstein", "mmd": "RBF_MMD", "r2": "r2_pwf_corr"}
        return {ours: float(found[theirs]) for ours, theirs in names.items()}

    return f"lazaratan/meta-flow-matching, commit {commit}", numbers


def cellot() -> Source:
    """CellOT: the loop over metrics of its script, without the options that the file parses."""
    source, commit = _checkout("CELLOT_SOURCE")
    distances = _module(source / "cellot/losses/mmd.py")
    text = (source / "scripts/evaluate.py").read_text(encoding="utf-8")
    wanted = {"compute_mmd_loss", "compute_pairwise_corrs", "compute_evaluations"}
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    space: dict[str, Any] = {"np": np, "pd": pd, "mmd_distance": distances.mmd_distance}
    space["compute_knn_enrichment"] = lambda *_: (None, pd.DataFrame(np.zeros((1, 100))))  # not reproduced
    exec(compile(tree, "evaluate.py", "exec"), space)  # noqa: S102

    def numbers(given: Arrays) -> dict[str, float]:
        names = [f"g{i}" for i in range(given["target"].shape[1])]
        treated, imputed = (pd.DataFrame(given[role], columns=names) for role in ("target", "predicted"))
        found = {
            row[2]: float(row[3]) for row in space["compute_evaluations"]([(0, "all", treated, imputed)])
        }
        names = ["l2-means", "l2-stds", "r2-means", "r2-stds", "r2-pairwise_feat_corrs", "mmd"]
        return {name.replace("_", "-"): found[name] for name in names}

    return f"bunnech/cellot, commit {commit}", numbers


def cellflow() -> Source:
    """CellFlow: its file of metrics alone, so that the networks beside it need not be installed."""
    files = importlib.metadata.files("cellflow-tools") or []
    path = next(f for f in files if str(f) == "cellflow/metrics/_metrics.py")
    module = _module(Path(str(path.locate())))

    def numbers(given: Arrays) -> dict[str, float]:
        found = module.compute_metrics(given["target"], given["predicted"])
        return {name.replace("_", "-"): float(value) for name, value in found.items()}

    return _versions("cellflow-tools", "ott-jax", "jax"), numbers


def pertpy() -> Source:
    """Pertpy: the target first, as r2_distance and wasserstein tell the two apart."""
    from pertpy.tools import Distance

    names = ["edistance", "euclidean", "mse", "pearson_distance", "r2_distance", "mean_pairwise", "mmd"]

    def numbers(given: Arrays) -> dict[str, float]:
        pair = given["target"], given["predicted"]
        return {
            name.replace("_", "-"): float(Distance(metric=name)(*pair)) for name in [*names, "wasserstein"]
        }

    return _versions("pertpy", "ott-jax", "jax"), numbers


def cell_eval() -> Source:
    """cell-eval: two files that differ in one of four conditions, predicted in one and real in the other."""
    import anndata
    from cell_eval import MetricsEvaluator

    names = ["mse", "mae", "pearson_delta", "discrimination_score_l1", "overlap_at_N", "precision_at_N"]

    def numbers(given: Arrays) -> dict[str, float]:
        if given["target"].min() < 0:
            return {}  # it takes log1p expression and refuses others
        parts = {name: given[name] for name in ("control", "other0", "other1", "other2")}
        files = [_file(anndata, {**parts, "treated": given[role]}) for role in ("predicted", "target")]
        with tempfile.TemporaryDirectory() as folder:
            evaluator = MetricsEvaluator(
                *files, control_pert="control", pert_col="condition", num_threads=1, outdir=folder
            )
            found, _ = evaluator.compute(profile="minimal", write_csv=False, break_on_error=True)
        line = found.to_pandas().set_index("perturbation").loc["treated"]
        return {name.replace("_", "-").lower(): float(line[name]) for name in names}

    return _versions("cell-eval", "pdex", "polars"), numbers


def _file(anndata: Any, parts: Arrays) -> Any:
    cells = np.concatenate(list(parts.values()))
    obs = pd.DataFrame({"condition": [name for name, part in parts.items() for _ in part]})
    obs.index = obs.index.astype(str)
    var = pd.DataFrame(index=[f"g{i}" for i in range(cells.shape[1])])
    return anndata.AnnData(cells, obs=obs, var=var)


def _checkout(variable: str) -> tuple[Path, str]:
    folder = os.environ.get(variable)
    if not folder:
        raise ModuleNotFoundError(f"no {variable}, the folder of a checkout")
    command = ["git", "-C", folder, "log", "-1", "--format=%h (%cs)", "--abbrev=7"]
    return Path(folder), subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"theirs_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _versions(*packages: str) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def computed(project: str) -> dict[str, Any]:
    """Provenance and numbers of one project, in the precision of this process.

    Raises:
        ModuleNotFoundError: If its packages are not installed, or no checkout is named.
    """
    provenance, numbers = globals()[project.replace("-", "_")]()
    return {"from": provenance, **{case: numbers(arrays(case)) for case in ("signed", "genes")}}


def _main() -> None:
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    for project in sys.argv[1:] or PROJECTS:
        done = [
            subprocess.run(
                [sys.executable, __file__, "--print", project],
                env={**os.environ, "JAX_ENABLE_X64": x64}, capture_output=True, text=True, check=False,
            )
            for x64 in "01"
        ]  # fmt: skip
        if done[0].returncode:
            print(f"{project}: left as it is: {done[0].stderr.strip().splitlines()[-1]}")
            continue
        usual, exact = (json.loads(d.stdout.splitlines()[-1]) for d in done)
        stored[project] = {"usual": usual} if usual == exact else {"usual": usual, "exact": exact}
        print(f"{project}: {usual['from']}")
    STORED.write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--print"]:
        print(json.dumps(computed(sys.argv[2])))
    else:
        _main()
