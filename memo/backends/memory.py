"""The store in this process's memory.

Entries are nodes of an eviction ordering (`memo.eviction`), which is a `cachetools.Cache`. Writers
hold a lock; readers take none. They look a key up in a plain dict (which the GIL makes atomic), see
whether it is time to look closer (`answers_until`), take the value, and mark the node as used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from ..entry import FOREVER, Entry, Raised
from ..errors import Full, shown
from ..eviction import DEFAULT, NAMES, Node, ordering
from ..forking import ForkableLock, mend_after_fork
from ..steps import ALONE, Watch
from .base import in_scope
from .expiries import Expiries

__all__ = ["EVICTIONS", "Memory"]

T = TypeVar("T")

#: What `eviction=` takes; "none" refuses what does not fit while nothing has expired.
EVICTIONS: Final = (*NAMES, "none")

#: Entries past all use that one write drops in a store without a bound.
_RECLAIMED_PER_WRITE: Final = 2

#: What a moment may have lost when it was last rounded, of itself.
_ROUNDED: Final = 2.0**-52

#: Entries that are dropped of a scope before other writers have a turn.
_CLEARED_AT_ONCE: Final = 256

#: In the place of a key: all of them.
_ALL: Final = object()


class _Kinds(NamedTuple):
    """The nodes of an ordering, with room for an entry and a place in the line of expiries.

    The value is the node's own. `answers_until` is the moment from which a reader must look
    closer: the entry's expiry, or an earlier one where a hit is more than handing the value out.

    Attributes:
        plain: of an entry for which all three moments are that one. `span` is how long it lives,
            one object for all that live as long, or where that is for ever when it was created. So
            `created` is as exact as the expiry is, which is rounded like any float.
        dated: of any other entry without tags.
        tagged: of one with tags.
    """

    plain: type[Any]
    dated: type[Any]
    tagged: type[Any]


def _kinds(node_type: type[Node]) -> _Kinds:
    known = _known_kinds.get(node_type)
    if known is None:
        known = _known_kinds[node_type] = _Kinds(*_made_kinds(node_type))
    return known


def _made_kinds(node_type: type[Node]) -> Iterator[type[Any]]:
    def kind(name: str, base: type[Any], *slots: str, **more: Any) -> type[Any]:
        return type(name, (base,), {"__slots__": slots, "__module__": __name__, **more})

    # Who makes one sets what it holds: a call of a constructor would cost more than all of that.
    bare: Any = object.__init__
    held = kind("Held", node_type, "answers_until", "newer", "older", __init__=bare, tags=())
    plain = kind("Plain", held, "span", created=property(_created))
    plain.expires = plain.kept_until = held.answers_until  # the slot itself, by more names
    yield plain
    dated = kind("Dated", held, "created", "expires", "kept_until")
    yield dated
    yield kind("Tagged", dated, "tags")


def _created(node: Any) -> float:
    until, span = node.answers_until, node.span
    return span if until == FOREVER else until - span  # type: ignore[no-any-return]


_known_kinds: dict[type[Node], _Kinds] = {}


class Memory:
    """Keeps entries in this process, at most `maxsize` of them.

    Args:
        maxsize: the most entries, or with `getsizeof` the largest sum of sizes; None for no bound.
        eviction: one of `EVICTIONS`: which entry goes when there is no room. Expired ones go first.
        getsizeof: the size of a value, in any unit; `maxsize` is in the same.
        timer: seconds, monotonic; the clock the entries' times are in.

    Raises:
        TypeError, ValueError: an option that cannot be; the message names it.
    """

    name = "memory"
    blocking = False
    exact = True

    #: Whether an operation that changes something is under way. Who has the lock and finds one so
    #: has come in the middle of it: a signal handler, a finalizer, or a key's own code. Nothing is
    #: in order then, and all that they may change is dropped once it is: these keys, or `_ALL`.
    _busy = False
    _late: tuple[Any, ...] = ()

    def __init__(
        self,
        maxsize: float | None = 1024,
        *,
        eviction: str = DEFAULT,
        getsizeof: Callable[[Any], float] | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        check_bound(maxsize, eviction, getsizeof)
        self.maxsize = maxsize
        self.timer = timer
        self._getsizeof = getsizeof
        self._bound = math.inf if maxsize is None else maxsize
        self._refuses = eviction == "none"
        self._store = ordering(DEFAULT if self._refuses else eviction, self._bound)
        self._kinds = _kinds(self._store.node_type)
        self._plain = self._kinds.plain
        self._expiries = Expiries()
        #: How long the plain entry that was written last lives: one object for as many as can be.
        self._span = math.nan
        #: What was dropped and is still to be let go of, outside the lock.
        self._gone: list[Any] = []
        #: Writers take it; so do the flights of a cache whose misses come here, in one with `put`.
        #: Dict operations on the user's keys run the user's __eq__ and __hash__, which may call the
        #: cached function again in this thread.
        self.guard = ForkableLock()
        self._known_lock = self.guard.lock
        #: `peek(key)` is the node under `key` or None, for readers without a lock.
        self.peek: Callable[[Any], Any] = self._store.table.get
        mend_after_fork(self)

    @property
    def fits_all(self) -> bool:
        """Whether there is, or can be made, room for any one value."""
        return self._getsizeof is None and not self._refuses and self._bound >= 1

    @property
    def _lock(self) -> Any:
        return self.guard.lock

    def read(self, key: Any, /) -> Entry | None:
        """The entry under `key`, expired or not, or None."""
        node: Any = self.peek(key)
        if node is None:
            return None
        node.used = True
        with self._lock:
            return Entry(node.value, node.created, node.expires, node.kept_until, node.tags)

    def write(
        self,
        key: Any,
        entry: Entry,
        /,
        answers_until: float | None = None,
        unless: Watch = ALONE,
    ) -> int:
        """Store `entry` under `key`; returns how many entries were evicted for it.

        A reader answers with its value by itself until `answers_until` (default: its expiry). What
        `unless` says is superseded is not stored.

        Raises:
            Full: it does not fit: its size is over `maxsize`, or eviction is "none" and nothing
                has expired.
        """
        size = self._size(entry.value)
        if answers_until is None:
            answers_until = -math.inf if type(entry.value) is Raised else entry.expires
        gone: list[Any] = []
        with self._lock:
            if self._busy:
                self._late += (key,)
                return 0
            return self._alone(gone, self._write_unless, unless, key, entry, size, answers_until)

    def _write_unless(self, unless: Watch, key: Any, *more: Any) -> int:
        if unless.superseded:
            return 0
        victims = self._write(self.peek(key), key, *more)
        return victims.__len__()  # by method: `len` itself may be cached

    def put(  # noqa: C901, PLR0917 - in one piece, to be fast
        self,
        key: Any,
        value: Any,
        created: float,
        ttl: float,
        gone: list[Any],
        unless: Watch = ALONE,
    ) -> Sequence[Any]:
        """As `write` of an entry that lives `ttl`, where it is no `Raised` and `fits_all` holds.

        The caller holds the lock of `guard`, and lets go of what is dropped once it does not: of
        the nodes that were evicted, which are returned, and of all else, which is added to `gone`.
        """
        if self._busy:
            self._late += (key,)
            return ()
        self._busy = True
        try:
            if unless.superseded:
                return ()
            node = self.peek(key)
            expiries = self._expiries
            expires = FOREVER if ttl is FOREVER else created + ttl
            if node is not None or created >= expiries.not_before[True]:
                entry = Entry(value, created, expires, expires)
                return self._write(node, key, entry, 1, expires)
            node = self._plain()
            node.key = key
            node.value = value
            node.size = 1
            node.answers_until = expires
            node.span = created if ttl is FOREVER else ttl
            victims: Sequence[Any] = self._store.insert(node)
            line, least, most = expiries.recent
            if ttl is FOREVER:
                node.newer = node.older = None
            elif least <= ttl < most and (last := line.older) is not line:
                node.older = last
                node.newer = line
                last.newer = line.older = node
            else:
                expiries.add(node)
            for victim in victims:  # Expiries.discard(victim)
                newer = victim.newer
                if newer is not None:
                    older = victim.older
                    older.newer = newer
                    newer.older = older
                    victim.newer = victim.older = None
        except BaseException:
            self._reset()  # as in `_alone`
            raise
        else:
            return victims
        finally:
            try:
                while self._late or self._gone:
                    self._end(gone)
            finally:
                self._busy = False

    def _write(
        self, node: Any, key: Any, entry: Entry, size: float, answers_until: float
    ) -> Sequence[Any]:
        """Store `entry` in place of `node`; returns the nodes that were evicted for it."""
        if size > self._bound:
            if node is not None:
                self._remove(node)  # what it held is outdated
            raise Full(key, too_large=True)
        if node is not None:
            Expiries.discard(node)  # its old expiry does not count any more
        self._make_room(size - (0 if node is None else node.size), key, node, entry.created)
        kind, span = self._kind(entry, answers_until)
        if node is not None and (
            type(node) is not kind or answers_until == -math.inf or kind is self._kinds.tagged
        ):
            # A reader between two looks at the old node must not find the new value in it.
            self._remove(node)
            node = None
        if node is not None:
            # The value first: a reader who sees the new deadline must not get the old value.
            self._gone.append(node.value)
            node.value = entry.value
            self._date(node, entry, answers_until, span)
            self._expiries.add(node)
            victims = self._store.resize(node, size)
        else:
            node = kind()
            node.key = key
            node.value = entry.value
            node.size = size
            self._date(node, entry, answers_until, span)
            victims = self._store.insert(node)
            self._expiries.add(node)
        for victim in victims:
            Expiries.discard(victim)
            self._gone.append(victim)
        return victims

    def _kind(self, entry: Entry, answers_until: float) -> tuple[type[Any], float | None]:
        """The kind of node for `entry`, and of a plain one the span."""
        _, created, expires, kept_until, tags = entry
        if tags:
            return self._kinds.tagged, None
        if not answers_until == expires == kept_until:
            return self._kinds.dated, None
        if expires == FOREVER:
            return self._plain, created
        for span in (self._span, expires - created):
            if abs(expires - span - created) <= _ROUNDED * abs(expires):
                self._span = span
                return self._plain, span
        return self._kinds.dated, None

    @staticmethod
    def _date(node: Any, entry: Entry, answers_until: float, span: float | None) -> None:
        if span is not None:
            node.span = span
        else:
            _, node.created, node.expires, node.kept_until, tags = entry
            if tags:
                node.tags = tags
        node.answers_until = answers_until

    def _make_room(self, size: float, key: Any, node: Any, now: float) -> None:
        """Drop what has expired, as far as `size` more needs it; all else is the ordering's to do.

        Raises:
            Full: eviction is "none", and that was not enough.
        """
        missing = self._store.currsize + size - self._bound
        if self._bound == math.inf:
            self._reclaim(_RECLAIMED_PER_WRITE, now)
        elif missing > 0:
            if not self._refuses:
                self._reclaim(missing, now)
            elif not self._has_room_after_expiries(missing):
                if node is not None:
                    self._expiries.add(node)
                raise Full(key)

    def delete(self, key: Any, /) -> bool:
        """Drop what is under `key`; returns whether there was anything."""
        gone: list[Any] = []
        with self._lock:
            if self._busy:
                self._late += (key,)
                return self.peek(key) is not None
            return bool(self._alone(gone, self._delete, key))

    def _delete(self, key: Any) -> bool:
        node = self.peek(key)
        if node is not None:
            self._remove(node)
        return node is not None

    def clear(self) -> None:
        """Drop everything."""
        gone: list[Any] = []
        with self._lock:
            if self._busy:
                self._late += (_ALL,)
                return
            self._alone(gone, self._reset)

    def clear_scope(self, scope: Any) -> None:
        """Drop the entries whose key is a tuple that begins with `scope`.

        Writers wait for a few of them at a time, and not for all.
        """
        with self._lock:
            if self._busy:
                self._late += (_ALL,)
                return
            held = list(self._store.table.items())
        found = [(key, node) for key, node in held if in_scope(key, scope)]
        for begin in range(0, found.__len__(), _CLEARED_AT_ONCE):  # by method: as in `_write`
            gone: list[Any] = []
            with self._lock:
                self._alone(gone, self._clear_each, found[begin : begin + _CLEARED_AT_ONCE])

    def _clear_each(self, found: list[tuple[Any, Any]]) -> None:
        for key, node in found:
            if self.peek(key) is node:
                self._remove(node)

    def evict(self, n: int = 1) -> int:
        """Drop `n` entries, expired ones first; returns how many were dropped.

        With eviction "none" only expired ones are.
        """
        now = self.timer()
        gone: list[Any] = []
        with self._lock:
            return 0 if self._busy else self._alone(gone, self._evict, n, now)

    def _evict(self, n: int, now: float) -> int:
        for evicted in range(n):
            node = self._expiries.first(now, dead=False)
            if node is not None:
                self._remove(node)
            elif self._refuses or not self._store.table:
                return evicted
            else:
                victim = self._store.pop_victim()
                Expiries.discard(victim)
                self._gone.append(victim)
        return n

    @property
    def currsize(self) -> float:
        """What is held, expired or not: entries, or with `getsizeof` the sum of their sizes."""
        return self._store.currsize

    def __len__(self) -> int:
        return len(self._store.table)

    def __repr__(self) -> str:
        return f"<Memory {len(self)} entries, maxsize={self.maxsize!r}>"

    def after_fork_in_child(self) -> None:
        """Start empty where the fork came in the middle of another thread's write."""
        self.guard.after_fork_in_child()
        if self.guard.lock is not self._known_lock:
            self._known_lock = self.guard.lock
            self._busy, self._late = False, ()
            self._reset()

    def __deepcopy__(self, memo: dict[int, Any]) -> Memory:
        return self

    def _size(self, value: Any) -> float:
        if self._getsizeof is None:
            return 1
        size: Any = self._getsizeof(value)
        if isinstance(size, bool) or not isinstance(size, int | float) or not size >= 0:
            raise ValueError(f"getsizeof gave {shown(size)}: must be a number of at least 0")
        return size

    def _take_gone(self) -> list[Any]:
        """What was dropped, for the caller to let go of once it has left the lock.

        The last reference to a value may run the user's `__del__`, which may wait for a lock of the
        user's whose holder waits for ours.
        """
        gone, self._gone = self._gone, []
        return gone

    def _alone(self, gone: list[Any], change: Callable[..., T], *args: Any) -> T:
        """`change(*args)`, with who comes in the middle of it kept from changing anything.

        The caller holds the lock, and lets go of `gone` once it does not.
        """
        self._busy = True
        try:
            return change(*args)
        except Full:
            raise
        except BaseException:
            # A key's own __eq__ or __hash__ gave up half way. Nothing of such a store can be
            # relied on; an empty one can.
            self._reset()
            raise
        finally:
            try:
                while self._late or self._gone:
                    self._end(gone)
            finally:
                self._busy = False  # with no call since the look above, where one could come in

    def _end(self, gone: list[Any]) -> None:
        """Drop what is to be dropped late; what is to be let go of is added to `gone`."""
        try:
            late, self._late = self._late, ()
            for key in late:
                self._reset() if key is _ALL else self._delete(key)
        except BaseException:
            self._reset()
            raise
        finally:
            gone += self._take_gone()

    def _remove(self, node: Any) -> None:
        Expiries.discard(node)
        self._store.remove(node)
        self._gone.append(node)

    def _reset(self) -> None:
        self._gone += self._store.table.values()
        self._store.clear()
        self._expiries.clear()

    def _reclaim(self, wanted: float, now: float) -> None:
        """Drop entries of no use to anyone, up to a size of `wanted` in sum."""
        while wanted > 0:
            node = self._expiries.first(now, dead=True)
            if node is None:
                return
            wanted -= max(node.size, 1) if self._bound == math.inf else node.size
            self._remove(node)

    def _has_room_after_expiries(self, wanted: float) -> bool:
        """Drop expired entries, in use or not, until `wanted` is free; whether it is."""
        now = self.timer()
        while wanted > 0:
            node = self._expiries.first(now, dead=False)
            if node is None:
                return False
            wanted -= node.size
            self._remove(node)
        return True


def check_bound(maxsize: object, eviction: object, getsizeof: object) -> None:
    """Check what bounds a store; the error names the option, the value and what is allowed."""
    if maxsize is not None and (isinstance(maxsize, bool) or not isinstance(maxsize, int | float)):
        raise TypeError(f"maxsize={shown(maxsize)}: takes a number, or None for no bound")
    if maxsize is not None and not maxsize >= 0:
        raise ValueError(
            f"maxsize={maxsize!r}: must be at least 0 (0: never store; None: no bound)"
        )
    if eviction not in EVICTIONS:
        raise ValueError(
            f"eviction={shown(eviction)}: allowed are {', '.join(map(repr, EVICTIONS))}"
        )
    if getsizeof is not None and not callable(getsizeof):
        raise TypeError(f"getsizeof={shown(getsizeof)}: takes a callable of the value")
