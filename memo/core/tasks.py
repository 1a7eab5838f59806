"""The parts of a cache that works in tasks, and what they do for a flow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from ..drive import advance_async
from ..entry import Entry
from ..errors import CacheError
from ..flights import AsyncFlights
from ..flow import Flow
from ..guard import Budget, async_guard_of
from ..steps import HELD, Absorb, Delete, Evict, Read, Write
from .parts import Core, Other, settled

__all__ = ["AsyncCore"]


class AsyncCore(Core):
    """The parts of a cache that works in tasks."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.flights = AsyncFlights()
        self._guard_store(async_guard_of)
        #: Refreshes under way; a task that nothing refers to may vanish.
        self.refreshes: set[asyncio.Task[Any]] = set()

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
        kind = type(steps[0])
        if len(steps) > 1 and all(getattr(step, "backend", None) is None for step in steps):
            if kind is Read and self.guard.reads_many:
                return await self._read_all([step.key for step in steps], budget)
            if kind is Write and self.guard.writes_many:
                return await self._write_all(steps, budget)
        answers = []
        for step in steps:
            try:
                answers.append(await self.perform(step, budget))
            except CacheError as error:
                answers.append(error)
        return answers

    async def _read_all(self, keys: list[Any], budget: Budget | None) -> list[Any]:
        since = self._seen()
        answers = await self.guard.read_many(keys, budget)
        for key, answer in answers.items():
            if type(answer) is Entry:
                self._remember(key, answer, since)
        return [answers[key] for key in keys]

    async def _write_all(self, steps: list[Write], budget: Budget | None) -> list[Any]:
        since = self._seen()
        for step in steps:
            self._remember(step.key, step.entry, since)
        answers = await self.guard.write_many({step.key: step.entry for step in steps}, budget)
        return self._written(steps, answers)

    def read(self, key: Any, budget: Budget | None) -> Awaitable[Entry | None]:
        """What the store has under `key`."""
        if self.held is None:
            return self.guard.read(key, budget)  # type: ignore[no-any-return]
        return self._read_and_remember(key, budget)

    async def _read_and_remember(self, key: Any, budget: Budget | None) -> Entry | None:
        since = self._seen()
        entry: Entry | None = await self.guard.read(key, budget)
        self._remember(key, entry, since)
        return entry

    async def _read(self, key: Any, backend: Any, budget: Budget | None) -> Entry | None:
        if backend is None:
            return await self.read(key, budget)
        if backend is HELD:
            return None if self.held is None else self.held.read(key)
        other = self._fallback(backend)
        return await other.guard.read(other.key(key), budget)  # type: ignore[no-any-return]

    async def _write(self, step: Write, budget: Budget | None) -> None:
        key, entry = step.key, step.entry
        if step.backend is not None:
            other = self._fallback(step.backend)
            await other.guard.write(other.key(key), entry, budget)
        elif self.memory is not None:
            until = self.answers_until(entry)
            evicted = await self.guard.write(
                key, entry, budget, answers_until=until, unless=step.watch
            )
            self.stats.evictions += evicted
        else:
            self._remember(key, entry, self._seen())
            more = {"unless": step.watch} if self.rules.exact else {}
            evicted = await self.guard.write(key, entry, budget, **more)
            self.stats.evictions += evicted

    async def _delete(self, key: Any, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            other = self._fallback(backend)
            return await other.guard.delete(other.key(key), budget)  # type: ignore[no-any-return]
        self._forget(key)
        return await self.guard.delete(key, budget)  # type: ignore[no-any-return]

    async def _clear(self, backend: Any, budget: Budget | None) -> bool:
        if backend is not None:
            return await self._fallback(backend).guard.clear(budget)  # type: ignore[no-any-return]
        self._forget_all()
        return await self.guard.clear(budget)  # type: ignore[no-any-return]

    def _fallback(self, backend: Any) -> Other:
        return self._other(backend, async_guard_of, in_loop=True)

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
