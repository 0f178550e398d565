"""Condition-label flow matching: the field is told which training sample it is, nothing of a new one."""

from dataclasses import dataclass

from cellflow_cli.catalog import Choice, Entry
from cellflow_cli.embedders.label import LabelConfig
from cellflow_cli.methods._flow_matching import FlowMatching, FlowMatchingConfig, build
from cellflow_cli.types import ModelShape


@dataclass(frozen=True, kw_only=True)
class CgfmConfig(FlowMatchingConfig):
    """Flow matching told the label of the sample."""


def _build(config: CgfmConfig, shape: ModelShape) -> FlowMatching:
    return build(config, shape, embedder=Choice("label", LabelConfig()))


ENTRY = Entry(CgfmConfig, _build)
