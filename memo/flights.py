"""Single flight: one running load per key and process, and everybody else waits for it.

A *flight* is a load under way. Whoever finds none opens one and is its leader; whoever finds one
follows it and gets the leader's result. A flight can be *superseded* by an invalidation or a newer
value: it leaves the table, so that later callers load anew, and its result is not stored.

Waiting must not deadlock. Before a caller waits, the chain of who waits for whom is followed; if
it leads back to the caller (a function that calls itself with the same key, two functions that
call each other), the caller loads by itself instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar

from .entry import ABSENT
from .forking import ForkableLock, mend_after_fork

__all__ = ["ANEW", "AsyncFlight", "AsyncFlights", "Flight", "Flights"]


class _Anew:
    def __repr__(self) -> str:
        return "ANEW"


#: The result of a flight that came to nothing through no fault of the function: its followers
#: start anew, each with a load of its own if need be.
ANEW: Final = _Anew()


class _Flight:
    """What the two colours of a flight have in common."""

    __slots__ = ("__weakref__", "below", "key", "result", "superseded")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.result: Any = ABSENT
        self.superseded = False
        #: An older flight of the same key, where several may be under way at once.
        self.below: Any = None


F = TypeVar("F", bound=_Flight)


class _Table(Generic[F]):
    """The flights under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[Any, F] = {}
        # Looking a key up may run the user's __eq__, which may call the cached function again:
        # the lock must let its own thread in a second time.
        self._lock = threading.RLock()
        mend_after_fork(self)

    def _push(self, flight: F) -> None:
        flight.below = self._flights.get(flight.key)
        self._flights[flight.key] = flight

    def _drop(self, flight: F) -> None:
        top = self._flights.get(flight.key)
        if top is flight:
            if flight.below is None:
                del self._flights[flight.key]
            else:
                self._flights[flight.key] = flight.below
            return
        while top is not None:
            if top.below is flight:
                top.below = flight.below
                return
            top = top.below
        if not flight.superseded:
            self._clear_if_all_landed()

    def _clear_if_all_landed(self) -> None:
        """Forget flights that have landed and cannot be found: their keys' hashes have changed."""
        if all(_landed(flight) for flight in self._flights.values()):
            self._flights.clear()

    def supersede(self, key: Any) -> None:
        """What is being loaded for `key` is outdated: nothing of it will be stored."""
        if not self._flights:
            return
        with self._lock:
            flight = self._flights.pop(key, None)
        _mark(flight)

    def supersede_all(self) -> None:
        """What is being loaded for any key is outdated."""
        with self._lock:
            flights = list(self._flights.values())
            self._flights.clear()
        for flight in flights:
            _mark(flight)

    def loading(self, key: Any) -> bool:
        """Whether a load of `key` is under way."""
        return key in self._flights

    def __len__(self) -> int:
        return len(self._flights)

    def after_fork_in_child(self) -> None:
        """Forget the flights that threads and loops of the parent lead."""
        self._lock = threading.RLock()
        self._flights.clear()


def _landed(flight: _Flight | None) -> bool:
    while flight is not None:
        if flight.result is ABSENT:
            return False
        flight = flight.below
    return True


def _mark(flight: _Flight | None) -> None:
    while flight is not None:
        flight.superseded = True
        flight = flight.below


class Flight(_Flight):
    """A load under way in a thread."""

    __slots__ = ("landed", "owner")

    def __init__(self, key: Any) -> None:
        super().__init__(key)
        #: The thread that leads it; 0 as long as it waits for one in the background.
        self.owner = threading.get_ident()
        #: Set when the result is there; made by the first follower.
        self.landed: threading.Event | None = None


class _Waiting:
    """Which flight each waiting thread waits for, process-wide."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Nobody waits in a new process."""
        self.lock = threading.Lock()
        self.flights: dict[int, Flight] = {}

    def leads_to(self, thread: int, flight: Flight) -> bool:
        """Whether `flight` waits, directly or not, for what `thread` does."""
        following: Flight | None = flight
        while following is not None:
            if following.owner == thread:
                return True
            following = self.flights.get(following.owner)
        return False


_waiting: Final = _Waiting()


class Flights(_Table[Flight]):
    """The flights of one cache whose function runs in the callers' threads."""

    def lead(self, key: Any) -> Flight:
        """Open a flight beside whatever is under way, for a load that nobody is to wait for."""
        flight = Flight(key)
        with self._lock:
            self._push(flight)
        return flight

    def try_lead(self, key: Any) -> Flight | None:
        """Open a flight that nobody leads yet, or None where one is under way."""
        with self._lock:
            under_way = self._flights.get(key)
            if under_way is not None and under_way.result is ABSENT:
                return None
            flight = Flight(key)
            flight.owner = 0
            self._flights[key] = flight
            return flight

    def claim(self, flight: Flight) -> bool:
        """Lead a flight that waited in the background; False where it was overtaken meanwhile."""
        with self._lock:
            if flight.superseded:
                return False
            flight.owner = threading.get_ident()
            return True

    def join(self, key: Any) -> tuple[Flight, bool]:
        """The flight of `key` and whether the caller leads it.

        A caller that cannot wait for the flight under way without a deadlock leads one beside it.
        """
        flight = Flight(key)
        with self._lock:
            under_way = self._flights.setdefault(key, flight)
            if under_way is not flight and not under_way.owner:
                # It waits for its turn in the background, where it may wait for long.
                under_way.superseded = True
                under_way = self._flights[key] = flight
            elif under_way.result is not ABSENT:
                # Landed, and still here only because its key could not be looked up any more.
                under_way = self._flights[key] = flight
            if under_way is flight:
                return flight, True
            if under_way.landed is None:
                under_way.landed = threading.Event()
        return under_way, False

    def follow(self, flight: Flight) -> Any:
        """Wait for the result of `flight`; `ANEW` where the caller must start anew.

        Returns `ABSENT` at once where waiting would never end.
        """
        me = threading.get_ident()
        with _waiting.lock:
            if _waiting.leads_to(me, flight):
                return ABSENT
            _waiting.flights[me] = flight
        try:
            if flight.landed is not None:
                flight.landed.wait()
        finally:
            with _waiting.lock:
                _waiting.flights.pop(me, None)
        return flight.result

    def land(self, flight: Flight, result: Any) -> None:
        """End `flight` and hand `result` to its followers."""
        flight.result = result
        try:
            with self._lock:
                try:
                    self._drop(flight)
                except BaseException:
                    self._clear_if_all_landed()
                    raise
        finally:
            if flight.landed is not None:
                flight.landed.set()


class AsyncFlight(_Flight):
    """A load under way in a task."""

    __slots__ = ("awaits", "detached", "loop", "task", "waiters")

    def __init__(self, key: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(key)
        self.loop = loop
        #: A refresh in the background, which goes on whether or not anybody waits.
        self.detached = False
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


class AsyncFlights(_Table[AsyncFlight]):
    """The flights of one cache whose function runs in tasks, on any number of loops."""

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
            flight = AsyncFlight(key, asyncio.get_running_loop())
            self._flights[key] = flight
            return flight

    def join(self, key: Any) -> tuple[AsyncFlight, bool]:
        """The flight of `key` and whether the caller leads it."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and not flight.over:
                return flight, False
            flight = AsyncFlight(key, asyncio.get_running_loop())
            self._flights[key] = flight
            return flight, True

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
            with _graph_lock:
                outer.awaits.append(flight)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # closed from elsewhere, as an orphan
                _inside.reset(token)
            if outer is not None:
                with _graph_lock:
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

    async def follow(self, flight: AsyncFlight) -> Any:
        """Wait for the result of `flight`; `ANEW` where the caller must start anew.

        Returns `ABSENT` at once where waiting would never end. When the last one that waits is
        cancelled, so is the load.
        """
        here = _inside.get()
        if here is not None and here.result is not ABSENT:
            here = None  # a task that outlived the load that started it
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[None] = loop.create_future()
        with _graph_lock:
            if here is not None:
                if _reaches(flight, here):
                    return ABSENT
                here.awaits.append(flight)
        try:
            with self._lock:
                if flight.result is not ABSENT:
                    return flight.result
                flight.waiters.add(landed)
            await self._landing(flight, landed, loop)
            return ANEW if flight.result is ABSENT else flight.result
        finally:
            self._leave(flight, landed)
            if here is not None:
                with _graph_lock:
                    here.awaits.remove(flight)

    @staticmethod
    async def _landing(
        flight: AsyncFlight, landed: asyncio.Future[None], loop: asyncio.AbstractEventLoop
    ) -> None:
        if flight.loop is loop:
            await landed
            return
        while not landed.done():
            await asyncio.wait({landed}, timeout=_STRANDED_CHECK)
            if flight.over:
                return

    def _leave(self, flight: AsyncFlight, landed: asyncio.Future[None]) -> None:
        with self._lock:
            flight.waiters.discard(landed)
            abandoned = (
                not (flight.waiters or flight.detached or flight.task is None)
                and flight.result is ABSENT
            )
            if abandoned:
                # Later callers must not join a load that is about to be cancelled.
                self._drop(flight)
        if abandoned and flight.task is not None:
            _call_in(flight.loop, flight.task.cancel)

    def land(self, flight: AsyncFlight, result: Any) -> None:
        """End `flight` and hand `result` to its followers."""
        with self._lock:
            flight.result = result
            waiters = list(flight.waiters)
            try:
                self._drop(flight)
            except BaseException:
                self._clear_if_all_landed()
                raise
            finally:
                for landed in waiters:
                    _call_in(landed.get_loop(), _wake, landed)
        flight.task = None  # it knows its context, which knows the flight: no cycle


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
