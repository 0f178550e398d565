"""What a method has to beat."""

from cellflow_cli.baselines._baseline import Baseline, BaselineRequest
from cellflow_cli.baselines._summaries import Summaries, summarise
from cellflow_cli.baselines._types import TypeMeans

__all__ = ["Baseline", "BaselineRequest", "Summaries", "TypeMeans", "summarise"]

KIND = "baseline"
"""What one entry of this open room is called."""
