"""From the expression of a cell to the features of the flow, and back."""

from cellflow_cli.features._space import (
    Decoded,
    FeatureSpace,
    NeedsVariation,
    SpaceConfig,
    SpaceEntry,
    TrainingCells,
    check_shapes,
    from_parts,
    to_parts,
)

__all__ = [
    "Decoded",
    "FeatureSpace",
    "NeedsVariation",
    "SpaceConfig",
    "SpaceEntry",
    "TrainingCells",
    "check_shapes",
    "from_parts",
    "to_parts",
]

KIND = "feature space"
"""What one entry of this open room is called."""
