"""Event loops come and go; a decorated function outlives them all."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import weakref

import pytest
from concurrency.watch import Crew, core, in_thread, nothing_left, run, turn_until, until, waiters

from memo import cached
from memo.testing import FakeTimer


def test_a_hundred_consecutive_runs_share_one_cache():
    """`asyncio.run` a hundred times: hits, loads and failures as if it were one loop."""
    executions = []

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        await asyncio.sleep(0)
        return key

    async def main(number):
        return await asyncio.gather(load("same"), load(number), load(number))

    for number in range(100):
        assert asyncio.run(main(number)) == ["same", number, number]
    assert len(executions) == 101
    assert nothing_left(load)


def test_loops_may_end_with_a_load_pending():
    """A load cancelled by the end of its loop is started anew in the next."""
    executions = []

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        if len(executions) < 100:
            await asyncio.Event().wait()
        return len(executions)

    async def leaves():
        task = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        return task

    for _ in range(99):
        task = asyncio.run(leaves())
        assert task.cancelled()
    assert run(load("k"), 5) == 100
    assert nothing_left(load)


def test_a_closed_loop_with_a_load_pending_strands_nobody(caplog):
    """A loop closed by force, its tasks never cancelled: the next loop loads by itself."""
    caplog.set_level(logging.CRITICAL, "asyncio")
    executions = []

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        if len(executions) == 1:
            await asyncio.Event().wait()
        return len(executions)

    loop = asyncio.new_event_loop()
    task = loop.create_task(load("k"))
    loop.run_until_complete(_until(lambda: executions))
    loop.close()
    assert run(load("k"), 5) == 2
    assert not task.done()
    assert run(load("k"), 5) == 2


async def _until(true):
    await turn_until(true)


def test_a_stopped_loop_with_a_load_pending_strands_nobody():
    """A loop that is stopped, not closed: the next one loads; the first may go on later."""
    executions = []

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        if len(executions) == 1:
            await gate.wait()
            return "first"
        return "second"

    gate = asyncio.Event()
    loop = asyncio.new_event_loop()
    first = loop.create_task(load("k"))
    loop.run_until_complete(_until(lambda: executions))
    assert run(load("k"), 5) == "second"
    gate.set()
    assert loop.run_until_complete(first) == "first"
    loop.close()
    assert run(load("k"), 5) in {"first", "second"}
    assert nothing_left(load)


def test_followers_of_a_loop_that_stops_meanwhile_start_anew():
    """A follower in another loop notices that the leader's loop is gone, and loads by itself."""
    executions = []
    stopped = threading.Event()

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        if len(executions) == 1:
            await asyncio.Event().wait()
        return "second"

    loop = asyncio.new_event_loop()
    first = loop.create_task(load("k"))

    def leads():
        loop.run_until_complete(_until(lambda: waiters(load) == 2))
        stopped.set()

    crew = Crew([leads])
    until(lambda: waiters(load) == 1)
    crew.add(lambda: run(load("k"), 10))
    assert stopped.wait(10)
    assert crew.join()[1] == "second"
    first.cancel()
    loop.run_until_complete(asyncio.gather(first, return_exceptions=True))
    loop.close()


def test_a_refresh_pending_in_a_closed_loop_strands_nobody():
    """A refresh whose loop is gone does not keep the key from being refreshed or loaded."""
    timer = FakeTimer()
    executions = []

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    async def load(key):
        executions.append(key)
        if len(executions) == 2:
            await asyncio.Event().wait()
        return len(executions)

    async def twice():
        await load("k")
        timer.advance(15)
        assert await load("k") == 1

    asyncio.run(twice())  # the refresh is cancelled before its first step, by the loop's end
    timer.advance(100)
    assert run(load("k"), 5) == len(executions)
    assert nothing_left(load)


def test_loops_are_not_kept_alive():
    """After a loop is closed, nothing of ours refers to it."""

    @cached(ttl=60)
    async def load(key):
        await asyncio.sleep(0)
        return key

    loop = asyncio.new_event_loop()
    loop.run_until_complete(_all(load))
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


async def _all(load):
    await asyncio.gather(*(load(number) for number in range(3)), load(0))


def test_an_exit_of_a_load_is_not_logged_as_never_retrieved(caplog):
    """A `SystemExit` that has ended the loop is reported once, by the loop's runner."""

    @cached(ttl=60)
    async def load(key):
        raise SystemExit(3)

    def leads():
        with pytest.raises(SystemExit):
            asyncio.run(load("k"))

    in_thread(leads)
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_an_exception_nobody_waits_for_any_more_is_not_logged_as_never_retrieved(caplog):
    """A load that raises after all its callers were answered or gone leaves asyncio silent."""

    async def main():
        gate, before = asyncio.Event(), len(asyncio.all_tasks())

        @cached(ttl=60)
        async def load(key):
            try:
                await gate.wait()
            finally:
                raise ValueError("late")

        caller = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await turn_until(lambda: len(asyncio.all_tasks()) == before)
        assert nothing_left(load)

    run(main())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_coroutines_may_be_made_in_one_loop_and_awaited_in_another():
    """A call that has not been awaited belongs to no loop yet."""

    @cached(ttl=60)
    async def load(key):
        await asyncio.sleep(0)
        return key

    async def makes():
        return load("k")

    coroutine = asyncio.run(makes())
    assert asyncio.run(coroutine) == "k"
    assert core(load).stats.loads == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin in a later step of the loop")
@pytest.mark.parametrize(
    "options",
    [{}, {"hard_timeout": 60}, {"single_flight": False}, {"ttl": 10, "stale_if_error": 5}],
    ids=" ".join,
)
@pytest.mark.parametrize("pauses", [False, True])
def test_tasks_may_begin_at_once(options, pauses):
    """With `asyncio.eager_task_factory` a load may end before its leader has begun to wait."""
    executions = []

    @cached(**options)
    async def load(key):
        executions.append(key)
        if pauses:
            await asyncio.sleep(0)
        if key == "wrong":
            raise ValueError(key)
        return key

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        assert await asyncio.gather(load(1), load(1), load(2)) == [1, 1, 2]
        assert await load.refresh(1) == 1
        with pytest.raises(ValueError, match="wrong"):
            await load("wrong")

    run(main())
    assert set(executions) == {1, 2, "wrong"}
    assert nothing_left(load)
