"""Scores as a small table for notebooks."""

from collections.abc import Mapping
from html import escape
from typing import Any

from cellflow_cli.statistics.intervals import covers
from cellflow_cli.statistics.means import winners

_STYLE = "text-align:right;padding:2px 8px"
_BEST = {"low": "\N{DOWNWARDS ARROW}", "high": "\N{UPWARDS ARROW}", "one": "\N{RIGHTWARDS ARROW}1"}


def as_html(summary: Mapping[str, Any]) -> str:
    """Means over groups, rows by metrics, the best of model and baselines in bold, and a sentence.

    Args:
        summary: As `Scores.summary()`.
    """
    metrics = summary["metrics"]
    best = {name: winners(summary, name) for name in metrics}
    heads = "".join(
        f'<th style="{_STYLE}" title="{escape(entry["definition"])}">{escape(name)} '
        f"{_BEST[entry['best']]}</th>"
        for name, entry in metrics.items()
    )
    lines = "".join(
        f'<tr><th style="text-align:left">{escape(row)}</th>'
        + "".join(_cell(entries[name], row in best[name]) for name in metrics)
        + "</tr>"
        for row, entries in summary["rows"].items()
    )
    return (
        f"<div><p>{escape(sentence(summary))}</p><table><thead><tr><th></th>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def sentence(summary: Mapping[str, Any]) -> str:
    """The model beside the best baseline by the first metric that both have a value of, in one sentence."""
    n = f"{summary['n_conditions']} populations of {len(summary['groups'])} groups"
    all_seen = set(summary["groups"]) <= set(summary["seen_in_training"])
    seen = " Seen in training, so no test." if all_seen else ""
    for metric in sorted(summary["metrics"], key=lambda name: name != "energy"):
        sign = -1 if summary["metrics"][metric]["best"] == "high" else 1
        entries = {name: entry[metric] for name, entry in summary["intervals"].items()}
        known = {n: sign * e["difference"] for n, e in entries.items() if e["difference"] is not None}
        if not known:
            continue
        rival = max(known, key=lambda name: (covers(entries[name]), known[name]))
        values = entries[rival]
        count = summary["better_than"][rival][metric]
        word = "worse than" if known[rival] > 0 else "better than" if known[rival] < 0 else "the same as"
        return (
            f"{n}: by {metric} the model ({values['model']:.3g}) is {word} the best baseline, "
            f"{rival} ({values['baseline']:.3g}), and better on {count['k']} of {count['n']} "
            f"groups.{seen}"
        )
    return f"{n}; no baseline to compare with.{seen}"


def _cell(entry: Mapping[str, Any], is_best: bool) -> str:
    if entry["mean"] is None:
        return f'<td style="{_STYLE}" title="{escape(entry.get("reason", ""))}">\N{EN DASH}</td>'
    text = f"{entry['mean']:.3g}"
    return f'<td style="{_STYLE}">{f"<b>{text}</b>" if is_best else text}</td>'
