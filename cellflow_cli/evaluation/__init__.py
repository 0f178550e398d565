"""Predicted populations held against measured ones."""
