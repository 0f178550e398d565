"""What was done to the cells, as a vector."""
