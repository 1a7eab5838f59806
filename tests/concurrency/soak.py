"""Rounds of many waiters, most of them cancelled; `benchmarks/soak_cancellation.py` runs more."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref

from concurrency.watch import core, nothing_left, run, turn_until, waiters

from memo import cached


def soak(rounds: int, size: int) -> int:
    """How many waiters got the value, in so many `rounds` of `size` waiters; checks for leaks."""
    answered = 0
    dice = random.Random(7)

    async def main():
        nonlocal answered
        gate = asyncio.Event()
        executions = 0

        @cached(ttl=60, maxsize=8)
        async def load(key):
            nonlocal executions
            executions += 1
            await gate.wait()
            return key

        loads = []
        for number in range(rounds):
            gate.clear()
            callers = [asyncio.ensure_future(load(number)) for _ in range(size)]
            await turn_until(lambda: waiters(load) == size)
            leader, *followers = callers
            leader.cancel()
            dice.shuffle(followers)
            gone = followers[: size * 9 // 10]
            for caller in gone:
                caller.cancel()
            loads.append(weakref.ref(next(iter(core(load).flights._flights.values())).task))
            gate.set()
            stayed = await asyncio.gather(*followers[len(gone) :])
            assert stayed == [number] * len(stayed)
            answered += len(stayed)
            assert all(caller.cancelled() for caller in (leader, *gone))
            assert nothing_left(load)
            if number == 4:
                gc.collect()
                before = len(gc.get_objects())
        assert executions == rounds
        del callers, leader, followers, gone, stayed, caller
        gc.collect()
        assert len(asyncio.all_tasks()) <= 2
        assert not any(ref() for ref in loads)
        assert len(gc.get_objects()) - before < 1000

    run(main(), timeout=600)
    return answered
