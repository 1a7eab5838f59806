"""The default ordering: LIRS by marks, with room for newcomers that adapts.

**What it goes by.** LIRS (Jiang and Zhang, SIGMETRICS 2002) keeps what is used *again* soon rather
than what was used lately. Nearly all room is for *hot* entries, the rest for *cold* ones: newcomers
on probation. A cold entry that is used again within its *test*, which is sooner than the oldest hot
entry has come round, becomes hot, and the oldest hot entry is *demoted*. So a scan passes through
the cold room and touches nothing else, and of a loop longer than the cache a part stays.

**What a read does.** It leaves a mark, as in CLOCK-Pro (Jiang, Chen and Zhang, USENIX ATC 2005).
Marks are looked at when room is needed: who is met marked has been used since he was last met.
Where LIRS compares positions in a stack, this compares *epochs*, of which there are 64 to as many
insertions as there are entries. An entry carries the epoch in which it was last put in order, and
its test lasts while that is later than the oldest hot entry's.

**What adapts.** The right size of the cold room is next to nothing under a loop, and nearly
everything under a working set that moves on. So of evicted entries the hashes are remembered, as
*ghosts*. A cold one that is back within its test would have been a hit, had the cold room been
larger; one that had been hot, and was evicted lately, had the hot room been larger. Each return
moves the border between the two, the more the fewer ghosts there are of its kind (as in ARC:
Megiddo and Modha, FAST 2003; and DLIRS: Li, SYSTOR 2018). A cold one that is back too late, as in a
loop, speaks faintly for the hot.

**Recency and frequency.** What was demoted leaves before cold entries used later than it, so that
the larger the cold room is, the closer the order comes to CLOCK's. And with a quarter of the room
cold, marks are looked for ahead of their turn, which brings CLOCK's order closer to LRU's. With
less, it is frequency that counts: a hot entry met marked once is spared once more when met
unmarked, up to twice (as in GCLOCK, and in the main queue of S3-FIFO: Yang et al., SOSP 2023).

What was measured, and what was tried and dropped, is in `docs/eviction.md`.
"""

import random
from array import array
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from .base import Evicting, Held
from .node import Node
from .ring import NOWHERE, RingNode, join, members, part, ring_of, sever

__all__ = ["Adaptive"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# Where a node stands. Above HOT: it is hot, and to be spared as many times more.
LEFT, COLD, DEMOTED, HOT = range(4)
SPARED = HOT + 2

MOST_HOT = 0.99
"""The share of `maxsize` that hot entries have at most, and to begin with."""
FREQUENCY = 0.75
"""The share of `maxsize` above which the hot are spared; below it, one cold entry is looked at
ahead of its turn for each insertion."""
RECENCY, FULLY = 0.5, 2
"""The share below which two are, and become hot there and then if that is what is due."""
EPOCHS = 64
"""Epochs to as many insertions as there are entries."""
GHOSTS = 1.5
"""Ghosts remembered, to an entry."""
TESTS = 2
"""Ghosts that may be in their test, to an entry."""
REGRETS = 0.1
"""For how many evictions of what had been hot a return counts, to an entry."""
STEP = 4
"""How far one return moves the border at most, in entries of its size."""
LATE = 1 / 32
"""How far the return of a cold one whose test is over does, towards more room for the hot."""

# A ghost lies where its hash says, modulo the number of places, and has a name there, which is 16
# bits of the hash, and a mark: the epoch of a cold one; minus the number of those that had been hot
# and were evicted until then; 0 where nobody lies.
NAME = (1 << 16) - 1
# Under another name, so that even `len` itself can be cached.
_len = len
NOBODY = array("q")


class Adaptive(Evicting[K, V], Generic[K, V]):
    """The default: resists scans and loops, and stays close to LRU where LRU is good.

    How it works is in the module's docstring. Every operation is O(1), amortised over reads and
    insertions. Beside the nodes it holds 10 bytes for each of 1.5 to 1.8 ghosts to an entry,
    made at the first eviction; a ghost keeps no key alive. Who chooses the keys can make it forget
    ghosts, with keys whose hashes fall on one place (how many there are is random), which takes a
    scan to nobody else; he makes the choice of victims worse, and nothing larger or slower.
    """

    node_type = RingNode
    _structure = ("table", "_hot", "_cold", "_demoted")

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._begin()

    def _begin(self) -> None:
        self._hot: RingNode | None = None  # the rings, by their oldest
        self._cold: RingNode | None = None
        self._demoted: RingNode | None = None
        self._hot_size: float = 0
        self._hot_room = MOST_HOT * self._maxsize
        self._ahead = 0  # how many cold entries are looked at ahead of their turn
        self._next_ahead: RingNode | None = None
        self._epoch = 1
        self._left = 0  # insertions until the next one
        self._horizon = 1  # the earliest whose cold entries are in their test
        self._exorcise()

    def _exorcise(self) -> None:
        """There are no ghosts."""
        self._marks = self._names = NOBODY
        self._testing = 0  # how many are in their test
        self._tested: dict[int, int] = {}  # the same by epoch
        self._regrets = 0  # how many had been hot, ever

    # --- a miss ---

    def insert(self, node: Held) -> Sequence[Node]:  # noqa: C901, PLR0915 - to be fast
        """Hold `node`, and return the victims dropped to make room. See `Evicting.insert`."""
        size = node.size
        most = self._maxsize
        if size > most:
            raise ValueError("value too large")
        table = self.table
        marks = self._marks
        digest = hash(node.key) if marks else 0
        victims: Sequence[Node] = ()
        hot = False
        if self._currsize + size > most:
            if self._ahead:
                self._look_ahead()
            victim: Any = self._cold
            if victim is None or victim.used or self._demoted is not None:
                victim = self._drop()
            else:  # the common case of it: `_take`, `_let_go`, and `_bury`
                after = victim.next
                if after is victim:
                    self._cold = None
                else:
                    before = victim.prev
                    before.next = after
                    after.prev = before
                    self._cold = after
                victim.prev = victim.next = NOWHERE
                if self._next_ahead is victim:
                    self._next_ahead = None
                try:
                    del table[victim.key]
                except BaseException:
                    self._place(victim)
                    raise
                self._currsize = self._currsize - victim.size if table else 0
                mark = victim.epoch
                oldest = self._hot
                if (
                    oldest is None
                    or oldest.used
                    or oldest.state > HOT
                    or oldest.epoch >= self._horizon
                ):
                    self._look()
                victim.state = LEFT
                if mark >= self._horizon:
                    self._testing += 1
                    tested = self._tested
                    tested[mark] = tested.get(mark, 0) + 1
                    try:
                        ghost = hash(victim.key)
                    except Exception:
                        ghost = None
                    if ghost is not None:
                        graves = self._marks or self._summon()
                        place = ghost % _len(graves)
                        self._names[place] = ghost & NAME
                        graves[place] = mark
            victims = (victim,)
            self.evictions += 1
            if self._currsize + size > most:
                victims = [*victims, *self._make_room(size)]
        else:
            hot = self._hot_size + size <= self._hot_room
        node.used = False
        held: Held = table.setdefault(node.key, node)
        if held is not node:
            raise KeyError(node.key)
        self._currsize += size
        if self._left:
            self._left -= 1
        else:
            self._next_epoch()
        if marks is self._marks and marks:
            place = digest % _len(marks)
            if self._names[place] == digest & NAME and (mark := marks[place]):
                marks[place] = 0
                hot = self._returned(mark, size) or hot
        if hot:
            self._heat(node)
        else:  # _place(node)
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
        if self._currsize > most:  # the key's __eq__ inserted something else meanwhile
            victims = [*victims, *self._shrink(node)]
        return victims

    # --- the cold and the demoted ---

    def _place(self, node: RingNode) -> None:
        node.epoch = self._epoch
        node.state = COLD
        self._cold = join(node, self._cold)

    def _take(self) -> Node:
        while True:
            cold, demoted = self._cold, self._demoted
            if demoted is not None and (cold is None or demoted.epoch <= cold.epoch):
                self._demoted = part(demoted, demoted)
                if not demoted.used:
                    return demoted
                demoted.used = False
                self._widen_hot(demoted.size)
                self._heat(demoted)
            elif cold is None:
                self._demote()
            elif cold.used:
                self._pass(cold, self._in_test(cold))
            else:
                self._part_cold(cold)
                return cold

    def _pass(self, node: RingNode, promote: bool) -> None:  # noqa: FBT001 - a verdict
        """A cold node was met marked: it becomes hot, or the newest of the cold."""
        node.used = False
        if promote:
            self._part_cold(node)
            self._heat(node)
            return
        node.epoch = self._epoch
        oldest = self._cold
        if node is oldest:
            self._cold = node.next
        else:
            join(node, part(node, oldest))

    def _look_ahead(self) -> None:
        """See ahead of their turn which of the cold have been used."""
        node = self._next_ahead or self._cold
        for _ in range(self._ahead):
            if node is None:
                break
            after = node.next if node.next is not node else None
            if node.used and node.epoch < self._epoch:
                self._pass(node, self._ahead == FULLY and self._in_test(node))
            node = after
        self._next_ahead = node

    def _part_cold(self, node: RingNode) -> None:
        if self._next_ahead is node:
            self._next_ahead = None
        self._cold = part(node, self._cold)

    # --- the hot ---

    def _heat(self, node: RingNode) -> None:
        """Make hot a node that is in no ring, and keep to the hot room."""
        node.epoch = self._epoch
        node.state = HOT
        self._hot = join(node, self._hot)
        self._hot_size += node.size
        while self._hot_size > self._hot_room:
            self._demote()

    def _demote(self) -> None:
        """The oldest of the hot is hot no more. There is one."""
        node: Any = self._sweep()
        self._hot = part(node, node)
        self._hot_size -= node.size
        node.state = DEMOTED
        self._demoted = join(node, self._demoted)

    def _sweep(self) -> RingNode | None:
        """Turn the hot ring until its oldest is one that is not to be spared; returns that."""
        node = self._hot
        if node is None:
            return None
        frequency = not self._ahead
        while True:
            if node.used:
                node.used = False
                if not frequency:
                    node.state = HOT
                elif node.state < SPARED:
                    node.state += 1
            elif frequency and node.state > HOT:
                node.state -= 1
            else:
                break
            node.epoch = self._epoch
            node = node.next
        self._hot = node
        return node

    # --- tests, ghosts and the border ---

    def _in_test(self, node: RingNode) -> bool:
        return node.epoch >= self._look()

    def _look(self) -> int:
        """Bring the horizon up to date, and return it."""
        oldest = self._sweep()
        earliest = self._epoch if oldest is None else oldest.epoch + 1
        while self._horizon < earliest:
            self._end_tests()
        return self._horizon

    def _end_tests(self) -> None:
        """The earliest epoch's tests are over."""
        self._testing -= self._tested.pop(self._horizon, 0)
        self._horizon += 1

    def _bury(self, node: RingNode) -> None:
        if node.state == DEMOTED:
            self._regrets = regrets = self._regrets + 1
            mark = -regrets
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
        try:
            digest = hash(node.key)
        except Exception:  # a key that can be hashed no more has no ghost
            return
        marks = self._marks or self._summon()
        place = digest % _len(marks)
        self._names[place] = digest & NAME
        marks[place] = mark

    def _summon(self) -> "array[int]":
        """Make places for ghosts, for as many entries as there are now."""
        places = int((_len(self.table) + 1) * GHOSTS * random.uniform(1, 1.2)) | 1
        self._names = array("H", bytes(2 * places))
        self._marks = array("q", bytes(8 * places))
        return self._marks

    def _returned(self, mark: int, size: float) -> bool:
        """A ghost was inserted again: move the border, and say whether it is to be hot."""
        if mark > 0:
            if mark < self._look():
                self._move_border(LATE * size, size)
                return False
            self._tested[mark] -= 1
            self._testing -= 1
            regrets = self._recent_regrets()
            self._move_border(-STEP * size * regrets / (regrets + self._testing), size)
            return True
        if mark + self._regrets < REGRETS * _len(self.table):
            self._widen_hot(size)
        return False

    def _widen_hot(self, size: float) -> None:
        testing = self._testing
        self._move_border(STEP * size * testing / (self._recent_regrets() + testing), size)

    def _recent_regrets(self) -> float:
        return max(1, min(self._regrets, REGRETS * _len(self.table)))

    def _move_border(self, way: float, least: float) -> None:
        whole = self._maxsize
        self._hot_room = room = max(least, min(self._hot_room + way, MOST_HOT * whole))
        self._ahead = 0 if room >= FREQUENCY * whole else 1 if room >= RECENCY * whole else FULLY

    def _next_epoch(self) -> None:
        entries = _len(self.table)
        self._epoch += 1
        self._left = max(entries // EPOCHS - 1, 0)
        while self._testing > TESTS * entries:
            self._end_tests()
        if self._marks and entries > _len(self._marks):
            self._summon()

    # --- the rest of the contract ---

    def _forget(self, node: RingNode) -> None:
        if node.state == COLD:
            self._part_cold(node)
        elif node.state == DEMOTED:
            self._demoted = part(node, self._demoted)
        else:
            self._hot = part(node, self._hot)
            self._hot_size -= node.size
        node.state = LEFT

    def _renew(self, node: RingNode, size: float) -> None:
        if node.state >= HOT:
            self._hot_size += size - node.size
        node.size = size
        node.used = True

    def _reset(self) -> None:
        sever(self.table.values())
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state["_next_ahead"] = None
        state["_marks"] = state["_names"] = NOBODY  # hashes mean nothing to another process
        for ring in ("_hot", "_cold", "_demoted"):
            state[ring] = members(state[ring])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for ring in ("_hot", "_cold", "_demoted"):
            setattr(self, ring, ring_of(state[ring]))
        self._exorcise()

    def __del__(self) -> None:
        sever(self.__dict__.get("table", {}).values())
