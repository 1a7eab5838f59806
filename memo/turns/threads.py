"""Calls in their callers' threads."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import time
from collections.abc import Callable, Sequence
from threading import get_ident
from time import perf_counter
from typing import Any, Final
from weakref import ref

from .. import flow as flows
from ..background import Job, background
from ..core import SyncCore
from ..drive import advance
from ..entry import ABSENT, USED_UP, Raised
from ..errors import CacheError, NoValue
from ..flights import ANEW, BareFlight, Flight, Flights
from ..flights.workers import workers
from ..keys import Keys
from ..steps import LATE, Admit, Covered, Followed, Join, Load, LoadBehind, Refresh, Refusal
from .base import BaseTurn, bulkhead_of, own

__all__ = ["PlainTurn", "Turn", "refresh_behind", "take_off"]


class Turn(BaseTurn):
    """A call in the caller's thread.

    The caller goes on with `begin`; unless it is `answered` then, with the function, and with what
    came of that to `loaded` or `failed`. Each of these may raise a `CacheError`, or what the
    policy's `raise_as` made of it.
    """

    __slots__ = ("__weakref__",)

    def begin(self) -> Turn:
        """Go on until there is an answer, or the function is to be called; returns itself."""
        try:
            self._note_landings()
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
            try:
                raise result.error.with_traceback(None)
            finally:
                del result  # see `_found`
        if type(result) is Raised:
            self.answer = result if result is self.raised else Raised(result.again())
            self.answered = True
            self.raised = None
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
        if self.place is not None:
            self._leave_place()
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
            try:
                raise result.error.with_traceback(None)
            finally:
                del result  # see `_found`
        if self.core.copy is None:
            return result
        if self._hand_out(result):
            return self.answer
        # The caller gets the very value that is stored: nobody else may.
        self.core.run(flows.delete(self.key, self.core.rules, self.core.stats), self.budget)
        return value

    def failed(self, error: BaseException) -> bool:
        """The function has raised `error`; returns whether there is an answer in its place."""
        if self.place is not None:
            self._leave_place()
        if self.flow is None:
            return False
        raised = Raised(error, error.__traceback__ and error.__traceback__.tb_next)
        result: Any = raised
        try:
            result = advance(self.flow, raised, self._perform)
        except Exception as fault:
            self._give_up(fault)
        finally:
            self._land(ANEW if result is raised and own(error) else result)
        if type(result) is Refusal:
            try:
                raise result.error.with_traceback(None)
            finally:
                del result  # see `_found`
        return result is not raised and self._hand_out(result)

    def run(self) -> Any:
        """The whole call, where depth does not matter; returns the answer."""
        if not self.begin().answered:
            try:
                try:
                    value = self.function(*self.args, **(self.kwargs or {}))
                except BaseException as error:
                    if not self.failed(error):
                        raise
                else:
                    return self.loaded(value)
            except BaseException:
                self.let_go()
                raise
        if type(self.answer) is Raised:
            raise self.answer.error
        return self.answer

    def let_go(self) -> None:
        """An interrupt has come in between: nobody is to wait for this turn."""
        self._land(ANEW)

    def load(self) -> None:
        """See the flow through, function included, in a thread where nobody waits for this frame.

        What came of it is `result`, for the one who waits for the flight that was handed over.
        """
        flight = self.flight
        flight.owner = get_ident()
        result: Any = ABSENT
        loaded: Any = None
        try:
            advance(self.flow, None, self._perform)  # up to its `Load`
            result = loaded = self._called()
            result = advance(self.flow, loaded, self._perform)
        except Exception as fault:
            self.core.fault("memo itself", fault)
        finally:
            self.result = result
            alone = result is ABSENT or (type(result) is Raised and own(result.error))
            self._land(ANEW if alone else result)
            if self.core.flights.deserted(flight):
                self.result = ABSENT
                if type(loaded) is Raised and type(result) is not Covered:
                    self._outlived(loaded.error)
            flight = result = loaded = None  # an exception knows the frames that it came through

    def _called(self) -> Any:
        """What the function gives, or a `Raised`."""
        try:
            return self.function(*self.args, **(self.kwargs or {}))
        except BaseException as error:
            frames = error.__traceback__ and error.__traceback__.tb_next
            return Raised(error.with_traceback(frames), frames)
        finally:
            self._leave_place()

    def _perform(self, step: Any) -> Any:
        if self.found is not ABSENT:
            return self._found()
        kind = type(step)
        if kind is Join:
            return self._join(step)
        if kind is Refresh:
            self.stale = True
            return None
        if kind is LoadBehind:
            return self._load_behind(step)
        if kind is Admit:
            self.place = bulkhead_of(self.core).enter(step.most, self.core.breaker_is_open)
            return None
        return self.core.perform(step, self.budget)

    def _join(self, step: Join) -> Any:
        """Lead the load, or wait for who does: the flight, `Followed`, or `LATE`."""
        flights: Flights = self.core.flights
        until = self._until(step.within)
        while self.core.single_flight:
            flight = self.flight = Flight(step.key, self)
            under_way = flights.enter(flight)
            if under_way is flight:
                step.unchanged = self._unchanged()
                return flight
            self.flight = None
            result = flights.follow(under_way, until)
            if result is ABSENT:
                break
            if result is LATE:
                return LATE
            if result is not ANEW:
                return Followed(result)
        self.flight = flights.lead(step.key, self)
        return self.flight

    def _load_behind(self, step: LoadBehind) -> Any:
        """Have a worker load, and wait for it: `Followed`, `LATE`, or None to load here."""
        core = self.core
        flights: Flights = core.flights
        until = self._until(step.within)
        flight = self.flight or Flight(self.key, None)  # that nobody else knows of
        turn = Turn(core, self.key, step.flow, self.function, self.args, self.kwargs)
        turn.flight = flight
        context = contextvars.copy_context()
        started = False

        def start() -> bool | None:
            nonlocal started
            answer = workers.start(flights, lambda: context.run(turn.load), until)
            if answer:
                started = True
                self.flight = None
            return answer

        flights.hand_over(flight, turn)
        result = flights.follow(flight, until, start)
        if not started:
            flights.take_back(flight, self)
            return LATE if result is False else None
        if result is LATE:
            return LATE
        result, turn.result = turn.result, ABSENT
        if result is ABSENT:
            raise RuntimeError("a load in a thread of its own came to nothing")
        if type(result) is Raised:
            self.raised = result
        return Followed(result)


#: The clock of entries, where that is the one that loads are timed by: most often.
_STOPWATCH: Final = (
    time.monotonic
    if time.get_clock_info("monotonic") == time.get_clock_info("perf_counter")
    else None
)


class PlainTurn:
    """A call with nothing to decide (see `flows.plain`).

    To its caller it is a `Turn` that is not answered. Where something goes wrong, the flow that it
    stands for takes over.
    """

    __slots__ = ("__weakref__", "core", "flight", "key", "started")

    answered: Final = False
    answer: Final = None

    # What `take_off` sets: a call of a constructor would cost more than all of that.
    core: Any
    key: Any
    flight: BareFlight
    started: float

    def let_go(self) -> None:
        """An interrupt has come in between: nobody is to wait for this turn."""
        if self.flight.result is ABSENT:
            self.core.flights.land(self.flight, ANEW)

    def loaded(self, value: Any) -> Any:
        """The function has returned `value`; returns the caller's answer."""
        core, flight = self.core, self.flight
        stats, rules, flights = core.stats, core.rules, core.flights
        result = value
        used_up = type(value) in USED_UP
        stored = landed = False
        gone: list[Any] = []  # and `victims`: what is let go of outside the lock
        try:
            stats.loads += 1
            now = rules.timer()
            took = (now if rules.timer is _STOPWATCH else perf_counter()) - self.started
            stats.load_time += took
            if not used_up:
                victims: Sequence[Any] = ()
                evicted = 0
                try:
                    with flights.guard.lock:  # which is the store's, too
                        ttl = rules.freshness.ttl
                        victims = core.memory.put(self.key, value, now, ttl, gone, flight)
                        evicted = victims.__len__()  # by method: `len` itself may be cached
                        stored = True
                        flight.result = value
                        flights.drop(flight)
                        landed = True
                except RecursionError:
                    raise
                except Exception:  # noqa: S110 - the flow finds out what is wrong
                    pass
                stats.evictions += evicted  # with no call in between: see `memo.stats`
            if not stored:
                result = core.settle(flows.keep(self.key, value, rules, stats, flight))
        except Exception as fault:
            core.fault("memo itself", fault)
        finally:
            if not landed:
                try:
                    flights.land(flight, ANEW if used_up else result)
                except Exception as fault:
                    core.fault("looking a key up", fault)
            elif flight.landed is not None:
                flight.landed.set()
        if type(result) is Refusal:
            try:
                raise result.error.with_traceback(None)
            finally:
                del result  # see `_found`
        return result

    def failed(self, error: BaseException) -> bool:
        """The function has raised `error`, for which there is no answer in its place."""
        stats = self.core.stats
        result: Any = ANEW
        try:
            stats.loads += 1
            stats.load_failures += type(error) is not NoValue
            took = perf_counter() - self.started
            stats.load_time += took
            if not own(error):
                result = Raised(error, error.__traceback__ and error.__traceback__.tb_next)
        finally:
            try:
                self.core.flights.land(self.flight, result)
            except Exception as fault:
                self.core.fault("looking a key up", fault)
        return False


def take_off(core: Any, keys: Keys, args: tuple[Any, ...], kwargs: Any) -> PlainTurn | None:
    """A plain turn that leads the load of the call; None where there may be something to decide."""
    flights = core.flights
    flight: Any = None
    flying = False
    try:
        if core.rules.standby is not None:
            return None
        key = keys.make(args, kwargs) if kwargs else keys.of(args)
        turn = PlainTurn()
        turn.core = core
        turn.key = key
        flight = turn.flight = BareFlight()
        flight.key = key
        flight.result = ABSENT
        flight.superseded = False
        flight.below = flight.landed = None
        flight.owner = get_ident()
        flight.leader = ref(turn)
        flying = True
        if flights.first(key, flight) is not flight:
            if not core.single_flight:
                flights.add(flight)
            elif flights.enter(flight) is not flight:
                flying = False
                return None
        node = core.memory.peek(key)
        if node is not None:
            if core.rules.timer() < node.expires:
                return None
            core.stats.expirations += 1
        core.stats.misses += 1
        turn.started = perf_counter()
        flying = False
    except Exception:
        return None  # the flow finds out what is wrong
    else:
        return turn
    finally:
        if flying:
            with contextlib.suppress(Exception):  # a key's own code, as above
                flights.land(flight, ANEW)


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
