"""What the documentation tells people to type is understood by the program, and the pages can be read."""

import ast
import dataclasses
import importlib.util
import re
import shlex
import tomllib
import typing
from pathlib import Path

import pytest
import typer

from cellflow_cli.catalog import Catalog
from cellflow_cli.cli.app import app
from cellflow_cli.config import from_dict
from cellflow_cli.study.variants import read_variants

ROOT = Path(__file__).parents[1]
COMMON = {"data": {"treatment_key": "treatment", "control": "control", "sample_key": "patient"}}
PAGES = sorted(
    [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "example_data/README")]
    + [*(ROOT / "docs").glob("*.md")]
)
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.md"))
MAX_WORDS = 120


def named(pages):
    """A parameter for each page, called by its path."""
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@named(PAGES)
def test_settings_in_toml_are_settings(page, tmp_path):
    """A file of settings has a table `data`; one of variants has a table for each of them."""
    for text in blocks(page, "toml"):
        if "data" in tomllib.loads(text):
            from_dict(tomllib.loads(text))
        else:
            (tmp_path / "variants.toml").write_text(text, encoding="utf-8")
            assert read_variants(tmp_path / "variants.toml", COMMON)


@pytest.mark.parametrize("name", ["letters", "contexts"])
def test_variants_of_the_benchmarks_are_variants(name):
    assert read_variants(ROOT / "benchmarks" / f"{name}.toml", COMMON)


@pytest.mark.parametrize("name", ["data", "comparing"])
def test_there_are_such_blocks(name):
    assert blocks(ROOT / "docs" / f"{name}.md", "toml")


@named(PAGES)
def test_python_examples_are_python(page):
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


@named(PAGES)
def test_python_examples_use_names_that_exist(page):
    """What an example imports from us, and what it takes from `cf`, is there."""
    import cellflow_cli

    for text in blocks(page, "python"):
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cellflow_cli"):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "cf":
                assert hasattr(cellflow_cli, node.attr), node.attr


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def without_code(page):
    """The text of a page without its fenced and indented code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"(?m)(?:\A|(?<=\n\n))(?: {4}.*\n?)+", "", text)


@named([*PAGES, *BENCHMARKS])
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        target, _, anchor = link.partition("#")
        if target.startswith("https://"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", without_code(file), re.MULTILINE)
            assert anchor in map(slug, headings), link


def paragraphs(page):
    """Paragraphs, list items and lines of tables, each as one text."""
    text = re.sub(r"(?m)^(\s*(?:[-*|]|\d+\.) ?.*)$", r"\n\1", without_code(page))
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


@named(PAGES)
def test_paragraphs_are_short(page):
    long = [part for part in paragraphs(page) if len(part.split()) > MAX_WORDS]
    assert not long, "\n\n".join(f"{len(part.split())} words: {part.strip()[:200]}" for part in long)


def test_a_long_paragraph_is_found(tmp_path):
    """The test above can fail: lists and tables are split, lines of one paragraph are not."""
    page = tmp_path / "page.md"
    page.write_text(
        "word " * 60 + "\n" + "word " * 61 + "\n- item\n- item\n\n    code code\n", encoding="utf-8"
    )
    assert [len(part.split()) for part in paragraphs(page)] == [121, 2, 2]


def commands(page):
    """Commands as words, continued lines joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}|\$ )(cellflow .*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines if "[OPTIONS]" not in line]


@named([*PAGES, *BENCHMARKS])
def test_commands_have_the_options_that_are_shown(page):
    for words in commands(page):
        command = typer.main.get_command(app)
        names = iter(words)
        while hasattr(command, "commands"):
            command = command.commands[next(names)]
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        shown = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert shown <= known, f"{' '.join(words)}: {shown - known}"


@named([*PAGES, *BENCHMARKS])
def test_settings_that_are_shown_exist(page):
    """Dotted names such as `method.embedder.name` are in the list of all settings, or a part of one."""
    known = re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs" / "options.md").read_text(encoding="utf-8"), re.M)
    parts = {name[: match.start()] for name in known for match in re.finditer(r"\.|$", name)}
    shown = re.findall(r"\b(?:method|training|data|solver)\.[a-z_]+[a-z_.]*[a-z]", without_code(page))
    endings = (".md", ".py", ".h5ad", ".toml")
    assert [name for name in shown if name not in parts and not name.endswith(endings)] == []


def test_there_are_such_commands():
    assert len(commands(ROOT / "README.md")) >= 4
    assert len(commands(ROOT / "docs" / "getting-started.md")) == 4


def test_options_are_those_of_the_program():
    spec = importlib.util.spec_from_file_location("make_options", ROOT / "docs" / "make_options.py")
    make_options = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_options)
    written = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert written == make_options.page(), "run `python docs/make_options.py`"


@pytest.mark.parametrize(
    ("page", "room"),
    [
        ("methods", "methods"),
        ("methods", "embedders"),
        ("methods", "couplings"),
        ("methods", "conditions"),
        ("methods", "baselines"),
        ("metrics", "metrics"),
        ("degenerate", "degenerate"),
    ],
)
def test_every_entry_is_in_its_table(page, room):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    first_cells = " ".join(re.findall(r"^\|([^|]*)\|", text, re.MULTILINE))
    missing = [name for name in Catalog(room).names() if f"`{name}`" not in first_cells]
    assert not missing


def cited(text):
    """Surname of the first author and year of each paper, cited as `Lipman et al. (2023)`."""
    name = r"[A-Z][^\W\d_]+"
    return re.findall(
        rf"({name})(?:, {name})*(?: and {name}| et al\.)? \((\d{{4}})\)", " ".join(text.split())
    )


def test_papers_that_docstrings_cite_are_in_the_bibliography():
    bibliography = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{(\w+),", bibliography, re.MULTILINE))
    files = (ROOT / "cellflow_cli").rglob("*.py")
    papers = {paper for file in files for paper in cited(file.read_text(encoding="utf-8"))}
    assert len(papers) > 25
    plain = str.maketrans("áäéíóöúüńł", "aaeioouunl")
    names = {f"{author.lower().translate(plain)}{year}" for author, year in papers}
    assert names <= keys, names - keys


def test_pages_are_on_the_map():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    names = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md"]
    assert [name for name in names if f"]({name})" not in index] == []


def test_figures_are_small():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").glob("*.png")}
    assert sizes.pop("report.png") < 300_000
    assert all(size < 600_000 for size in sizes.values())


def undescribed(names):
    """Those of the names that `files.md` does not mention as code."""
    code = " ".join(re.findall(r"`([^`]+)`", (ROOT / "docs" / "files.md").read_text(encoding="utf-8")))
    return [name for name in names if not re.search(rf"\b{re.escape(name)}\b", code)]


def test_files_of_folders_are_described():
    from cellflow_cli.model import contents
    from cellflow_cli.report import page

    figures = {name.partition(".")[0] for name in page.FILES}
    assert undescribed([*contents.FILES, *figures]) == []


def names_below(hint, seen=()):
    """Fields of a dataclass, and of those that its fields hold."""
    if dataclasses.is_dataclass(hint) and hint not in seen:
        hints = typing.get_type_hints(hint)
        return [*hints, *(name for below in hints.values() for name in names_below(below, (*seen, hint)))]
    return [name for below in typing.get_args(hint) for name in names_below(below, seen)]


def test_keys_of_the_summary_are_described():
    from cellflow_cli.statistics.summary import Summary

    names = set(names_below(Summary))
    assert {"predictors", "n_missing", "is_first"} <= names
    in_place = {"parts", "better"}  # whose own fields stand in their place in the file
    assert undescribed(sorted(names - in_place)) == []


def test_parts_of_a_prediction_are_described():
    """Whatever a prediction holds, on two patients and one step of training."""
    import anndata

    import cellflow_cli as cf

    cells = anndata.read_h5ad(ROOT / "example_data" / "cohort.h5ad")
    few = cells.obs["patient"].isin(["P01", "P02"]) & cells.obs["treatment"].isin(["control", "chemo"])
    cells = cells[few].copy()
    spec = cf.DataSpec(
        treatment_key="treatment", control="control", sample_key="patient", holdout="patient=P02"
    )
    model = cf.train(cells, spec, method="fm", training=cf.TrainingConfig(steps=1, refit=False))
    predicted = model.predict(cells)
    ours = [name for name in predicted.obs if name.startswith("cellflow")]
    assert undescribed([*predicted.uns["cellflow"], *predicted.layers, *ours]) == []
