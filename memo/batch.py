"""Calls for many keys at once: what `memo.together` asks for is done here, for either colour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .core import AsyncCore, SyncCore, settled
from .entry import ABSENT, USED_UP, Raised
from .errors import shown
from .flights import ANEW, AsyncFlight, AsyncFlights, Flight
from .flow import Flow
from .guard import Budget
from .steps import Followed, Refusal
from .together import All, Elsewhere, Follow, Joins, Landed, LoadAll, together

__all__ = ["AsyncBatch", "Batch"]


class _Batch:
    """What the two colours have in common.

    Args:
        core: the cache.
        flows: the flow of each key.
        load: the function; it is given a list of keys, and gives a mapping from keys to values.
        refresh: starts a refresh of one key in the background.
    """

    __slots__ = (
        "__weakref__",
        "_flows",
        "_led",
        "_load",
        "_loaded",
        "_refresh",
        "_stale",
        "budget",
        "core",
        "raised",
    )

    def __init__(
        self,
        core: Any,
        flows: Mapping[Any, Flow],
        load: Callable[[list[Any]], Any] | None = None,
        refresh: Callable[[Any], None] | None = None,
    ) -> None:
        self.core = core
        self.budget = None if core.timeout is None else Budget(core.timeout)
        self._flows = flows
        self._load: Any = load
        self._refresh = refresh
        #: The flights that this call leads, until they land.
        self._led: dict[Any, Any] = {}
        self._loaded: set[Any] = set()
        self._stale: list[Any] = []
        #: What the function raised in this call's own load.
        self.raised: Raised | None = None

    def _failed(self, error: Exception) -> Raised:
        own = error.__traceback__ and error.__traceback__.tb_next
        self.raised = Raised(error.with_traceback(own), own)
        return self.raised

    def values(self, results: Mapping[Any, Any]) -> dict[Any, Any]:
        """The values of the keys that have one, as a caller gets them.

        Raises:
            Exception: what the function raised, or what the policy raises; of several the first.
        """
        values = {}
        for key, result in results.items():
            if type(result) is Refusal:
                raise result.error.with_traceback(None)
            if type(result) is Raised:
                raise result.error if result is self.raised else result.again()
            if result is not ABSENT:
                values[key] = self.core.handed_out(result)
        return values

    def _land(self, key: Any, result: Any) -> None:
        flight = self._led.pop(key, None)
        if flight is None:
            return
        own = type(result) is Raised and not _may_be_shared(result.error)
        if key not in self._loaded or result is ABSENT or type(result) in USED_UP or own:
            result = ANEW
        try:
            self.core.flights.land(flight, result)
        except Exception as fault:
            self.core.fault("looking a key up", fault)

    def _land_all(self) -> None:
        for key in list(self._led):
            self._land(key, ABSENT)

    def _values(self, loaded: Any) -> Mapping[Any, Any]:
        if not isinstance(loaded, Mapping):
            name = self.core.name
            raise TypeError(f"{name}: must return a mapping, and returned {shown(loaded)}")
        return loaded

    def _refresh_stale(self) -> None:
        refresh = self._refresh
        if refresh is None:
            return
        for key in self._stale:
            try:
                refresh(key)
            except Exception as fault:
                self.core.fault("starting a refresh", fault)


def _may_be_shared(error: BaseException) -> bool:
    """Whether followers are to get it: a full stack, an interrupt, an exit are the leader's own."""
    return isinstance(error, Exception) and not isinstance(error, RecursionError)


class Batch(_Batch):
    """Many keys in the caller's thread."""

    __slots__ = ()
    core: SyncCore

    def run(self) -> dict[Any, Any]:
        """What the flow of each key ended with: a value, `ABSENT`, a `Raised` or a `Refusal`."""
        flow = together(self._flows)
        try:
            answer = None
            while True:
                answer = self._perform(flow.send(answer))
        except StopIteration as stop:
            self._refresh_stale()
            return stop.value  # type: ignore[no-any-return]
        finally:
            self._land_all()

    def settled(self) -> dict[Any, Any]:
        """What `run` gives, where that is no value.

        Raises:
            CacheError: the first refusal.
        """
        return {key: settled(result) for key, result in self.run().items()}

    def _perform(self, step: Any) -> Any:
        kind = type(step)
        if kind is All:
            return self.core.perform_all(step.steps, self.budget)
        if kind is Joins:
            return {key: self._join(key) for key in step.keys}
        if kind is LoadAll:
            return self._call(step.keys)
        if kind is Landed:
            return self._land(step.key, step.result)
        if kind is Follow:
            return self._follow(step)
        self._stale.append(step.key)
        return None

    def _join(self, key: Any) -> Flight | Elsewhere:
        flights = self.core.flights
        if self.core.single_flight:
            flight, leads = flights.join(key, self)
            if not leads:
                return Elsewhere(flight)
        else:
            flight = flights.lead(key, self)
        self._led[key] = flight
        return flight

    def _call(self, keys: list[Any]) -> Any:
        self._loaded.update(keys)
        try:
            return self._values(self._load(keys))
        except Exception as error:
            return self._failed(error)

    def _follow(self, step: Follow) -> Any:
        result = self.core.flights.follow(step.flight)
        if result is ABSENT:  # waiting would never end
            self._led[step.key] = flight = self.core.flights.lead(step.key, self)
            return flight
        return None if result is ANEW else Followed(result)


class AsyncBatch(_Batch):
    """Many keys in a task of its own, which outlives the caller's if others wait for its loads."""

    __slots__ = ()
    core: AsyncCore

    async def run(self) -> dict[Any, Any]:
        """What the flow of each key ended with: a value, `ABSENT`, a `Raised` or a `Refusal`."""
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(self._run())
        self.core.refreshes.add(task)  # a task that nothing refers to may vanish
        task.add_done_callback(self._over)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not any(flight.waiters for flight in self._led.values()):
                task.cancel()
            raise

    async def settled(self) -> dict[Any, Any]:
        """What `run` gives, where that is no value.

        Raises:
            CacheError: the first refusal.
        """
        return {key: settled(result) for key, result in (await self.run()).items()}

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.core.refreshes.discard(task)
        if not task.cancelled():
            task.exception()  # of a caller that is gone: nobody else asks for it

    async def _run(self) -> dict[Any, Any]:
        flow = together(self._flows)
        try:
            answer = None
            while True:
                answer = await self._perform(flow.send(answer))
        except StopIteration as stop:
            self._refresh_stale()
            return stop.value  # type: ignore[no-any-return]
        finally:
            self._land_all()

    async def _perform(self, step: Any) -> Any:
        kind = type(step)
        if kind is All:
            return await self.core.perform_all(step.steps, self.budget)
        if kind is Joins:
            return {key: self._join(key) for key in step.keys}
        if kind is LoadAll:
            return await self._call(step.keys)
        if kind is Landed:
            return self._land(step.key, step.result)
        if kind is Follow:
            return await self._follow(step)
        self._stale.append(step.key)
        return None

    def _join(self, key: Any) -> AsyncFlight | Elsewhere:
        flights = self.core.flights
        if self.core.single_flight:
            flight, leads = flights.join(key)
            if not leads:
                return Elsewhere(flight)
        else:
            flight = flights.lead(key)
        return self._leads(key, flight)

    def _leads(self, key: Any, flight: AsyncFlight) -> AsyncFlight:
        flight.led = False
        for first in self._led.values():
            flight.awaits.append(first)  # who waits for it waits for all that is loaded with it
            break
        self._led[key] = flight
        return flight

    async def _call(self, keys: list[Any]) -> Any:
        self._loaded.update(keys)
        load: Callable[[list[Any]], Awaitable[Any]] = self._load
        try:
            with AsyncFlights.inside(next(iter(self._led.values()))):
                return self._values(await load(keys))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return self._failed(error)

    async def _follow(self, step: Follow) -> Any:
        result = await self.core.flights.follow(step.flight)
        if result is ABSENT:  # waiting would never end
            return self._leads(step.key, self.core.flights.lead(step.key))
        return None if result is ANEW else Followed(result)
