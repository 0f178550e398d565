"""Flow matching: the field is told the treatment and nothing of the population."""

from dataclasses import dataclass

from cellflow_cli.catalog import Entry
from cellflow_cli.methods._flow_matching import FlowMatchingConfig, build


@dataclass(frozen=True, kw_only=True)
class FmConfig(FlowMatchingConfig):
    """Flow matching without an embedder."""


ENTRY = Entry(FmConfig, build)
