"""Which source cell is trained towards which target cell."""
