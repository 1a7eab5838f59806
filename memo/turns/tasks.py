"""Calls in tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .. import flow as flows
from ..core import AsyncCore
from ..drive import advance_async
from ..entry import ABSENT, Raised
from ..errors import CacheError
from ..flights import ANEW, AsyncFlight, AsyncFlights
from ..steps import FAILED, LATE, Admit, Covered, Followed, Join, Load, LoadBehind, Refresh, Refusal
from .base import BaseTurn, bulkhead_of

__all__ = ["AsyncTurn", "refresh_in_task"]


class AsyncTurn(BaseTurn):
    """A call in a task.

    The load runs in a task of its own, which outlives the cancelling of this one as long as anybody
    waits for it.
    """

    __slots__ = ("alone",)

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        #: Whether the load runs in the caller's own task, for want of anybody to share it with.
        self.alone = False

    async def run(self) -> Any:
        """The whole call; returns the answer: a value, or a `Raised` for this caller.

        Raises:
            CacheError, or what the policy's `raise_as` made of it.
        """
        try:
            return await self._run()
        finally:
            # An exception's frames lead to those of the load, and these here: make no cycle.
            self.raised = None
            self.result = ABSENT

    async def _run(self) -> Any:
        try:
            self._note_landings()
            result = await advance_async(self.flow, None, self._perform)
        except Exception as fault:
            self.core.stats.misses += 1
            self._give_up(fault)
            return await self.function(*self.args, **(self.kwargs or {}))
        except BaseException:
            self._land(ANEW)
            raise
        loads = type(result) is Load
        if loads:
            result = await self._load()
        else:
            self._land(ANEW)  # what was read may be outdated by the time a follower gets it
        if type(result) is Refusal:
            try:
                raise result.error.with_traceback(None)
            finally:
                del result  # see `_found`
        if self.stale:
            self._refresh_behind()
        if type(result) is Raised:
            return result if result is self.raised else Raised(result.again())
        if self.core.copy is None or self._hand_out(result):
            return result if self.core.copy is None else self.answer
        if not loads:
            return await self.function(*self.args, **(self.kwargs or {}))
        # The caller gets the very value that is stored: nobody else may.
        await self.core.run(flows.delete(self.key, self.core.rules, self.core.stats), self.budget)
        return result

    def _refresh_behind(self) -> None:
        """Have the answer refreshed in the background; it is there, whatever comes of that."""
        try:
            refresh_in_task(self.core, self.key, self.function, self.args, self.kwargs)
        except Exception as fault:
            self.core.fault("starting a refresh", fault)

    async def _load(self) -> Any:
        flight, self.flight = self.flight, None
        if flight is None or self.alone:
            return await self._fly(flight)
        self.core.flights.fly(flight, self._fly(flight))
        result = await self.core.flights.follow(flight, leads=True)
        if result is ANEW and self.result is not ABSENT:
            return self.result  # which is for this caller alone
        if result is ANEW:
            raise asyncio.CancelledError  # the load was, by other hands than ours
        return result

    async def _fly(self, flight: AsyncFlight | None) -> Any:
        """Call the function and see the flow to its end, inside `flight`."""
        if flight is None:
            return await self._finish(None)
        result: Any = ANEW
        try:
            with AsyncFlights.inside(flight):
                result = self.result = await self._finish(flight)
            return result
        finally:
            self.flight = flight
            self._land(result)
            if not flight.led and _ends_its_leader(result):
                self._outlived(result.error)
            flight = result = None

    async def load(self, flight: AsyncFlight) -> None:
        """See the flow through, function included, in a task of its own.

        What came of it is `result`, for the one who waits for `flight`.
        """
        AsyncFlights.leave()  # the caller says by itself that it waits
        result: Any = ANEW
        try:
            with AsyncFlights.inside(flight):
                await advance_async(self.flow, None, self._perform)  # up to its `Load`
                result = self.result = await self._finish(flight)
        except Exception as fault:
            self.result = FAILED
            self.core.fault("memo itself", fault)
        finally:
            left = not (flight.waiters or flight.led)
            self.flight = flight
            self._land(result)
            if left:
                self.result = ABSENT
                if self.raised is not None and type(result) is not Covered:
                    self._outlived(self.raised.error)
                self.raised = None
            del flight, result  # see `run`

    async def _finish(self, flight: AsyncFlight | None) -> Any:
        try:
            loaded = await self.function(*self.args, **(self.kwargs or {}))
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            own = error.__traceback__ and error.__traceback__.tb_next
            loaded = self.raised = Raised(error.with_traceback(own), own)
            del own
        finally:
            if self.place is not None:
                self._leave_place()
        if flight is not None:
            # The value is there, and storing it is short. Cut off half way, in a thread that goes
            # on, it could land after a later invalidation.
            flight.detached = True
        del flight
        try:
            return await advance_async(self.flow, loaded, self._perform)
        except Exception as fault:
            self._give_up(fault)
            return loaded
        finally:
            del loaded  # see `run`

    def _land(self, result: Any) -> None:
        super()._land(ANEW if _ends_its_leader(result) else result)

    def _outlived(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            raise error  # the loop's, for want of a leader
        super()._outlived(error)

    async def _perform(self, step: Any) -> Any:
        if self.found is not ABSENT:
            return self._found()
        kind = type(step)
        if kind is Join:
            return await self._join(step)
        if kind is Refresh:
            self.stale = True
            return None
        if kind is LoadBehind:
            return await self._load_behind(step)
        if kind is Admit:
            bulkhead = bulkhead_of(self.core)
            self.place = await bulkhead.enter_async(step.most, self.core.breaker_is_open)
            return None
        return await self.core.perform(step, self.budget)

    async def _join(self, step: Join) -> Any:
        """Lead the load, or wait for who does: the flight, `Followed`, or `LATE`."""
        flights: AsyncFlights = self.core.flights
        until = self._until(step.within)
        while self.core.single_flight:
            flight, leads = flights.join(step.key)
            if leads:
                self.flight = flight
                step.unchanged = self._unchanged()
                return flight
            result = await flights.follow(flight, until=until)
            if result is ABSENT:
                break
            if result is LATE:
                self._leave_behind(flight)
                return LATE
            if result is not ANEW:
                return Followed(result)
        self.alone = True
        self.flight = flights.lead(step.key)
        return self.flight

    async def _load_behind(self, step: LoadBehind) -> Any:
        """Load in a task of its own, and wait for it: `Followed` or `LATE`."""
        flights: AsyncFlights = self.core.flights
        # Without a key there is a flight that nobody else knows of.
        flight = self.flight or AsyncFlight(self.key, asyncio.get_running_loop())
        self.flight = None
        turn = AsyncTurn(self.core, self.key, step.flow, self.function, self.args, self.kwargs)
        self.core.flights.fly(flight, turn.load(flight))
        result = await flights.follow(flight, leads=True, until=self._until(step.within))
        if result is LATE:
            self._leave_behind(flight)
            return LATE
        result, turn.result = turn.result, ABSENT
        self.raised, turn.raised = turn.raised, None
        if result is ABSENT:
            raise asyncio.CancelledError  # the load was, by other hands than ours
        if result is FAILED:
            raise RuntimeError("a load in a task of its own came to nothing")
        return Followed(result)

    def _leave_behind(self, flight: AsyncFlight) -> None:
        """Keep what the caller does not wait for any more: a task nothing refers to may vanish."""
        task = flight.task
        if task is not None and flight.loop is asyncio.get_running_loop():
            keep_task(self.core, task)


def _ends_its_leader(result: Any) -> bool:
    """Whether it is an interrupt, an exit or the like, which is nobody's but the leader's."""
    return type(result) is Raised and not isinstance(result.error, Exception)


#: From so many on, refreshes are looked through for those that a closed loop has stranded.
_MANY_REFRESHES = 64


def refresh_in_task(
    core: AsyncCore,
    key: Any,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> None:
    """Recompute what is under `key` in a task of its own, unless that is going on."""
    flight = core.flights.try_lead(key)
    if flight is None:
        return
    flight.detached = True
    turn = AsyncTurn(
        core,
        key,
        flows.reload(key, core.rules, core.stats, flight, replaces=True),
        function,
        args,
        kwargs,
    )
    keep_task(core, core.flights.fly(flight, _refresh_async(turn, flight)))


def keep_task(core: AsyncCore, task: asyncio.Task[Any]) -> None:
    """Refer to `task` until it is done."""
    if len(core.refreshes) > _MANY_REFRESHES:
        core.refreshes = {one for one in core.refreshes if not one.get_loop().is_closed()}
    core.refreshes.add(task)
    # The set may be another one by then.
    task.add_done_callback(lambda task: core.refreshes.discard(task))  # noqa: PLW0108


async def _refresh_async(turn: AsyncTurn, flight: AsyncFlight) -> None:
    # What the caller is inside of does not wait for this.
    AsyncFlights.leave()
    turn.flight = flight
    turn.alone = True  # it has its flight, and is in its task
    try:
        answer = await turn.run()
    except CacheError:
        return  # raised by the policy, and heard already
    if _ends_its_leader(answer):
        raise answer.error
    if type(answer) is Raised:
        turn.core.fault("a refresh in the background", answer.error)
