"""How long and how fast to learn."""

import math
from dataclasses import dataclass, field

from cellflow_cli.errors import ConfigError

MAX_CELLS = 10**8
"""Cells of a step beyond which no machine has the memory, and drawing alone would not end."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how fast to learn."""

    steps: int = field(default=1000, metadata={"help": "Gradient steps."})
    populations_per_step: int = field(default=8, metadata={"help": "Population pairs per step."})
    cells_per_population: int = field(default=128, metadata={"help": "Cells of each pair per step."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate of AdamW."})
    weight_decay: float = field(default=1e-4, metadata={"help": "Decoupled weight decay of AdamW."})
    warmup_steps: int = field(default=100, metadata={"help": "Steps of linear warm-up before the cosine."})
    ema: float = field(default=0.98, metadata={"help": "Decay of the moving average of weights."})
    clip_norm: float = field(default=1.0, metadata={"help": "Maximum norm of a gradient."})
    validate_every: int = field(default=50, metadata={"help": "Steps between validations."})
    validation_cells: int = field(default=500, metadata={"help": "Cells per population in validation."})
    patience: int = field(
        default=8, metadata={"help": "Stop after this many validations without a better one; 0: never."}
    )
    refit: bool = field(
        default=True,
        metadata={"help": "Train again on all training groups for the steps that validation found."},
    )

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "populations_per_step",
            "cells_per_population",
            "validate_every",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"Expected training.{name} of at least 1, found {getattr(self, name)}.")
        if self.populations_per_step * self.cells_per_population > MAX_CELLS:
            raise ConfigError(
                f"Expected training.populations_per_step x training.cells_per_population of at most "
                f"{MAX_CELLS:,} cells, found {self.populations_per_step:,} x {self.cells_per_population:,}. "
                "Lower one of them."
            )
        if self.validation_cells < 2:
            raise ConfigError(
                f"Expected training.validation_cells of at least 2, found {self.validation_cells}."
            )
        if self.patience < 0:
            raise ConfigError(f"Expected training.patience of at least 0, found {self.patience}.")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Expected training.{name} above zero, found {getattr(self, name)}.")
        for name in ("weight_decay", "warmup_steps"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"Expected training.{name} of at least 0, found {getattr(self, name)}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"Expected training.ema in [0, 1), found {self.ema}.")


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to a hundredth."""
    warmup = min(config.warmup_steps, config.steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
