"""The classic orderings: least recently used, least frequently used, first in first out, random.

Each holds a cache of cachetools' as its order, with nodes for keys. So the order is cachetools'
own, and no user's key is hashed for it.
"""

import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import cachetools

from .base import Evicting, Held, Node

__all__ = ["FIFO", "LFU", "LRU", "Random", "RecordingNode"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

READS_PER_ENTRY = 4
MIN_READS, MAX_READS = 64, 4096
"""How many reads are remembered between two writes: for each entry that fits, at least, at most."""


class RecordingNode(Node):
    """A node whose reads are recorded one by one, for orderings to which each of them matters.

    `node.used = True` appends the node to its store's buffer. To append to a deque is one step
    under the GIL, and a full one drops its oldest read, so readers need no lock.
    """

    __slots__ = ("reads",)

    transient = frozenset({"reads", "used"})

    def __init__(self, key: Hashable, value: Any, size: float = 1) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.reads: deque[RecordingNode] | None = None

    @property
    def used(self) -> bool:
        """Always false: a read is recorded, not marked."""
        return False

    @used.setter
    def used(self, _read: bool) -> None:
        reads = self.reads
        if reads is not None:  # held
            reads.append(self)


class _Ordered(Evicting[K, V], Generic[K, V]):
    """An ordering that leaves its order to a cache of cachetools'."""

    _structure = ("table", "_order")
    _order_type: ClassVar[type[cachetools.Cache[Any, Any]]]

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._order = self._order_type(math.inf)

    def _place(self, node: Held) -> None:
        self._order[node] = None

    def _take(self) -> Node:
        return cast(Node, self._order.popitem()[0])

    def _forget(self, node: Held) -> None:
        del self._order[node]

    def _reset(self) -> None:
        self._order = self._order_type(math.inf)


class _Recorded(_Ordered[K, V], Generic[K, V]):
    """An ordering to which each read matters: reads are buffered, and replayed at the next write.

    The order is exact as long as no more reads than the buffer holds come between two writes: four
    times `maxsize`, but at least 64 and at most 4,096. Of more, the oldest are forgotten.
    """

    node_type = RecordingNode
    _reads: deque[RecordingNode] | None = None

    def _buffer(self) -> deque[RecordingNode]:
        length = min(max(READS_PER_ENTRY * self._maxsize, MIN_READS), MAX_READS)
        reads: deque[RecordingNode] = deque(maxlen=int(length))
        self._reads = reads
        return reads

    def insert(self, node: Held) -> Sequence[Node]:
        """Hold `node`, and return the victims dropped to make room. See `Evicting.insert`."""
        node.reads = None
        return super().insert(node)

    def _place(self, node: Held) -> None:
        reads = self._reads
        node.reads = self._buffer() if reads is None else reads
        self._order[node] = None

    def _take(self) -> Node:
        node = cast(RecordingNode, self._order.popitem()[0])
        node.reads = None
        return node

    def _forget(self, node: Held) -> None:
        node.reads = None
        del self._order[node]

    def _reset(self) -> None:
        for node in self.table.values():
            node.reads = None
        super()._reset()
        if self._reads is not None:
            self._reads.clear()

    def _renew(self, node: Held, size: float) -> None:
        node.size = size
        self._order.get(node)

    def drain(self) -> None:
        """Replay the reads recorded since the last write into the order."""
        reads = self._reads
        if reads:
            order = self._order
            # Only a writer takes reads out, and a full deque stays full: so many there are.
            for _ in range(len(reads)):
                node = reads.popleft()
                if node.reads is reads:  # it has not left meanwhile
                    order[node]  # which counts as use

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_reads", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        reads = self._buffer()
        for node in self.table.values():
            node.reads = reads


class LRU(_Recorded[K, V], Generic[K, V]):
    """Evicts what was not used for longest, as `functools.lru_cache` does.

    The order is exact as long as no more reads than are remembered come between two writes: four
    times `maxsize`, but at least 64 and at most 4,096. Of more, the oldest are forgotten.
    """

    _order_type = cachetools.LRUCache


class LFU(_Recorded[K, V], Generic[K, V]):
    """Evicts what was used least often. Counts never age.

    Counts are exact as long as no more reads than are remembered come between two writes, as in
    `LRU`.
    """

    _order_type = cachetools.LFUCache

    def _reset(self) -> None:
        # cachetools' counts hold each other; one by one, what they hold is let go at once.
        order = self._order
        for node in list(order):
            del order[node]
        super()._reset()


class FIFO(_Ordered[K, V], Generic[K, V]):
    """Evicts what was written first, whatever is read. A replaced value is written anew."""

    _order_type = cachetools.FIFOCache

    def _renew(self, node: Held, size: float) -> None:
        node.size = size
        self._order[node] = None


class Random(_Ordered[K, V], Generic[K, V]):
    """Evicts at random."""

    _order_type = cachetools.RRCache
