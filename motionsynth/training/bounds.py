"""Networks built of sizes that a file declares, with no more memory than the weights beside it speak for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["SLACK", "bounded_networks"]

SLACK = 1 << 22
"""Numbers, or bytes, that a network may have beside what is kept of it: constants, and what early versions left out."""


_OF_A_SHAPE = frozenset({"empty", "full", "ones", "rand", "randn", "zeros"})
_OF_A_COUNT = frozenset({"arange", "linspace"})


class _Bounded(TorchFunctionMode):
    """Looks at the size of every tensor before it is made where the call names it, else right after."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.refuse(_numbers_asked(getattr(func, "__name__", ""), args))
        made = func(*args, **(kwargs or {}))
        self.refuse(made.numel() if isinstance(made, Tensor) else 0)
        return made

    def refuse(self, numbers: float) -> None:
        if numbers > self.most:
            raise ValueError(f"its networks would hold more than {self.most:,} numbers")


def _numbers_asked(name: str, args: tuple[Any, ...]) -> float:
    """Numbers in the tensor that a call asks for by its arguments; 0 where they do not say."""
    if name in _OF_A_SHAPE and args:
        return math.prod(args[0] if isinstance(args[0], list | tuple) else args)
    plain = [arg for arg in args if isinstance(arg, int | float)]
    if name == "eye":
        return plain[0] * plain[-1]
    return max(map(abs, plain), default=0) if name in _OF_A_COUNT else 0


@contextmanager
def bounded_networks(kept: int) -> Iterator[None]:
    """Inside the block networks are refused, before they take memory, that hold far more numbers than are kept of them.

    To build everything on torch's ``meta`` device first would need less of this, and two seconds of imports in every
    process.

    Args:
        kept: numbers in the file of their weights, or of all that the block builds.

    Raises:
        ValueError: they hold more, or cannot be built.
    """
    bounded, held = _Bounded(2 * kept + SLACK), 0

    def count(_: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal held
        held += 0 if tensor is None else tensor.numel()
        bounded.refuse(held)

    handles = (
        nn.modules.module.register_module_parameter_registration_hook(count),
        nn.modules.module.register_module_buffer_registration_hook(count),
    )
    try:
        with bounded:
            yield
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise ValueError(f"its networks cannot be built ({str(error).partition(chr(10))[0][:120]})") from error
    finally:
        for handle in handles:
            handle.remove()
