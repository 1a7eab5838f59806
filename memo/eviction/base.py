"""The contract of every eviction ordering, and all of it that they share.

An ordering is a `cachetools.Cache`: a mutable mapping that stays within `maxsize` by choosing
victims. Under that face lies a narrower one that deals in nodes, made for a store whose readers
take no lock:

* a reader looks a key up in `Evicting.table`, uses the node's `value`, and makes one attribute
  store, `node.used = True`;
* a writer holds a lock of its own around every method of the ordering.

Users' keys are hashed and compared for `table` only (and hashed once more by an ordering that
remembers victims). What an ordering keeps beside holds nodes, which compare by identity, so that a
key whose `__hash__` or `__eq__` raises or re-enters fails one operation, and does not leave table
and ordering at odds.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import cachetools

from .node import Node

__all__ = ["Evicting", "Held", "Node"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Held: TypeAlias = Any
"""A node of the ordering's `node_type`."""

_ABSENT: Any = object()


class Evicting(cachetools.Cache[K, V], Generic[K, V]):
    """Base of all orderings: a `cachetools.Cache` over nodes.

    `maxsize` bounds the sum of the sizes of what is held; `math.inf` means no bound. A size is 1
    unless `getsizeof`, called with a value, says otherwise.

    An ordering supplies `_place`, `_take`, `_forget` and `_reset`, none of which may run users'
    code; the rest is here.

    Raises:
        ValueError: `maxsize` is negative.
    """

    node_type: ClassVar[type[Node]] = Node
    """The class of node the ordering needs. A store may insert instances of a subclass."""

    _structure: ClassVar[tuple[str, ...]] = ("table",)
    """The attributes that hold nodes: a copy has its own. All others it shares."""

    table: dict[Hashable, Held]
    """What is held, by key. The same dict for life: a reader may keep it, or its `get`."""

    evictions: int
    """How many victims were chosen for want of room, ever."""

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        # cachetools' own __init__ would make a table of values beside ours. None of its methods
        # that need one is left.
        if maxsize < 0:
            raise ValueError("maxsize must be non-negative")
        if getsizeof is not None:
            self.__dict__["getsizeof"] = getsizeof
        self.table = {}
        self.evictions = 0
        self._maxsize = maxsize
        self._currsize: float = 0

    # --- what an ordering supplies ---

    def _place(self, node: Held) -> None:
        """A node enters the ordering."""
        raise NotImplementedError

    def _take(self) -> Node:
        """Choose the next victim and take it out of the ordering, which is not empty."""
        raise NotImplementedError

    def _forget(self, node: Held) -> None:
        """A node leaves the ordering otherwise."""
        raise NotImplementedError

    def _reset(self) -> None:
        """All nodes leave the ordering."""
        raise NotImplementedError

    def _renew(self, node: Held, size: float) -> None:
        """The value of a held node was replaced by one of `size`."""
        node.size = size
        node.used = True

    def _bury(self, node: Held) -> None:
        """A victim was dropped: where victims are remembered. May run the key's `__hash__`."""

    def drain(self) -> None:
        """Replay the reads recorded since the last write, for orderings that record them."""

    # --- the face for stores: nodes ---

    @property
    def maxsize(self) -> float:
        """The bound on `currsize`."""
        return self._maxsize

    @property
    def currsize(self) -> float:
        """The sum of the sizes of what is held."""
        return self._currsize

    def insert(self, node: Held) -> Sequence[Node]:
        """Hold `node`, and return the victims that were dropped to make room for it.

        Of a new node that was made without its constructor, `key`, `value` and `size` must be set.
        If the key's `__hash__` or `__eq__` raises, `node` is not held; victims that were dropped
        before that stay dropped.

        Raises:
            ValueError: `node` is larger than `maxsize`. Nothing has changed then.
            KeyError: its key is held.
        """
        size = node.size
        if size > self._maxsize:
            raise ValueError("value too large")
        self.drain()
        victims: Sequence[Node] = ()
        if self._currsize + size > self._maxsize:
            victims = self._make_room(size)
        node.used = False
        held: Held = self.table.setdefault(node.key, node)
        if held is not node:
            raise KeyError(node.key)
        self._place(node)
        self._currsize += size
        if self._currsize > self._maxsize:  # the key's __eq__ inserted something else meanwhile
            victims = [*victims, *self._shrink(node)]
        return victims

    def resize(self, node: Held, size: float) -> Sequence[Node]:
        """The value of a held node was replaced by one of `size`: make room, return the victims.

        Counts as use. `node` itself is never a victim.

        Raises:
            ValueError: `size` is larger than `maxsize`. Nothing has changed then.
        """
        if size > self._maxsize:
            raise ValueError("value too large")
        self.drain()
        self._currsize += size - node.size
        self._renew(node, size)
        if self._currsize > self._maxsize:
            return self._shrink(node)
        return ()

    def remove(self, node: Held) -> None:
        """A held node leaves: deleted, or expired.

        Raises:
            KeyError: it is not held.
        """
        self.drain()
        held: Held = self.table.get(node.key)
        if held is not node:
            raise KeyError(node.key)
        del self.table[node.key]
        self._forget(node)
        self._shed(node.size)

    def pop_victim(self) -> Node:
        """Remove the node that would be evicted next, and return it.

        Raises:
            KeyError: nothing is held.
        """
        node = self._pop()
        self.evictions += 1
        return node

    def clear(self) -> None:
        """Hold nothing. No key is hashed or compared, whatever state an error left behind."""
        self._currsize = 0
        self._reset()
        self.table.clear()

    def _pop(self) -> Node:
        self.drain()
        if not self.table:
            raise KeyError(f"{type(self).__name__} is empty")
        return self._drop()

    def _drop(self) -> Node:
        """Drop the next victim. There is one."""
        node = self._take()
        self._let_go(node)
        return node

    def _let_go(self, node: Held) -> None:
        """Drop a node that was taken out of the ordering; put it back if its key raises."""
        try:
            del self.table[node.key]
        except BaseException:
            self._place(node)
            raise
        self._shed(node.size)
        self._bury(node)

    def _shed(self, size: float) -> None:
        # Sizes that are floats need not add up to nothing.
        self._currsize = self._currsize - size if self.table else 0

    def _make_room(self, room: float) -> Sequence[Node]:
        """Drop victims until `room` is free."""
        victims = []
        while self._currsize + room > self._maxsize:
            victims.append(self._drop())
            self.evictions += 1
        return victims

    def _shrink(self, spare: Node) -> Sequence[Node]:
        """Drop victims, but not `spare`, until `maxsize` is kept."""
        victims: list[Node] = []
        spared = False
        try:
            while self._currsize > self._maxsize and len(self.table) > 1:
                node = self._take()
                if node is spare:
                    spared = True
                    continue
                self._let_go(node)
                self.evictions += 1
                victims.append(node)
        finally:
            if spared:
                self._place(spare)
        return victims

    # --- the face for people: a mapping ---

    def __getitem__(self, key: K) -> V:
        node = self.table.get(key)
        if node is None:
            return self.__missing__(key)
        node.used = True
        return cast(V, node.value)

    def __setitem__(self, key: K, value: V) -> None:
        size = self.getsizeof(value)
        if size > self._maxsize:
            raise ValueError("value too large")
        if size < 0:
            raise ValueError("value size must be non-negative")
        node = self.table.get(key)
        if node is not None:
            node.value = value
            self.resize(node, size)
            return
        while self._currsize + size > self._maxsize:
            self.popitem()  # where cachetools tells subclasses to learn of evictions
            self.evictions += 1
        self.insert(self.node_type(key, value, size))

    def __delitem__(self, key: K) -> None:
        self.remove(self.table[key])

    def __contains__(self, key: object) -> bool:
        return key in self.table

    def __missing__(self, key: K) -> V:
        raise KeyError(key)

    def __iter__(self) -> Iterator[K]:
        return cast("Iterator[K]", iter(self.table))

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        held = {key: node.value for key, node in self.table.items()}
        bounds = f"maxsize={self._maxsize!r}, currsize={self._currsize!r}"
        return f"{type(self).__name__}({held!r}, {bounds})"

    def pop(self, key: K, default: Any = _ABSENT) -> Any:
        """Remove `key` and return its value, or `default` if it is not held.

        Raises:
            KeyError: it is not held, and there is no `default`.
        """
        node = self.table.get(key)
        if node is not None:
            value = node.value
            del self[key]
            return value
        if default is _ABSENT:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Remove and return the item that would be evicted next.

        Raises:
            KeyError: nothing is held.
        """
        node = self._pop()
        return cast(K, node.key), cast(V, node.value)

    # --- copies ---

    def __copy__(self) -> "Evicting[K, V]":
        """The same keys and values in the same order; from then on the two go their own ways."""
        import copy

        state = self.__getstate__()
        shared: dict[int, Any] = {}
        for node in self.table.values():
            shared[id(node.key)] = node.key
            shared[id(node.value)] = node.value
        own = {name: state[name] for name in self._structure}
        clone = type(self).__new__(type(self))
        clone.__setstate__(state | copy.deepcopy(own, shared))
        return clone

    def __getstate__(self) -> dict[str, Any]:
        self.drain()
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
