"""Paths, velocity fields, flow time and the integration of ordinary differential equations."""
