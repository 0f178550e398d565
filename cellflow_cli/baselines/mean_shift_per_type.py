"""Every control cell moves by the mean shift of its cell type in the training groups."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cellflow_cli.baselines._baseline import BaselineRequest
from cellflow_cli.baselines._summaries import Summaries
from cellflow_cli.baselines._trained import mean_over_groups, trained
from cellflow_cli.baselines._types import TypeMeans
from cellflow_cli.catalog import Entry
from cellflow_cli.errors import ConfigError, MetricError
from cellflow_cli.types import Condition


@dataclass(frozen=True, kw_only=True)
class MeanShiftPerTypeConfig:
    """Which means are trusted."""

    min_cells: int = field(
        default=5, metadata={"help": "Minimum cells of a type, control and treated, for a sample to count."}
    )

    def __post_init__(self) -> None:
        if self.min_cells < 1:
            raise ConfigError(f"Expected `min_cells` of at least 1, found {self.min_cells!r}.")


class MeanShiftPerType:
    """One vector per condition and cell type.

    Args:
        config: Which means are trusted.
    """

    def __init__(self, config: MeanShiftPerTypeConfig) -> None:
        self.config = config

    def predict(
        self, request: BaselineRequest, summaries: Summaries, rng: torch.Generator
    ) -> Float[Tensor, "n d"]:
        """Control cells, each plus `type_shifts` of its type, shape [n, d].

        A type that no training sample has enough cells of moves by the mean shift of all cells.

        Raises:
            MetricError: If no training population had this treatment at this dose, or if the cell
                types of the training part or of the control cells are not known.
        """
        if summaries.types is None:
            raise MetricError(
                "Expected cell types in the training summaries, found none. "
                "Train with `--cell-type-key` to have this baseline."
            )
        if request.cell_types is None:
            raise MetricError(
                "Expected cell types of the control cells, found none. Give controls whose obs has the "
                "cell-type column of the training data."
            )
        shifts, overall = type_shifts(summaries, summaries.types, request.condition, self.config.min_cells)
        moved = torch.stack([shifts.get(name, overall) for name in request.cell_types])
        return request.control + moved.to(request.control)


def type_shifts(
    summaries: Summaries, types: TypeMeans, condition: Condition, min_cells: int
) -> tuple[dict[str, Float64[Tensor, " d"]], Float64[Tensor, " d"]]:
    r"""Mean shift of each cell type, and of all cells; flow features, shape [d] each.

    shift_q = mean over groups of [mean over samples of the group of (mean x1 of q - mean x0 of q)]

    Args:
        summaries: Training populations.
        types: Their means per cell type.
        condition: What is done.
        min_cells: Samples with fewer cells of q, control or treated, are left out of its mean.

    Raises:
        MetricError: If no training population had this treatment at this dose.
    """
    training = trained(summaries, condition)
    control, treated = list(training.control), list(training.treated)
    enough = torch.minimum(types.n_cells[control], types.n_cells[treated]) >= min_cells
    shift = types.mean[treated] - types.mean[control]
    shifts = {}
    for q, name in enumerate(types.names):
        rows = torch.nonzero(enough[:, q]).flatten().tolist()
        if rows:
            shifts[name] = mean_over_groups(shift[rows, q], [training.groups[i] for i in rows])
    return shifts, mean_over_groups(training.shift, training.groups)


def build(config: MeanShiftPerTypeConfig) -> MeanShiftPerType:
    """The baseline that `config` describes."""
    return MeanShiftPerType(config)


ENTRY = Entry(MeanShiftPerTypeConfig, build)
