"""What to predict: which samples, under which conditions, from which context."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellflow_cli.data.spelling import canonical
from cellflow_cli.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

MAX_SEED = 2**63 - 1
"""Seeds are stored in 64 bits."""
MAX_CHUNK = 10**9
"""More cells at a time than any machine has room for."""


@dataclass(frozen=True, kw_only=True)
class PredictionRequest:
    """What to predict.

    `samples` is `"unseen"` (groups that training never saw), `"all"`, or values by obs column. `like` is
    the obs of measured cells: each sample is predicted under the conditions that occur there, and no other.
    `population` is the context: the sample's `"own"`; or, to test whether context matters, `"other"`, that
    of the sample before it in the output, or `"average"`, all control populations of the training part,
    their contexts averaged.
    """

    treatments: Sequence[str] | None = field(
        default=None,
        metadata={
            "help": "Treatment to predict; repeatable.", "flag": "--treatment", "default": "all trained",
            "metavar": "NAME",
        },
    )  # fmt: skip
    doses: Sequence[float] | None = field(
        default=None,
        metadata={
            "help": "Dose to predict; repeatable.",
            "flag": "--dose",
            "default": "all trained",
            "metavar": "DOSE",
        },
    )
    samples: str | Mapping[str, Iterable[str]] = field(
        default="unseen",
        metadata={
            "help": "Which samples: those of groups that training never saw, all, or by a column.",
            "metavar": "unseen|all|COLUMN=A,B",
        },
    )
    like: "pd.DataFrame | None" = field(
        default=None,
        metadata={"help": "Predict the samples and conditions that are measured in this file, and no other."},
    )
    assume_control: bool = field(
        default=False, metadata={"help": "All cells are untreated; the file has no treatment column."}
    )
    sample_name: str | None = field(
        default=None, metadata={"help": "Name of the sample, where the file has no sample column."}
    )
    control: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Value(s) of the treatment column that mean untreated in these data, where they are "
            "written otherwise than in training.",
            "metavar": "LABEL",
            "default": "as in training",
        },
    )
    min_cells: int | None = field(
        default=None,
        metadata={
            "help": "Minimum control cells of a sample.",
            "metavar": "N",
            "min": 1,
            "default": "as in training",
        },
    )
    drop_small: bool = field(
        default=False, metadata={"help": "Leave out samples with fewer control cells than the minimum."}
    )
    population: str = field(
        default="own",
        metadata={
            "help": "Population used as context: the sample's own, or another (to test whether context "
            "matters).",
            "metavar": "own|other|average",
            "panel": "Model",
        },
    )
    controls: bool = field(
        default=True,
        metadata={"help": "Leave the control rows out.", "flag": "--no-controls", "panel": "Output"},
    )
    min_coverage: float = field(
        default=1.0,
        metadata={
            "help": "Minimum share of the model's features that the data must have.",
            "flag": "--min-feature-coverage", "min": 0, "max": 1,
        },
    )  # fmt: skip
    seed: int = field(
        default=0,
        metadata={"help": "Seed of the context subsamples.", "min": 0, "max": MAX_SEED, "panel": "Compute"},
    )
    chunk: int = field(
        default=8192,
        metadata={
            "help": "Cells transported at a time; bounds memory.",
            "min": 1,
            "max": MAX_CHUNK,
            "panel": "Compute",
        },
    )
    layer: str | None = field(
        default=None,
        metadata={
            "help": "Where this file holds the values that the model was trained on: a layer, X or raw; "
            "default: where the training data held them.",
            "metavar": "NAME",
        },
    )

    def __post_init__(self) -> None:
        for name, low, high in (("seed", 0, MAX_SEED), ("chunk", 1, MAX_CHUNK)):
            if not low <= (found := getattr(self, name)) <= high:
                raise ConfigError(f"Expected `{name}` from {low} to {high}, found {found} (`--{name}`).")
        given = (self.control,) if isinstance(self.control, str) else self.control
        object.__setattr__(self, "control", tuple(canonical(label) for label in given))
