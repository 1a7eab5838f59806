"""Eviction orderings: which entry leaves a full store first.

Each is a `cachetools.Cache` that can be used alone, as a mapping, and the ordering of memo's store
in memory.
"""

from typing import Any

from .adaptive import Adaptive
from .base import Evicting, Node
from .classic import FIFO, LFU, LRU, Random

__all__ = [
    "DEFAULT",
    "FIFO",
    "LFU",
    "LRU",
    "NAMES",
    "Adaptive",
    "Evicting",
    "Node",
    "Random",
    "ordering",
]

_ORDERINGS: dict[object, type[Evicting[Any, Any]]] = {
    "adaptive": Adaptive,
    "lru": LRU,
    "lfu": LFU,
    "fifo": FIFO,
    "random": Random,
}

NAMES: tuple[str, ...] = ("adaptive", "lru", "lfu", "fifo", "random")
"""The names `ordering` knows, the default's first."""

DEFAULT: str = "adaptive"
"""The name of the ordering to use when nothing is said."""


def ordering(name: str, maxsize: float) -> Evicting[Any, Any]:
    """An empty ordering by name, one of `NAMES`, with room for `maxsize` (`math.inf`: no bound).

    Raises:
        ValueError: there is none of that name, or `maxsize` is negative.
    """
    if name not in NAMES:
        allowed = ", ".join(map(repr, NAMES))
        raise ValueError(f"eviction={name!r}: allowed are {allowed}")
    return _ORDERINGS[name](maxsize)
