"""The one loop that every method is trained by."""
