"""Condition-label flow matching: conditioned on a one-hot sample label, uninformative for new samples."""

from dataclasses import dataclass

from cellflow_cli.catalog import Choice, Entry
from cellflow_cli.embedders.label import LabelConfig
from cellflow_cli.methods._flow import FlowMatching, FlowMatchingConfig, build
from cellflow_cli.methods._method import Method
from cellflow_cli.types import ModelShape


@dataclass(frozen=True, kw_only=True)
class CgfmConfig(FlowMatchingConfig):
    """Flow matching conditioned on the label of the sample."""


def _build(config: CgfmConfig, shape: ModelShape) -> FlowMatching:
    return build(config, shape, embedder=Choice("label", LabelConfig()))


ENTRY: Entry[Method] = Entry(CgfmConfig, _build)
