"""Which source cell is trained towards which target cell."""

KIND = "coupling"
"""What one entry of this open room is called."""
