"""Eviction orderings: what leaves a full store first.

Each is a `cachetools.Cache` that can be used alone, as a mapping, and the ordering of memo's store in memory.
"""

from __future__ import annotations

from typing import Any

from .adaptive import Adaptive
from .base import Evicting, Node
from .classic import FIFO, LFU, LRU, Random

__all__ = ["DEFAULT", "FIFO", "LFU", "LRU", "NAMES", "Adaptive", "Evicting", "Node", "Random", "ordering"]

_ORDERINGS: dict[str, type[Evicting[Any, Any]]] = {
    "adaptive": Adaptive,
    "lru": LRU,
    "lfu": LFU,
    "fifo": FIFO,
    "random": Random,
}

NAMES: tuple[str, ...] = tuple(_ORDERINGS)
"""The names `ordering` knows, the default's first."""

DEFAULT: str = NAMES[0]
"""The name of the ordering to use when nothing is said."""


def ordering(name: str, maxsize: float) -> Evicting[Any, Any]:
    """An empty ordering by name, one of `NAMES`, with room for `maxsize` (`math.inf`: no bound).

    Raises `ValueError` when there is none of that name, or when `maxsize` is negative.
    """
    kind = _ORDERINGS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"eviction={name!r}: must be one of {', '.join(map(repr, NAMES))}")
    return kind(maxsize)
