"""What the tests of timeouts share: functions that end when they are told to, in either colour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from concurrency.watch import PATIENCE, Crew, turn_until, until

from memo import cached
from memo.flights.workers import workers
from memo.testing import FakeTimer

__all__ = ["LONG", "SOON", "AsyncWays", "Ways"]

#: A timeout that a test waits for: the function cannot end before it. In seconds.
SOON = 0.02

#: One that nothing in a test comes near.
LONG = 60.0


class Ways:
    """One test for both colours: `call` begins a call, `answer` gives what came of it."""

    is_async = False

    def __init__(self) -> None:
        self.timer = FakeTimer()
        self.runs: list[Any] = []
        self._gates: list[threading.Event] = []
        self._crews: list[Crew] = []

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test, written as a coroutine function."""
        coroutine = test()
        try:
            coroutine.send(None)
        except StopIteration:
            return
        finally:
            coroutine.close()
            self.open()
        raise AssertionError("a blocking test has waited for a loop")

    def gated(self, make: Callable[[Any], Any] = lambda key: key, **options: Any) -> Any:
        """A cached function that waits, where it is `shut()`, and gives what `make` gives."""
        gates, runs = self._gates, self.runs

        @cached(timer=self.timer, **options)
        def function(key: Any) -> Any:
            gate = gates[-1] if gates else None
            runs.append(key)
            if gate is not None:
                assert gate.wait(PATIENCE)
            return make(key)

        return function

    def shut(self) -> None:
        """From now on, runs of the function wait."""
        self._gates.append(threading.Event())

    def open(self) -> None:
        """Runs that wait go on, and later ones do not wait."""
        gates = list(self._gates)
        self._gates.clear()
        for gate in gates:
            gate.set()

    async def call(self, function: Any, *args: Any) -> Any:
        """What a call gives."""
        return function(*args)

    def begin(self, function: Any, *args: Any) -> Any:
        """Begin a call beside this one; what comes of it is for `ended`."""
        crew = Crew([lambda: function(*args)])
        self._crews.append(crew)
        return crew

    async def ended(self, begun: Any) -> Any:
        """What a call gives that was begun."""
        return begun.join()[0]

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait for others to have brought about what `true` asks for."""
        until(true)

    async def idle(self, function: Any) -> None:
        """Wait until no load is under way, and none is being seen through."""
        await self.until(lambda: not function._self_site.core.flights and not workers.busy)


class AsyncWays(Ways):
    """The same for coroutine functions."""

    is_async = True

    def __init__(self) -> None:
        super().__init__()
        self._events: list[asyncio.Event] = []

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def limited() -> None:
            try:
                await asyncio.wait_for(test(), PATIENCE)
            finally:
                self.open()

        asyncio.run(limited())

    def gated(self, make: Callable[[Any], Any] = lambda key: key, **options: Any) -> Any:
        events, runs = self._events, self.runs

        @cached(timer=self.timer, **options)
        async def function(key: Any) -> Any:
            gate = events[-1] if events else None
            runs.append(key)
            if gate is not None:
                await gate.wait()
            return make(key)

        return function

    def shut(self) -> None:
        self._events.append(asyncio.Event())

    def open(self) -> None:
        events = list(self._events)
        self._events.clear()
        for event in events:
            event.set()

    async def call(self, function: Any, *args: Any) -> Any:
        return await function(*args)

    def begin(self, function: Any, *args: Any) -> Any:
        return asyncio.ensure_future(function(*args))

    async def ended(self, begun: Any) -> Any:
        return await begun

    async def until(self, true: Callable[[], Any]) -> None:
        await turn_until(true)

    async def idle(self, function: Any) -> None:
        core = function._self_site.core
        await self.until(lambda: not core.flights and not core.refreshes)
