"""Meta flow matching: the field is conditioned on an embedding of the whole control population."""

from dataclasses import dataclass, field

from cellflow_cli.catalog import Choice, Entry
from cellflow_cli.embedders.fourier import FourierConfig
from cellflow_cli.methods._flow import FlowMatching, FlowMatchingConfig, build
from cellflow_cli.methods._method import Method
from cellflow_cli.types import ModelShape


@dataclass(frozen=True, kw_only=True)
class MfmConfig(FlowMatchingConfig):
    """Meta flow matching."""

    embedder: Choice = field(
        default_factory=lambda: Choice("fourier", FourierConfig()),
        metadata={"help": "How the control population becomes a context.", "catalog": "embedders"},
    )


def _build(config: MfmConfig, shape: ModelShape) -> FlowMatching:
    return build(config, shape, embedder=config.embedder)


ENTRY: Entry[Method] = Entry(MfmConfig, _build)
