"""The program speaks the words of the field (docs/glossary.md); old words of ours are in no text or name."""

import ast
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cellflow_cli.catalog import Catalog, rooms
from cellflow_cli.cli.app import app

ROOT = Path(__file__).parents[1]
INSTEAD = {
    "told": "conditioned on, given",
    "asked": "queried at (a network); requested, named (by a user)",
    "arm": "variant",
    "arms": "variants",
    "rival": "baseline; the other value of a comparison",
    "rivals": "baselines",
    "adopt": "read",
    "adopts": "reads",
    "adopted": "read; external",
    "mend": "fix",
    "mends": "fixes",
    "mended": "fixed",
    "fewest": "minimum",
    "further rows": "variants; other predictors",
    "judge": "validate, score",
    "judges": "validation groups",
    "judged": "validated, scored",
    "merely": "only",
}
"""Each old word, and what to say."""

ALLOWED: dict[str, tuple[str, ...]] = {}
"""By file, phrases in which an old word means something else: `{"cellflow_cli/rng.py": ("arms race",)}`."""

WORD = re.compile(rf"\b({'|'.join(sorted(INSTEAD, key=len, reverse=True))})\b", re.IGNORECASE)
PART = re.compile(rf"(?:^|_)({'|'.join(word for word in INSTEAD if ' ' not in word)})(?:_|$)")
CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
PAGES = sorted(
    [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "example_data/README")]
    + [*(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
)
MODULES = sorted((ROOT / "cellflow_cli").rglob("*.py"))
TEMPLATES = sorted((ROOT / "cellflow_cli" / "report" / "templates").glob("report.*"))


def place(path):
    return str(path.relative_to(ROOT))


def old_words(text, first_line=1):
    """Old words in a text, each with its line."""
    lines = enumerate(text.splitlines(), first_line)
    return [f"{i}: {m[0]!r} in {line.strip()[:90]!r}" for i, line in lines for m in WORD.finditer(line)]


def old_names(names):
    """Names with an old word as a part, `n_told` or `ToldContext`."""
    snake = {name: CAPITAL.sub("_", name).lower() for name in sorted(names)}
    return [f"the name {name!r}" for name, text in snake.items() if PART.search(text)]


def read(path):
    """The text of a file without the phrases that it may use."""
    text = path.read_text(encoding="utf-8")
    for phrase in ALLOWED.get(place(path), ()):
        text = text.replace(phrase, "")
    return text


@pytest.mark.parametrize("path", [*PAGES, *TEMPLATES], ids=place)
def test_pages_and_templates(path):
    assert not (found := old_words(read(path))), "\n".join(found)


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_texts_of_the_code(path):
    """Messages, help, docstrings: every text of a module."""
    constants = [node for node in ast.walk(ast.parse(read(path))) if isinstance(node, ast.Constant)]
    texts = [(node.value, node.lineno) for node in constants if isinstance(node.value, str)]
    found = [word for text, line in texts for word in old_words(text, line)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_names_of_the_code(path):
    """Functions, classes, arguments, variables and attributes."""
    nodes = list(ast.walk(ast.parse(read(path))))
    names = {getattr(node, kind, None) for node in nodes for kind in ("name", "id", "arg", "attr")}
    found = old_names(name for name in names if isinstance(name, str))
    assert not found, "\n".join(found)


def commands(command, words=()):
    yield list(words)
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_help(words):
    shown = CliRunner().invoke(app, [*words, "--help"]).stdout
    assert "Usage" in shown
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", shown).split())  # a phrase may be broken over two lines
    assert sorted({match[0] for match in WORD.finditer(text)}) == []


@pytest.mark.parametrize("room", list(rooms()))
def test_catalog_summaries(room):
    assert not (found := old_words("\n".join(Catalog(room).summaries().values()))), "\n".join(found)


@pytest.mark.parametrize("text", ["a field that is Told more", "one further rows", "by a rival's"])
def test_an_old_word_is_found(text):
    assert old_words(text)


@pytest.mark.parametrize("text", ["the armour", "a recommended, untold judgement", "amended"])
def test_a_part_of_a_word_is_none(text):
    assert not old_words(text)


def test_an_old_name_is_found():
    assert old_names(["n_told", "ToldContext", "amended", "harm"]) == [
        "the name 'ToldContext'",
        "the name 'n_told'",
    ]
