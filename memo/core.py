"""The parts of one cache, and what they do for a flow that asks for it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeVar

from .alerts import Alerts
from .backends.memory import Memory
from .backends.resolve import adopt
from .drive import advance, advance_async
from .entry import FOREVER, Entry, Outcome, Raised
from .errors import CacheError, OperationFailed, shown
from .flights import AsyncFlights, Flights
from .flow import Flow, Rules, plain
from .guard import AsyncGuard, Budget, Guard
from .keys import Keys
from .stats import Stats
from .steps import HELD, Absorb, Delete, Evict, Read, Refusal, Write

__all__ = ["AsyncCore", "Core", "SyncCore", "settled"]

G = TypeVar("G")


class Core:
    """The parts of one cache, whatever its colour.

    Args:
        name: what messages call it.
        store: its backend.
        scope: what its keys begin with where the store is not its alone, else None.
        rules: what its flows go by.
        held: a memory of what was last seen of the store, where the policy may want it.
        copy: applied to every value handed out.
        single_flight: whether callers wait for a running load of their key.
    """

    def __init__(
        self,
        *,
        name: str,
        store: Any,
        scope: Any,
        rules: Rules,
        held: Memory | None = None,
        copy: Callable[[Any], Any] | None = None,
        single_flight: bool = True,
    ) -> None:
        self.name = name
        self.store = store
        self.scope = scope
        self.rules = rules
        #: Seconds that one call may spend on its backends; None: no bound.
        self.timeout: float | None = None
        self.held = held
        self.copy = copy
        self.single_flight = single_flight
        self.stats = Stats()
        self.alerts = Alerts(name, rules.policy.on_error)
        #: The store where it is our own memory, which takes a second deadline with an entry.
        self.memory: Memory | None = store if type(store) is Memory else None
        rules.exact = self.memory is not None
        #: `peek(args)` is the node a positional call is answered from, `find(args, kwargs)` that of
        #: any call; None where there is none, or no way to look without waiting.
        self.peek: Callable[[Any], Any] = _nothing
        self.find: Callable[[Any, Any], Any] = _nothing
        #: Whether calls that find nothing are made by `PlainTurn`.
        self.plain = False
        #: The clock of what `peek` finds; next to free where nothing ever expires.
        self.clock: Callable[[], float] = rules.timer
        if rules.freshness.ttl is FOREVER:
            self.clock = itertools.repeat(0.0).__next__
        self._others: dict[int, tuple[Any, Any]] = {}

    def look_up(self, keys: Keys) -> None:
        """Have `peek` and `find` look up calls by the keys that `keys` makes."""
        if self.memory is None:
            return
        make, scope, peek = keys.make, self.scope, self.memory.peek
        seek = peek if scope is None else lambda key: peek((scope, key))
        self.find = keys.finder(seek)
        self.peek = seek if keys.direct else lambda args: seek(make(args, {}))

    def answers_until(self, entry: Entry) -> float:
        """Until when a hit on `entry` is no more than handing out its value."""
        if self.copy is not None or type(entry.value) is Raised:
            return -math.inf
        return self.rules.freshness.refresh_at(entry)

    def hear(self, error: CacheError) -> None:
        """Make an error heard that has been counted."""
        if not self.alerts.hear(error):
            self.stats.failures += 1

    def fault(self, what: str, fault: BaseException) -> OperationFailed:
        """Count and make heard a failure that is no backend's; returns it as an error."""
        self.stats.failures += 1
        if isinstance(fault, RecursionError):  # there is no room on the stack to say so
            return OperationFailed(what, operation="call")
        error = OperationFailed(f"{what} raised {shown(fault)}", operation="call")
        error.__cause__ = fault
        self.hear(error)
        return error

    def handed_out(self, value: Any) -> Any:
        """What a caller gets for `value`.

        Raises:
            OperationFailed: the user's `copy` raised.
        """
        if self.copy is None:
            return value
        try:
            return self.copy(value)
        except Exception as fault:
            raise self.fault("copy", fault) from fault

    def shown_outcome(self, outcome: Outcome) -> Outcome:
        """`outcome`, with the value as a caller gets it."""
        if self.copy is None or outcome.value is None:
            return outcome
        try:
            return dataclasses.replace(outcome, value=self.handed_out(outcome.value))
        except OperationFailed as error:
            return Outcome(status="failed", error=error)

    def _other(self, backend: Any, guard: Callable[[Any, Any], G]) -> G:
        """The guard of a fallback backend. Other caches may use it too: this one has a scope."""
        known = self._others.get(id(backend))
        if known is None or known[0] is not backend:
            known = self._others[id(backend)] = (backend, guard(adopt(backend), self))
        found: G = known[1]
        return found

    def _remember(self, key: Any, entry: Entry | None) -> None:
        """Keep what was seen of the store, where the policy may want it."""
        if self.held is not None and entry is not None:
            try:
                self.held.write(key, entry)
            except Exception as fault:
                self.fault("remembering an entry", fault)

    def _performer(self, budget: Budget | None) -> Callable[[Any], Any]:
        """`perform` for all the steps of one flow; with a time of their own if need be."""
        if budget is None:
            if self.timeout is None:
                return self.perform
            budget = Budget(self.timeout)
        return functools.partial(self.perform, budget=budget)

    def perform(self, step: Any, budget: Budget | None = None) -> Any:
        """Do what `step` says, for steps that concern the store."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Drop what is stored, as nobody will ask for it any more; where that is quick."""
        places = [(self.store, self.scope)]
        places += [(guard.backend, self) for _, guard in self._others.values()]
        for store, scope in places:
            clear_scope = getattr(store, "clear_scope", None)
            if scope is None or clear_scope is None or getattr(store, "blocking", True):
                continue
            try:
                clear_scope(scope)
            except Exception as fault:
                self.fault("dropping the entries of a receiver that is gone", fault)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class SyncCore(Core):
    """The parts of a cache that works in its callers' threads."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.flights = Flights()
        self.guard = Guard(self.store, self.scope)
        self.plain = (
            self.scope is None
            and self.memory is not None
            and self.memory.fits_all
            and self.single_flight
            and self.copy is None
            and plain(self.rules)
        )

    def perform(self, step: Any, budget: Budget | None = None) -> Any:
        """Do what `step` says, for steps that concern the store."""
        kind = type(step)
        if kind is Read:
            return self._read(step.key, step.backend, budget)
        if kind is Write:
            return self._write(step, budget)
        if kind is Absorb:
            return self.hear(step.error)
        if kind is Evict:
            evicted = self.guard.evict(1, budget)
            self.stats.evictions += evicted
            return evicted
        if kind is Delete:
            return self._delete(step.key, step.backend, budget)
        return self._clear(step.backend, budget)

    def perform_all(self, steps: list[Any], budget: Budget | None = None) -> list[Any]:
        """Do what each of `steps`, all of one kind, says; for each the answer or a `CacheError`."""
        answers = []
        for step in steps:
            try:
                answers.append(self.perform(step, budget))
            except CacheError as error:
                answers.append(error)
        return answers

    def _read(self, key: Any, backend: Any, budget: Budget | None) -> Entry | None:
        if backend is None:
            entry = self.guard.read(key, budget)
            self._remember(key, entry)
            return entry
        if backend is HELD:
            return None if self.held is None else self.held.read(key)
        return self._other(backend, Guard).read((self, key), budget)

    def _write(self, step: Write, budget: Budget | None) -> None:
        key, entry = step.key, step.entry
        if step.backend is not None:
            self._other(step.backend, Guard).write((self, key), entry, budget)
        elif self.memory is not None:
            until = self.answers_until(entry)
            evicted = self.guard.write(key, entry, budget, answers_until=until, unless=step.watch)
            self.stats.evictions += evicted
        else:
            self._remember(key, entry)
            evicted = self.guard.write(key, entry, budget)
            self.stats.evictions += evicted

    def _delete(self, key: Any, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            return self._other(backend, Guard).delete((self, key), budget)
        if self.held is not None:
            self.held.delete(key)
        return self.guard.delete(key, budget)

    def _clear(self, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            return self._other(backend, Guard).clear(budget)
        if self.held is not None:
            self.held.clear()
        return self.guard.clear(budget)

    def run(self, flow: Flow, budget: Budget | None = None) -> Any:
        """Run a flow that needs no load; returns its result.

        Raises:
            CacheError, or what the policy's `raise_as` made of it; the function's own exception,
            where that is what is cached.
        """
        return settled(self.settle(flow, budget))

    def settle(self, flow: Flow, budget: Budget | None = None) -> Any:
        """Run a flow that needs no load; returns its result, refusals included."""
        return advance(flow, None, self._performer(budget))


class AsyncCore(Core):
    """The parts of a cache that works in tasks."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.flights = AsyncFlights()
        self.guard = AsyncGuard(self.store, self.scope)
        #: Refreshes under way; a task that nothing refers to may vanish.
        self.refreshes: set[asyncio.Task[None]] = set()

    async def perform(self, step: Any, budget: Budget | None = None) -> Any:
        """Do what `step` says, for steps that concern the store."""
        kind = type(step)
        if kind is Read:
            return await self._read(step.key, step.backend, budget)
        if kind is Write:
            return await self._write(step, budget)
        if kind is Absorb:
            return self.hear(step.error)
        if kind is Evict:
            evicted = await self.guard.evict(1, budget)
            self.stats.evictions += evicted
            return evicted
        if kind is Delete:
            return await self._delete(step.key, step.backend, budget)
        return await self._clear(step.backend, budget)

    async def perform_all(self, steps: list[Any], budget: Budget | None = None) -> list[Any]:
        """Do what each of `steps`, all of one kind, says; for each the answer or a `CacheError`."""
        answers = []
        for step in steps:
            try:
                answers.append(await self.perform(step, budget))
            except CacheError as error:
                answers.append(error)
        return answers

    async def _read(self, key: Any, backend: Any, budget: Budget | None) -> Entry | None:
        if backend is None:
            entry = await self.guard.read(key, budget)
            self._remember(key, entry)
            return entry
        if backend is HELD:
            return None if self.held is None else self.held.read(key)
        return await self._other(backend, AsyncGuard).read((self, key), budget)

    async def _write(self, step: Write, budget: Budget | None) -> None:
        key, entry = step.key, step.entry
        if step.backend is not None:
            await self._other(step.backend, AsyncGuard).write((self, key), entry, budget)
        elif self.memory is not None:
            until = self.answers_until(entry)
            evicted = await self.guard.write(
                key, entry, budget, answers_until=until, unless=step.watch
            )
            self.stats.evictions += evicted
        else:
            self._remember(key, entry)
            evicted = await self.guard.write(key, entry, budget)
            self.stats.evictions += evicted

    async def _delete(self, key: Any, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            return await self._other(backend, AsyncGuard).delete((self, key), budget)
        if self.held is not None:
            self.held.delete(key)
        return await self.guard.delete(key, budget)

    async def _clear(self, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            return await self._other(backend, AsyncGuard).clear(budget)
        if self.held is not None:
            self.held.clear()
        return await self.guard.clear(budget)

    async def run(self, flow: Flow, budget: Budget | None = None) -> Any:
        """Run a flow that needs no load; returns its result.

        Raises:
            CacheError, or what the policy's `raise_as` made of it; the function's own exception,
            where that is what is cached.
        """
        return settled(await self.settle(flow, budget))

    async def settle(self, flow: Flow, budget: Budget | None = None) -> Any:
        """Run a flow that needs no load; returns its result, refusals included."""
        return await advance_async(flow, None, self._performer(budget))


def _nothing(*call: Any) -> None:
    del call


def settled(result: Any) -> Any:
    """The result of a flow, at the edge: a value is returned, all else is raised."""
    if type(result) is Refusal:
        raise result.error.with_traceback(None)  # how it came about here is nobody's concern
    if type(result) is Raised:
        raise result.again()
    return result
