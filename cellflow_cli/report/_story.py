"""What all sections of a page draw on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cellflow_cli.evaluation import Scores
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
        scores, summary: The scores, and their summary.
        split: What training had seen.
        verdict: On the groups that training never saw, if there are any.
        left_out: Which groups the verdict leaves out; empty if none.
        metric: What figures and tables show first.
        pictures: Cells, if there are any.
        shown: Populations of the static figures.
        flows, times: Populations on their way.
        inputs: Names for commands.
    """

    scores: Scores
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


def tell(
    scores: Scores,
    pictures: Pictures | None,
    split: Split | None,
    inputs: Inputs,
    flows: Sequence[PopulationFlow],
    times: Sequence[float],
) -> Story:
    """Everything the page is written from; the arguments are those of `page.files`."""
    summary, known = scores.summary(), split or split_of(scores.table)
    metric = headline(summary) or scores.metrics[0]
    # the metric of the verdict comes first in every table
    scores = replace(scores, metrics=(metric, *(name for name in scores.metrics if name != metric)))
    summary = {**summary, "metrics": {name: summary["metrics"][name] for name in scores.metrics}}
    judged, left_out = _unseen_part(scores, known)
    verdict = judge(summary if judged is scores else judged.summary(), known)
    shown: Sequence[Picture] = ()
    if pictures is not None:
        shown = chosen(pictures, _ranks(scores, metric, summary), _N_SHOWN)
    return Story(
        scores=scores, summary=summary, split=known, verdict=verdict, left_out=left_out, metric=metric,
        pictures=pictures, shown=shown, flows=flows, times=times, inputs=inputs,
    )  # fmt: skip


def _unseen_part(scores: Scores, split: Split) -> tuple[Scores, str]:
    """The scores of groups that training never saw, if there are any; the verdict is about those."""
    seen = set(scores.seen_in_training)
    unseen = scores.table[~scores.table["group"].isin(seen)]
    if not seen or unseen.empty:
        return scores, ""
    text = f"The verdict leaves out {counted(len(seen), 'group')} seen in training ({names(sorted(seen))})."
    return replace(scores, table=unseen, seen_in_training=()), text


def _ranks(scores: Scores, metric: str, summary: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    table = labelled(scores.table)
    model = table[(table["row"] == "model") & (table["metric"] == metric)].dropna(subset=["value"])
    sign = -1.0 if summary["metrics"][metric]["best"] == "high" else 1.0
    return {(str(p.sample), str(p.condition)): sign * float(p.value) for p in records(model)}
