"""Refreshes behind the callers' backs: they cost no caller time, and never bring back the past."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from concurrency.watch import Crew, core, in_thread, nothing_left, run, turn_until, until

from memo import STALE, AsyncCache, Cache, OperationFailed, Policy, cached
from memo.background import Background, Job, background
from memo.testing import FakeTimer

#: Ways to have a stale, or soon stale, value refreshed behind; each stored at 0 is due at 15.
WAYS = {
    "refresh_after": {"ttl": 20, "refresh_after": 0.5},
    "stale_while_revalidate": {"ttl": 10, "stale_while_revalidate": 10},
    "STALE": {"ttl": 10, "policy": Policy(expired=STALE)},
}
ways = pytest.mark.parametrize("way", WAYS)


@ways
def test_a_caller_is_not_blocked_by_a_refresh(way):
    """A due value is answered at once, while the refresh it sets off is still running."""
    timer, gate = FakeTimer(), threading.Event()
    executions = []

    @cached(**WAYS[way], timer=timer)
    def load(key):
        executions.append(threading.current_thread().name)
        if len(executions) > 1:
            assert gate.wait(30)
        return len(executions)

    assert load("k") == 1
    timer.advance(15)
    assert [load("k") for _ in range(5)] == [1] * 5
    gate.set()
    assert background.wait(10)
    assert load("k") == 2
    assert executions[1:] == ["memo-refresh"]
    info = load.cache_info()
    assert (info.hits, info.misses, info.loads) == (6, 1, 2)
    assert info.stale_hits == (0 if way == "refresh_after" else 5)
    assert nothing_left(load)


@ways
def test_a_task_is_not_blocked_by_a_refresh(way):
    """The same in a loop."""
    timer = FakeTimer()
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(**WAYS[way], timer=timer)
        async def load(key):
            executions.append(key)
            if len(executions) > 1:
                await gate.wait()
            return len(executions)

        assert await load("k") == 1
        timer.advance(15)
        assert [await load("k") for _ in range(5)] == [1] * 5
        gate.set()
        await turn_until(lambda: not core(load).refreshes)
        assert await load("k") == 2
        assert len(executions) == 2
        info = load.cache_info()
        assert (info.hits, info.misses, info.loads) == (6, 1, 2)
        assert info.stale_hits == (0 if way == "refresh_after" else 5)
        assert nothing_left(load)

    run(main())


@ways
def test_a_refresh_sees_the_context_of_the_caller_that_set_it_off(way):
    """The refreshing thread runs in a copy of that caller's context."""
    timer = FakeTimer()
    variable = contextvars.ContextVar("variable", default="nobody")
    seen = []

    @cached(**WAYS[way], timer=timer)
    def load(key):
        seen.append(variable.get())
        variable.set("changed by the load")
        return key

    load("k")
    timer.advance(15)

    def visit():
        variable.set("the caller")
        load("k")
        return variable.get()

    assert in_thread(visit) == "the caller"
    assert background.wait(10)
    assert seen == ["nobody", "the caller"]


@ways
def test_an_async_refresh_sees_the_context_of_the_caller_that_set_it_off(way):
    """The same in a loop."""
    timer = FakeTimer()
    variable = contextvars.ContextVar("variable", default="nobody")
    seen = []

    async def main():
        @cached(**WAYS[way], timer=timer)
        async def load(key):
            seen.append(variable.get())
            return key

        await load("k")
        timer.advance(15)
        variable.set("the caller")
        await load("k")
        await turn_until(lambda: not core(load).refreshes)

    run(main())
    assert seen == ["nobody", "the caller"]


@ways
@pytest.mark.parametrize(
    ("act", "left"),
    [
        (lambda f: f.invalidate("k"), None),
        (lambda f: f.set("newer", "k"), "newer"),
        (lambda f: f.cache_clear(), None),
    ],
    ids=["invalidate", "set", "cache_clear"],
)
def test_a_refresh_is_stored_only_if_nothing_came_between(way, act, left):
    """An invalidation, a newer value or a clear during the refresh wins."""
    timer, gate, started = FakeTimer(), threading.Event(), threading.Event()

    @cached(**WAYS[way], timer=timer)
    def load(key):
        if started.is_set():
            assert gate.wait(30)
        started.set()
        return "loaded"

    load("k")
    timer.advance(15)
    load("k")
    until(lambda: core(load).flights.loading(("k",)))
    act(load)
    gate.set()
    assert background.wait(10)
    assert load.lookup("k").value == left

    async def main():
        gate, started = asyncio.Event(), []
        timer = FakeTimer()

        @cached(**WAYS[way], timer=timer)
        async def load(key):
            if started:
                await gate.wait()
            started.append(key)
            return "loaded"

        await load("k")
        timer.advance(15)
        await load("k")
        await asyncio.sleep(0)
        await act(load)
        gate.set()
        await turn_until(lambda: not core(load).refreshes)
        assert (await load.lookup("k")).value == left

    run(main())


@ways
def test_a_refresh_that_fails_is_counted_and_heard_and_leaves_the_value(way):
    """Nobody waits for a refresh, so its exception goes to `on_error` and the counters."""
    heard = []
    options = dict(WAYS[way])
    policy = options.pop("policy", Policy())
    options["policy"] = Policy(expired=policy.expired, on_error=heard.append)
    timer = FakeTimer()
    fails = False

    @cached(**options, timer=timer)
    def load(key):
        if fails:
            raise ValueError("upstream")
        return "value"

    load("k")
    timer.advance(15)
    fails = True
    assert load("k") == "value"
    assert background.wait(10)
    assert load("k") == "value"
    assert background.wait(10)
    info = load.cache_info()
    assert (info.loads, info.load_failures, info.failures) == (3, 2, 2)
    assert [type(error) for error in heard] == [OperationFailed] * 2
    assert all("upstream" in str(error) for error in heard)
    assert all(type(error.__cause__) is ValueError for error in heard)

    async def main():
        @cached(**options, timer=timer)
        async def load(key):
            if fails:
                raise ValueError("upstream")
            return "value"

        await load("k")
        timer.advance(15)
        nonlocal_fail()
        assert await load("k") == "value"
        await turn_until(lambda: not core(load).refreshes)
        assert (load.cache_info().load_failures, load.cache_info().failures) == (1, 1)

    def nonlocal_fail():
        nonlocal fails
        fails = True

    fails = False
    heard.clear()
    run(main())
    assert [type(error.__cause__) for error in heard] == [ValueError]


def test_one_refresh_of_a_key_runs_at_a_time():
    """However many callers meet a due value, one refresh is set off."""
    timer, gate = FakeTimer(), threading.Event()
    executions = []

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        executions.append(key)
        if len(executions) > 1:
            assert gate.wait(30)
        return len(executions)

    load("k")
    timer.advance(15)
    assert Crew([lambda: load("k")] * 50).join() == [1] * 50
    gate.set()
    assert background.wait(10)
    assert len(executions) == 2


def test_a_call_past_the_window_waits_for_the_refresh_under_way():
    """Once stale values may not be served any more, callers follow the running refresh."""
    timer, gate = FakeTimer(), threading.Event()
    executions = []

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        executions.append(key)
        if len(executions) > 1:
            assert gate.wait(30)
        return len(executions)

    load("k")
    timer.advance(15)
    load("k")
    until(lambda: len(executions) == 2)
    timer.advance(15)
    crew = Crew([lambda: load("k")])
    flights = core(load).flights
    until(lambda: flights._flights[("k",)].landed is not None)
    gate.set()
    assert crew.join() == [2]
    assert len(executions) == 2


def test_a_task_past_the_window_waits_for_the_refresh_under_way():
    """The same in a loop; when that task is cancelled, the refresh goes on."""
    timer = FakeTimer()
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=10, stale_while_revalidate=10, timer=timer)
        async def load(key):
            executions.append(key)
            if len(executions) > 1:
                await gate.wait()
            return len(executions)

        await load("k")
        timer.advance(15)
        await load("k")
        timer.advance(15)
        callers = [asyncio.create_task(load("k")) for _ in range(2)]
        flights = core(load).flights._flights
        await turn_until(lambda: len(flights[("k",)].waiters) == 2)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        gate.set()
        await turn_until(lambda: not core(load).refreshes)
        assert await load("k") == 2

    run(main())
    assert len(executions) == 2


@pytest.mark.parametrize("moment", ["before its first step", "while it runs"])
def test_a_cancelled_refresh_strands_nobody(moment):
    """A refresh task cancelled at any moment leaves its key loadable."""
    timer = FakeTimer()

    async def main():
        executions = []

        @cached(ttl=10, stale_while_revalidate=10, timer=timer)
        async def load(key):
            executions.append(key)
            if len(executions) == 2 and moment == "while it runs":
                await asyncio.Event().wait()
            return len(executions)

        await load("k")
        timer.advance(15)
        await load("k")
        (refresh,) = core(load).refreshes
        if moment == "while it runs":
            await turn_until(lambda: len(executions) == 2)
        refresh.cancel()
        await asyncio.gather(refresh, return_exceptions=True)
        timer.advance(15)
        assert await load("k") == len(executions)
        assert nothing_left(load)

    run(main(), 5)


def test_close_ends_what_runs_in_the_background():
    """`AsyncCache.close()` cancels refreshes; the cache's keys can be loaded afterwards."""
    timer = FakeTimer()

    async def main():
        cache = AsyncCache(ttl=10, stale_while_revalidate=10, timer=timer)
        ended = []

        async def first():
            return "first"

        async def second():
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("second")

        async def third():
            return "third"

        await cache.get_or_load("k", first)
        timer.advance(15)
        assert await cache.get_or_load("k", second) == "first"
        await turn_until(lambda: cache._core.refreshes)
        await asyncio.sleep(0)
        await cache.close()
        assert ended == ["second"]
        assert not cache._core.refreshes
        timer.advance(15)
        assert await cache.get_or_load("k", third) == "third"

        # and at once, before the refresh has taken its first step
        timer.advance(15)
        assert await cache.get_or_load("k", second) == "third"
        await cache.close()
        timer.advance(15)
        assert await cache.get_or_load("k", first) == "first"

    run(main(), 5)


def test_close_drops_refreshes_that_wait_for_a_thread():
    """`Cache.close()` drops what has not begun, and its keys can be loaded afterwards."""
    timer, gate = FakeTimer(), threading.Event()
    busy = Background  # the pool's bound is looked up where it is used
    cache = Cache(ttl=10, stale_while_revalidate=10, timer=timer)
    executions = []

    def load():
        executions.append(threading.current_thread().name)
        return "value"

    blockers = background._workers
    for _ in range(blockers):
        assert background.submit(Job(busy, lambda: gate.wait(30), lambda: None))
    try:
        cache.get_or_load("k", load)
        timer.advance(15)
        assert cache.get_or_load("k", load) == "value"
        cache.close()
        timer.advance(15)
        assert in_thread(lambda: cache.get_or_load("k", load)) == "value"
        assert "memo-refresh" not in executions
    finally:
        gate.set()
    assert background.wait(10)


def test_who_needs_a_refresh_that_still_waits_for_a_thread_is_not_held_up_for_ever():
    """With every thread of the background wanting a value whose refresh waits: no deadlock."""
    timer = FakeTimer()
    started = threading.Semaphore(0)
    go_on = threading.Event()

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def leaf(key):
        return "leaf"

    @cached(ttl=10, stale_while_revalidate=1000, timer=timer)
    def needs(number):
        if timer() > 0:
            started.release()
            assert go_on.wait(30)
        return leaf("k")

    workers = background._workers
    for number in range(workers):
        needs(number)
    timer.advance(15)
    for number in range(workers):
        needs(number)  # every thread is busy now
    for _ in range(workers):
        assert started.acquire(timeout=10)
    leaf("k")  # stale: its refresh waits for a thread
    timer.advance(100)  # from here on `leaf` can only be loaded
    go_on.set()
    assert background.wait(10), "the background is stuck"
    assert leaf("k") == "leaf"


def test_a_full_queue_refuses_and_the_value_is_served_all_the_same():
    """A refresh that cannot be queued is a counted failure, and can be set off again later."""
    pool = Background(workers=1, waiting=1)
    gate, started = threading.Event(), threading.Event()

    def work():
        started.set()
        gate.wait(30)

    assert pool.submit(Job(None, work, lambda: None))
    assert started.wait(10)
    assert pool.submit(Job(None, lambda: None, lambda: None))
    assert not pool.submit(Job(None, lambda: None, lambda: None))
    gate.set()
    assert pool.wait(10)
    assert pool.submit(Job(None, lambda: None, lambda: None))
    assert pool.wait(10)
    pool.close()
    assert not pool.submit(Job(None, lambda: None, lambda: None))


def test_threads_of_the_background_leave_when_there_is_nothing_to_do():
    """An idle pool keeps no thread."""
    pool = Background(workers=3, idle=0.001)
    for _ in range(20):
        assert pool.submit(Job(None, lambda: None, lambda: None))
    assert pool.wait(10)
    until(lambda: pool._threads == 0)
    assert pool.submit(Job(None, lambda: None, lambda: None))
    assert pool.wait(10)


def test_a_job_that_raises_costs_the_pool_nothing(caplog):
    """Whatever a job raises is logged, and the next job runs."""
    pool = Background(workers=1)
    ran = []

    def fails():
        raise SystemExit(3)

    assert pool.submit(Job(None, fails, lambda: None))
    assert pool.submit(Job(None, lambda: ran.append(1), lambda: None))
    assert pool.wait(10)
    assert ran == [1]
    assert "background" in caplog.text


def test_a_refresh_that_is_interrupted_strands_nobody(caplog):
    """A `SystemExit` in a refresh ends that refresh alone."""
    timer = FakeTimer()
    executions = []

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        executions.append(key)
        if len(executions) == 2:
            raise SystemExit(3)
        return len(executions)

    load("k")
    timer.advance(15)
    load("k")
    assert background.wait(10)
    assert nothing_left(load)
    timer.advance(15)
    assert in_thread(lambda: load("k")) == 3
