"""What a method has to beat."""

from cellflow_cli.baselines._baseline import Baseline
from cellflow_cli.baselines._summaries import Summaries, summarise

__all__ = ["Baseline", "Summaries", "summarise"]
