"""Ways to carry a source population to its target."""
