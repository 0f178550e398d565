"""Ways to carry a source population to its target."""

from cellflow_cli.methods._method import Calibrated, Conditioning, Method, Needs, Phase

__all__ = ["Calibrated", "Conditioning", "Method", "Needs", "Phase"]

KIND = "method"
"""What one entry of this open room is called."""
