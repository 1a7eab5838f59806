"""The operations on one backend that event loops wait for, so that each of them ends in time.

An operation ends early when its time is up, and when the breaker opens: what is under way by then
would only wait for its own deadline, as the backend is known to be away. Each loop has one timer
for all its operations, set to the earliest deadline, which costs an operation that succeeds less
than a timer of its own.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from ..forking import ForkableLock, mend_after_fork

__all__ = ["GivenUp", "Operation", "Underway", "Watch"]

#: How many operations are stopped in one turn of a loop. Where all end in the same turn, they come
#: to their ends side by side, and the first of them is as late as the last.
_AT_ONCE: Final = 5

#: Seconds between two deadlines that have a timer each; those in between are a little late.
_GRAIN: Final = 0.001

#: Where a timer is late by more than so many seconds, the loop itself was held up, and answers may
#: have come that nobody has looked at yet: they are given so many turns to land.
_LATE: Final = 0.01
_TURNS: Final = 5


class GivenUp(Exception):
    """The breaker has opened while an operation was under way."""


class Operation:
    """An operation under way.

    Args:
        deadline: the moment of `time.monotonic()` at which it is to end; `math.inf` for none.
        circuit: the breaker that it is subject to, or None.
        stop: ends it, in the loop's thread.
    """

    __slots__ = ("circuit", "deadline", "error", "stop")

    def __init__(self, deadline: float, circuit: Any, stop: Callable[[], object]) -> None:
        self.deadline = deadline
        self.circuit = circuit
        self.stop = stop
        #: Why it was stopped.
        self.error: Exception | None = None


class Watch:
    """The operations that one loop waits for."""

    __slots__ = ("_due", "loop", "operations")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        #: Held weakly: a loop that nobody closes is to go when its program lets go of it.
        self.loop = weakref.ref(loop)
        #: In the order in which they began. Whoever adds one takes it out again.
        self.operations: dict[Operation, None] = {}
        #: The moment for which the timer is set.
        self._due = math.inf

    def begin(self, operation: Operation) -> None:
        """Stop `operation` when its time is up, until it is taken out of `operations`."""
        self.operations[operation] = None
        if operation.deadline < self._due:
            self._set(operation.deadline)

    def _set(self, due: float) -> None:
        self._due = due
        loop: Any = self.loop()
        loop.call_later(max(0.0, due - monotonic()), self._ring, due)

    def _ring(self, due: float, turns: int = _TURNS) -> None:
        """The timer has run out that was set for `due`."""
        if due != self._due:
            return  # another one was set since, for an earlier moment
        now = monotonic()
        if turns and now - due > _LATE:
            loop: Any = self.loop()
            loop.call_soon(self._ring, due, turns - 1)
            return
        earliest = self._due = math.inf
        late: collections.deque[Operation] = collections.deque()
        for operation in list(self.operations):
            if operation.deadline <= now:
                operation.deadline = math.inf  # not to be looked at again
                late.append(operation)
            elif operation.deadline < earliest:
                earliest = operation.deadline
        if earliest < math.inf:
            self._set(max(earliest, now + _GRAIN))
        self.stop(late, TimeoutError, "no answer")  # at last: it may be interrupted

    def stop(
        self, operations: collections.deque[Operation], kind: type[Exception], why: str
    ) -> None:
        """Stop those of `operations` that are still under way, each with an error `kind(why)`."""
        stopped = 0
        try:
            while operations and stopped < _AT_ONCE:
                operation = operations.popleft()
                if operation in self.operations and operation.error is None:
                    operation.error = kind(why)
                    operation.stop()
                    stopped += 1
        finally:
            if operations:
                loop: Any = self.loop()
                loop.call_soon(self.stop, operations, kind, why)


class Underway:
    """The operations on one backend, in all loops that wait for any."""

    def __init__(self) -> None:
        self._lock = ForkableLock()
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget the parent's loops, which do not run here."""
        #: By the `id` of their loop.
        self._watches: dict[int, Watch] = {}
        #: That of the loop that asked last.
        self._last: Watch | None = None

    def here(self) -> Watch:
        """The operations of the running loop."""
        loop = asyncio.get_running_loop()
        watch = self._last
        if watch is None or watch.loop() is not loop:
            watch = self._watches.get(id(loop))
            if watch is None or watch.loop() is not loop:
                watch = self._begin(loop)
            self._last = watch
        return watch

    def _begin(self, loop: asyncio.AbstractEventLoop) -> Watch:
        with self._lock.lock:
            for number, watch in list(self._watches.items()):
                other = watch.loop()
                if other is None or other.is_closed():
                    self._watches.pop(number, None)  # what it held may have come here, too
            watch = self._watches[id(loop)] = Watch(loop)
            return watch

    def give_up(self, circuit: Any) -> None:
        """Have all loops stop what is subject to `circuit`, which has just opened."""
        for watch in list(self._watches.values()):
            subject = [one for one in list(watch.operations) if one.circuit is circuit]
            loop = watch.loop()
            if subject and loop is not None:
                why = collections.deque(subject), GivenUp, "the breaker has opened"
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(watch.stop, *why)
