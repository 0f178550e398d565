"""Cells that leave a metric little to go by; it has to give a number or say why there is none."""

import torch

CASES = ("one cell each", "one feature", "all cells equal", "target all equal", "no control")


def degenerate(given, case):
    """The arguments of a `Comparison`, spoilt."""
    if case == "one cell each":
        return {role: cells[:1] for role, cells in given.items()}
    if case == "one feature":
        return {role: cells[:, :1] for role, cells in given.items()}
    if case == "all cells equal":
        return {role: torch.full_like(cells, 0.1) for role, cells in given.items()}
    if case == "target all equal":
        return {**given, "target": torch.full_like(given["target"], 0.1)}
    return {**given, "control": given["control"][:0]}
