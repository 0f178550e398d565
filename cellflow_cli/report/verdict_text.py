"""The verdict in words: a title and a paragraph."""

from cellflow_cli.report.data import ScoredPopulations
from cellflow_cli.report.text import (
    counted,
    hundredths,
    metric_title,
    names,
    number,
    percent,
    predictor_title,
    signed,
)
from cellflow_cli.statistics.baseline_ranking import BaselineComparison
from cellflow_cli.statistics.collapse import how_far
from cellflow_cli.statistics.intervals import MIN_GROUPS
from cellflow_cli.statistics.lines import MODEL, NULL
from cellflow_cli.statistics.summary import Summary
from cellflow_cli.statistics.verdict import HEADLINES, Verdict, decide, trained_on_all

_MEAN_SHIFT = "mean-shift"


def verdict_title(verdict: Verdict) -> str:
    """The conclusion in a line."""
    best = verdict.best
    if best is None:
        return "No verdict: the model cannot be compared"
    if verdict.outcome == "not-a-test":
        return "Not a test: the model was trained on these groups"
    decision, label = decide(best), predictor_title(best.baseline)
    every = f"on each of {counted(best.better.n, 'group')}"
    if decision.outcome == "better":
        if ahead := verdict.others_ahead:
            return f"Better than {label}, but behind {_labels(ahead)} where there are values"
        if decision.certain:
            return f"Better than the best baseline, {label}"
        return f"Better than {label} {every}, too few for an interval"
    if decision.outcome == "worse":
        return f"Worse than the best baseline, {label}{'' if decision.certain else f', {every}'}"
    if best.lead == 0:
        return f"No difference from {label}"
    score = f"better on {best.better.k} of {counted(best.better.n, 'group')}"
    return f"{'Not better' if best.lead < 0 else 'Not clearly better'} than {label}: {score}"


def verdict_sentences(verdict: Verdict, summary: Summary, scored: ScoredPopulations) -> tuple[str, ...]:
    """The paragraph, sentence by sentence."""
    metric, best = verdict.metric, verdict.best
    if metric is None:
        why = f"There is no verdict: no value of {names(HEADLINES)} for the model."
        return (_unseen(summary, scored), why, *_caveats(summary, metric))
    if best is None:
        why = f"There is no verdict: no baseline has a value of `{metric}`."
        return (_unseen(summary, scored), why, *_caveats(summary, metric))
    return (
        _unseen(summary, scored),
        *_other_metric(summary, metric),
        _result(best, metric),
        _confidence(best),
        *_others(verdict, best),
        *_not_compared(verdict),
        *_normalised(summary, metric, best),
        *_caveats(summary, metric),
    )


def _unseen(summary: Summary, scored: ScoredPopulations) -> str:
    groups = list(summary.groups)
    which = f"{counted(len(groups), 'group')} (`{scored.group_key}`: {names(groups)})"
    count = f"{counted(summary.n_conditions, 'treated population')} in all"
    if trained_on_all(summary):
        return f"The model was trained on all of the {which} scored here: this says nothing of unseen ones."
    if not scored.train_groups and not summary.seen_in_training:
        return f"Scored: {which}, {count}; the prediction does not say what the model was trained on."
    text = f"Unseen in training: {which}, {count}"
    if new := scored.untrained_conditions:
        return f"{text}; not even in other groups was the model trained on {names(new)}."
    if not scored.conditions_known:
        return f"{text}."
    return f"{text}, under conditions that training had in other groups ({names(scored.conditions)})."


def _other_metric(summary: Summary, metric: str) -> list[str]:
    wanted = HEADLINES[0]
    if metric == wanted:
        return []
    entry = summary.predictors[MODEL].get(wanted)
    why = f" ({entry.reason})" if entry and entry.reason else ""
    return [f"There is no {metric_title(wanted)}{why}: the verdict is by {metric_title(metric)}."]


def _result(best: BaselineComparison, metric: str) -> str:
    title, label = metric_title(metric), predictor_title(best.baseline)
    if best.lead == 0:
        return f"Model and best baseline, {label}, have the same {title}, {number(best.model)}."
    place = "closer to" if best.lead > 0 else "further from"
    if best.best == "high":
        place = "more like" if best.lead > 0 else "less like"
    return (
        f"The predicted cells are {place} the measured ones than those of the best baseline, {label}: "
        f"{title} {number(best.model)} against {number(best.value)}{_relative(best)}; the model is better on "
        f"{best.better.k} of {counted(best.better.n, 'group')}."
    )


def _relative(best: BaselineComparison) -> str:
    """How many percent lower or higher; nothing where a value is not positive and shares mean nothing."""
    if best.best != "low" or min(best.model, best.value) <= 0:
        return ""
    if best.model > 2 * best.value:
        return f", {best.model / best.value:.1f} times as much"
    share = abs(best.model - best.value) / best.value
    return f", {percent(share)} {'lower' if best.model < best.value else 'higher'}"


def _confidence(best: BaselineComparison) -> str:
    n = best.better.n
    difference = (
        f"The mean difference, model minus {predictor_title(best.baseline)}, is {signed(best.difference)}"
    )
    if best.interval is None:
        few = "one group says nothing about others" if n == 1 else "see the table by group"
        verb = "is" if n == 1 else "are"
        return f"{difference}; an interval needs {MIN_GROUPS} groups and there {verb} {n}: {few}."
    low, high = best.interval
    sure = "excludes" if low > 0 or high < 0 else "contains"
    return (
        f"{difference}; the 95 % bootstrap interval over {counted(n, 'group')}, {number(low)} to "
        f"{number(high)}, {sure} zero."
    )


def _others(verdict: Verdict, best: BaselineComparison) -> list[str]:
    """Which other baselines are ahead, and always how it stands with the mean shift."""
    sentences = []
    if ahead := verdict.others_ahead:
        sentences.append(f"The model is also behind {_labels(ahead)} in the mean.")
    shift = next((one for one in verdict.baselines[1:] if one.baseline == _MEAN_SHIFT), None)
    if shift is not None:
        verb = {"better": "is better than", "worse": "is worse than"}.get(
            decide(shift).outcome, "is not clearly different from"
        )
        sentences.append(
            f"It {verb} the mean shift: {number(shift.model)} against {number(shift.value)}, better on "
            f"{shift.better.k} of {counted(shift.better.n, 'group')}."
        )
    if partial := [one.baseline for one in verdict.baselines if one.n_missing]:
        sentences.append(f"Populations without a value of {names(partial)} are left out of that comparison.")
    if not best.covers:
        sentences.append("No baseline has a value on half of the populations where the model has one.")
    return sentences


def _not_compared(verdict: Verdict) -> list[str]:
    """Baselines that could not be compared at all: one of them might have been the best."""
    if not verdict.not_compared:
        return []
    return [
        f"Not compared, for lack of values: {names(verdict.not_compared)}; the table of metrics says why."
    ]


def _normalised(summary: Summary, metric: str, best: BaselineComparison) -> list[str]:
    """How far the model goes from no effect to what other measured cells achieve."""
    model, baseline = (summary.normalised.get(name, {}).get(metric) for name in (MODEL, best.baseline))
    if model is None:
        return []
    if model.value is not None:
        text = (
            "The normalised score, 0 for the unchanged controls and 1 for other measured cells of the "
            f"population, is {hundredths(model.value)} for the model"
        )
        if baseline is not None and baseline.value is not None and best.baseline != NULL:
            text += f" and {hundredths(baseline.value)} for {best.baseline}"
        return [f"{text}."]
    if model.reason.startswith("null ("):
        return [f"The unchanged controls score like other measured cells of the population: {model.reason}."]
    return []


def _caveats(summary: Summary, metric: str | None) -> list[str]:
    sentences = []
    if summary.collapse.alarm:
        sentences.append(f"Collapse alarm: {how_far(summary.collapse)}.")
    if metric is None:
        return sentences
    if flagged := summary.audit.flagged.get(metric):
        sentences.append(
            f"The audit flags {metric}: it ranks a degenerate predictor first ({names(flagged)})."
        )
    entry = summary.predictors[MODEL].get(metric)
    if entry and entry.n_missing:
        sentences.append(
            f"In {entry.n_missing} of {counted(summary.n_conditions, 'population')} the model has no value "
            f"of {metric}."
        )
    return sentences


def _labels(baselines: tuple[str, ...]) -> str:
    return names([predictor_title(name) for name in baselines])
