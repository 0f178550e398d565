"""A trained model meets a new population."""
