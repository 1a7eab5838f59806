"""What a backend is owed: writes and drops that could not reach it, kept until they can.

An invalidation that does not reach the backend must not be forgotten: the old value would be there
again once the backend is. So it is kept here, for each backend, and so are writes; `memo.guard`
carries them out when the backend answers again. Until then the keys concerned are not read from the
backend: what is owed answers for it, a drop as a miss and a write with its entry.

Per key there is one thing owed at most, the last. A clear takes the place of all that was owed in
its scope before, and is carried out before what came later.

An operation that was given up may still reach the backend when it is no longer wanted, from a
thread that hangs or a task that will not be cancelled. Its key is *in doubt* until it has ended:
what is done to that key meanwhile stays owed and is carried out once more afterwards.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from .entry import ABSENT, Entry
from .errors import CacheError, OperationFailed
from .forking import ForkableLock, mend_after_fork

__all__ = ["ALL", "MOST_KEYS", "MOST_WRITES", "Debtor", "Owed", "Recovery"]

_log = logging.getLogger("memo")

#: The most keys owed to one backend; one more, and all of a scope are owed as one clear.
MOST_KEYS: Final = 10_000
#: The most of them that are writes, which hold a value; one more, and the oldest becomes a drop.
MOST_WRITES: Final = 1_000


class _All:
    __slots__ = ()

    def __repr__(self) -> str:
        return "ALL"


#: The extent of a clear that drops everything in the backend; and the key of any clear.
ALL: Final[Any] = _All()


class Debtor(Protocol):
    """The guard that owes an operation, and carries it out."""

    backend: Any
    scope: Any
    clears_scope: bool
    #: Whether it waits in a loop, or in a thread.
    in_loop: bool
    #: The clock of its entries.
    timer: Callable[[], float]

    def heard(self, error: OperationFailed) -> None:
        """Make a failure heard that is not of the operation under way."""


class Owed:
    """An operation that is owed: a write, or a drop where `entry` is None."""

    __slots__ = ("again", "busy", "by", "entry", "extent", "frozen", "key", "waits")

    def __init__(self, by: Any, key: Any, entry: Entry | None, *, busy: bool) -> None:
        self.by = by
        self.key = key
        #: What a clear drops: a scope, or everything.
        self.extent = by.scope if by.clears_scope else ALL
        #: Whether it is being carried out just now.
        self.busy = busy
        #: Whether it must wait for a clear.
        self.waits = False
        #: Whether something in doubt was under way beside it, which may land after it.
        self.again = False
        self.entry = entry
        #: The value as bytes, where the backend keeps bytes: no caller shares it then.
        self.frozen: bytes | None = None
        codec = getattr(by.backend, "codec", None)
        if entry is not None and codec is not None:
            try:
                self.frozen = codec.encode("owed", entry)
                self.entry = entry._replace(value=ABSENT)
            except Exception:
                self.entry = None  # it could never be stored; what is stored is outdated

    @property
    def is_clear(self) -> bool:
        """Whether it drops more than one key."""
        return self.key is ALL

    def read(self) -> Entry | None:
        """The entry that is to be under the key, or None."""
        entry, frozen = self.entry, self.frozen
        if entry is None or frozen is None:
            return None if entry is None or entry.value is ABSENT else entry
        try:
            return self.by.backend.codec.decode("owed", frozen)  # type: ignore[no-any-return]
        except Exception:
            return None

    def spoil(self) -> None:
        """Be a drop from now on."""
        self.frozen = self.entry = None


class Recovery:
    """What one backend is owed; safe between threads, and forgotten in a forked child.

    Args:
        name: what messages call the backend.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        #: Writes that were given up for good.
        self.dropped = 0
        self._lock = ForkableLock()
        #: What is to be heard of, and by whom.
        self._notes: list[tuple[Any, OperationFailed]] = []
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Owe nothing: it is the parent who does."""
        #: Whether anything is owed or in doubt, so that the rest need be asked at all.
        self.active = False
        #: Oldest first.
        self._keys: dict[Any, Owed] = {}
        #: Those of them that are writes.
        self._written: dict[Any, Owed] = {}
        #: By extent; each came before all that is owed for keys it covers.
        self._clears: dict[Any, Owed] = {}
        #: By key, or the clear itself: how many operations are still under way, and whose.
        self._doubts: dict[Any, tuple[int, Any]] = {}
        #: How much is owed in loops, and in threads.
        self._owed = {True: 0, False: 0}
        _owing.discard(self)

    def counts(self) -> tuple[int, int]:
        """How many operations are owed, and how many writes were given up."""
        return len(self._keys) + len(self._clears), self.dropped

    def owes(self, *, in_loop: bool) -> bool:
        """Whether guards of this colour owe anything."""
        return self._owed[in_loop] > 0

    # Reads.

    def answer(self, scope: Any, key: Any) -> Any:
        """What a read of `key` gives: an `Entry`, None, or ABSENT where the backend is to say."""
        owed = self._keys.get(key)
        if owed is not None:
            return owed.read()
        if self._clears and self._cleared(scope):
            return None
        return None if key in self._doubts else ABSENT

    def _cleared(self, scope: Any) -> bool:
        return ALL in self._clears or (scope is not None and scope in self._clears)

    def _clearing(self, scope: Any) -> bool:
        """Whether a clear is being carried out, which may have passed by any key already."""
        clears = (self._clears.get(ALL), None if scope is None else self._clears.get(scope))
        return any(clear is not None and clear.busy for clear in clears)

    # Writes and drops of one key.

    def begin(self, by: Debtor, key: Any, entry: Entry | None) -> Owed | None:
        """What is owed by a write or drop that is about to be tried, where it must be from now on.

        None where nothing is owed for the key. What is given back is not to be tried where it
        `waits`, and ends otherwise in `landed`, `missed` or `spoilt`.
        """
        with self._lock.lock:
            cleared = self._cleared(by.scope)
            if not cleared and key not in self._keys and key not in self._doubts:
                return None
            owed = Owed(by, key, entry, busy=not cleared)
            owed.waits = cleared
            owed.again = key in self._doubts
            if cleared and owed.entry is None and not self._clearing(by.scope):
                self._remove(key)  # the clear drops it
            else:
                self._put(owed)
        self._tell()
        return owed

    def missed(self, by: Debtor, owed: Owed | None, key: Any, entry: Entry | None) -> None:
        """A write or drop has not reached the backend, or nobody knows: it is owed."""
        with self._lock.lock:
            if owed is not None:
                owed.busy = False
            elif entry is None or not (key in self._keys or self._cleared(by.scope)):
                # Of two that came at the same time and both failed, a drop wins over a write.
                self._put(Owed(by, key, entry, busy=False))
        self._tell()

    def landed(self, owed: Owed) -> None:
        """It has reached the backend."""
        with self._lock.lock:
            owed.busy = False
            if owed.again:
                pass
            elif owed.is_clear:
                if self._clears.get(owed.extent) is owed:
                    self._remove_clear(owed.extent)
            elif self._keys.get(owed.key) is owed:
                self._remove(owed.key)
            self._settled()

    def spoilt(self, owed: Owed) -> None:
        """It never can reach the backend: what it was to replace there is to be dropped."""
        with self._lock.lock:
            owed.busy = False
            self._spoil(owed)

    # Clears.

    def begin_clear(self, by: Debtor) -> Owed:
        """What is owed by a clear that is about to be tried; it ends as what `begin` gives."""
        with self._lock.lock:
            owed = self._put_clear(Owed(by, ALL, None, busy=True))
            owed.again = self._doubted(owed.extent)
            return owed

    def missed_clear(self, by: Debtor, owed: Owed | None) -> None:
        """A clear has not reached the backend, or nobody knows: it is owed."""
        with self._lock.lock:
            if owed is not None:
                owed.busy = False
            else:
                self._put_clear(Owed(by, ALL, None, busy=False))

    # What is in doubt.

    def doubt(self, by: Debtor, keys: Iterable[Any]) -> None:
        """A write of these was given up, and is still under way."""
        with self._lock.lock:
            for key in keys:
                count, _ = self._doubts.get(key, (0, by))
                self._doubts[key] = (count + 1, by)
                beside = self._keys.get(key)
                if beside is not None:
                    beside.again = True
            for clear in self._clears.values():
                clear.again = clear.again or self._doubted(clear.extent)
            self._settled()

    def settle(self, keys: Iterable[Any]) -> None:
        """It has ended."""
        with self._lock.lock:
            for key in keys:
                self._undoubt(key)
            self._settled()

    # Carrying out.

    def take(self, most: int, *, in_loop: bool) -> list[Owed]:
        """What is to be carried out next by guards of this colour; it is in doubt from now on.

        Each of it ends in `carried_out`, `failed` or `put_back`.
        """
        with self._lock.lock:
            ready = [
                owed
                for owed in self._clears.values()
                if owed.by.in_loop is in_loop and not owed.busy and not self._doubted(owed.extent)
            ]
            for owed in ready:
                owed.busy = True
                owed.again = False
                self._doubts[owed] = (1, owed.by)
            if ready:
                return ready
            for owed in self._keys.values():
                if owed.by.in_loop is not in_loop or owed.busy or owed.key in self._doubts:
                    continue
                if self._clears and self._cleared(owed.by.scope):
                    continue
                ready.append(owed)
                if len(ready) == most:
                    break
            for owed in ready:
                if _has_outlived_itself(owed):
                    self._spoil(owed)
                owed.again = False
                self._doubts[owed.key] = (1, owed.by)
            return ready

    def carried_out(self, owed: Owed) -> None:
        """What was taken has reached the backend."""
        with self._lock.lock:
            self._undoubt(owed if owed.is_clear else owed.key)
        self.landed(owed)

    def put_back(self, owed: Owed) -> None:
        """What was taken has not reached the backend."""
        with self._lock.lock:
            owed.busy = False
            self._undoubt(owed if owed.is_clear else owed.key)
            self._settled()

    def left(self, owed: Owed) -> None:
        """What `begin` gave was interrupted; nobody knows whether it has reached the backend."""
        with self._lock.lock:
            owed.busy = False

    def failed(self, owed: Owed, error: CacheError, *, final: bool) -> bool:
        """What was taken has failed; whether it is the backend that does.

        `final`: it never can be carried out. A write becomes a drop then; a drop is given up.
        """
        if final and owed.entry is None:
            with self._lock.lock:
                self._note(owed.by, f"a drop that is owed cannot be carried out: {error}", owed.key)
            self.carried_out(owed)
            self._tell()
            return False
        if final:
            self.spoilt(owed)
        self.put_back(owed)
        return not final

    def forget(self, by: Debtor) -> None:
        """Owe nothing more that `by` owes, which will not use the backend again."""
        with self._lock.lock:
            gone = [one for one in self._keys.values() if one.by is by]
            clears = [one for one in self._clears.values() if one.by is by]
            writes = sum(one.entry is not None for one in gone)
            for one in gone:
                self._remove(one.key)
            for one in clears:
                self._remove_clear(one.extent)
            self.dropped += writes
            drops = len(gone) + len(clears) - writes
            if drops:
                self._note(by, f"it is closed, and was owed {drops} drops", None)
            self._settled()
        self._tell()

    # The rest runs under the lock, but for `_tell`.

    def _put(self, owed: Owed) -> None:
        self._remove(owed.key)
        self._keys[owed.key] = owed
        self._owed[owed.by.in_loop] += 1
        if owed.entry is not None:
            self._written[owed.key] = owed
            if len(self._written) > MOST_WRITES:
                oldest = next(iter(self._written.values()))
                self._spoil(oldest)
                self.dropped += 1
                text = f"more than {MOST_WRITES} writes are owed: the oldest is given up"
                self._note(oldest.by, text, oldest.key)
        if len(self._keys) > MOST_KEYS:
            oldest = next(iter(self._keys.values()))
            text = f"more than {MOST_KEYS} keys are owed: all of the cache is to be dropped instead"
            self._note(oldest.by, text, None)
            before = len(self._written)
            self._put_clear(Owed(oldest.by, ALL, None, busy=False))
            self.dropped += before - len(self._written)
        self._settled()

    def _put_clear(self, owed: Owed) -> Owed:
        extent = owed.extent
        everything = extent is ALL
        for key in [key for key, one in self._keys.items() if everything or _is_in(extent, one.by)]:
            self._remove(key)
        for other in list(self._clears) if everything else [extent]:
            self._remove_clear(other)
        self._clears[extent] = owed
        self._owed[owed.by.in_loop] += 1
        self._settled()
        return owed

    def _remove(self, key: Any) -> None:
        owed = self._keys.pop(key, None)
        if owed is not None:
            self._owed[owed.by.in_loop] -= 1
            self._written.pop(key, None)

    def _remove_clear(self, extent: Any) -> None:
        owed = self._clears.pop(extent, None)
        if owed is not None:
            self._owed[owed.by.in_loop] -= 1

    def _spoil(self, owed: Owed) -> None:
        owed.spoil()
        if self._written.get(owed.key) is owed:
            del self._written[owed.key]

    def _doubted(self, extent: Any) -> bool:
        """Whether anything is in doubt that a clear would drop."""
        return any(extent is ALL or _is_in(extent, by) for _, by in self._doubts.values())

    def _undoubt(self, key: Any) -> None:
        count, by = self._doubts.pop(key, (0, None))
        if count > 1:
            self._doubts[key] = (count - 1, by)

    def _settled(self) -> None:
        self.active = bool(self._keys or self._clears or self._doubts)
        if self.active:
            _owing.add(self)
        else:
            _owing.discard(self)

    def _note(self, by: Any, text: str, key: Any) -> None:
        key = None if key is ALL else key
        error = OperationFailed(text, operation="delete", key=key, backend=self.name)
        self._notes.append((by, error))

    def _tell(self) -> None:
        while self._notes:
            try:
                by, error = self._notes.pop(0)
            except IndexError:
                return  # another thread tells it
            by.heard(error)


def _is_in(scope: Any, by: Any) -> bool:
    return by.scope is not None and scope == by.scope


def _has_outlived_itself(owed: Owed) -> bool:
    """Whether it is a write of what would be of no use any more."""
    try:
        return owed.entry is not None and owed.by.timer() >= owed.entry.kept_until
    except Exception:  # of the timer, which is the user's: the backend will have it expire
        return False


#: Those that owe anything, which nobody else may keep.
_owing: Final[set[Recovery]] = set()


@atexit.register
def _report() -> None:
    for recovery in list(_owing):
        owed, _ = recovery.counts()
        if owed:
            _log.warning("%s: the program ends while it is owed %d operations", recovery.name, owed)
