"""What a condition encoder is."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from cellflow_cli.types import ConditionBatch


@runtime_checkable
class Encoder(Protocol):
    """Conditions to vectors; an `nn.Module`."""

    width: int

    def __call__(self, condition: ConditionBatch) -> Float[Tensor, "b c"]:
        """Encoded conditions, shape [b, width], dtype of the covariates."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """What is learned."""
        ...
