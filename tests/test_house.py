"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cellflow_cli"
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
KIND = re.compile(r"""["']pca["']|\bkind\s*[!=]=\s*["']values["']|startswith\(["']pca|["']X_pca["']""")
OF_OTHER_TOOLS = {"export/_matched.py", "export/pertpy.py"}
"""Write `X_pca` because scanpy and pertpy look for components there."""
MAX_LINES, MAX_FUNCTION, MAX_PARAMETERS = 300, 60, 8


def offences(text):
    return [line.strip() for line in text.splitlines() if KIND.search(line)]


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def n_parameters(function):
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([one for one in named if one.arg not in ("self", "cls")])


def test_no_room_but_features_compares_the_kind_of_a_feature_space():
    others = {name: path for name, path in FILES.items() if not name.startswith("features/")}
    lines = {name: offences(path.read_text("utf-8")) for name, path in others.items()}
    assert len(lines) > 100
    assert {name for name, found in lines.items() if found} <= OF_OTHER_TOOLS


def test_the_test_above_can_fail():
    assert offences('if transform.kind == "pca":')
    assert offences("X = None if kind != 'values' else adata.obsm['X_pca']")
    assert not offences("Choose them with `--features pca:50`.")


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_of_a_size_to_read(name):
    text = FILES[name].read_text("utf-8")
    assert text.count("\n") <= MAX_LINES
    for function in functions(ast.parse(text)):
        assert function.end_lineno - function.lineno < MAX_FUNCTION, function.name
        if not name.startswith("cli/"):  # where an option is a parameter
            assert n_parameters(function) <= MAX_PARAMETERS, function.name


def test_nobody_asks_a_method_for_what_its_contract_does_not_have():
    text = {name: path.read_text("utf-8") for name, path in FILES.items()}
    guesses = re.compile(r"(get|has)attr\((self\.|model\.)?(method|embedder)\b|method: Any|locals\(\)")
    assert not {name for name, source in text.items() if guesses.search(source)}


LACKING = """
from collections.abc import Iterator
from torch import nn
from cellflow_cli.catalog import Entry
from cellflow_cli.methods import Method, Phase
from cellflow_cli.methods._base import BaseMethod

class Config: ...

class Lacking(BaseMethod):
    def phases(self) -> Iterator[Phase]:
        yield Phase("all", list(self.parameters()))

ENTRY: Entry[Method] = Entry(Config, Lacking)
"""


@pytest.mark.slow
def test_the_type_checker_sees_a_method_that_lacks_a_member(tmp_path):
    (tmp_path / "lacking.py").write_text(LACKING)
    command = [sys.executable, "-m", "mypy", "--config-file", str(PACKAGE.parent / "pyproject.toml")]
    checked = subprocess.run(
        [*command, str(tmp_path / "lacking.py")],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert re.search(r"lacking\.py.*(Lacking|transport|loss)", checked.stdout)


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
