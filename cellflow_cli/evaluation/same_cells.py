"""What is wrong with the cells of an evaluation: another scale, copies where predictions should be, doubles.

Each remark says by its first word how grave it is: "Error" means that the scores say nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.data.blocks import ROWS_PER_BLOCK
from cellflow_cli.data.columns import is_control, labels, where
from cellflow_cli.data.digest import digests, weights
from cellflow_cli.data.profile import Profile, ProfileTally, difference
from cellflow_cli.errors import DataError, listed
from cellflow_cli.evaluation.align import Aligned
from cellflow_cli.evaluation.floor import subsample
from cellflow_cli.evaluation.run import EvaluationRun
from cellflow_cli.prediction.file import SOURCE_CELL
from cellflow_cli.prediction.flags import PREDICTED
from cellflow_cli.prediction.new_data import scale_text
from cellflow_cli.statistics.lines import DECODED, FLOOR

_SAME_SCALE = 0.1  # |log ratio| between the same cells in two files, which is rounding where they agree
_TOLERANCE = 0.02  # of value and spread: the same cell in another precision, or after another total
_CELLS = 300  # predicted cells that are looked at
_MEASURED = 4000  # measured cells that they are looked for among
_CLOSE = 0.05  # of the distance between neighbouring measured cells
_SHARE = 0.5
_FAR_BELOW = 6.0  # standard deviations of the floor between its splits, over all conditions together
_MIN_SPLITS = 3
_IS_SAME = "is the prediction made of the measured cells? Then the scores say nothing"


def scale_remarks(run: EvaluationRun) -> list[str]:
    """Remarks that the measured cells are on another scale than the training controls.

    Raises:
        DataError: If control cells of the prediction are in the truth too, on another scale.
    """
    rows = _truth_controls(run)
    for pair in run.alignment.pairs:
        if len(pair.target) > 1 and not np.any(run.files.transform.expression(run.files.truth, pair.target)):
            raise DataError(
                f"Expected measured cells with values, found zeros alone in {pair.name}, "
                f"{pair.condition.label}.{where(run.files.truth.obs)} Give the file that holds the values."
            )
    remarks = [*_constant_remarks(run), *_same_controls(run, rows)]
    profiles = run.summaries.profiles
    if profiles is None or profiles.low.shape != (len(run.files.transform.genes),):
        return remarks
    chosen = rows if len(rows) else np.concatenate([pair.target for pair in run.alignment.pairs])
    chosen = np.sort(subsample(chosen, 2 * ROWS_PER_BLOCK, run.stream("scale")))
    if len(chosen) > 1 and (text := scale_text(_profile(run, chosen), profiles)):
        what = "control cells" if len(rows) else "cells"
        remarks.append(
            f"Error: the measured {what} are not on the scale of training controls: {text}. Scores "
            "compare cells on different scales and say nothing; transform the truth as the training data."
        )
    return remarks


def _constant_remarks(run: EvaluationRun) -> list[str]:
    """A remark that the measured cells of a population are all the same."""
    pairs = [pair for pair in run.alignment.pairs if len(pair.target) > 1]
    titles = [
        f"{pair.name}, {pair.condition.label}"
        for pair in pairs
        if (cells := _flow_of_truth(pair, run)).equal(cells[:1].expand_as(cells))
    ]
    if not titles:
        return []
    return [
        f"Error: the measured cells of {len(titles)} populations are all the same "
        f"({listed(titles)}). Their scores say nothing; give measured cells."
    ]


def copy_remarks(run: EvaluationRun) -> list[str]:
    """Remarks that predicted cells are measured or unchanged control cells, or that cells occur twice."""
    measured, unchanged = [], []
    for pair in run.alignment.pairs:
        title = f"{pair.name}, {pair.condition.label}"
        predicted, target = _flow_of_prediction(pair, run), _flow_of_truth(pair, run)
        if _are_among(predicted, target):
            measured.append(title)
        elif not pair.control_in_truth and len(pair.control):
            control = run.files.prediction.flow(pair.control)
            names = weights(run.files.transform.names)
            same = np.isin(digests(predicted.numpy(), names), digests(control, names))
            unchanged += [title] if same.mean() > _SHARE else []
    remarks = []
    if measured:
        remarks.append(
            f"Error: the predicted cells of {len(measured)} populations are cells of the truth "
            f"({listed(measured)}): {_IS_SAME}."
        )
    if unchanged:
        remarks.append(
            f"The predicted cells of {len(unchanged)} populations are control cells, unchanged "
            f"({listed(unchanged)})."
        )
    return [*remarks, *_double_remarks(run)]


def below_floor_remarks(table: pd.DataFrame, splits: int, seen: Sequence[str]) -> list[str]:
    """A remark for each predictor that is better than measured cells can be.

    Z = sum_c (floor_c - value_c) / (sum_c sd_c^2 (1 + 1/s))^1/2, over conditions c, with the standard
    deviation of the floor between its s splits; of unbiased distances, where an equal distribution is zero on
    average. In single conditions, with five splits, honest predictors had at most 2.8; the limit of 6 leaves
    room and is not calibrated on whole evaluations.

    Args:
        table: Scores, with `se` of the floor.
        splits: Of the floor.
        seen: Groups that training saw: baselines may hold their cells.
    """
    if splits < _MIN_SPLITS or "se" not in table:
        return []
    lines = table[(table["metric"] == "energy") & ~table["group"].isin(list(seen))]
    keys = ["sample", "treatment", "dose"]
    floor = lines[(lines["predictor"] == FLOOR) & (lines["se"] > 0)][[*keys, "value", "se"]]
    remarks = []
    for name, of_name in lines.groupby("predictor", sort=False):
        if name in (FLOOR, DECODED) or str(name).startswith("audit:"):
            continue
        both = of_name[[*keys, "value"]].merge(floor, on=keys, suffixes=("", "_floor")).dropna(subset="value")
        if both.empty:
            continue
        spread = float(np.sqrt((np.square(both["se"]) * splits * (1 + 1 / splits)).sum()))
        gap = float((both["value_floor"] - both["value"]).astype(float).sum())
        if gap > _FAR_BELOW * spread:
            remarks.append(
                f"Error: `{name}` lies far below the noise floor (energy {both['value'].mean():.3g}, floor "
                f"{both['value_floor'].mean():.3g}, {gap / spread:.0f} standard deviations), better than "
                f"measured cells predict each other: {_IS_SAME}."
            )
    return remarks


def _same_controls(run: EvaluationRun, rows: Int[np.ndarray, " k"]) -> list[str]:
    """A remark where control cells of the prediction have other values in the truth.

    Raises:
        DataError: If the values are on another scale.
    """
    obs, truth = run.files.predicted_obs, run.files.truth
    if SOURCE_CELL not in obs or not len(rows):
        return []
    ours = np.flatnonzero(~obs[PREDICTED].to_numpy(dtype=bool))
    names = pd.Index(labels(obs[SOURCE_CELL].iloc[ours]))
    theirs = pd.Index(truth.obs_names[rows].astype(str))
    if not names.is_unique or not theirs.is_unique:
        return []
    at = theirs.get_indexer(names)
    both = np.flatnonzero(at >= 0)[:ROWS_PER_BLOCK]
    if not len(both):
        return []
    one = run.files.prediction.expression(ours[both])
    other = run.files.transform.expression(truth, rows[at[both]])
    spread = np.maximum(one.std(0), other.std(0))
    varies = (one.std(0) > 0) & (other.std(0) > 0)
    differ = np.abs(one - other) > _TOLERANCE * (np.abs(one) + spread)
    n_differ = int(differ[:, varies].any(1).sum())
    if n_differ <= 0.01 * len(both):
        return []
    a, b = ProfileTally(one.shape[1]), ProfileTally(one.shape[1])
    a.add(one)
    b.add(other)
    found = difference(b.profile(), a.profile())
    if found and max(found.most, abs(found.level)) > _SAME_SCALE:
        raise DataError(
            f"Expected prediction and truth on one scale, found {n_differ} of {len(both)} control cells that "
            f"both hold with other values: from {one.min():.4g} to {one.max():.4g} in the prediction, from "
            f"{other.min():.4g} to {other.max():.4g} in the truth.{where(truth.obs)} Transform the truth as "
            "the data that were predicted from, or predict again."
        )
    return [
        f"{n_differ} of {len(both)} control cells that prediction and truth share by name have other values "
        "in the truth: are these the same cells, processed in the same way?"
    ]


def _truth_controls(run: EvaluationRun) -> Int[np.ndarray, " k"]:
    """Rows of the truth with control cells of the predicted samples."""
    spec, obs = run.files.prediction.spec, run.files.truth.obs
    matched = [spec.sample_key.index(key) for key in spec.match]
    samples = {tuple(pair.sample[i] for i in matched) for pair in run.alignment.pairs}
    rows = np.flatnonzero(is_control(obs, spec))
    keys = zip(*(labels(obs[key].iloc[rows]) for key in spec.match), strict=True)
    return rows[np.array([tuple(map(str, key)) in samples for key in keys], dtype=bool)]


def _profile(run: EvaluationRun, rows: Int[np.ndarray, " k"]) -> Profile:
    tally = ProfileTally(len(run.files.transform.genes))
    tally.add(run.files.transform.expression(run.files.truth, rows))
    return tally.profile()


def _flow_of_prediction(pair: Aligned, run: EvaluationRun) -> Float[Tensor, "n d"]:
    rows = subsample(pair.predicted, _CELLS, run.stream(pair.name, pair.condition.label, "copies"))
    return torch.from_numpy(run.files.prediction.flow(rows))


def _flow_of_truth(pair: Aligned, run: EvaluationRun) -> Float[Tensor, "m d"]:
    rows = subsample(pair.target, _MEASURED, run.stream(pair.name, pair.condition.label, "originals"))
    return torch.from_numpy(run.files.transform.apply(run.files.truth, rows))


def _are_among(predicted: Float[Tensor, "n d"], measured: Float[Tensor, "m d"]) -> bool:
    """Whether predicted cells lie on measured ones, compared with how far these are from each other."""
    if len(measured) < 3 or not len(predicted):
        return False
    unit = measured.std(0)
    unit = torch.where(unit > 0, unit, torch.ones_like(unit)).double()
    ours, theirs = predicted.double() / unit, measured.double() / unit
    few = theirs[:_CELLS]
    apart = torch.cdist(few, theirs, compute_mode="donot_use_mm_for_euclid_dist")
    apart[torch.arange(len(few)), torch.arange(len(few))] = torch.inf
    neighbour = float(apart.min(1).values.median())
    nearest = torch.cdist(ours, theirs, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
    return neighbour > 0 and float((nearest < _CLOSE * neighbour).double().mean()) > _SHARE


def _double_remarks(run: EvaluationRun) -> list[str]:
    """A remark that measured cells occur twice in the truth, so that the floor compares equal cells."""
    names, transform, total, doubled = weights(run.files.transform.genes), run.files.transform, 0, []
    for pair in run.alignment.pairs:
        marks = np.concatenate(
            [
                digests(transform.expression(run.files.truth, pair.target[i : i + ROWS_PER_BLOCK]), names)
                for i in range(0, len(pair.target), ROWS_PER_BLOCK)
            ]
        )
        known, counts = np.unique(marks[marks != 0], return_counts=True)
        n = int((counts[counts > 1] - 1).sum())
        if n > max(2, 0.02 * len(marks)) and len(known) > 0.4 * len(marks):
            total += n
            doubled.append(f"{pair.name}, {pair.condition.label}")
    if not doubled:
        return []
    return [
        f"{total} measured cells are equal to another one of their population ({listed(doubled)}): does the "
        "truth hold cells twice? The floor then compares cells with themselves and is too low."
    ]
