"""What an ordering holds for one key."""

from collections.abc import Hashable
from typing import Any, ClassVar

__all__ = ["Node"]


class Node:
    """One held entry: a key, its value, its size, and whether it was read.

    `used` is written by readers without a lock. Orderings that need more per entry have a subclass
    with more slots (`Evicting.node_type`); a store that needs more still subclasses that one, and
    builds the nodes itself.
    """

    __slots__ = ("key", "size", "used", "value")

    transient: ClassVar[frozenset[str]] = frozenset()
    """Slots that tie a node to its store, and are neither copied nor pickled with it."""

    def __init__(self, key: Hashable, value: Any, size: float = 1) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.used = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, {self.value!r}, size={self.size!r})"

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        names = (name for cls in type(self).__mro__ for name in cls.__dict__.get("__slots__", ()))
        kept = (name for name in names if name not in self.transient and hasattr(self, name))
        return None, {name: getattr(self, name) for name in kept}
