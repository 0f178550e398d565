"""Ways to carry a source population to its target."""

from cellflow_cli.methods._method import Calibrated, Conditioning, Method, Needs, Phase
from cellflow_cli.methods._static_map import StaticMap

__all__ = ["Calibrated", "Conditioning", "Method", "Needs", "Phase", "StaticMap"]

KIND = "method"
"""What one entry of this open room is called."""
