"""AnnData in and out: what its columns mean, its populations, its features."""

from cellflow_cli.data.schema import DataSpec

__all__ = ["DataSpec"]
