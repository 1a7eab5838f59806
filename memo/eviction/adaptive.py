"""The default ordering: LIRS in the manner of CLOCK, with a share for newcomers that adapts.

**What it decides by.** LIRS (Jiang and Zhang, SIGMETRICS 2002) keeps what is *re*-used soon rather than what was used
lately. Most of the room is for *hot* entries; a small rest is for *cold* ones, newcomers on probation. A cold entry
becomes hot when it is used again within its *test*: before the least recently used hot entry was last used, that is,
sooner than a hot entry comes round. A scan passes through the cold room and touches nothing else, and of a loop longer
than the cache a part as large as the cache stays.

**What a read costs.** A mark. As in CLOCK-Pro (Jiang, Chen and Zhang, USENIX ATC 2005) marks are looked at when the
ordering needs a victim, not before: whoever is met marked has been used since the last time. What a hot entry's order in
a recency stack was to LIRS is here an *epoch*: a 64th of the entries' worth of insertions. An entry carries the epoch in
which it was last put in order, and is in its test while that is younger than the oldest hot entry's.

**What adapts.** How large the cold room should be depends on the load: on a loop, hardly anything; under a working set
that moves, nearly all. Of an evicted entry its hash is remembered. A cold one that returns within its test would have
been a hit, had the cold room been larger; one that had been hot, and was evicted lately, would have been a hit, had the
hot room been larger. Each return moves the border in its favour, the more the fewer such memories there are on its side
(as ARC does: Megiddo and Modha, FAST 2003; and DLIRS: Li, SYSTOR 2018). What was hot leaves before cold entries that
were used later than it, so that with a large cold room the order is CLOCK's, which is to say close to LRU.

**Frequency.** A hot entry that was met marked is spared once more when met unmarked, up to twice in a row (as in GCLOCK
and in S3-FIFO's main queue), while the cold room is small. When it is large, recency is what counts, and this stops.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from .base import Evicting, Held, Node

__all__ = ["Adaptive", "AdaptiveNode"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LEFT, COLD, DEMOTED, HOT = range(4)
"""Where a node stands. Above `HOT`: hot, and to be spared as many times more."""
SPARED = HOT + 2

LEAST_COLD = 0.01
"""The share of `maxsize` that newcomers always have, and what they begin with."""
HALF, FULLY = 0.5, 2
SPARING = 0.75
"""A hot entry is spared while the hot room is at least this share of `maxsize`."""
EPOCHS = 64
"""How many epochs there are to as many insertions as there are entries."""
GHOSTS = 1.5
"""How many hashes of evicted keys are remembered, to an entry held."""
TEST = 2
"""How many of them may be in their test, to an entry held."""
REGRETS = 0.1
"""For how many evictions of what had been hot a return counts, to an entry held."""
STEP = 4
"""How far one return moves the border at most, in entries."""
NAME_BITS = 16
NAME = (1 << NAME_BITS) - 1


class AdaptiveNode(Node):
    """A node in one of three rings."""

    __slots__ = ("epoch", "next", "prev", "state")

    transient = frozenset({"next", "prev"})

    prev: AdaptiveNode
    next: AdaptiveNode
    epoch: int

    def __init__(self, key: Hashable, value: Any, size: float = 1) -> None:
        self.key = key
        self.value = value
        self.size = size
        self.used = False
        self.state = LEFT


_NOWHERE: Any = None


def _members(oldest: AdaptiveNode | None) -> list[AdaptiveNode]:
    """The nodes of a ring, oldest first."""
    members: list[AdaptiveNode] = []
    node = oldest
    while node is not None:
        members.append(node)
        node = node.next if node.next is not oldest else None
    return members


def _join(node: AdaptiveNode, oldest: AdaptiveNode | None) -> AdaptiveNode:
    """Put `node` into a ring as its newest; returns the oldest."""
    if oldest is None:
        node.prev = node.next = node
        return node
    newest = oldest.prev
    node.prev = newest
    node.next = oldest
    newest.next = oldest.prev = node
    return oldest


def _part(node: AdaptiveNode, oldest: AdaptiveNode) -> AdaptiveNode | None:
    """Take `node` out of its ring; returns the oldest of what is left."""
    after = node.next
    if after is node:
        node.prev = node.next = _NOWHERE
        return None
    before = node.prev
    before.next = after
    after.prev = before
    node.prev = node.next = _NOWHERE
    return after if node is oldest else oldest


class Adaptive(Evicting[K, V], Generic[K, V]):
    """The default: resists scans and loops, keeps close to LRU where LRU is good. See the module's docstring.

    Remembered hashes are bounded by the number of entries, and hold no key. Who chooses the keys can make this memory
    forget, by choosing keys that fall on one place in it (its size is random, and not known to him), and so make the
    ordering a little worse than it would be; not larger, nor slower.
    """

    node_type = AdaptiveNode
    _structure = ("table", "_hot", "_cold", "_demoted")

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._begin()

    def _begin(self) -> None:
        # Three rings, each known by its oldest.
        self._hot: AdaptiveNode | None = None
        self._cold: AdaptiveNode | None = None
        self._demoted: AdaptiveNode | None = None
        self._younger: AdaptiveNode | None = None  # where ageing goes on in the cold ring
        self._ageing = 0
        self._hot_size: float = 0
        self._hot_room = self._maxsize if self._maxsize <= 1 else self._maxsize - max(1, LEAST_COLD * self._maxsize)
        self._epoch = 1
        self._left = 0  # insertions before the next epoch
        self._horizon = 1  # the epoch in which tests begin that still last
        self._forget_ghosts()

    def _forget_ghosts(self) -> None:
        self._testing = 0  # evicted entries that are in their test
        self._tested: dict[int, int] = {}  # the same by epoch
        self._regretted = 0  # hot entries ever evicted
        # By place: a part of the hash that belongs there, and above it the epoch; or, negative, of what had been hot the
        # count of those evicted by then.
        self._ghosts: array[int] = array("q")

    def insert(self, node: Held) -> Sequence[Node]:
        """Hold `node`, and return the victims that were dropped to make room for it. As `Evicting.insert`."""
        size = node.size
        if size > self._maxsize:
            raise ValueError("value too large")
        ghosts = self._ghosts
        digest = hash(node.key) if ghosts else 0
        victims: Sequence[Node] = ()
        hot = False
        if self._currsize + size > self._maxsize:
            if self._ageing:
                self._age()
            victims = (self._drop(),)
            self.evictions += 1
            if self._currsize + size > self._maxsize:
                victims = [*victims, *self._make_room(size)]
        else:
            hot = self._hot_size + size <= self._hot_room
        if self.table.setdefault(node.key, node) is not node:
            raise KeyError(node.key)
        self._currsize += size
        if self._left:
            self._left -= 1
        else:
            self._next_epoch()
        if ghosts:
            name, place = divmod(digest, len(ghosts))
            ghost = ghosts[place]
            if ghost and (ghost ^ name) & NAME == 0:
                ghosts[place] = 0
                hot = self._returned(ghost >> NAME_BITS, size) or hot
        if hot:
            self._heat(node)
        else:
            node.epoch = self._epoch
            node.state = COLD
            oldest = self._cold
            if oldest is None:
                self._cold = node.prev = node.next = node
            else:
                newest = oldest.prev
                node.prev = newest
                node.next = oldest
                newest.next = oldest.prev = node
        if self._currsize > self._maxsize:  # the key's __eq__ inserted something else meanwhile
            victims = [*victims, *self._shrink(node)]
        return victims

    def _place(self, node: AdaptiveNode) -> None:
        node.epoch = self._epoch
        node.state = COLD
        self._cold = _join(node, self._cold)

    def _drop(self) -> Node:
        node = self._cold
        if node is None or node.used or self._demoted is not None:
            return super()._drop()
        # The common case, in one piece: `_take`, `_let_go`, `_bury`.
        after = node.next
        if self._younger is node:
            self._younger = None
        if after is node:
            self._cold = None
        else:
            before = node.prev
            before.next = after
            after.prev = before
            self._cold = after
        node.prev = node.next = _NOWHERE
        table = self.table
        try:
            del table[node.key]
        except BaseException:
            self._place(node)
            raise
        self._currsize = self._currsize - node.size if table else 0
        self._bury(node)
        return node

    def _take(self) -> AdaptiveNode:
        while True:
            cold, node = self._cold, self._demoted
            if node is not None and (cold is None or node.epoch <= cold.epoch):
                self._demoted = _part(node, node)
                if not node.used:
                    return node
                node.used = False
                self._enlarge_hot(node.size)
                self._heat(node)
            elif cold is not None:
                if not cold.used:
                    self._part_cold(cold)
                    return cold
                cold.used = False
                if cold.epoch >= self._look():
                    self._part_cold(cold)
                    self._heat(cold)
                else:
                    cold.epoch = self._epoch
                    self._cold = cold.next
            else:
                self._demote()

    def _bury(self, node: AdaptiveNode) -> None:
        if node.state == DEMOTED:
            self._regretted = regretted = self._regretted + 1
            mark = -regretted
        else:
            mark = node.epoch
            hot = self._hot
            if hot is None or hot.used or hot.state > HOT or hot.epoch >= self._horizon:
                self._look()
            if mark < self._horizon:
                node.state = LEFT
                return
            self._testing += 1
            tested = self._tested
            tested[mark] = tested.get(mark, 0) + 1
        node.state = LEFT
        ghosts = self._ghosts or self._remember()
        try:
            name, place = divmod(hash(node.key), len(ghosts))
        except Exception:  # a key that can no longer be hashed is not remembered
            return
        ghosts[place] = mark << NAME_BITS | name & NAME

    def _forget(self, node: AdaptiveNode) -> None:
        state, node.state = node.state, LEFT
        if state == COLD:
            self._part_cold(node)
        elif state == DEMOTED:
            self._demoted = _part(node, self._demoted)
        else:
            self._hot = _part(node, self._hot)
            self._hot_size -= node.size

    def _renew(self, node: AdaptiveNode, growth: float) -> None:
        node.used = True
        if node.state >= HOT:
            self._hot_size += growth

    def _reset(self) -> None:
        for node in self.table.values():
            node.state = LEFT
            node.prev = node.next = _NOWHERE
        self._begin()

    def _part_cold(self, node: AdaptiveNode) -> None:
        if self._younger is node:
            self._younger = None
        self._cold = _part(node, self._cold)

    def _age(self) -> None:
        """See ahead of their turn which of the cold have been used."""
        node = self._younger or self._cold
        epoch = self._epoch
        for _ in range(self._ageing):
            if node is None:
                break
            after = node.next
            if node.used and node.epoch < epoch:
                node.used = False
                if self._ageing == FULLY and node.epoch >= self._look():
                    self._part_cold(node)
                    self._heat(node)
                    after = after if after is not node else None
                else:
                    node.epoch = epoch
                    oldest = self._cold
                    if node is oldest:
                        self._cold = after
                    else:
                        _join(node, _part(node, oldest))
            node = after
        self._younger = node

    def _heat(self, node: AdaptiveNode) -> None:
        """Make hot a node that is in no ring, and see that the hot room is not exceeded."""
        node.epoch = self._epoch
        node.state = HOT
        self._hot = _join(node, self._hot)
        self._hot_size += node.size
        while self._hot_size > self._hot_room:
            self._demote()

    def _demote(self) -> None:
        """The oldest hot node that is to be spared no more is hot no more."""
        node = self._sweep()
        assert node is not None
        self._hot = _part(node, node)
        self._hot_size -= node.size
        node.state = DEMOTED
        self._demoted = _join(node, self._demoted)

    def _sweep(self) -> AdaptiveNode | None:
        """Turn the hot ring until its oldest is one that is to be spared no more."""
        node = self._hot
        if node is None:
            return None
        epoch = self._epoch
        sparing = not self._ageing
        while True:
            if node.used:
                node.used = False
                if not sparing:
                    node.state = HOT
                elif node.state < SPARED:
                    node.state += 1
            elif sparing and node.state > HOT:
                node.state -= 1
            else:
                break
            node.epoch = epoch
            node = node.next
        self._hot = node
        return node

    def _look(self) -> int:
        """Bring the horizon up to date, and return it."""
        oldest = self._sweep()
        horizon = self._horizon
        newest = self._epoch if oldest is None else oldest.epoch + 1
        limit = TEST * len(self.table)
        while horizon < newest or (self._testing > limit and horizon <= self._epoch):
            self._testing -= self._tested.pop(horizon, 0)
            horizon += 1
        self._horizon = horizon
        return horizon

    def _returned(self, mark: int, size: float) -> bool:
        """An evicted key was inserted again: move the border, and say whether it is to be hot."""
        if mark > 0:
            if mark < self._look():
                return False
            self._tested[mark] -= 1
            self._testing -= 1
            regrets = self._regrets()
            step = STEP * regrets / (regrets + self._testing)
            self._move_border(-step * size, size)
            return True
        if mark + self._regretted < REGRETS * len(self.table):
            self._enlarge_hot(size)
        return False

    def _enlarge_hot(self, size: float) -> None:
        step = STEP * self._testing / (self._regrets() + self._testing)
        self._move_border(step * size, size)

    def _move_border(self, way: float, least: float) -> None:
        most = self._maxsize - max(least, LEAST_COLD * self._maxsize)
        self._hot_room = room = max(least, min(most, self._hot_room + way))
        share = room / self._maxsize
        self._ageing = 0 if share >= SPARING else FULLY if share < HALF else 1

    def _regrets(self) -> float:
        return max(1, min(self._regretted, REGRETS * len(self.table)))

    def _next_epoch(self) -> None:
        self._epoch += 1
        self._left = len(self.table) // EPOCHS
        if self._left:
            self._left -= 1
        if self._ghosts and len(self.table) > len(self._ghosts):
            self._remember()

    def _remember(self) -> array[int]:
        """Begin a memory of evicted keys, for as many entries as there are now."""
        places = int(len(self.table) * GHOSTS * random.uniform(1, 1.2)) | 1
        self._ghosts = array("q", bytes(8 * places))
        return self._ghosts

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state["_younger"] = None
        for ring in ("_hot", "_cold", "_demoted"):
            state[ring] = _members(state[ring])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for ring in ("_hot", "_cold", "_demoted"):
            members: Iterable[AdaptiveNode] = state[ring]
            oldest: AdaptiveNode | None = None
            for node in members:
                oldest = _join(node, oldest)
            setattr(self, ring, oldest)
        self._forget_ghosts()  # hashes mean nothing to another process

    def __del__(self) -> None:
        # Neighbours in a ring hold each other; without this, they would wait for the garbage collector.
        for node in self.__dict__.get("table", {}).values():
            node.prev = node.next = _NOWHERE
