"""Networks are built within a budget of numbers, so that no size in a file or a setting takes all memory."""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

COPIES = 5
"""Arrays per parameter in training: weight, gradient, two moments of Adam, moving average."""
_PER_CALL = 10_000  # numbers that one call counts for at least, so that loops of tiny layers end too


class BudgetError(Exception):
    """More numbers would be created than the budget allows."""


class Budget(TorchFunctionMode):
    """Within the block, torch creates at most `n_numbers` numbers; each request is counted before it is met.

    Args:
        n_numbers: How many.

    Raises:
        BudgetError: When they are used up.
    """

    def __init__(self, n_numbers: int) -> None:
        super().__init__()
        self.left = n_numbers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Count what `func` creates, then call it."""
        given = dict(kwargs or {})
        if func in _device_constructors():
            self.left -= max(_PER_CALL, _count(func, args, given))
            if self.left < 0:
                raise BudgetError
        return func(*args, **given)


def stored_budget(n_numbers: int) -> Budget:
    """For a network whose `n_numbers` weights are in a file: some times more, for what is made on the way."""
    return Budget(4 * n_numbers + 20_000_000)


def memory_budget() -> Budget:
    """For a network that is to be trained: what the memory of this machine holds."""
    return Budget(memory_bytes() // (4 * COPIES))


def memory_bytes() -> int:
    """Memory of this machine; a generous guess where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**36


def _count(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Numbers that a call would create, from the same call on the device without memory."""
    if func is torch.tensor or func is torch.as_tensor:
        return 0  # of values that are in memory already
    sized = {name: value for name, value in kwargs.items() if name not in ("generator", "out", "pin_memory")}
    try:
        return math.prod(func(*args, **{**sized, "device": "meta"}).shape)
    except (RuntimeError, OverflowError) as error:
        raise BudgetError from error  # more numbers than there are addresses
    except (TypeError, AttributeError):
        return 0  # a call that fails by itself, or that has no device
