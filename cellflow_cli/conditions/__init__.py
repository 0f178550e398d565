"""What was done to the cells, as a vector."""

KIND = "condition encoder"
"""What one entry of this open room is called."""
