"""Flights of functions that run in their callers' threads."""

from __future__ import annotations

import threading
from typing import Any, Final

from ..entry import ABSENT
from ..forking import mend_after_fork
from .table import BaseFlight, Table

__all__ = ["Flight", "Flights"]


class Flight(BaseFlight):
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


class Flights(Table[Flight]):
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
