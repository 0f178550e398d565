"""What `cellflow evaluate` shows on screen: tables of means, comparisons, and remarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellflow_cli.cli import console

if TYPE_CHECKING:
    from cellflow_cli.evaluation.result import Scores
    from cellflow_cli.statistics.summary import Summary

_BEST = {"low": "↓", "high": "↑", "one": "→1"}
_SPACES = {"flow": "Features of the flow", "genes": "Genes or markers"}


def show(scores: "Scores", summary: "Summary", output: Path) -> None:
    """Tables of means over groups, comparisons, remarks, and where the files are."""
    console.say(_title(scores, summary))
    docs = summary.metrics
    for space, title in _SPACES.items():
        ours = [name for name, doc in docs.items() if doc.space == space and doc.origin is None]
        _show_means(scores, summary, ours, title)
    for origin in dict.fromkeys(doc.origin for doc in docs.values() if doc.origin):
        theirs = [name for name, doc in docs.items() if doc.origin == origin]
        _show_means(scores, summary, theirs, f"As {origin} defines them")
    for sentence in _comparisons(scores, summary):
        console.say(sentence)
    for remark in (*_alarms(summary), *_reasons(scores, summary), *scores.warnings):
        console.say(remark, style="bold red" if remark.startswith("Error") else "yellow")
    console.say(f"Scores in {output / 'scores.csv'}, summary in {output / 'summary.json'}")


def _title(scores: "Scores", summary: "Summary") -> str:
    n_groups, n = len(summary.groups), summary.n_cells
    sizes = f"{n.min}" if n.min == n.max else f"{n.min} to {n.max}"
    return (
        f"Mean over {n_groups} {'group' if n_groups == 1 else 'groups'} ({summary.n_conditions} "
        f"conditions, {sizes} cells a side, features {'scaled' if scores.settings.scaled else 'unscaled'})"
    )


def _show_means(scores: "Scores", summary: "Summary", metrics: Sequence[str], title: str) -> None:
    """A line for each predictor that has a value, a column for each of the metrics."""
    if not metrics:
        return
    means = {name: [summary.predictors[name][m].mean for m in metrics] for name in scores.predictors}
    lines = [
        [name, *("–" if mean is None else mean for mean in values)]
        for name, values in means.items()
        if any(mean is not None for mean in values)
    ]
    titles = [f"{name.rsplit(':', 1)[-1]} {_BEST[summary.metrics[name].best]}" for name in metrics]
    console.show_table(title, ["", *titles], lines)


def _comparisons(scores: "Scores", summary: "Summary") -> list[str]:
    """On how many groups the model is better than each baseline, its normalised score, the ablation."""
    metric = "energy" if "energy" in scores.metrics else scores.metrics[0]
    better = {name: counts[metric] for name, counts in summary.better_than.items()}
    counts = [f"{name} on {count.k} of {count.n}" for name, count in better.items() if count.n]
    sentences = [f"Better than (groups, {metric}): {', '.join(counts)}"] if counts else []
    normalised = {name: entry[metric].value for name, entry in summary.normalised.items()}
    values = [f"{name} {v:.2f}" for name, v in normalised.items() if v is not None and name != "identity"]
    if values:
        sentences.append(f"Normalised {metric} (0 = no effect, 1 = noise floor): {', '.join(values)}")
    if summary.ablation.predictors:
        sentences.append(_ablation(summary, metric))
    return sentences


def _ablation(summary: "Summary", metric: str) -> str:
    """The scores with each population as context."""
    ablated = {
        name.removeprefix("model, "): entry[metric] for name, entry in summary.ablation.predictors.items()
    }
    own = summary.predictors["model"][metric].mean
    means = {"own": own, **{name: entry.mean for name, entry in ablated.items()}}
    values = [f"{name} {mean:.4g}" for name, mean in means.items() if mean is not None]
    better = [f"{entry.better.k}/{entry.better.n}" for entry in ablated.values()]
    return f"Context ablation ({metric}): {', '.join(values)}; own better in {' and '.join(better)} groups"


def _alarms(summary: "Summary") -> list[str]:
    from cellflow_cli.statistics.collapse import how_far
    from cellflow_cli.statistics.degenerate_ranks import remark

    collapse = [f"Collapse alarm: {how_far(summary.collapse)}."] if summary.collapse.alarm else []
    return [*collapse, *filter(None, [remark(summary.audit)])]


def _reasons(scores: "Scores", summary: "Summary") -> list[str]:
    """For each reason why values are missing, in how many conditions and where they are."""
    places: dict[tuple[str, int], dict[str, list[str]]] = {}
    for name in scores.predictors:
        for metric, entry in summary.predictors[name].items():
            if entry.n_missing:
                key = entry.reason, entry.n_missing
                places.setdefault(key, {}).setdefault(name, []).append(metric)
    return [
        f"No value in {n} of {summary.n_conditions} conditions: {_places(metrics, scores)}: {reason}"
        for (reason, n), metrics in places.items()
    ]


def _places(metrics: Mapping[str, Sequence[str]], scores: "Scores") -> str:
    """Predictors and their metrics as text, shortened where all of them are meant."""
    names = list(dict.fromkeys(name for of_one in metrics.values() for name in of_one))
    everyone = len(metrics) == len(scores.predictors)
    predictors = "all predictors" if everyone else ", ".join(metrics)
    return predictors if len(names) == len(scores.metrics) else f"{', '.join(names)} of {predictors}"
