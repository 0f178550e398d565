"""What `evaluate --model` adds, and that the commands a report prints give its numbers again."""

import html
import json
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from cellflow_cli.cli.app import app

METRICS = ("energy", "w1", "r2-delta", "variance-ratio")


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, cohort_file: Path, model_folder: Path) -> Path:
    """A folder with data, model, prediction of two samples, and `report`."""
    folder = tmp_path_factory.mktemp("card")
    shutil.copytree(model_folder, folder / "my model")
    shutil.copy(cohort_file, folder / "truth.h5ad")
    predicted = folder / "pred.h5ad"
    run("predict", model_folder, cohort_file, "--samples", "patient=P3,P4", "-o", predicted)
    run(
        "evaluate", predicted, folder / "truth.h5ad", "--model", folder / "my model", "-o", folder / "report",
        "--metrics", ",".join(METRICS), "--max-cells", 15, "--floor-splits", 3, "--seed", 4,
    )  # fmt: skip
    return folder


def numbers(report: Path, metric: str) -> dict[str, object]:
    """Every number of one metric in a report."""
    table = pd.read_csv(report / "scores.csv", dtype=str)
    found = json.loads((report / "summary.json").read_text("utf-8"))
    several = ("predictors", "better_than", "intervals", "normalised")
    return {
        "table": table[table["metric"] == metric].reset_index(drop=True).to_dict(),
        **{key: {row: entry[metric] for row, entry in found[key].items()} for key in several},
        "groups": {g: {row: e[metric] for row, e in of.items()} for g, of in found["groups"].items()},
        "audit": {name: entry[metric] for name, entry in found["audit"]["predictors"].items()},
        "ablation": {row: entry[metric] for row, entry in found["ablation"]["predictors"].items()},
    }


def words_of(command: str) -> list[str]:
    """A command of the page, where every word is an element of its own."""
    return shlex.split(html.unescape(re.sub("</?span>", "", command)))


def printed(page: str, metric: str) -> list[str]:
    """Words of the command on the card of a metric."""
    card = re.search(rf'<article class="card" id="metric-{metric}">(.*?)</article>', page, re.DOTALL)
    assert card is not None
    command = re.findall(r"<pre><code>(.*?)</code></pre>", card[1], re.DOTALL)[-1]
    return words_of(command)


@pytest.mark.parametrize("metric", METRICS)
def test_the_command_on_a_card_gives_its_numbers_again(
    metric: str, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = printed((reported / "report" / "report.html").read_text("utf-8"), metric)
    assert words[:2] == ["cellflow", "evaluate"]
    monkeypatch.chdir(reported)
    run(*words[1:], "--no-page")
    again = reported / words[words.index("-o") + 1]
    assert numbers(again, metric) == numbers(reported / "report", metric)
    assert set(pd.read_csv(again / "scores.csv")["metric"]) == {metric}


def test_the_command_for_all_gives_the_same_files(reported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (reported / "report" / "report.html").read_text("utf-8")
    command = re.search(
        r"<p>To compute all scores again:</p>\s*<pre><code>(.*?)</code></pre>", page, re.DOTALL
    )
    assert command is not None
    words = words_of(command[1])
    words[words.index("-o") + 1] = "again"
    monkeypatch.chdir(reported)
    run(*words[1:], "--no-page")
    for name in ("scores.csv", "summary.json"):
        assert (reported / "again" / name).read_bytes() == (reported / "report" / name).read_bytes()


def test_the_example_of_the_card_is_in_the_table(reported: Path) -> None:
    page = (reported / "report" / "report.html").read_text("utf-8")
    found = re.search(
        r"sample <code>(.*?)</code>, condition <code>(.*?)</code>, predictor <code>model</code>, metric "
        r"<code>(.*?)</code> holds ([0-9.]+)\.",
        page,
    )
    assert found is not None
    table = pd.read_csv(reported / "report" / "scores.csv")
    line = table.query(
        "sample == @found[1] and treatment == @found[2] and predictor == 'model' and metric == @found[3]"
    )
    assert float(line["value"].iloc[0]) == pytest.approx(float(found[4]), rel=1e-5)


def test_the_model_draws_its_paths(reported: Path) -> None:
    page = (reported / "report" / "report.html").read_text("utf-8")
    assert "Paths from control to predicted cells" in page
    assert {"flows.png", "flows.svg"} <= {path.name for path in (reported / "report").iterdir()}


def test_the_model_tells_whether_the_population_matters(reported: Path) -> None:
    found = json.loads((reported / "report" / "summary.json").read_text("utf-8"))["ablation"]
    assert set(found["groups"]) == {"P4"}  # the model trained on P3
    page = (reported / "report" / "report.html").read_text("utf-8")
    assert "with the average population as context" in page
    files = (reported / "pred.h5ad", reported / "truth.h5ad", "--metrics", "energy", "--no-page")
    refused = CliRunner().invoke(app, ["evaluate", *map(str, files), "--ablation", "-o", str(reported / "x")])
    assert refused.exit_code == 2
    assert "--model MODEL" in refused.output
    off = run(
        "evaluate",
        *files,
        "--model",
        reported / "my model",
        "--no-ablation",
        "--json",
        "-o",
        reported / "off",
    )
    assert json.loads(off)["ablation"] == {"reason": "it takes the model, `--model MODEL`"}
