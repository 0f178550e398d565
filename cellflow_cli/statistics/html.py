"""Scores as a small table for notebooks."""

from html import escape

from cellflow_cli.statistics.baseline_ranking import rank_baselines
from cellflow_cli.statistics.best import winners
from cellflow_cli.statistics.means import MetricMean
from cellflow_cli.statistics.summary import Summary

_STYLE = "text-align:right;padding:2px 8px"
_BEST = {"low": "\N{DOWNWARDS ARROW}", "high": "\N{UPWARDS ARROW}", "one": "\N{RIGHTWARDS ARROW}1"}


def as_html(summary: Summary) -> str:
    """Means over groups, predictors by metrics, the best of model and baselines in bold, and a sentence."""
    metrics = summary.metrics
    best = {name: winners(summary, name) for name in metrics}
    heads = "".join(
        f'<th style="{_STYLE}" title="{escape(doc.definition)}">{escape(name)} {_BEST[doc.best]}</th>'
        for name, doc in metrics.items()
    )
    lines = "".join(
        f'<tr><th style="text-align:left">{escape(predictor)}</th>'
        + "".join(_cell(entries[name], predictor in best[name]) for name in metrics)
        + "</tr>"
        for predictor, entries in summary.predictors.items()
    )
    return (
        f"<div><p>{escape(sentence(summary))}</p><table><thead><tr><th></th>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def sentence(summary: Summary) -> str:
    """The model beside the best baseline by the first metric that both have a value of, in one sentence."""
    n = f"{summary.n_conditions} populations of {len(summary.groups)} groups"
    all_seen = set(summary.groups) <= set(summary.seen_in_training)
    seen = " Seen in training, so no test." if all_seen else ""
    for metric in sorted(summary.metrics, key=lambda name: name != "energy"):
        baselines = rank_baselines(summary, metric)
        if not baselines:
            continue
        best = baselines[0]
        word = "worse than" if best.lead < 0 else "better than" if best.lead > 0 else "the same as"
        return (
            f"{n}: by {metric} the model ({best.model:.3g}) is {word} the best baseline, {best.baseline} "
            f"({best.value:.3g}), and better on {best.better.k} of {best.better.n} groups.{seen}"
        )
    return f"{n}; no baseline to compare with.{seen}"


def _cell(entry: MetricMean, is_best: bool) -> str:
    if entry.mean is None:
        return f'<td style="{_STYLE}" title="{escape(entry.reason)}">\N{EN DASH}</td>'
    text = f"{entry.mean:.3g}"
    return f'<td style="{_STYLE}">{f"<b>{text}</b>" if is_best else text}</td>'
