"""Calls for many keys at once: what `memo.together` asks for is done here, for either colour."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any

from .background import Job, background
from .core import AsyncCore, SyncCore, settled
from .entry import ABSENT, USED_UP, Raised
from .errors import Expired, Miss, NoValue, OperationFailed, shown
from .flights import ANEW, AsyncFlight, AsyncFlights, Flight
from .flow import Flow, delete, reload
from .guard import Budget
from .steps import Followed, Refusal, Write
from .together import All, Elsewhere, Follow, Joins, Landed, LoadAll, together

__all__ = ["AsyncBatch", "Batch", "distinct", "refresh_many_behind", "refresh_many_in_task"]


class _Batch:
    """What the two colours have in common.

    Args:
        core: the cache.
        flows: the flow of each key.
        load: the function; it is given a list of keys, and gives a mapping from keys to values.
        refresh: starts a refresh of these keys in the background.
    """

    def __init__(
        self,
        core: Any,
        flows: Mapping[Any, Flow],
        load: Callable[[list[Any]], Any] | None = None,
        refresh: Callable[[list[Any]], None] | None = None,
    ) -> None:
        self.core = core
        self.budget = None if core.timeout is None else Budget(core.timeout)
        #: What the flow of each key ended with.
        self.results: dict[Any, Any] = {}
        self._flows = flows
        self._load: Any = load
        self._refresh = refresh
        #: The flights that this call leads, until they land.
        self._led: dict[Any, Any] = {}
        #: The keys that this call has loaded.
        self._loaded: set[Any] = set()
        self._stale: list[Any] = []
        #: What the function raised in this call's own load, for more than one key.
        self._raised: Raised | None = None

    # --- what comes of a load ---

    def _answers(self, keys: list[Any], loaded: Any) -> dict[Any, Any]:
        """What each of `keys` is answered, where the function gave `loaded`."""
        if not isinstance(loaded, Mapping):
            name = self.core.name
            raise TypeError(f"{name}: must return a mapping, and returned {shown(loaded)}")
        return {key: loaded[key] for key in keys}

    def _failed(self, keys: list[Any], error: Exception) -> dict[Any, Any]:
        own = error.__traceback__ and error.__traceback__.tb_next
        self._raised = Raised(error.with_traceback(own), own)
        return dict.fromkeys(keys, self._raised)

    def _is_shared_failure(self, result: Any) -> bool:
        """Whether `result` is an exception that may concern some other key that was loaded with it.

        It is not remembered, and those who follow one key load what they want by themselves.
        """
        return result is self._raised and result is not None and len(self._loaded) > 1

    def _is_wanted(self, step: Any) -> bool:
        remembers = type(step) is Write and type(step.entry.value) is Raised
        return not (remembers and len(self._loaded) > 1)

    # --- flights ---

    def _land(self, key: Any, result: Any) -> None:
        flight = self._led.pop(key, None)
        if flight is None:
            return
        alone = type(result) is Raised and (
            not isinstance(result.error, Exception) or isinstance(result.error, RecursionError)
        )
        if (
            alone
            or key not in self._loaded
            or type(result) in USED_UP
            or self._is_shared_failure(result)
        ):
            result = ANEW
        try:
            self.core.flights.land(flight, result)
        except Exception as fault:
            self.core.fault("looking a key up", fault)

    def _land_all(self) -> None:
        for key in list(self._led):
            self._land(key, ANEW)

    def _take_over(self, flights: Mapping[Any, Any]) -> None:
        """Lead `flights`, and load their keys whatever is stored."""
        rules, stats = self.core.rules, self.core.stats
        self._led = dict(flights)
        self._flows = {
            key: reload(key, rules, stats, flight, replaces=True) for key, flight in flights.items()
        }

    # --- the end ---

    def _give_up(self, fault: Exception) -> list[Any]:
        """Our own part has failed; returns the keys for which to call the function after all."""
        self._land_all()
        self.core.fault("memo itself", fault)
        left = [key for key in self._flows if key not in self.results]
        self._loaded.update(left)
        return left if self._load is not None else []

    def _refresh_stale(self) -> None:
        if self._refresh is None or not self._stale:
            return
        try:
            self._refresh(self._stale)
        except Exception as fault:
            self.core.fault("starting a refresh", fault)

    def _raise_first(self, without_absences: bool = False) -> None:  # noqa: FBT001, FBT002
        """Raise what is to be raised, if anything; of several the first.

        Raises:
            Exception: what the function raised, or what the policy raises.
        """
        raised, results = self._raised, self.results
        failure = None
        for key in self._flows:
            result = results.get(key)
            if type(result) is Refusal and not (without_absences and _is_absence(result)):
                failure = result.error.with_traceback(None)
                break
            if type(result) is Raised and type(result.error) is not NoValue:
                failure = result.error if result is raised else result.again()
                break
        if failure is not None:
            # What is raised knows this frame and those below, and they are not to know it.
            self._raised, self.results = None, {}
            raised = result = results = None  # type: ignore[assignment]
            try:
                raise failure
            finally:
                failure = None

    def _handed_out(self) -> tuple[dict[Any, Any], list[Any]]:
        """The values of the keys that have one, and the keys whose value cannot be handed out."""
        values: dict[Any, Any] = {}
        kept: list[Any] = []
        for key in self._flows:
            result = self.results.get(key, ABSENT)
            if result is ABSENT or type(result) in {Raised, Refusal}:
                continue
            try:
                values[key] = self.core.handed_out(result)
            except OperationFailed:
                if self._load is None:
                    raise
                kept.append(key)
                values[key] = result
        return values, kept

    def _shared(self, kept: list[Any]) -> tuple[list[Any], list[Any]]:
        """Keys whose value others would share, as `copy` gives no copy of it: ours, and theirs.

        What this call has loaded it keeps, and nobody else is to get it; of the others it loads a
        value of its own.
        """
        mine = [key for key in kept if key in self._loaded]
        return mine, [key for key in kept if key not in self._loaded]


def _instead(values: dict[Any, Any], keys: list[Any], loaded: Mapping[Any, Any]) -> dict[Any, Any]:
    """`values` with what was loaded for `keys`, which may be no value, in the place of theirs."""
    mine = {key: loaded[key] for key in keys}
    return {
        key: mine.get(key, value)
        for key, value in values.items()
        if type(mine.get(key)) is not Raised
    }


class Batch(_Batch):
    """Many keys in the caller's thread."""

    core: SyncCore

    def values(self, *, without_absences: bool = False) -> dict[Any, Any]:
        """The values of the keys that have one; that one has none may be no error.

        Raises:
            Exception: what the function raised, or what the policy raises; of several the first.
        """
        self.run()
        self._raise_first(without_absences)
        values, kept = self._handed_out()
        mine, theirs = self._shared(kept)
        for key in mine:
            self.core.run(delete(key, self.core.rules, self.core.stats), self.budget)
        if theirs:
            values = _instead(values, theirs, self._load(theirs))
        return values

    def run(self) -> dict[Any, Any]:
        """What the flow of each key ended with: a value, a `Raised` or a `Refusal`."""
        flow = together(self._flows, self.results)
        try:
            answer = None
            while True:
                answer = self._perform(flow.send(answer))
        except StopIteration:
            self._refresh_stale()
        except Exception as fault:
            left = self._give_up(fault)
            if left:
                self.results |= self._call(left)[0]
        finally:
            answer = None  # no cycle through what the function raised
            self._land_all()
        return self.results

    def reload(self, flights: Mapping[Any, Any]) -> None:
        """Load the keys of `flights`, which this leads from now on, and store what comes of it."""
        self._take_over(flights)
        self.run()
        self._raise_first()

    def settled(self) -> dict[Any, Any]:
        """What `run` gives, where that is no value.

        Raises:
            CacheError: the first refusal.
        """
        return {key: settled(result) for key, result in self.run().items()}

    def _perform(self, step: Any) -> Any:
        kind = type(step)
        if kind is All:
            wanted = [one for one in step.steps if self._is_wanted(one)]
            answers = iter(self.core.perform_all(wanted, self.budget) if wanted else ())
            return [next(answers) if self._is_wanted(one) else None for one in step.steps]
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

    def _call(self, keys: list[Any]) -> tuple[dict[Any, Any], float]:
        self._loaded.update(keys)
        begun = perf_counter()
        try:
            return self._answers(keys, self._load(keys)), perf_counter() - begun
        except Exception as error:
            return self._failed(keys, error), perf_counter() - begun

    def _follow(self, step: Follow) -> Any:
        result = self.core.flights.follow(step.flight)
        if result is ABSENT:  # waiting would never end
            self._led[step.key] = flight = self.core.flights.lead(step.key, self)
            return flight
        return None if result is ANEW else Followed(result)


#: Batches under way: a task that nothing refers to may vanish.
_under_way: set[asyncio.Task[Any]] = set()


class AsyncBatch(_Batch):
    """Many keys in a task of its own, which outlives the caller's while others wait for it."""

    core: AsyncCore

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        #: The task that it runs in, while it does.
        self._running: asyncio.Task[Any] | None = None
        self._caller_waits = True
        #: Whether values are there, which are stored whoever waits.
        self._kept = False
        #: Whether it runs behind everybody's back, wanted or not.
        self._behind_all = False

    async def values(self, *, without_absences: bool = False) -> dict[Any, Any]:
        """The values of the keys that have one; that one has none may be no error.

        Raises:
            Exception: what the function raised, or what the policy raises; of several the first.
        """
        await self.run()
        self._raise_first(without_absences)
        values, kept = self._handed_out()
        mine, theirs = self._shared(kept)
        for key in mine:
            await self.core.run(delete(key, self.core.rules, self.core.stats), self.budget)
        if theirs:
            values = _instead(values, theirs, await self._load(theirs))
        return values

    async def run(self) -> dict[Any, Any]:
        """What the flow of each key ended with: a value, a `Raised` or a `Refusal`."""
        task = asyncio.get_running_loop().create_task(self._run())
        _under_way.add(task)
        task.add_done_callback(_over)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._caller_waits = False
            for flight in self._led.values():
                flight.led = False
            self.cancel()
            raise
        return self.results

    def reload_behind(self, flights: Mapping[Any, Any]) -> None:
        """Load the keys of `flights`, in a task of its own, for nobody who waits."""
        self._take_over(flights)
        for flight in flights.values():
            flight.detached = True
        self._kept = self._behind_all = True
        task = asyncio.get_running_loop().create_task(self._behind())
        self.core.refreshes.add(task)
        task.add_done_callback(self.core.refreshes.discard)

    async def _behind(self) -> None:
        AsyncFlights.leave()  # what the caller is inside of does not wait for this
        try:
            await self._run()
            self._raise_first()
        except Exception as error:
            self.core.fault("a refresh in the background", error)

    async def settled(self) -> dict[Any, Any]:
        """What `run` gives, where that is no value.

        Raises:
            CacheError: the first refusal.
        """
        return {key: settled(result) for key, result in (await self.run()).items()}

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it, or it has only to store what is there."""
        waiting = any(flight.waiters for flight in self._led.values())
        return self._caller_waits or self._kept or waiting

    def cancel(self) -> None:
        """Cancel it, unless it is wanted."""
        if self._running is not None and not self.is_wanted:
            self._running.cancel()

    async def _run(self) -> None:
        self._running = asyncio.current_task()
        flow = together(self._flows, self.results)
        try:
            answer = None
            while True:
                answer = await self._perform(flow.send(answer))
        except StopIteration:
            self._refresh_stale()
        except Exception as fault:
            left = self._give_up(fault)
            if left:
                self.results |= (await self._call(left))[0]
        finally:
            answer = None  # no cycle through what the function raised
            self._land_all()
            self._running = None

    async def _perform(self, step: Any) -> Any:
        kind = type(step)
        if kind is All:
            wanted = [one for one in step.steps if self._is_wanted(one)]
            answers = iter(await self.core.perform_all(wanted, self.budget) if wanted else ())
            return [next(answers) if self._is_wanted(one) else None for one in step.steps]
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
        flight.led = self._caller_waits
        itself: Any = self
        flight.task = itself  # what is cancelled when nobody waits
        self._led[key] = flight
        return flight

    async def _call(self, keys: list[Any]) -> tuple[dict[Any, Any], float]:
        self._loaded.update(keys)
        self._kept = self._behind_all
        begun = perf_counter()
        try:
            with _inside(list(self._led.values())):
                answers = self._answers(keys, await self._load(keys))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return self._failed(keys, error), perf_counter() - begun
        self._kept = True
        for flight in self._led.values():
            flight.detached = True
        return answers, perf_counter() - begun

    async def _follow(self, step: Follow) -> Any:
        result = await self.core.flights.follow(step.flight)
        if result is ABSENT:  # waiting would never end
            return self._leads(step.key, self.core.flights.lead(step.key))
        return None if result is ANEW else Followed(result)


@contextlib.contextmanager
def _inside(flights: list[AsyncFlight]) -> Iterator[None]:
    """What runs in the block runs inside all of `flights`, none of which it can wait for."""
    if not flights:
        yield
        return
    first, *others = flights
    with AsyncFlights.inside(first):
        for flight in others:
            flight.awaits.append(first)
        try:
            yield
        finally:
            for flight in others:
                flight.awaits.remove(first)


def _over(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # of a caller that is gone: nobody else asks for it


def _is_absence(refusal: Refusal) -> bool:
    """Whether it says that there is no entry, or none that is fresh."""
    return any(
        isinstance(error, Miss | Expired) for error in (refusal.error, refusal.error.__cause__)
    )


def distinct(keys: Iterable[Any]) -> list[Any]:
    """`keys` without the later of equal ones.

    Raises:
        TypeError: it is text, or nothing to iterate over.
    """
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise TypeError(f"takes an iterable of ids first, not {shown(keys)}")
    return list(dict.fromkeys(keys))


def refresh_many_behind(core: Any, keys: list[Any], load: Callable[[list[Any]], Any]) -> None:
    """Recompute what is under `keys` by one load in the background, where that is not going on."""
    flights = {} if background.closed else _led_behind(core, keys)
    if not flights:
        return
    context = contextvars.copy_context()
    land = functools.partial(_land, core, flights)
    if not background.submit(Job(core, lambda: context.run(_refresh, core, flights, load), land)):
        land()
        core.fault("refreshing in the background", RuntimeError("too many refreshes wait"))


def _led_behind(core: Any, keys: list[Any]) -> dict[Any, Any]:
    """A flight for each of `keys` that nobody loads at present."""
    flights = {key: core.flights.try_lead(key) for key in keys}
    return {key: flight for key, flight in flights.items() if flight is not None}


def _land(core: Any, flights: Mapping[Any, Any]) -> None:
    for flight in flights.values():
        core.flights.land(flight, ANEW)


def _refresh(core: Any, flights: dict[Any, Any], load: Callable[[list[Any]], Any]) -> None:
    batch = Batch(core, {}, load)
    overtaken = {
        k: flight for k, flight in flights.items() if not core.flights.claim(flight, batch)
    }
    _land(core, overtaken)  # there is a newer value by now, or somebody loads it already
    try:
        batch.reload({key: flights[key] for key in flights if key not in overtaken})
    except Exception as error:
        core.fault("a refresh in the background", error)


def refresh_many_in_task(core: Any, keys: list[Any], load: Callable[[list[Any]], Any]) -> None:
    """Recompute what is under `keys` by one load in a task, where that is not going on."""
    flights = _led_behind(core, keys)
    if flights:
        AsyncBatch(core, {}, load).reload_behind(flights)
