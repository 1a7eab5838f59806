"""A limit to how many loads run at once (a *bulkhead*: Nygard, "Release It!").

A cache that is away sends every call to the origin, which may not stand that. Loads over one
backend are counted, and as long as the backend is away, those beyond the limit wait for a place.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from ..forking import ForkableLock, mend_after_fork

__all__ = ["Bulkhead", "Place", "bulkheads"]

#: Seconds between two looks at whether the limit still holds.
_CHECK: Final = 0.5


class Place:
    """The right to load, until it is left; which it is at the latest when nobody refers to it."""

    __slots__ = ("_bulkhead",)

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead: Bulkhead | None = bulkhead

    def leave(self) -> None:
        """Let the next one in."""
        bulkhead, self._bulkhead = self._bulkhead, None
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
        #: How to wake those who wait, who have waited longest first.
        self._waiting: collections.deque[Callable[[], object]] = collections.deque()

    def _enter(self, most: float, wake: Callable[[], object]) -> Place | None:
        """A place, if there is one; else `wake` is called when there may be."""
        with self._lock.lock:
            if self.running < most:
                self.running += 1
                return Place(self)
            if wake not in self._waiting:
                self._waiting.append(wake)
            return None

    def _give_up(self, wake: Callable[[], object]) -> None:
        with self._lock.lock, contextlib.suppress(ValueError):
            self._waiting.remove(wake)

    def left(self) -> None:
        """One load has ended."""
        with self._lock.lock:
            self.running -= 1
            wake = self._waiting.popleft() if self._waiting else None
        if wake is not None:
            wake()

    def enter(self, most: int, holds: Callable[[], bool]) -> Place:
        """Wait for one of `most` places, as long as the limit `holds()`; then for none."""
        free = threading.Event()
        try:
            while True:
                place = self._enter(most if holds() else float("inf"), free.set)
                if place is not None:
                    return place
                free.wait(_CHECK)
                free.clear()
        finally:
            self._give_up(free.set)

    async def enter_async(self, most: int, holds: Callable[[], bool]) -> Place:
        """The same for a task."""
        loop = asyncio.get_running_loop()
        free = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(free.set)

        try:
            while True:
                place = self._enter(most if holds() else float("inf"), wake)
                if place is not None:
                    return place
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(free.wait(), _CHECK)
                free.clear()
        finally:
            self._give_up(wake)


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
