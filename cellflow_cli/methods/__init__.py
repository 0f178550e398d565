"""Ways to carry a source population to its target."""

KIND = "method"
"""What one entry of this open room is called."""
