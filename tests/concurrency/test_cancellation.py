"""A cancelled caller takes nobody along, and the last one to go takes the load along."""

from __future__ import annotations

import asyncio
import threading

import pytest
from concurrency.soak import soak
from concurrency.watch import Crew, nothing_left, run, turn_until, until, waiters

from memo import cached


def test_a_cancelled_leader_does_not_take_its_followers_along():
    """The leader is cancelled, its load goes on, and its followers get the value."""
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            await gate.wait()
            return "value"

        leader = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        followers = [asyncio.create_task(load("k")) for _ in range(10)]
        await turn_until(lambda: waiters(load) == 11)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.set()
        assert await asyncio.gather(*followers) == ["value"] * 10
        assert await load("k") == "value"
        assert nothing_left(load)

    run(main())
    assert executions == ["k"]


def test_when_the_last_waiter_goes_the_load_is_cancelled():
    """With nobody left to wait, the function is cancelled, and the next call loads anew."""
    ends = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            try:
                await gate.wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise
            ends.append("finished")
            return "value"

        callers = [asyncio.create_task(load("k")) for _ in range(5)]
        await turn_until(lambda: waiters(load) == 5)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await turn_until(lambda: ends == ["cancelled"])
        assert nothing_left(load)
        gate.set()
        assert await load("k") == "value"

    run(main())
    assert ends == ["cancelled", "finished"]


def test_who_comes_while_an_abandoned_load_cleans_up_gets_a_load_of_its_own():
    """A new caller neither waits for nor is harmed by a load that is being cancelled."""

    async def main():
        started, cleaned, before = asyncio.Event(), asyncio.Event(), len(asyncio.all_tasks())
        executions = []

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            if len(executions) > 1:
                return "second"
            try:
                started.set()
                await asyncio.Event().wait()
            finally:
                await cleaned.wait()

        first = asyncio.create_task(load("k"))
        await started.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await load("k") == "second"
        cleaned.set()
        await turn_until(lambda: len(asyncio.all_tasks()) == before)
        assert await load("k") == "second"
        assert len(executions) == 2
        assert nothing_left(load)

    run(main())


def test_a_follower_cancelled_before_the_leader_leaves_the_load_alone():
    """Any one waiter that stays keeps the load going."""

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            await gate.wait()
            return "value"

        callers = [asyncio.create_task(load("k")) for _ in range(10)]
        await turn_until(lambda: waiters(load) == 10)
        for caller in callers[1:]:
            caller.cancel()
        await asyncio.gather(*callers[1:], return_exceptions=True)
        gate.set()
        assert await callers[0] == "value"

    run(main())


def test_a_timeout_around_a_call_is_its_own():
    """`asyncio.timeout` around one call ends that call alone."""

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            await gate.wait()
            return "value"

        follower = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await load("k")
        gate.set()
        assert await follower == "value"

    run(main())


def test_a_caller_cancelled_in_another_loop_leaves_the_load_alone():
    """A follower of another loop comes and goes without a trace."""
    gate = threading.Event()

    @cached(ttl=60)
    async def load(key):
        await turn_until(gate.is_set)
        return "value"

    leader = Crew([lambda: run(load("k"))])
    until(lambda: waiters(load) == 1)

    async def comes_and_goes():
        follower = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 2)
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)
        assert waiters(load) == 1

    run(comes_and_goes())
    gate.set()
    assert leader.join() == ["value"]
    assert nothing_left(load)


def test_a_load_whose_last_waiter_is_in_another_loop_is_cancelled_with_it():
    """The leader goes first, then the follower in another loop: the load is cancelled."""
    ended = threading.Event()
    leave = threading.Event()

    @cached(ttl=60)
    async def load(key):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def leads():
        leader = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 2)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        leave.set()
        await turn_until(ended.is_set)

    async def follows():
        follower = asyncio.create_task(load("k"))
        await turn_until(leave.is_set)
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)

    crew = Crew([lambda: run(leads())])
    until(lambda: waiters(load) == 1)
    crew.add(lambda: run(follows()))
    crew.join()
    assert nothing_left(load)


def test_rounds_of_a_thousand_waiters_of_which_most_are_cancelled():
    """The leader is cancelled, then nine waiters in ten: the rest are answered, nothing is left.

    `benchmarks/soak_cancellation.py` does a thousand rounds.
    """
    assert soak(rounds=20, size=1000) == 20 * 99
