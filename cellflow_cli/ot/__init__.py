"""Optimal transport between equally weighted cells: costs, exact plans, entropic costs."""
