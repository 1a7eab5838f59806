"""Callers that go on calling a cached function while something happens to its backend.

Each answer is checked, each call timed, each error kept. `Threads` calls from threads and `Tasks`
from tasks of one event loop; what a test does with them reads the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

from faults.phases import Call, Heard, Phase, Records, refusal
from servers.process import wait_until

from memo import Breaker, CacheError, Policy, cached

__all__ = ["BREAKER", "PATIENCE", "POLICY", "STRICT", "Callers", "Tasks", "Threads"]

#: Seconds after which something that should have happened is taken never to happen.
PATIENCE = 30.0

BREAKER = Breaker(failures=5, probe_every=0.1)
#: With a budget that a busy machine does not use up by itself.
POLICY = Policy.absorb(timeout=0.2, breaker=BREAKER)
STRICT = Policy.strict(timeout=0.2, breaker=BREAKER)

_names = itertools.count()
_loaded: contextvars.ContextVar[list[bool]] = contextvars.ContextVar("loaded")


class Callers:
    """Callers of one cached function; as a context manager they call from begin to end.

    Args:
        backend: of the function, or its URL.
        policy: of the function; its `on_error` hears what these have heard.
        keys: how many different calls there are.
        size: how many callers.
        pace: seconds that a caller waits from one call to the next.
        seed: of the order of keys.
        work: done by the function in each load, beside answering.
        options: of `cached`.
    """

    size: ClassVar[int]
    pace: ClassVar[float]
    asynchronous: ClassVar[bool]

    def __init__(
        self,
        backend: Any,
        *,
        policy: Policy = POLICY,
        keys: int = 40,
        size: int | None = None,
        pace: float | None = None,
        seed: int = 0,
        work: Callable[[int], object] = lambda _: None,
        **options: Any,
    ) -> None:
        self.keys = keys
        self.count = self.size if size is None else size
        self.every = self.pace if pace is None else pace
        #: Failures in a row after which the breaker opens.
        self.failures = 0 if policy.breaker is None else policy.breaker.failures
        self.strict = policy.failed == STRICT.failed
        self.calls = Records(Call)
        self.heard = Records(Heard)
        #: The moments at which the function was called.
        self.loads: list[float] = []
        self._work = work
        self._seed = seed
        self._over = False
        self._on_error = policy.on_error
        self._done = [0] * self.count
        policy = dataclasses.replace(policy, on_error=self._hear)
        options = {"ttl": 300, "name": f"answer {next(_names)}"} | options
        self.function: Any = self._decorated(cached(backend=backend, policy=policy, **options))

    # What a test does.

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._join()

    def more(self, calls: int) -> None:
        """Wait until each caller has ended so many more calls."""
        goals = [done + calls for done in self._done]
        self.until(
            f"{calls} more calls",
            lambda: all(done >= goal for done, goal in zip(self._done, goals, strict=True)),
        )

    def until(self, what: str, true: Callable[[], Any]) -> None:
        """Wait until `true()`."""

        def so() -> Any:
            self.expect_well()
            return true()

        wait_until(what, so, PATIENCE)

    def warm_up(self) -> None:
        """Wait until the cache answers nearly all calls, for a while."""
        self.until(
            "all keys are loaded", lambda: len({call.key for call in self.calls}) == self.keys
        )
        self.until("a high hit ratio", lambda: self.ratio() >= 0.98)
        # On a busy machine the first calls may take too long, as of a fault.
        self.until("nothing is wrong", lambda: not self.is_open and not self.owed)

    def meet(self, fault: Phase) -> None:
        """Wait until all callers have met `fault`, and the breaker has probed in vain."""
        self.until("the breaker opens", lambda: self.is_open)
        self.more(4)
        self.until("it has probed", lambda: fault.probes >= 1)

    def recover(self, before: float = 1.0) -> None:
        """Wait until the cache answers as many calls as before."""
        self.until("hits as before", lambda: self.ratio() >= 0.95 * before)

    def ratio(self) -> float:
        """The share of hits among the last calls, a few of each key."""
        last = self.calls[-10 * self.keys :]
        return sum(call.hit for call in last) / max(1, len(last))

    @contextlib.contextmanager
    def during(
        self, begin: Callable[[], Any] = lambda: None, end: Callable[[], Any] = lambda: None
    ) -> Iterator[Phase]:
        """What happens in the block, from `begin()` on, until `end()`."""
        phase = Phase(self)
        begin()
        phase.begin()
        try:
            yield phase
        finally:
            phase.end()
            end()

    def do(self, name: str, *args: Any) -> Any:
        """Call the method `name` of the function's handle, as the function is coloured."""
        raise NotImplementedError

    def expect_well(self) -> None:
        """Fail if the callers themselves have failed."""
        raise NotImplementedError

    @property
    def core(self) -> Any:
        """The inside of the function."""
        return self.function._self_site.core

    @property
    def circuit(self) -> Any:
        """The breaker."""
        return self.core.guard.circuit

    @property
    def probes(self) -> int:
        """How many probes the breaker has let through."""
        return 0 if self.circuit is None else self.circuit._probes

    @property
    def is_open(self) -> bool:
        """Whether the breaker is."""
        return self.core.breaker_is_open()

    @property
    def owed(self) -> int:
        """How many operations have not reached the backend."""
        return self.core.guard.recovery.counts()[0]

    # The rest is for the two colours.

    def _decorated(self, decorate: Any) -> Any:
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError

    def _join(self) -> None:
        raise NotImplementedError

    def _answer(self, key: int) -> dict[str, int]:
        self.loads.append(time.perf_counter())
        _loaded.get([False])[0] = True
        self._work(key)
        return {"key": key, "square": key * key}

    def _keys_of(self, number: int) -> Iterator[int]:
        """The keys that a caller is to ask for, as long as there is anything to do."""
        chance = random.Random(f"{self._seed} {number}")
        while not self._over:
            yield chance.randrange(self.keys)

    def _begin(self) -> tuple[float, list[bool]]:
        loaded = [False]
        _loaded.set(loaded)
        return time.perf_counter(), loaded

    def _end(
        self,
        number: int,
        begun: tuple[float, list[bool]],
        key: int,
        value: Any,
        error: BaseException | None,
    ) -> None:
        at, loaded = begun
        took = time.perf_counter() - at
        right = type(value) is dict and value == {"key": key, "square": key * key}
        told = None if error is None else refusal(error)
        self.calls.add(at, took, key, loaded[0], right, told)
        self._done[number] += 1

    def _hear(self, error: CacheError) -> None:
        reason = getattr(error, "reason", "")
        refused = reason.startswith(("its breaker is open", "timed out: nothing is left"))
        operation = getattr(error, "operation", None)
        self.heard.add(time.perf_counter(), type(error).__name__, operation, refused)
        if self._on_error is not None:
            self._on_error(error)


class Threads(Callers):
    """Callers in threads."""

    size = 8
    pace = 0.001
    asynchronous = False

    def do(self, name: str, *args: Any) -> Any:
        """Call the method `name` of the function's handle."""
        return getattr(self.function, name)(*args)

    def expect_well(self) -> None:
        """Fail if a thread has ended."""
        assert all(thread.is_alive() for thread in self._threads), "a caller has died"

    def _decorated(self, decorate: Any) -> Any:
        @decorate
        def answer(key: int) -> dict[str, int]:
            return self._answer(key)

        return answer

    def _start(self) -> None:
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(self.count)
        ]
        for thread in self._threads:
            thread.start()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads), "callers hang"

    def _run(self, number: int) -> None:
        for key in self._keys_of(number):
            value = error = None
            begun = self._begin()
            try:
                value = self.function(key)
            except Exception as raised:
                error = raised
            self._end(number, begun, key, value, error)
            time.sleep(self.every)


class Tasks(Callers):
    """Callers in tasks of one event loop, which runs in a thread of its own.

    The pace is such that they make as many calls as the eight threads: the loop is not to be the
    bottleneck.
    """

    size = 200
    pace = 0.025
    asynchronous = True

    def do(self, name: str, *args: Any) -> Any:
        """Call the method `name` of the function's handle in the loop."""
        method = getattr(self.function, name)
        if not asyncio.iscoroutinefunction(method):
            return method(*args)
        return asyncio.run_coroutine_threadsafe(method(*args), self._loop).result(PATIENCE)

    def expect_well(self) -> None:
        """Fail if the loop has ended."""
        assert self._thread.is_alive(), "the callers have died"

    def _decorated(self, decorate: Any) -> Any:
        @decorate
        async def answer(key: int) -> dict[str, int]:
            return self._answer(key)

        return answer

    def _start(self) -> None:
        begun = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(begun),), daemon=True)
        self._thread.start()
        assert begun.wait(PATIENCE)

    def _join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "callers hang"

    async def _main(self, begun: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        begun.set()
        async with asyncio.TaskGroup() as group:
            for number in range(self.count):
                group.create_task(self._run(number))

    async def _run(self, number: int) -> None:
        await asyncio.sleep(self.every * number / self.count)
        for key in self._keys_of(number):
            value = error = None
            begun = self._begin()
            try:
                value = await self.function(key)
            except Exception as raised:
                error = raised
            self._end(number, begun, key, value, error)
            await asyncio.sleep(self.every)
