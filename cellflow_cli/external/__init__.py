"""Predictions of other tools, read as prediction files."""
