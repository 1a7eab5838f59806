"""One call of a cached function, from the first look to the answer.

A turn does what a flow asks for, with the parts of one cache (`memo.core`). It stops where the
function is to be called, so that the caller's own frame can do that: in a recursive function every
frame in between costs depth.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from . import flow as flows
from .background import Job, background
from .core import AsyncCore, SyncCore
from .drive import advance, advance_async
from .entry import ABSENT, FOREVER, USED_UP, Raised
from .errors import CacheError, OperationFailed
from .flights import ANEW, AsyncFlight, AsyncFlights, Flight, Flights
from .flow import Flow
from .guard import Budget
from .steps import Followed, Join, Load, Refresh, Refusal

__all__ = ["AsyncTurn", "PlainTurn", "Turn"]


class _Turn:
    """What the two colours of a turn have in common."""

    __slots__ = (
        "answer",
        "answered",
        "args",
        "budget",
        "core",
        "flight",
        "flow",
        "function",
        "key",
        "kwargs",
        "stale",
    )

    def __init__(  # noqa: PLR0917 - what a call is made of
        self,
        core: Any,
        key: Any,
        flow: Flow,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.core = core
        self.key = key
        #: What is left of the time for backend work; None: no bound.
        self.budget = None if core.timeout is None else Budget(core.timeout)
        #: None once our own part has failed, and calling the function is all that is left.
        self.flow: Any = flow
        self.function = function
        self.args = args
        self.kwargs = kwargs
        #: The flight that this turn leads, until it lands.
        self.flight: Any = None
        #: Whether the answer is to be refreshed in the background.
        self.stale = False
        #: Whether the caller's answer is there; if not, the function is to be called.
        self.answered = False
        #: The answer: a value, or a `Raised` with the exception for this caller.
        self.answer: Any = None

    def _hand_out(self, value: Any) -> bool:
        """Make `value` the answer; False where it cannot be handed out because `copy` failed."""
        try:
            self.answer = self.core.handed_out(value)
        except OperationFailed:
            return False
        self.answered = True
        return True

    def _give_up(self, fault: Exception) -> None:
        """Our own part has failed: what is left is to call the function."""
        self.flow = None
        self._land(ANEW)
        self.core.fault("memo itself", fault)

    def _land(self, result: Any) -> None:
        flight = self.flight
        if flight is not None:
            if type(result) in USED_UP:
                result = ANEW
            try:
                self.core.flights.land(flight, result)
            except Exception as fault:
                self.core.fault("looking a key up", fault)
            self.flight = None


class Turn(_Turn):
    """A call in the caller's thread.

    The caller goes on with `begin`; unless it is `answered` then, with the function, and with what
    came of that to `loaded` or `failed`. Each of these may raise a `CacheError`, or what the
    policy's `raise_as` made of it.
    """

    __slots__ = ("__weakref__",)

    def begin(self) -> Turn:
        """Go on until there is an answer, or the function is to be called; returns itself."""
        try:
            result = advance(self.flow, None, self._perform)
        except Exception as fault:
            self.core.stats.misses += 1
            self._give_up(fault)
            return self
        except BaseException:
            self._land(ANEW)
            raise
        if type(result) is Load:
            return self
        self._land(ANEW)  # what was read may be outdated by the time a follower gets it
        if type(result) is Refusal:
            raise result.error.with_traceback(None)
        if type(result) is Raised:
            self.answer = Raised(result.again())
            self.answered = True
        elif not self._hand_out(result):
            self.flow = None  # a value that others share is not handed out: load one of its own
        if self.stale:
            self._refresh_behind()
        return self

    def _refresh_behind(self) -> None:
        """Have the answer refreshed in the background; it is there, whatever comes of that."""
        try:
            refresh_behind(self.core, self.key, self.function, self.args, self.kwargs)
        except Exception as fault:
            self.core.fault("starting a refresh", fault)

    def loaded(self, value: Any) -> Any:
        """The function has returned `value`; returns the caller's answer."""
        if self.flow is None:
            return value
        result = value
        try:
            result = advance(self.flow, value, self._perform)
        except Exception as fault:
            self._give_up(fault)
            return value
        finally:
            self._land(result)
        if type(result) is Refusal:
            raise result.error.with_traceback(None)
        if self.core.copy is None:
            return result
        if self._hand_out(result):
            return self.answer
        # The caller gets the very value that is stored: nobody else may.
        self.core.run(flows.delete(self.key, self.core.rules, self.core.stats), self.budget)
        return value

    def failed(self, error: BaseException) -> bool:
        """The function has raised `error`; returns whether there is an answer in its place."""
        if self.flow is None:
            return False
        raised = Raised(error, error.__traceback__ and error.__traceback__.tb_next)
        result: Any = raised
        try:
            result = advance(self.flow, raised, self._perform)
        except Exception as fault:
            self._give_up(fault)
        finally:
            # A full stack, an interrupt and an exit are the leader's own.
            own = isinstance(error, RecursionError) or not isinstance(error, Exception)
            self._land(ANEW if own and result is raised else result)
        if type(result) is Refusal:
            raise result.error.with_traceback(None)
        return result is not raised and self._hand_out(result)

    def run(self) -> Any:
        """The whole call, where depth does not matter; returns the answer."""
        if not self.begin().answered:
            try:
                value = self.function(*self.args, **(self.kwargs or {}))
            except BaseException as error:
                if not self.failed(error):
                    raise
            else:
                return self.loaded(value)
        if type(self.answer) is Raised:
            raise self.answer.error
        return self.answer

    def _perform(self, step: Any) -> Any:
        kind = type(step)
        if kind is Join:
            return self._join(step.key)
        if kind is Refresh:
            self.stale = True
            return None
        return self.core.perform(step, self.budget)

    def _join(self, key: Any) -> Flight | Followed:
        flights: Flights = self.core.flights
        while self.core.single_flight:
            flight, leads = flights.join(key, self)
            if leads:
                self.flight = flight
                return flight
            result = flights.follow(flight)
            if result is ABSENT:
                break
            if result is not ANEW:
                return Followed(result)
        self.flight = flights.lead(key, self)
        return self.flight  # type: ignore[no-any-return]


class PlainTurn:
    """A call with nothing to decide (see `flows.plain`).

    To its caller it is a `Turn` that is not answered. Where something goes wrong, the flow that it
    stands for takes over.
    """

    __slots__ = ("__weakref__", "core", "flight", "key", "started")

    answered: Final = False
    answer: Final = None

    def __init__(self, core: Any, key: Any) -> None:
        self.core = core
        self.key = key

    def take_off(self) -> bool:
        """Lead the load of the key; False where there may be something to decide."""
        core: Any = self.core
        flying = False
        try:
            self.flight, flying = core.flights.join(self.key, self)
            if not flying:
                return False
            node = core.memory.peek(self.key)
            if node is not None:
                if core.rules.timer() < node.expires:
                    return False
                core.stats.expirations += 1
            core.stats.misses += 1
            self.started = perf_counter()
            flying = False
        except Exception:
            return False  # the flow finds out what is wrong
        else:
            return True
        finally:
            if flying:
                core.flights.land(self.flight, ANEW)

    def loaded(self, value: Any) -> Any:
        """The function has returned `value`; returns the caller's answer."""
        core, flight = self.core, self.flight
        stats, rules = core.stats, core.rules
        result = value
        used_up = type(value) in USED_UP
        try:
            stats.loads += 1
            took = perf_counter() - self.started
            stats.load_time += took
            stored = False
            if not used_up:
                ttl = rules.freshness.ttl
                now = rules.timer()
                try:
                    expires = FOREVER if ttl is FOREVER else now + ttl
                    evicted = core.memory.put(self.key, value, now, expires, flight)
                    stats.evictions += evicted
                    stored = True
                except RecursionError:
                    raise
                except Exception:  # noqa: S110 - the flow finds out what is wrong
                    pass
            if not stored:
                result = core.settle(flows.keep(self.key, value, rules, stats, flight))
        except Exception as fault:
            core.fault("memo itself", fault)
        finally:
            try:
                core.flights.land(self.flight, ANEW if used_up else result)
            except Exception as fault:
                core.fault("looking a key up", fault)
        if type(result) is Refusal:
            raise result.error.with_traceback(None)
        return result

    def failed(self, error: BaseException) -> bool:
        """The function has raised `error`, for which there is no answer in its place."""
        stats = self.core.stats
        result: Any = ANEW
        try:
            stats.loads += 1
            stats.load_failures += 1
            took = perf_counter() - self.started
            stats.load_time += took
            # A full stack, an interrupt and an exit are the leader's own.
            if isinstance(error, Exception) and not isinstance(error, RecursionError):
                result = Raised(error, error.__traceback__ and error.__traceback__.tb_next)
        finally:
            try:
                self.core.flights.land(self.flight, result)
            except Exception as fault:
                self.core.fault("looking a key up", fault)
        return False


def refresh_behind(
    core: SyncCore,
    key: Any,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> None:
    """Recompute what is under `key` in a thread of the background, unless that is going on."""
    flight = None if background.closed else core.flights.try_lead(key)
    if flight is None:
        return
    turn = Turn(
        core,
        key,
        flows.reload(key, core.rules, core.stats, flight, replaces=True),
        function,
        args,
        kwargs,
    )
    turn.flight = flight
    context = contextvars.copy_context()
    land = functools.partial(core.flights.land, flight, ANEW)
    if not background.submit(Job(core, lambda: context.run(_refresh, turn), land)):
        land()
        core.fault("refreshing in the background", RuntimeError("too many refreshes wait"))


def _refresh(turn: Turn) -> None:
    if not turn.core.flights.claim(turn.flight, turn):
        turn.core.flights.land(turn.flight, ANEW)
        return  # there is a newer value by now, or somebody loads it already
    try:
        turn.run()
    except CacheError:
        pass  # raised by the policy, and heard already
    except Exception as error:
        turn.core.fault("a refresh in the background", error)


class AsyncTurn(_Turn):
    """A call in a task.

    The load runs in a task of its own, which outlives the cancelling of this one as long as anybody
    waits for it.
    """

    __slots__ = ("alone", "raised", "result")

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        #: Whether the load runs in the caller's own task, for want of anybody to share it with.
        self.alone = False
        #: What came of this turn's own load.
        self.result: Any = ABSENT
        #: What the function raised in it.
        self.raised: Raised | None = None

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
            raise result.error.with_traceback(None)
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
            flight = result = None

    async def _finish(self, flight: AsyncFlight | None) -> Any:
        try:
            loaded = await self.function(*self.args, **(self.kwargs or {}))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            own = error.__traceback__ and error.__traceback__.tb_next
            loaded = self.raised = Raised(error.with_traceback(own), own)
            del own
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

    async def _perform(self, step: Any) -> Any:
        kind = type(step)
        if kind is Join:
            return await self._join(step.key)
        if kind is Refresh:
            self.stale = True
            return None
        return await self.core.perform(step, self.budget)

    async def _join(self, key: Any) -> AsyncFlight | Followed:
        flights: AsyncFlights = self.core.flights
        while self.core.single_flight:
            flight, leads = flights.join(key)
            if leads:
                self.flight = flight
                return flight
            result = await flights.follow(flight)
            if result is ABSENT:
                break
            if result is not ANEW:
                return Followed(result)
        self.alone = True
        self.flight = flights.lead(key)
        return self.flight  # type: ignore[no-any-return]


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
    task = core.flights.fly(flight, _refresh_async(turn, flight))
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
    if type(answer) is Raised:
        turn.core.fault("a refresh in the background", answer.error)
