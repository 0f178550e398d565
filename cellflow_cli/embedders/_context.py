"""What an embedder hands to the velocity field."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Context(Protocol):
    """A population as the field sees it: something that can be asked at a point and a time."""

    def query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b n e"]:
        """What the population says at each point, shape [b, n, e]."""
        ...

    def merged(self) -> "Context":
        """Contexts of b subsamples of one population as the context of that population, b = 1."""
        ...


@dataclass(frozen=True)
class PooledContext:
    """One vector per population, the same at every point and time.

    Attributes:
        vector: Shape [b, e].
    """

    vector: Float[Tensor, "b e"]

    def query(self, x: Float[Tensor, "b n d"], t: Float[Tensor, "b n"]) -> Float[Tensor, "b n e"]:
        """The vector at each point, shape [b, n, e]."""
        return self.vector.unsqueeze(1).expand(-1, x.shape[1], -1)

    def merged(self) -> "PooledContext":
        """The mean vector, shape [1, e]."""
        return PooledContext(self.vector.mean(0, keepdim=True))
