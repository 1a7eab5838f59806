"""The default ordering."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from .base import Evicting, Node

__all__ = ["Adaptive"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Adaptive(Evicting[K, V], Generic[K, V]):
    """S3-FIFO (Yang et al., SOSP 2023)."""

    _structure = ("table", "_small", "_main")

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._reset()

    def _place(self, node: Node) -> None:
        ghosts = self._ghosts
        if ghosts.pop(hash(node.key), _ABSENT) is _ABSENT:
            self._small[node] = None
        else:
            self._main[node] = None

    def _take(self) -> Node:
        small, main = self._small, self._main
        while small and (len(small) * 10 >= len(main) + len(small) or not main):
            node = small.popitem(last=False)[0]
            if not node.used:
                ghosts = self._ghosts
                ghosts[hash(node.key)] = None
                if len(ghosts) > len(self.table):
                    ghosts.popitem(last=False)
                return node
            node.used = False
            main[node] = None
        while True:
            node = main.popitem(last=False)[0]
            if not node.used:
                return node
            node.used = False
            main[node] = None

    def _forget(self, node: Node) -> None:
        if node in self._small:
            del self._small[node]
        else:
            del self._main[node]

    def _reset(self) -> None:
        self._small: OrderedDict[Node, None] = OrderedDict()
        self._main: OrderedDict[Node, None] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_ghosts": OrderedDict()}


_ABSENT: Any = object()
