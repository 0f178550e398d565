"""What all sections of a page draw on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cellflow_cli.evaluation.result import Scores
from cellflow_cli.report._payload import chosen
from cellflow_cli.report._text import counted, names
from cellflow_cli.report.card import Inputs
from cellflow_cli.report.flow_figure import PopulationFlow
from cellflow_cli.report.pictures import Picture, Pictures
from cellflow_cli.report.score_tables import labelled
from cellflow_cli.report.split import Split, records, split_of
from cellflow_cli.report.verdict import Verdict, headline, judge

_N_SHOWN = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Story:
    """Scores with everything that was found out about them.

    Attributes:
        scores, summary: Of the groups that training never saw, if there are any.
        everything: The scores of all groups.
        split: What training had seen.
        verdict: What they say.
        left_out: Which groups are left out; empty if none.
        metric: What figures and tables show first.
        pictures: Cells, if there are any.
        shown: Populations of the static figures.
        flows, times: Populations on their way.
        no_flows: Why there are none, if the model was at hand.
        inputs: Names for commands.
    """

    scores: Scores
    everything: Scores
    summary: Mapping[str, Any]
    split: Split
    verdict: Verdict
    left_out: str
    metric: str
    pictures: Pictures | None
    shown: Sequence[Picture]
    flows: Sequence[PopulationFlow]
    times: Sequence[float]
    inputs: Inputs
    no_flows: str = ""


def tell(
    scores: Scores,
    pictures: Pictures | None,
    split: Split | None,
    inputs: Inputs,
    flows: Sequence[PopulationFlow],
    times: Sequence[float],
    no_flows: str = "",
) -> Story:
    """Everything the page is written from; the arguments are those of `page.files`."""
    everything, summary, known = scores, scores.summary().to_json(), split or split_of(scores.table)
    metric = headline(summary) or scores.metrics[0]
    # the metric of the verdict comes first in every table
    ordered = (metric, *(name for name in scores.metrics if name != metric))
    scores = replace(scores.unseen, metrics=ordered)
    summary = {**summary, "metrics": {name: summary["metrics"][name] for name in ordered}}
    verdict = judge(summary, known)
    return Story(
        scores=scores, everything=everything, summary=summary, split=known, verdict=verdict,
        left_out=_left_out(summary), metric=metric, pictures=pictures,
        shown=shown(everything, pictures) if pictures is not None else (), flows=flows, times=times,
        inputs=inputs, no_flows=no_flows,
    )  # fmt: skip


def shown(scores: Scores, pictures: Pictures) -> Sequence[Picture]:
    """Populations of the static figures: the best, the median and the worst predicted one, or fewer."""
    summary = scores.summary().to_json()
    metric = headline(summary) or scores.metrics[0]
    return chosen(pictures, _ranks(scores.unseen, metric, summary), _N_SHOWN)


def _left_out(summary: Mapping[str, Any]) -> str:
    seen = sorted(summary["seen_groups"])
    if not seen:
        return ""
    return (
        f"Verdict, tables and figures of scores leave out {counted(len(seen), 'group')} seen in training "
        f"({names(seen)}); scores.csv has them."
    )


def _ranks(scores: Scores, metric: str, summary: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    table = labelled(scores.table)
    model = table[(table["predictor"] == "model") & (table["metric"] == metric)].dropna(subset=["value"])
    sign = -1.0 if summary["metrics"][metric]["best"] == "high" else 1.0
    return {(str(p.sample), str(p.condition)): sign * float(p.value) for p in records(model)}
