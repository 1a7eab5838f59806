"""The entries of one namespace in a SQLite file; see `sqlite_schema` for the tables.

Where there is no room, what has expired goes first, the longest expired before others; then, of a
sample sixteen times as large as what has to go, that whose last use is longest ago. Redis does it
so ("Approximated LRU algorithm", redis.io/docs/latest/develop/reference/eviction). The sample is
the next stretch of `names`, whose order has nothing to do with use: names end in digests.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..errors import Full
from .sqlite_place import Disk
from .sqlite_pool import Execute
from .sqlite_schema import damage, prepare, suffix
from .sqlite_statements import Statements
from .sqlite_uses import Uses

__all__ = ["Item", "Table"]

#: Rows after which `expiries` is brought up to date, and other things are put in order.
_TIDY: Final = 64

#: Seconds that what has expired is kept where there is room, so that it can be told from what was
#: never there; and how many rows are dropped at once after that.
_LINGER: Final = 3600.0
_RECLAIMED: Final = 128

#: Where there is no room, a 64th of the entries is dropped at once, but at most so many.
_EVICTED: Final = 32

#: How many times as many are looked at, and how many at least.
_SAMPLE: Final = 16
_SMALLEST_SAMPLE: Final = 64

#: Rows of `expiries` that one operation looks at, at most.
_LOOKED_AT: Final = 1024

#: Milliseconds by which a last use must be newer than the file says, to be written there.
_GRAIN: Final = 60_000

#: Milliseconds that clocks may be apart. A use further in the future was noted by a clock that has
#: been set back since, and counts as none.
_SKEW: Final = 60_000

#: Name, data, and the Unix time until which it is of use (None: for ever).
Item = tuple[str, bytes, float | None]

#: The last row, entries, bytes, the last row in `expiries`, whether the last row is no entry; and
#: of the name that was asked for: row, size, and when it is due.
_State = tuple[int, int, int, int, int, int | None, Any, float | None]

_Victims = list[tuple[str, int]]


class Table:
    """The entries of one namespace.

    Its methods take what executes SQL in a transaction that writes. `now` is Unix time.

    Args:
        namespace: whose they are.
        maxsize: the most entries; None for no bound.
        max_bytes: the most bytes of names and data; None for no bound. Where the disk has little
            room left, the file does not grow.
        disk: tells how much that is.
    """

    def __init__(
        self,
        namespace: str,
        maxsize: int | None,
        max_bytes: int | None,
        disk: Callable[[], Disk],
    ) -> None:
        self.uses = Uses()
        self._disk = disk
        self._entries_bound = math.inf if maxsize is None else maxsize
        #: Bytes that there may be, and as long as the disk is low; and bytes that are written
        #: before it is looked at again.
        self._bytes_bound = self._bytes_now = math.inf if max_bytes is None else max_bytes
        self._unwatched = 0
        #: Where the next sample begins.
        self._hand = ""
        #: Entries stored since this process last put things in order.
        self._puts = 0
        self._own = own = suffix(namespace)

        self.sql = Statements(own)

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Set up a new connection, which is in no transaction; see `sqlite_schema.prepare`."""
        prepare(connection, self._own, self._disk())

    def put_many(self, execute: Execute, items: Iterable[Item], now: float) -> int:
        """Store `items`; gives how many entries were evicted for them.

        None of them may be larger than all may be together.
        """
        return sum(self.put(execute, *item, now) for item in items)

    def put(self, execute: Execute, name: str, data: bytes, until: float | None, now: float) -> int:
        """Store one entry; gives how many were evicted for it.

        Raises:
            Full: the disk is low, and there is nothing to give way.
        """
        sql = self.sql
        last, entries, total, indexed, spare, row, held, due = self._look(execute, name)
        size = len(name) + len(data)
        used = int(now * 1000)
        evicted = 0
        self.uses.settle(used - 1)  # all that was before this
        self._puts += 1
        self._unwatched -= size
        if self._unwatched <= 0 or self._puts >= _TIDY:
            self._watch_disk(execute, total)
        if row is not None and self._has_room(entries - 1, total - held, size):
            if until is not None and (due is None or until < due):
                if row <= indexed:
                    execute(sql.unindex_row, (due, row))
                    execute(sql.index_row, (until, row))
                due = until
            execute(sql.replace, (size, until, due, data, row))
            if size != held:
                execute(sql.set_totals, (entries, total - held + size, last))
            self.uses.note(name)
        else:
            if row is not None or not self._has_room(entries, total, size):
                self._drop(execute, [] if row is None else [(name, row)])
                evicted = self._make_room(execute, size, now)
                last, entries, total, indexed, spare, *_ = self._look(execute, None)
            if not spare:
                last += 1
            totals = (last, entries + 1, total + size, min(indexed, last - 1))
            execute(sql.append, (*totals, size, until, until, name, data))
            execute(sql.set_name, (name, last, used))
        if self._puts >= _TIDY or last - indexed >= _TIDY:
            self._tidy(execute, now)
        return evicted

    def drop(self, execute: Execute, name: str) -> bool:
        """Drop `name`; whether it was there."""
        row = self._look(execute, name)[5]
        return row is not None and self._drop(execute, [(name, row)]) > 0

    def drop_some(
        self, execute: Execute, after: str, before: str, newest: int, n: int
    ) -> str | None:
        """Drop `n` names between these two, in their order, from the rows up to `newest`.

        Gives the last of them, or None where there are no more.
        """
        between = (after, before, newest, n)
        victims = execute(self.sql.between, between).fetchall()
        self._drop(execute, victims)
        return victims[-1][0] if len(victims) == n else None

    def newest(self, execute: Execute) -> int:
        """The last row."""
        return self._look(execute, None)[0]

    def clear(self, execute: Execute) -> None:
        """Drop everything. SQLite frees the pages of whole tables without a look at the rows."""
        for statement in self.sql.clear.split(";"):
            execute(statement)

    def evict(self, execute: Execute, n: int, now: float) -> int:
        """Drop up to `n` entries, expired ones first; gives how many."""
        self._index(execute)
        dropped = self._drop(execute, self._expired(execute, now, n))
        return dropped + self._drop(execute, self._coldest(execute, n - dropped, now))

    def _watch_disk(self, execute: Execute, total: int) -> None:
        """Where little room is left on the disk, do with the room that the file has."""
        disk = self._disk()
        self._unwatched = disk.reserve // 8
        self._bytes_now = self._bytes_bound
        if disk.is_low:
            room = total + execute(self.sql.free).fetchone()[0]
            self._bytes_now = min(room, self._bytes_bound)

    # All of these leave the totals right.

    def _drop(self, execute: Execute, victims: _Victims) -> int:
        if victims:
            last, entries, total, indexed, *_ = self._look(execute, None)
            for name, row in victims:
                total -= self._taken_out(execute, row, last, indexed)
                execute(self.sql.drop_name, (name,))
            execute(self.sql.set_totals, (entries - len(victims), total, last))
        return len(victims)

    def _has_room(self, entries: int, total: int, size: int) -> bool:
        return entries < self._entries_bound and total + size <= self._bytes_now

    def _make_room(self, execute: Execute, size: int, now: float) -> int:
        """Drop what must go for one more entry; gives how many."""
        self._index(execute)
        evicted = 0
        while True:
            _, entries, total, *_ = self._look(execute, None)
            if self._has_room(entries, total, size):
                return evicted
            n = min(max(entries // 64, 1), _EVICTED)
            victims = self._expired(execute, now, n) or self._coldest(execute, n, now)
            if not victims and not entries and not total:
                raise Full(None)  # the disk is
            if not victims:
                raise damage("the totals are wrong")
            evicted += self._drop(execute, victims)

    def _tidy(self, execute: Execute, now: float) -> None:
        self._puts = 0
        self._index(execute)
        self._drop(execute, self._expired(execute, now - _LINGER, _RECLAIMED))
        for name, used in self.uses.take(_TIDY):
            execute(self.sql.set_used, (used, name, used - _GRAIN))

    # Rows.

    def _look(self, execute: Execute, name: str | None) -> _State:
        state: _State | None = execute(self.sql.state, (name,)).fetchone()
        if state is None:
            raise damage("the row with the totals is missing")
        if state[5] is not None and state[6] is None:
            raise damage("an entry is missing")
        return state

    def _taken_out(self, execute: Execute, row: int, last: int, indexed: int) -> int:
        """Take a row out of `data` and `expiries`; gives its size."""
        found = execute(self.sql.row, (row,)).fetchone()
        if found is None:
            raise damage("an entry is missing")
        size, due = found
        if due is not None and row <= indexed:
            execute(self.sql.unindex_row, (due, row))
        execute(self.sql.empty_row if row == last else self.sql.drop_row, (row,))
        return int(size)

    def _index(self, execute: Execute) -> None:
        """Bring `expiries` up to date."""
        last, _, _, indexed, *_ = self._look(execute, None)
        if indexed < last:
            execute(self.sql.index_rows, (indexed,))
            execute(self.sql.set_indexed, (last,))

    def _expired(self, execute: Execute, at: float, n: int) -> _Victims:
        """Up to `n` entries that are of no use from `at` on, the longest expired first.

        Entries that were replaced, and expire later, get their new places in `expiries` on the
        way; where there are too many of them for one operation, the others are found later.
        """
        some = n + 7
        victims: _Victims = []
        for _ in range(0, _LOOKED_AT, some):
            due_rows = execute(self.sql.due_rows, (at, some)).fetchall()
            for due, row, name, until in due_rows:
                if until is not None and until <= at:
                    victims.append((name, row))
                    continue
                execute(self.sql.unindex_row, (due, row))
                execute(self.sql.set_due, (until, row))
                if until is not None:
                    execute(self.sql.index_row, (until, row))
            if victims or len(due_rows) < some:
                break
        return victims[:n]

    def _coldest(self, execute: Execute, n: int, now: float) -> _Victims:
        """Of the next sample, the `n` entries whose last use is longest ago."""
        if n <= 0:
            return []
        future = int(now * 1000) + _SKEW
        self.uses.settle(future - _SKEW)
        size = max(n * _SAMPLE, _SMALLEST_SAMPLE)
        sample = execute(self.sql.from_hand, (self._hand, size)).fetchall()
        if len(sample) < size:
            sample += execute(self.sql.to_hand, (self._hand, size - len(sample))).fetchall()

        def last_use(found: tuple[str, int, int]) -> int:
            used = self.uses.last(found[0], found[2])
            return used if used <= future else 0

        if sample:
            self._hand = sample[-1][0]
        return [(name, row) for name, row, _ in sorted(sample, key=last_use)[:n]]
