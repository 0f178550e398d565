"""What the documentation tells people to type is understood by the program."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from cellflow_cli.cli.app import app
from cellflow_cli.config import from_dict
from cellflow_cli.study.variants import read_variants

ROOT = Path(__file__).parents[1]
COMMON = {"data": {"treatment_key": "treatment", "control": "control", "sample_key": "patient"}}
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_toml_are_settings(page, tmp_path):
    """A file of settings has a table `data`; one of variants has a table for each row."""
    for text in blocks(page, "toml"):
        if "data" in tomllib.loads(text):
            from_dict(tomllib.loads(text))
        else:
            (tmp_path / "variants.toml").write_text(text, encoding="utf-8")
            assert read_variants(tmp_path / "variants.toml", COMMON)


@pytest.mark.parametrize("name", ["letters", "contexts"])
def test_arms_of_the_benchmarks_are_arms(name):
    assert read_variants(ROOT / "benchmarks" / f"{name}.toml", COMMON)


def test_there_is_such_a_block():
    assert blocks(ROOT / "docs" / "index.md", "toml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_are_python(page):
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks" / "README.md"], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)]
    for target in filter(None, targets):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def commands(page):
    """Commands as words, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}|\$ )(cellflow .*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks" / "README.md"], ids=lambda page: page.name)
def test_commands_have_the_options_that_are_shown(page):
    for words in commands(page):
        command = typer.main.get_command(app)
        names = iter(words)
        while hasattr(command, "commands"):
            command = command.commands[next(names)]
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        shown = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert shown <= known, f"{' '.join(words)}: {shown - known}"


def test_there_are_such_commands():
    assert len(commands(ROOT / "README.md")) >= 4
