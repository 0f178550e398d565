"""Predictions and measured cells in the form that other tools read; the folder is the table of tools."""

KIND = "export format"
"""What one entry of this open room is called."""
