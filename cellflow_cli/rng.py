"""One seed becomes independent, named random generators.

Each purpose draws from its own stream, so that evaluating more often, say, leaves the training
batches untouched. Nothing else in the package touches torch's global random state.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import torch

from cellflow_cli.device import gpus_in_use

NAMES = ("init", "batches", "coupling", "dropout", "evaluation")


def derived_seed(seed: int, *names: object) -> int:
    """A 63-bit seed that depends on `seed` and on the text of each name, the same on every machine."""
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: object) -> torch.Generator:
    """A CPU generator for one purpose, such as `stream(0, "context", "P7")`."""
    return torch.Generator().manual_seed(derived_seed(seed, *names))


def streams(seed: int) -> dict[str, torch.Generator]:
    """The named generators of one run: init, batches, coupling, dropout, evaluation."""
    return {name: stream(seed, name) for name in NAMES}


@contextlib.contextmanager
def scoped(rng: torch.Generator) -> Iterator[None]:
    """Run a block whose draws come from torch's global state (initialisation, dropout) off `rng`.

    The global state of the CPU and of every GPU in use is put back afterwards; a GPU that nobody
    has touched is left asleep.
    """
    seed = int(torch.randint(2**62, (), generator=rng))
    with torch.random.fork_rng(devices=gpus_in_use()):
        torch.manual_seed(seed)
        yield
