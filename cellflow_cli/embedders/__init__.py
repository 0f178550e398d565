"""A control population as a context that the velocity field can query."""

from cellflow_cli.embedders._context import Context, PooledContext
from cellflow_cli.embedders._embedder import ContextNeeds, Embedder
from cellflow_cli.embedders._subsample import canonical_order, cover, draw, one_of_each

__all__ = [
    "Context",
    "ContextNeeds",
    "Embedder",
    "PooledContext",
    "canonical_order",
    "cover",
    "draw",
    "one_of_each",
]

KIND = "embedder"
"""What one entry of this open room is called."""
