"""The parts of a cache that works in its callers' threads, and what they do for a flow."""

from __future__ import annotations

from typing import Any

from ..drive import advance
from ..entry import Entry
from ..errors import CacheError
from ..flights import Flights
from ..flow import Flow, plain
from ..guard import Budget, guard_of
from ..steps import HELD, Absorb, Delete, Evict, Read, Write
from .parts import Core, Other, settled

__all__ = ["SyncCore"]


class SyncCore(Core):
    """The parts of a cache that works in its callers' threads."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.flights = Flights(None if self.memory is None else self.memory.guard)
        self._guard_store(guard_of)
        self.plain = (
            self.scope is None
            and self.memory is not None
            and self.memory.fits_all
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
        kind = type(steps[0])
        if len(steps) > 1 and all(getattr(step, "backend", None) is None for step in steps):
            if kind is Read and self.guard.reads_many:
                return self._read_all([step.key for step in steps], budget)
            if kind is Write and self.guard.writes_many:
                return self._write_all(steps, budget)
        answers = []
        for step in steps:
            try:
                answers.append(self.perform(step, budget))
            except CacheError as error:
                answers.append(error)
        return answers

    def _read_all(self, keys: list[Any], budget: Budget | None) -> list[Any]:
        since = self._seen()
        answers = self.guard.read_many(keys, budget)
        for key, answer in answers.items():
            if type(answer) is Entry:
                self._remember(key, answer, since)
        return [answers[key] for key in keys]

    def _write_all(self, steps: list[Write], budget: Budget | None) -> list[Any]:
        since = self._seen()
        for step in steps:
            self._remember(step.key, step.entry, since)
        answers = self.guard.write_many({step.key: step.entry for step in steps}, budget)
        return self._written(steps, answers)

    def read(self, key: Any, budget: Budget | None) -> Entry | None:
        """What the store has under `key`."""
        if self.held is None:
            return self.guard.read(key, budget)  # type: ignore[no-any-return]
        since = self._seen()
        entry: Entry | None = self.guard.read(key, budget)
        self._remember(key, entry, since)
        return entry

    def _read(self, key: Any, backend: Any, budget: Budget | None) -> Entry | None:
        if backend is None:
            return self.read(key, budget)
        if backend is HELD:
            return None if self.held is None else self.held.read(key)
        other = self._fallback(backend)
        return other.guard.read(other.key(key), budget)  # type: ignore[no-any-return]

    def _write(self, step: Write, budget: Budget | None) -> None:
        key, entry = step.key, step.entry
        if step.backend is not None:
            other = self._fallback(step.backend)
            other.guard.write(other.key(key), entry, budget)
        elif self.memory is not None:
            until = self.answers_until(entry)
            evicted = self.guard.write(key, entry, budget, answers_until=until, unless=step.watch)
            self.stats.evictions += evicted
        else:
            self._remember(key, entry, self._seen())
            more = {"unless": step.watch} if self.rules.exact else {}
            evicted = self.guard.write(key, entry, budget, **more)
            self.stats.evictions += evicted

    def _delete(self, key: Any, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            other = self._fallback(backend)
            return other.guard.delete(other.key(key), budget)  # type: ignore[no-any-return]
        self._forget(key)
        return self.guard.delete(key, budget)  # type: ignore[no-any-return]

    def _clear(self, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            return self._fallback(backend).guard.clear(budget)  # type: ignore[no-any-return]
        self._forget_all()
        return self.guard.clear(budget)  # type: ignore[no-any-return]

    def _fallback(self, backend: Any) -> Other:
        return self._other(backend, guard_of, in_loop=False)

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
