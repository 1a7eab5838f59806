"""Eviction orderings: which entry leaves a full store first.

Each is a `cachetools.Cache` that can be used alone, as a mapping, and the ordering of memo's store
in memory. Those that are not the default are imported when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .adaptive import Adaptive
from .base import Evicting, Node

if TYPE_CHECKING:
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
    "kind_of",
    "ordering",
]

#: The class of each ordering, and the module that has it.
_KINDS: Final = {
    "adaptive": ("Adaptive", "adaptive"),
    "lru": ("LRU", "classic"),
    "lfu": ("LFU", "classic"),
    "fifo": ("FIFO", "classic"),
    "random": ("Random", "classic"),
}
_HOMES: Final = dict(_KINDS.values())


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


NAMES: tuple[str, ...] = tuple(_KINDS)
"""The names `ordering` knows, the default's first."""

DEFAULT: str = "adaptive"
"""The name of the ordering to use when nothing is said."""


def kind_of(name: str) -> type[Evicting[Any, Any]]:
    """The class of an ordering by name, one of `NAMES`.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in NAMES:
        allowed = ", ".join(map(repr, NAMES))
        raise ValueError(f"eviction={name!r}: allowed are {allowed}")
    kind = _KINDS[name][0]
    # Without the import system, where that is not needed: it is gone when Python shuts down.
    return globals().get(kind) or __getattr__(kind)  # type: ignore[no-any-return]


def ordering(name: str, maxsize: float) -> Evicting[Any, Any]:
    """An empty ordering by name, one of `NAMES`, with room for `maxsize` (`math.inf`: no bound).

    Raises:
        ValueError: there is none of that name, or `maxsize` is negative.
    """
    return kind_of(name)(maxsize)
