"""Timeouts of coroutine functions: tasks that are left, cancelled, or end with their loop."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from concurrency.watch import Crew, core, nothing_left, run, turn_until, waiters
from timeouts.waiting import LONG, SOON

from memo import AsyncCache, LoadTimeout, cached
from memo.testing import FakeTimer


def test_nothing_is_cancelled_by_a_timeout():
    """The function never sees a `CancelledError` for its callers' impatience."""
    ended = []

    async def main():
        gate = asyncio.Event()

        @cached(hard_timeout=SOON)
        async def f(key):
            try:
                await gate.wait()
            finally:
                ended.append(asyncio.current_task().cancelling())
            return key

        callers = [asyncio.ensure_future(f(1)) for _ in range(3)]
        for caller in callers:
            with pytest.raises(LoadTimeout):
                await caller
        assert ended == []
        gate.set()
        await turn_until(lambda: not core(f).refreshes)
        assert await f(1) == 1

    run(main())
    assert ended == [0]


def test_a_load_that_was_left_lives_without_anybody_referring_to_it():
    """The collector does not take a task that nobody waits for."""

    async def main():
        gates = []

        @cached(hard_timeout=SOON)
        async def f(key):
            gate = asyncio.get_running_loop().create_future()
            gates.append(gate)
            await gate
            return key

        with pytest.raises(LoadTimeout):
            await f(1)
        await f.invalidate(1)  # nor does the table of flights refer to it any more
        gc.collect()
        (gate,) = gates
        gate.set_result(None)
        await turn_until(lambda: core(f).stats.loads == 1)
        await turn_until(lambda: not core(f).refreshes)

    run(main())


def test_when_every_caller_is_cancelled_so_is_the_load():
    """As without timeouts: a cancellation is no impatience."""

    async def main():
        cancelled = []

        @cached(hard_timeout=LONG)
        async def f(key):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(key)
                raise

        callers = [asyncio.ensure_future(f(1)) for _ in range(3)]
        await turn_until(lambda: waiters(f) == 3)
        for caller in callers:
            caller.cancel()
        done = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(one) for one in done] == [asyncio.CancelledError] * 3
        await turn_until(lambda: cancelled == [1])
        assert nothing_left(f)

    run(main())


def test_a_cancelled_leader_takes_nobody_along():
    """Its followers get the value, within their timeouts."""

    async def main():
        gate = asyncio.Event()

        @cached(hard_timeout=LONG)
        async def f(key):
            await gate.wait()
            return key

        leader = asyncio.ensure_future(f(1))
        await turn_until(lambda: waiters(f) == 1)
        follower = asyncio.ensure_future(f(1))
        await turn_until(lambda: waiters(f) == 2)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        gate.set()
        assert await follower == 1

    run(main())


def test_once_one_caller_has_left_the_load_outlives_the_others_cancellation():
    """What was promised to go on goes on."""

    async def main():
        timer = FakeTimer()
        gate = asyncio.Event()
        gate.set()

        @cached(ttl=10, stale_if_error=100, soft_timeout=SOON, timer=timer)
        async def f(key):
            await gate.wait()
            return timer()

        await f(1)
        gate.clear()
        timer.advance(20)
        assert await f(1) == 0
        caller = asyncio.ensure_future(f(1))
        await turn_until(lambda: waiters(f) == 1)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        gate.set()
        await turn_until(lambda: not core(f).refreshes)
        assert (await f.lookup(1)).value == 20

    run(main())


def test_a_cancellation_inside_the_function_is_its_callers_again():
    """Where the load is cancelled by other hands, who began it is cancelled, as it would be."""

    async def main():
        @cached(hard_timeout=LONG)
        async def f(key):
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await f(1)
        assert nothing_left(f)

    run(main())


def test_a_coroutine_function_may_call_itself():
    """With other arguments, and with the same ones, which computes directly."""
    depth = []

    @cached(hard_timeout=LONG)
    async def down(n):
        return 0 if n == 0 else 1 + await down(n - 1)

    @cached(hard_timeout=LONG)
    async def same(n):
        depth.append(n)
        return n if len(depth) == 3 else await same(n)

    async def main():
        assert await down(200) == 200
        assert await same(1) == 1
        assert nothing_left(down)
        assert nothing_left(same)

    run(main())


def test_a_caller_in_another_loop_has_a_timeout_too():
    """It leaves; the load goes on in its own loop, for its own callers."""

    @cached(hard_timeout=SOON)
    async def f(key):
        started.set()
        await asyncio.to_thread(gate.wait, 10)
        return key

    gate, started, left = threading.Event(), threading.Event(), threading.Event()

    async def here():
        with pytest.raises(LoadTimeout):
            await f(1)
        left.set()
        await turn_until(lambda: not core(f).refreshes)
        return await f(1)

    async def there():
        with pytest.raises(LoadTimeout):
            await f(1)

    crew = Crew([lambda: asyncio.run(here())])
    assert started.wait(10)
    asyncio.run(there())
    assert left.wait(10)
    gate.set()
    assert crew.join() == [1]
    assert core(f).stats.loads == 1


def test_a_loop_that_ends_takes_its_loads_along():
    """What still runs is cancelled with its loop; the next loop loads anew, and nothing is said."""
    loads = []

    @cached(hard_timeout=SOON)
    async def f(key):
        loads.append(key)
        if len(loads) == 1:
            await asyncio.Event().wait()
        return key

    async def first():
        with pytest.raises(LoadTimeout):
            await f(1)

    run(first())
    assert run(f(1)) == 1
    assert nothing_left(f)


def test_close_ends_loads_that_were_left():
    """`AsyncCache.close()` cancels them, as it does refreshes."""

    async def main():
        cache = AsyncCache(ttl=10, hard_timeout=SOON)
        ended = []

        async def load():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(1)

        with pytest.raises(LoadTimeout):
            await cache.get_or_load("k", load)
        await cache.close()
        assert ended == [1]
        assert not cache._core.flights

    run(main())


def test_an_exception_that_came_too_late_is_not_never_retrieved():
    """The loop has nothing to complain about: neither now nor when the task is collected."""
    complaints = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: complaints.append(context)
        )
        gate = asyncio.Event()

        @cached(hard_timeout=SOON)
        async def f(key):
            await gate.wait()
            raise ValueError(key)

        with pytest.raises(LoadTimeout):
            await f(1)
        gate.set()
        await turn_until(lambda: not core(f).refreshes)
        assert core(f).stats.load_failures == 1

    run(main())
    gc.collect()
    assert complaints == []


def test_a_task_that_waits_can_be_timed_out_from_outside():
    """`asyncio.timeout` around a call is a cancellation, and cancels the load with it."""

    async def main():
        cancelled = asyncio.Event()

        @cached(hard_timeout=LONG)
        async def f(key):
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(SOON):
                await f(1)
        assert type(caught.value) is TimeoutError
        await cancelled.wait()
        assert nothing_left(f)

    run(main())


def test_exceptions_of_loads_keep_no_frames_of_ours_alive():
    """After a call that raised nothing but the user's own frames is in the traceback's way."""

    class Big:
        alive = 0

        def __init__(self):
            Big.alive += 1

        def __del__(self):
            Big.alive -= 1

    @cached(hard_timeout=LONG)
    async def f(key, big):
        raise ValueError

    async def main():
        for number in range(3):
            with pytest.raises(ValueError):  # noqa: PT011 - it is the one above
                await f(number, Big())
        await asyncio.sleep(0)
        assert Big.alive == 0

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()
