"""A limit to how many loads run at once (a *bulkhead*: Nygard, "Release It!").

A cache that is away sends every call to the origin, which may not stand that. Loads over one
backend are counted, and as long as the backend is away, those beyond the limit wait for a place.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from ..forking import ForkableLock, mend_after_fork

__all__ = ["Bulkhead", "Place", "bulkheads"]

#: Seconds between two looks at whether the limit still holds.
_CHECK: Final = 0.5


class Place:
    """The right to load, or somebody's place in the line for it.

    It is left at the latest when nobody refers to it any more, so that no interrupt can lose it.
    """

    __slots__ = ("bulkhead", "most", "wake")

    def __init__(self, most: float, wake: Callable[[], object]) -> None:
        #: How many may run with it.
        self.most = most
        #: Called when it is had.
        self.wake = wake
        #: Where it is, once it is had, until it is left.
        self.bulkhead: Bulkhead | None = None

    def leave(self) -> None:
        """Let the next one in."""
        bulkhead, self.bulkhead = self.bulkhead, None
        if bulkhead is not None:
            bulkhead.left()

    __del__ = leave


class Bulkhead:
    """Counts the loads over one backend, and lets those beyond a limit wait."""

    def __init__(self, origin: Any) -> None:
        #: What it is for; kept, so that its `id` is nobody else's.
        self.origin = origin
        self.running = 0
        self._lock = ForkableLock()
        #: In the order in which they came.
        self._waiting: collections.deque[Place] = collections.deque()

    def enter(self, most: int, holds: Callable[[], bool]) -> Place:
        """Wait for one of `most` places, as long as the limit `holds()`; then for none."""
        # A lock in C: an interrupt in the Python code of an event could leave it taken.
        admitted = threading.Lock()
        place = Place(most, admitted.release)
        if not holds():
            self._go_in(place)
            return place
        admitted.acquire()
        try:
            self._queue(place)
            while place.bulkhead is None and holds():
                admitted.acquire(timeout=_CHECK)
            self._go_in(place)
        finally:
            self._leave_the_line(place)
        return place

    async def enter_async(self, most: int, holds: Callable[[], bool]) -> Place:
        """The same for a task."""
        loop = asyncio.get_running_loop()
        admitted: asyncio.Future[None] = loop.create_future()
        place = Place(most, functools.partial(_wake, loop, admitted))
        if not holds():
            self._go_in(place)
            return place
        try:
            self._queue(place)
            while place.bulkhead is None and holds():
                await asyncio.wait({admitted}, timeout=_CHECK)
            self._go_in(place)
        finally:
            self._leave_the_line(place)
        return place

    def left(self) -> None:
        """One load has ended."""
        with self._lock.lock:
            self.running -= 1
            self._admit()

    def _queue(self, place: Place) -> None:
        with self._lock.lock:
            self._waiting.append(place)
            self._admit()

    def _admit(self) -> None:
        while self._waiting and self.running < self._waiting[0].most:
            # In this order an interrupt in between leaves nobody out, who looks again by himself.
            self._go_in(self._waiting[0])
            self._waiting.popleft().wake()

    def _go_in(self, place: Place) -> None:
        with self._lock.lock:
            if place.bulkhead is None:
                # No interrupt comes between these two: neither of them calls anything.
                self.running += 1
                place.bulkhead = self

    def _leave_the_line(self, place: Place) -> None:
        with self._lock.lock, contextlib.suppress(ValueError):
            self._waiting.remove(place)


def _wake(loop: asyncio.AbstractEventLoop, admitted: asyncio.Future[None]) -> None:
    def wake() -> None:
        if not admitted.done():
            admitted.set_result(None)

    with contextlib.suppress(RuntimeError):  # that loop is closed
        loop.call_soon_threadsafe(wake)


class _Bulkheads:
    """The bulkhead of each backend that loads run over at present."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """The loads of the parent's other threads are none of ours."""
        self._lock = threading.RLock()
        self._known: weakref.WeakValueDictionary[int, Bulkhead] = weakref.WeakValueDictionary()

    def of(self, origin: Any) -> Bulkhead:
        """The bulkhead of the backend `origin`."""
        with self._lock:
            known = self._known.get(id(origin))
            if known is None:
                known = self._known[id(origin)] = Bulkhead(origin)
            return known


#: Those of this process.
bulkheads: Final = _Bulkheads()
