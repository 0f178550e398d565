"""What the scores say, in one paragraph: is the model better than the best baseline, and how sure is that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellflow_cli.report._rivals import Rival, best_first
from cellflow_cli.report._text import counted, names, number, percent, signed
from cellflow_cli.report.split import Split
from cellflow_cli.statistics.collapse import Collapse, how_far
from cellflow_cli.statistics.intervals import MIN_GROUPS

Outcome = Literal["better", "worse", "inconclusive", "not-a-test", "unknown"]
HEADLINES = ("energy", "w1", "w2", "mmd-median", "mmd-rbf", "r2-delta", "r2-mean")
"""The metric of the verdict is the first of these that the model has a value of."""
_TITLES = {
    "energy": "energy distance",
    "w1": "1-Wasserstein distance",
    "w2": "2-Wasserstein distance",
    "mmd-median": "squared kernel distance (mmd-median)",
    "mmd-rbf": "squared kernel distance (mmd-rbf)",
}
_MEAN_SHIFT = "mean-shift"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A conclusion and what it rests on.

    Attributes:
        outcome: `better` or `worse` than the best baseline; `inconclusive`; `not-a-test` where every
            scored group was trained on; `unknown` where there is nothing to compare.
        certain: True where a 95 % interval over six groups or more leaves zero out.
        title: The conclusion in a line.
        sentences: The paragraph.
        metric: What the verdict is about; None if there is nothing to compare.
        baseline: The best baseline.
    """

    outcome: Outcome
    certain: bool
    title: str
    sentences: tuple[str, ...]
    metric: str | None = None
    baseline: str | None = None

    @property
    def text(self) -> str:
        """The paragraph."""
        return " ".join(self.sentences)


def judge(summary: Mapping[str, Any], split: Split) -> Verdict:
    """The verdict on the scored groups.

    The best baseline is the one that the model has the smallest lead over, or the largest lag behind, on
    the conditions where both have a value; baselines without a value on more than half of the model's
    conditions count only if all are, but the model is not called better if it is behind one of them. With
    six groups or more the 95 % bootstrap interval decides; below, the model is called
    better or worse only if it is so on every group, and the title says that an interval is missing.

    Args:
        summary: As `Scores.summary()`.
        split: What was scored.
    """
    metric = headline(summary)
    if metric is None:
        return _nothing(summary, split, f"no value of {names(HEADLINES)} for the model")
    rivals = best_first(summary, metric)
    if not rivals:
        return _nothing(summary, split, f"no baseline has a value of `{metric}`", metric)
    best = rivals[0]
    outcome, certain, title = _outcome(best)
    behind = [rival for rival in rivals[1:] if rival.lead < 0]
    if outcome == "better" and behind:
        title = (
            f"Better than {best.label}, but behind {names([r.label for r in behind])} where there are values"
        )
        outcome, certain = "inconclusive", False
    if seen_everywhere(summary):
        outcome, certain, title = "not-a-test", False, "Not a test: the model was trained on these groups"
    sentences = (
        _unseen(summary, split),
        *_other_metric(summary, metric),
        _result(best, metric),
        _confidence(best),
        *_others(rivals),
        *_absent(summary, rivals),
        *_reach(summary, metric, best),
        *_caveats(summary, metric),
    )
    return Verdict(
        outcome=outcome, certain=certain, title=title, sentences=sentences, metric=metric, baseline=best.name
    )


def headline(summary: Mapping[str, Any]) -> str | None:
    """The metric that the verdict is about; None if the model has a value of none that would do."""
    values = summary["predictors"]["model"]
    return next((name for name in HEADLINES if values.get(name, {}).get("mean") is not None), None)


def metric_title(metric: str) -> str:
    """A metric in words."""
    return _TITLES.get(metric, metric)


def seen_everywhere(summary: Mapping[str, Any]) -> bool:
    """Whether every scored group was trained on."""
    seen = set(summary["seen_in_training"])
    return bool(seen) and set(summary["groups"]) <= seen


def _nothing(summary: Mapping[str, Any], split: Split, why: str, metric: str | None = None) -> Verdict:
    sentences = (_unseen(summary, split), f"There is no verdict: {why}.", *_caveats(summary, metric))
    title = "No verdict: the model cannot be compared"
    return Verdict(outcome="unknown", certain=False, title=title, sentences=sentences, metric=metric)


def _outcome(best: Rival) -> tuple[Outcome, bool, str]:
    """Conclusion from the comparison with the best baseline alone."""
    if best.n_groups >= MIN_GROUPS and best.low is not None and best.high is not None:
        if best.low > 0:
            return "better", True, f"Better than the best baseline, {best.label}"
        if best.high < 0:
            return "worse", True, f"The model loses to {best.label}"
        return "inconclusive", False, _unclear(best)
    if best.n_groups > 1 and best.k == best.n_groups:
        few = f"too few for an interval: {counted(best.n_groups, 'group')}"
        return "better", False, f"Better than {best.label} on every group, {few}"
    if best.n_groups > 1 and best.k == 0 and best.lead < 0:
        few = f"on each of {counted(best.n_groups, 'group')}"
        return "worse", False, f"The model loses to {best.label} {few}"
    return "inconclusive", False, _unclear(best)


def _unclear(best: Rival) -> str:
    score = f"better on {best.k} of {counted(best.n_groups, 'group')}"
    if best.lead == 0:
        return f"No difference from {best.label}"
    if best.lead < 0:
        return f"Does not beat {best.label}: {score}"
    return f"Not clearly better than {best.label}: {score}"


def _unseen(summary: Mapping[str, Any], split: Split) -> str:
    seen, groups = set(summary["seen_in_training"]), list(summary["groups"])
    what = f"{counted(len(groups), 'group')} (`{split.group_key}`: {names(groups)})"
    under = f"{counted(summary['n_conditions'], 'treated population')} in all"
    if seen_everywhere(summary):
        return (
            f"The model was trained on all of the {what} scored here, so this says nothing about unseen ones."
        )
    if not split.train_groups and not seen:
        return f"Scored: {what}, {under}; the prediction does not tell what the model was trained on."
    text = f"Unseen in training: {what}, {under}"
    new = split.untrained_conditions
    if new:
        return f"{text}; not even in other groups was the model trained on {names(new)}."
    if split.populations[0].condition_trained is None:
        return f"{text}."
    return f"{text}, under conditions that the model knows from other groups ({names(split.conditions)})."


def _other_metric(summary: Mapping[str, Any], metric: str) -> list[str]:
    if metric == HEADLINES[0]:
        return []
    entry = summary["predictors"]["model"].get(HEADLINES[0])
    why = f": {entry['reason']}" if entry and entry.get("reason") else ""
    return [f"The {metric_title(HEADLINES[0])} is not among the scores{why}; the {metric} stands in for it."]


def _result(best: Rival, metric: str) -> str:
    name, what = metric_title(metric), f"{number(best.model)} against {number(best.value)}"
    if best.lead == 0:
        return f"Model and best baseline, {best.label}, have the same {name}, {number(best.model)}."
    place = "nearer to" if best.lead > 0 else "further from"
    if best.best == "high":
        place = "more like" if best.lead > 0 else "less like"
    change = _change(best)
    return (
        f"The predicted cells are {place} the measured ones than those of the best baseline, {best.label}: "
        f"{name} {what}{change}; the model is better on {best.k} of {counted(best.n_groups, 'group')}."
    )


def _change(best: Rival) -> str:
    """How many percent lower or higher; nothing where a value is not positive and shares mean nothing."""
    if best.best != "low" or best.model is None or best.value is None or min(best.model, best.value) <= 0:
        return ""
    share = abs(best.model - best.value) / best.value
    if best.model > 2 * best.value:
        return f", {best.model / best.value:.1f} times as much"
    return f", {percent(share)} {'lower' if best.model < best.value else 'higher'}"


def _confidence(best: Rival) -> str:
    difference = f"The mean difference, model minus {best.label}, is {signed(best.difference)}"
    if best.low is None:
        few = "one group says nothing about others" if best.n_groups == 1 else "see the table of groups"
        return (
            f"{difference}; an interval needs {MIN_GROUPS} groups and there "
            f"{'is' if best.n_groups == 1 else 'are'} {best.n_groups}: {few}."
        )
    ends = sorted(value for value in (best.sign * best.low, best.sign * (best.high or 0.0)))
    sure = "does not contain" if best.low > 0 or (best.high or 0.0) < 0 else "contains"
    return (
        f"{difference}; the 95 % bootstrap interval over {counted(best.n_groups, 'group')}, "
        f"{number(ends[0])} to {number(ends[1])}, {sure} zero."
    )


def _others(rivals: list[Rival]) -> list[str]:
    """Which other baselines win, and always how it stands with the mean shift."""
    found, best = [], rivals[0]
    winners = [rival.label for rival in rivals[1:] if rival.lead < 0]
    if winners:
        found.append(f"The model also has the worse mean against {names(winners)}.")
    shift = next((rival for rival in rivals[1:] if rival.name == _MEAN_SHIFT), None)
    if shift is not None:
        verb = {"better": "beats", "worse": "loses to"}.get(_outcome(shift)[0], "is not clearly apart from")
        found.append(
            f"It {verb} the mean shift, {number(shift.model)} against {number(shift.value)}, being better on "
            f"{shift.k} of {counted(shift.n_groups, 'group')}."
        )
    if left_out := [rival.name for rival in rivals if rival.n_missing]:
        found.append(f"Populations without a value of {names(left_out)} are left out of that comparison.")
    if not best.covers:
        found.append("No baseline has a value on half of the populations where the model has one.")
    return found


def _absent(summary: Mapping[str, Any], rivals: list[Rival]) -> list[str]:
    """Baselines that could not be compared at all: one of them might have been the best."""
    absent = [name for name in summary["intervals"] if name not in {rival.name for rival in rivals}]
    if not absent:
        return []
    return [f"Not compared, for want of values: {names(absent)}; the table of metrics says why."]


def _reach(summary: Mapping[str, Any], metric: str, best: Rival) -> list[str]:
    """How far the model goes from doing nothing to what other measured cells achieve."""
    model = summary["normalised"].get("model", {}).get(metric, {})
    rival = summary["normalised"].get(best.name, {}).get(metric, {})
    if model.get("value") is not None:
        text = "From doing nothing (0 %) to what other measured cells of the population achieve (100 %) "
        text += f"the model covers {percent(model['value'])}"
        if rival.get("value") is not None:
            text += f" of the way, {best.label} {percent(rival['value'])}"
        return [f"{text}."]
    if model.get("reason", "").startswith("null ("):
        return [f"Doing nothing scores like other measured cells of the population: {model['reason']}."]
    return []


def _caveats(summary: Mapping[str, Any], metric: str | None) -> list[str]:
    found = []
    alarm = summary["collapse"]
    if alarm["alarm"]:
        found.append(f"Collapse alarm: {how_far(Collapse(**alarm))}.")
    if metric in summary["audit"].get("flagged", {}):
        worst = names(summary["audit"]["flagged"][metric])
        found.append(f"The audit flags {metric}: it ranks a degenerate predictor first ({worst}).")
    missing = summary["predictors"]["model"].get(metric, {}).get("n_missing", 0) if metric else 0
    if missing:
        found.append(
            f"In {missing} of {counted(summary['n_conditions'], 'population')} the model has no value of "
            f"{metric}."
        )
    return found
