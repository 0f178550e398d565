"""Control cells that the model was trained on, whatever their sample is called, or that come twice."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellflow_cli.baselines import Summaries
from cellflow_cli.data.spelling import canonical
from cellflow_cli.data.tensors import PopulationReader
from cellflow_cli.errors import CellflowError
from cellflow_cli.prediction.tasks import Task
from cellflow_cli.prediction.trained_model import TrainedModel

_MIN_DISTINCT = 10  # stored cells that must be found, all different from one another
_FOUND = 0.8  # share of the different stored cells of a population that make it the same population
_TOLERANCE = 1e-5  # relative to the size of a value: float32 after a change of basis


def known_cell_warnings(model: TrainedModel, reader: PopulationReader, planned: Sequence[Task]) -> list[str]:
    """Warnings that the control cells of a sample are those of a training sample, or each there twice.

    Args:
        model: Its summaries keep a few hundred cells of each training population.
        reader: Of the data to predict from.
        planned: What is predicted; each control population is read once more.
    """
    summaries = model.summaries
    kept = {
        i: cells
        for i in range(len(summaries.samples))
        if summaries.conditions[i] is None and len(cells := _distinct(summaries.cells_of(i))) >= _MIN_DISTINCT
    }
    warnings: list[str] = []
    for task in planned:
        try:
            cells = reader.population(task.control).cells.detach().cpu()
        except CellflowError:
            continue  # said where the cells are read to be carried
        if _come_twice(cells):
            warnings.append(
                f"every control cell of {task.control.name!r} is there twice or more: is a file given again "
                "under another name?"
            )
        for i, stored in kept.items():
            if _share_found(stored, cells) >= _FOUND:
                warnings += _warning(model, task, summaries, i)
                break
    return warnings


def _come_twice(cells: Float[Tensor, "n d"]) -> bool:
    """Whether each of the cells occurs several times, and they are too many to be alike by chance."""
    _, counts = torch.unique(cells, dim=0, return_counts=True)
    return len(counts) >= _MIN_DISTINCT and bool((counts > 1).all())


def _warning(model: TrainedModel, task: Task, summaries: Summaries, i: int) -> list[str]:
    name, group = " | ".join(summaries.samples[i]), summaries.groups[i]
    if canonical(group) == canonical(task.control.group):
        return []  # requested as a seen one
    unseen = task.control.group not in {canonical(g) for g in model.trained_groups}
    state = "check the labels"
    if unseen:
        state = "it is not unseen, and its scores say nothing about unseen samples"
    return [f"the control cells of {task.control.name!r} are those of the training sample {name!r}: {state}"]


def _distinct(cells: Float[Tensor, "k d"]) -> Float[Tensor, "j d"]:
    return torch.unique(cells, dim=0) if len(cells) else cells


def _share_found(stored: Float[Tensor, "k d"], cells: Float[Tensor, "n d"]) -> float:
    """Share of different stored cells that are among the others, up to rounding.

    Sorting by one random projection leaves few candidates for each. Data of few values, where different cells
    of different patients agree by chance, are set aside.
    """
    if not len(cells) or stored.shape[1] != cells.shape[1] or _repeats(cells):
        return 0.0
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=stored.shape[1]))
    length = direction.abs().sum()
    size = max(1.0, float(stored.abs().max()), 0.0)
    near = float(_TOLERANCE * size * length)
    along, order = (cells.double() @ direction).sort()
    ends = stored.double() @ direction
    first = torch.searchsorted(along, ends - near)
    last = torch.searchsorted(along, ends + near, right=True)
    found = sum(
        _is_among(cell, cells[order[a:b]], _TOLERANCE * size)
        for cell, a, b in zip(stored, first.tolist(), last.tolist(), strict=True)
        if b > a
    )
    return found / len(stored)


def _is_among(cell: Float[Tensor, " d"], others: Float[Tensor, "c d"], near: float) -> bool:
    return bool(((others - cell).abs().amax(1) <= near).any())


def _repeats(cells: Float[Tensor, "n d"]) -> bool:
    """Whether cells have so few values that cells of different samples agree by chance."""
    values: Int[Tensor, " u"] = torch.unique(cells, dim=0, return_counts=True)[1]
    return len(values) < 0.9 * len(cells)
