"""Flights of functions that run in their callers' threads."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from ..entry import ABSENT
from ..forking import mend_after_fork
from ..steps import LATE
from .table import ANEW, BaseFlight, Table

__all__ = ["BareFlight", "Flight", "Flights"]


class Flight(BaseFlight):
    """A load under way in a thread."""

    __slots__ = ("landed", "leader", "owner")

    def __init__(self, key: Any, leader: Any) -> None:
        self.key = key
        self.result = ABSENT
        self.superseded = False
        self.below = None
        #: The thread that leads it, or has asked a worker to; 0 as long as it waits for one in the
        #: background.
        self.owner = threading.get_ident()
        #: What in that thread will land it, if nothing stops it. An interrupt may, at any moment.
        self.leader = None if leader is None else weakref.ref(leader)
        #: Set when the result is there; made by the first follower.
        self.landed: Landing | None = None

    @property
    def over(self) -> bool:
        """Whether waiting is no use: it has landed, or was dropped by an interrupted leader."""
        return self.result is not ABSENT or (self.leader is not None and self.leader() is None)


class BareFlight(Flight):
    """A flight whose maker sets all that it has: a call of a constructor costs more than that."""

    __slots__ = ()

    __init__: Any = object.__init__


class Landing:
    """Whether a flight has its result, for those who wait for that.

    One lock in C, which each of them takes and lets go of. A `threading.Event` has Python code
    around its lock, in which an interrupt would keep that taken for ever.
    """

    __slots__ = ("_lock", "waiters")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        #: How many wait for it, or have been given the result.
        self.waiters = 0

    def set(self) -> None:
        """Let go on who waits."""
        with contextlib.suppress(RuntimeError):  # it is let go of already
            self._lock.release()

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for it; whether it has come about."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self.set()
        return True


#: Seconds between two looks at whether the leader of a flight is still there.
_LEADER_CHECK: Final = 0.5


class _Waiting:
    """Which flight each waiting thread waits for, process-wide."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Nobody waits in a new process."""
        self.lock = threading.RLock()  # a signal handler may call a cached function
        self.flights: dict[int, Flight] = {}

    def leads_to(self, thread: int, flight: Flight) -> bool:
        """Whether `flight` waits, directly or not, for what `thread` does."""
        following: Flight | None = flight
        for _ in range(self.flights.__len__() + 1):  # by method: `len` itself may be cached
            if following is None or following.over:
                return False
            if following.owner == thread:
                return True
            following = self.flights.get(following.owner)
        return False


_waiting: Final = _Waiting()


class Flights(Table[Flight]):
    """The flights of one cache whose function runs in the callers' threads."""

    def lead(self, key: Any, leader: Any) -> Flight:
        """Open a flight beside whatever is under way, for a load that nobody is to wait for."""
        flight = Flight(key, leader)
        self.add(flight)
        return flight

    def add(self, flight: Flight) -> None:
        """Open `flight` beside whatever is under way."""
        if self.first(flight.key, flight) is not flight:
            with self._lock:
                self._push(flight)

    def try_lead(self, key: Any) -> Flight | None:
        """Open a flight that nobody leads yet, or None where one is under way."""
        with self._lock:
            flight = Flight(key, None)
            flight.owner = 0
            under_way = self.first(key, flight)
            if under_way is flight:
                return flight
            if not under_way.over:
                return None
            self._flights[key] = flight
            return flight

    def claim(self, flight: Flight, leader: Any) -> bool:
        """Lead a flight that waited in the background; False where it was overtaken meanwhile."""
        with self._lock:
            if flight.superseded:
                return False
            flight.owner = threading.get_ident()
            flight.leader = weakref.ref(leader)
            return True

    def join(self, key: Any, leader: Any) -> tuple[Flight, bool]:
        """The flight of `key` and whether the caller leads it; see `enter`."""
        flight = Flight(key, leader)
        under_way = self.enter(flight)
        return under_way, under_way is flight

    def enter(self, flight: Flight) -> Flight:
        """Open `flight`, or find the one of its key that is under way already.

        Where its `leader`, which is to land it, is gone without having done so, it is over. So that
        an interrupt cannot come in between, the leader knows its flight before others see it.
        """
        key = flight.key
        under_way = self.first(key, flight)
        if under_way is flight:
            return flight
        with self._lock:
            under_way = self.first(key, flight)
            if under_way is flight:
                return flight
            # Without an owner it waits for its turn in the background, where it may wait for long;
            # over and still here it is where its key could not be looked up any more.
            if not under_way.owner or under_way.over:
                under_way.superseded = True
                self._flights[key] = flight
                return flight
            if under_way.landed is None:
                under_way.landed = Landing()
            return under_way

    def hand_over(self, flight: Flight, leader: Any) -> None:
        """`leader` is to lead it in a thread that is not known yet, and the caller to wait.

        Until then it stays this thread's: what a signal handler calls here must not wait for it.
        """
        with self._lock:
            flight.leader = weakref.ref(leader)
            if flight.landed is None:
                flight.landed = Landing()
            flight.landed.waiters += 1

    def take_back(self, flight: Flight, leader: Any) -> None:
        """`leader` leads it in this thread, after all."""
        with self._lock:
            flight.owner = threading.get_ident()
            flight.leader = weakref.ref(leader)
            if flight.landed is not None:
                flight.landed.waiters -= 1

    def follow(
        self,
        flight: Flight,
        until: float | None = None,
        start: Callable[[], bool | None] | None = None,
    ) -> Any:
        """Wait for the result of `flight`; `ANEW` where the caller must start anew.

        Returns `ABSENT` at once where waiting would never end, and `LATE` at the moment `until` of
        `time.monotonic()`. `start` begins the load of a flight that has been handed over; what else
        than True it gives is returned.
        """
        counted = start is not None
        me = threading.get_ident()
        lock: Any = self._lock
        if lock._is_owned():  # noqa: SLF001 - as threading.Condition asks it
            return ABSENT  # called from a key's own code: the leader could not land meanwhile
        with _waiting.lock:
            if not counted and _waiting.leads_to(me, flight):
                return ABSENT
            outer = _waiting.flights.get(me)  # this may be called by a signal handler
            _waiting.flights[me] = flight
        try:
            # Who leads it from now on can see that this thread waits.
            started = True if start is None else start()
            if started is not True:
                return started
            landed = flight.landed
            if landed is not None and not self._wait(flight, landed, until, counted=counted):
                return LATE
        finally:
            with _waiting.lock:
                if outer is None or outer.over:
                    _waiting.flights.pop(me, None)
                else:
                    _waiting.flights[me] = outer
        return ANEW if flight.result is ABSENT else flight.result

    def _wait(self, flight: Flight, landed: Landing, until: float | None, *, counted: bool) -> bool:
        """Wait until `flight` is over; False where it is not at the moment `until`."""
        if not counted:
            with self._lock:
                landed.waiters += 1
        try:
            left = math.inf
            while left:
                left = math.inf if until is None else max(0.0, until - time.monotonic())
                if landed.wait(min(left, _LEADER_CHECK)) or flight.over:
                    break
        finally:
            with self._lock:
                over = flight.over
                if flight.result is ABSENT:
                    landed.waiters -= 1  # and whoever leads it has to say what came of it
        return over

    def deserted(self, flight: Flight) -> bool:
        """Whether nobody has waited for the result that `flight` has."""
        with self._lock:
            return flight.landed is None or not flight.landed.waiters

    def land(self, flight: Flight, result: Any) -> None:
        """End `flight` and hand `result` to its followers."""
        flight.result = result
        try:
            with self._lock:
                try:
                    self.drop(flight)
                except BaseException:
                    self._clear_if_all_landed()
                    raise
        finally:
            if flight.landed is not None:
                flight.landed.set()
