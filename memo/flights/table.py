"""What flights of both colours have in common: a table of those under way."""

from __future__ import annotations

import contextlib
from typing import Any, Final, Generic, TypeVar

from ..entry import ABSENT
from ..forking import ForkableLock, mend_after_fork

__all__ = ["ANEW", "BaseFlight", "Table"]


class _Anew:
    def __repr__(self) -> str:
        return "ANEW"


#: In how many places landings are counted.
_PLACES: Final = 64

#: The result of a flight that came to nothing through no fault of the function: its followers
#: start anew, each with a load of its own if need be.
ANEW: Final = _Anew()


class BaseFlight:
    """What the two colours of a flight have in common."""

    __slots__ = ("__weakref__", "below", "key", "result", "superseded")

    # Each colour sets them, without a call of a constructor here.
    key: Any
    result: Any
    superseded: bool
    #: An older flight of the same key, where several may be under way at once.
    below: Any


F = TypeVar("F", bound=BaseFlight)


class Table(Generic[F]):
    """The flights under way, by key.

    Whoever replaces or drops a flight holds the lock of `guard`. A new one may be opened without,
    where there is none: by `dict.setdefault`, which is one step under the GIL. So under the lock,
    what is there stays there, and what is not may come at any moment.

    Args:
        guard: the lock, where something else is to be done in one with the landing of a flight.
    """

    def __init__(self, guard: ForkableLock | None = None) -> None:
        self._flights: dict[Any, F] = {}
        #: `first(key, flight)` is what is under way under `key`: `flight`, where nothing was.
        self.first = self._flights.setdefault
        # Looking a key up may run the user's __eq__, which may call the cached function again:
        # the lock must let its own thread in a second time.
        self.guard = guard or ForkableLock()
        #: How many flights have landed, counted in as many places as keys are spread over; None as
        #: long as nobody has asked.
        self._landings: list[int] | None = None
        mend_after_fork(self)

    @property
    def _lock(self) -> Any:
        return self.guard.lock

    def landings(self, key: Any) -> int:
        """A count that grows whenever a flight of `key` lands, and now and then besides."""
        if self._landings is None:
            self._count_landings()
        landings: Any = self._landings
        return landings[hash(key) % _PLACES]  # type: ignore[no-any-return]

    def _count_landings(self) -> None:
        with self._lock:
            if self._landings is None:
                self._landings = [0] * _PLACES

    def _push(self, flight: F) -> None:
        below = self.first(flight.key, flight)
        if below is not flight:
            flight.below = below
            self._flights[flight.key] = flight

    def drop(self, flight: F) -> None:
        """Take `flight` out of the table; its result is there. The caller holds the lock."""
        key = flight.key
        if self._landings is not None:
            self._landings[hash(key) % _PLACES] += 1
        top = self._flights.get(key)
        if top is flight:
            if flight.below is not None:
                self._flights[key] = flight.below
            else:
                self._flights.pop(key, None)  # the key's own code may have done so
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
        if all(_landed(flight) for flight in list(self._flights.values())):
            self._forget_all()

    def _forget_all(self) -> None:
        """Let all go, without a look at their keys; whoever has just come is superseded, too."""
        while self._flights:
            with contextlib.suppress(KeyError):
                _mark(self._flights.popitem()[1])

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
            self._forget_all()

    def loading(self, key: Any) -> bool:
        """Whether a load of `key` is under way."""
        return key in self._flights

    def __len__(self) -> int:
        return len(self._flights)

    def after_fork_in_child(self) -> None:
        """Forget the flights that threads and loops of the parent lead."""
        self.guard.after_fork_in_child()
        self._flights.clear()


def _landed(flight: BaseFlight | None) -> bool:
    while flight is not None:
        if flight.result is ABSENT:
            return False
        flight = flight.below
    return True


def _mark(flight: BaseFlight | None) -> None:
    while flight is not None:
        flight.superseded = True
        flight = flight.below
