"""What was done to the cells, as a vector."""

from cellflow_cli.conditions._encoder import Encoder

__all__ = ["Encoder"]

KIND = "condition encoder"
"""What one entry of this open room is called."""
