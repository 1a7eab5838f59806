"""Flights of coroutine functions, whose loads run in tasks on any number of loops."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import weakref
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, Final

from ..entry import ABSENT
from ..forking import ForkableLock
from ..steps import LATE
from .table import ANEW, BaseFlight, Table

__all__ = ["AsyncFlight", "AsyncFlights"]


class AsyncFlight(BaseFlight):
    """A load under way in a task."""

    __slots__ = ("awaits", "detached", "led", "loop", "task", "waiters")

    def __init__(self, key: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.result = ABSENT
        self.superseded = False
        self.below = None
        self.loop = loop
        #: Whether it goes on although nobody waits: a refresh in the background, a load whose
        #: callers would not wait longer, one that has its value and is storing it.
        self.detached = False
        #: Whether its leader is still there, who may not have begun to wait.
        self.led = True
        self.task: asyncio.Task[Any] | None = None
        self.waiters: set[asyncio.Future[None]] = set()
        #: Flights that calls made inside this load are waiting for.
        self.awaits: list[AsyncFlight] = []

    @property
    def over(self) -> bool:
        """Whether waiting is no use: it has landed, or its loop does not run any more."""
        return self.result is not ABSENT or self.loop.is_closed() or not self.loop.is_running()


#: The load that the present context runs inside of.
_inside: ContextVar[AsyncFlight | None] = ContextVar("memo_inside", default=None)

#: Seconds between two looks at whether the loop of a flight followed from another loop still runs.
_STRANDED_CHECK: Final = 0.5


def _reaches(start: AsyncFlight, goal: AsyncFlight) -> bool:
    """Whether `start` waits, directly or not, for `goal`."""
    seen: set[int] = set()
    stack = [start]
    while stack:
        flight = stack.pop()
        if flight is goal:
            return True
        if id(flight) not in seen:
            seen.add(id(flight))
            stack += flight.awaits
    return False


class AsyncFlights(Table[AsyncFlight]):
    """The flights of one cache whose function runs in tasks, on any number of loops."""

    #: The loop that opened the last flight; when another one does, what is stranded is dropped.
    _loop: weakref.ref[asyncio.AbstractEventLoop] | None = None

    def lead(self, key: Any) -> AsyncFlight:
        """Open a flight beside whatever is under way, for a load that nobody is to wait for."""
        flight = AsyncFlight(key, asyncio.get_running_loop())
        with self._lock:
            self._push(flight)
        return flight

    def try_lead(self, key: Any) -> AsyncFlight | None:
        """Open a flight, or None where one is under way."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and not flight.over:
                return None
            return self._open(key, flight)

    def join(self, key: Any) -> tuple[AsyncFlight, bool]:
        """The flight of `key` and whether the caller leads it."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and not flight.over:
                return flight, False
            return self._open(key, flight), True

    def _open(self, key: Any, stranded: AsyncFlight | None) -> AsyncFlight:
        loop = asyncio.get_running_loop()
        if stranded is not None:
            stranded.superseded = True  # its loop may go on some day
        if self._loop is None or self._loop() is not loop:
            self._loop = weakref.ref(loop)
            for one in [one for one in self._flights.values() if one.over]:
                one.superseded = True
                self._flights.pop(one.key, None)
        flight = self._flights[key] = AsyncFlight(key, loop)
        return flight

    @staticmethod
    def leave() -> None:
        """What runs in the present context runs inside no flight."""
        _inside.set(None)

    @staticmethod
    @contextlib.contextmanager
    def inside(flight: AsyncFlight) -> Iterator[None]:
        """What runs in the block, and in the tasks it starts, runs inside `flight`."""
        outer = _inside.get()
        if outer is not None and outer.result is not ABSENT:
            outer = None
        token = _inside.set(flight)
        if outer is not None:
            with _graph_lock.lock:
                outer.awaits.append(flight)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # closed from elsewhere, as an orphan
                _inside.reset(token)
            if outer is not None:
                with _graph_lock.lock:
                    outer.awaits.remove(flight)

    def fly(self, flight: AsyncFlight, load: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `load` in a task of its own, and see to it that `flight` lands with it."""
        task = asyncio.get_running_loop().create_task(load)

        def landed(task: asyncio.Task[Any]) -> None:
            if flight.result is ABSENT:  # cancelled before its first step
                self.land(flight, ANEW)
            if not task.cancelled():
                task.exception()  # an exit or interrupt, which the loop has raised by itself

        if flight.result is ABSENT:
            flight.task = task
        task.add_done_callback(landed)
        return task

    async def follow(
        self, flight: AsyncFlight, *, leads: bool = False, until: float | None = None
    ) -> Any:
        """Wait for the result of `flight`; `ANEW` where the caller must start anew.

        Returns `ABSENT` at once where waiting would never end, and `LATE` at the moment `until` of
        `time.monotonic()`, from when on the load goes on by itself. When the last one that waits is
        cancelled, so is the load.
        """
        here = _inside.get()
        if here is not None and here.result is not ABSENT:
            here = None  # a task that outlived the load that started it
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[None] = loop.create_future()
        with _graph_lock.lock:
            if here is not None:
                if _reaches(flight, here):
                    return ABSENT
                here.awaits.append(flight)
        try:
            with self._lock:
                if flight.result is not ABSENT:
                    return flight.result
                flight.waiters.add(landed)
            in_time = await _landing(flight, landed, loop, until)
            if flight.result is not ABSENT:
                return flight.result
            if in_time:
                return ANEW
            flight.detached = True
            return LATE
        finally:
            flight.led = flight.led and not leads
            self._leave(flight, landed)
            if here is not None:
                with _graph_lock.lock:
                    here.awaits.remove(flight)

    def _leave(self, flight: AsyncFlight, landed: asyncio.Future[None]) -> None:
        with self._lock:
            flight.waiters.discard(landed)
            task = flight.task
            wanted = flight.waiters or flight.led or flight.detached
            if wanted or task is None or flight.result is not ABSENT:
                return
            if getattr(task, "is_wanted", False):
                return  # it loads for other flights, too, and somebody waits for one of these
            # Later callers must not join a load that is about to be cancelled.
            self.drop(flight)
        _call_in(flight.loop, task.cancel)

    def land(self, flight: AsyncFlight, result: Any) -> None:
        """End `flight` and hand `result` to its followers."""
        with self._lock:
            flight.result = result
            waiters = list(flight.waiters)
            try:
                self.drop(flight)
            except BaseException:
                self._clear_if_all_landed()
                raise
            finally:
                for landed in waiters:
                    _call_in(landed.get_loop(), _wake, landed)
        flight.task = None  # it knows its context, which knows the flight: no cycle


async def _landing(
    flight: AsyncFlight,
    landed: asyncio.Future[None],
    loop: asyncio.AbstractEventLoop,
    until: float | None,
) -> bool:
    """Wait until `flight` is over; False where it is not at the moment `until`."""
    here = flight.loop is loop
    if here and until is None:
        await landed
        return True
    left = math.inf
    while True:
        if until is not None:
            left = max(0.0, until - time.monotonic())
        await asyncio.wait({landed}, timeout=left if here else min(left, _STRANDED_CHECK))
        if landed.done() or flight.over:
            return True
        if not left:
            return False


def _wake(landed: asyncio.Future[None]) -> None:
    if not landed.done():
        landed.set_result(None)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Any, *args: Any) -> None:
    """Run `callback` in `loop`: at once if that is the running one."""
    try:
        running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        callback(*args)
        return
    with contextlib.suppress(RuntimeError):  # that loop is closed; nobody waits there any more
        loop.call_soon_threadsafe(callback, *args)


#: Guards every `AsyncFlight.awaits`.
_graph_lock: Final = ForkableLock()
