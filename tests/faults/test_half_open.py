"""A breaker that is half open lets exactly one caller through, however many come at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from concurrency.watch import turn_until

from memo import Breaker, OperationFailed, Policy, cached
from memo.backends import Memory
from memo.testing import AsyncFaultyBackend, FakeTimer, FaultyBackend

MANY = 64
ROUNDS = 5


class Waits(FaultyBackend):
    """A backend whose reads, if that is asked for, wait until they may go on."""

    blocking = True

    def __init__(self):
        super().__init__(Memory(maxsize=None))
        self.gate = threading.Event()
        self.gate.set()

    def read(self, key, /, **more):
        self.calls["begun"] += 1
        assert self.gate.wait(30)
        return super().read(key, **more)


class AsyncWaits(AsyncFaultyBackend):
    """The same for tasks."""

    def __init__(self):
        super().__init__(Memory(maxsize=None))
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, key, /):
        self.calls["begun"] += 1
        await self.gate.wait()
        return await super().read(key)


def policies(timer):
    """Policies with one breaker, for callers who want a value and for those who want to know."""
    breaker = Breaker(failures=5, probe_every=1.0, timer=timer)
    return (
        Policy.absorb(timeout=None, breaker=breaker),
        Policy.strict(timeout=None, breaker=breaker),
    )


def reach_the_probe(backend, timer, *, heals):
    """Let the next read be a probe that waits; gives how many reads there have been."""
    if heals:
        backend.heal()
    backend.gate.clear()
    timer.advance(1.0)
    return backend.calls["begun"]


each_end = pytest.mark.parametrize("heals", [True, False], ids=["heals", "still fails"])
each_policy = pytest.mark.parametrize("strict", [False, True], ids=["absorb", "strict"])


@each_end
@each_policy
def test_one_probe_of_64_threads(heals, strict):
    """While the probe is under way all others are refused, and there is no second one."""
    timer = FakeTimer()
    backend = Waits()

    @cached(backend=backend, policy=policies(timer)[strict], single_flight=False)
    def double(x):
        return 2 * x

    def call(x):
        try:
            return double(x)
        except OperationFailed:
            return "refused"

    with ThreadPoolExecutor(MANY) as pool:
        for turn in range(ROUNDS):
            backend.fail()
            for x in range(5):
                call(x)
            asked = reach_the_probe(backend, timer, heals=heals)
            calls = [pool.submit(call, x) for x in range(1000 * turn, 1000 * turn + MANY)]
            _wait_for_all_but_one(calls)
            assert backend.calls["begun"] == asked + 1
            backend.gate.set()
            answers = [one.result(30) for one in calls]
            assert answers.count("refused") == (MANY - heals if strict else 0)
            if not heals:
                assert backend.calls["begun"] == asked + 1
            backend.heal()
            timer.advance(1.0)
            call(0)
            assert double.lookup(0).status == "fresh"  # it has closed


@each_end
@each_policy
def test_one_probe_of_64_tasks(heals, strict):
    """The same for tasks of one loop."""

    async def main():
        timer = FakeTimer()
        backend = AsyncWaits()

        @cached(backend=backend, policy=policies(timer)[strict], single_flight=False)
        async def double(x):
            return 2 * x

        async def call(x):
            try:
                return await double(x)
            except OperationFailed:
                return "refused"

        for turn in range(ROUNDS):
            backend.fail()
            for x in range(5):
                await call(x)
            asked = reach_the_probe(backend, timer, heals=heals)
            calls = [asyncio.ensure_future(call(x)) for x in range(1000 * turn, 1000 * turn + MANY)]
            await turn_until(lambda: sum(one.done() for one in calls) == MANY - 1)  # noqa: B023
            await turn_until(lambda: backend.calls["begun"] > asked)  # noqa: B023
            assert backend.calls["begun"] == asked + 1
            backend.gate.set()
            answers = await asyncio.gather(*calls)
            assert answers.count("refused") == (MANY - heals if strict else 0)
            if not heals:
                assert backend.calls["begun"] == asked + 1
            backend.heal()
            timer.advance(1.0)
            await call(0)
            assert (await double.lookup(0)).status == "fresh"

    asyncio.run(asyncio.wait_for(main(), 30))


def _wait_for_all_but_one(calls):
    """Wait until all have ended but the probe, which must not have."""
    ended = threading.Semaphore(0)
    for one in calls:
        one.add_done_callback(lambda _: ended.release())
    for _ in range(len(calls) - 1):
        assert ended.acquire(timeout=30)
    assert sum(one.done() for one in calls) == len(calls) - 1
