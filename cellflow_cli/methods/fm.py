"""Flow matching: the field is conditioned on the treatment and on nothing of the population."""

from dataclasses import dataclass

from cellflow_cli.catalog import Entry
from cellflow_cli.methods._flow import FlowMatchingConfig, build
from cellflow_cli.methods._method import Method


@dataclass(frozen=True, kw_only=True)
class FmConfig(FlowMatchingConfig):
    """Flow matching without an embedder."""


ENTRY: Entry[Method] = Entry(FmConfig, build)
