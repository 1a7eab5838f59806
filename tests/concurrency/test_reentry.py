"""Who waits for whom: a wait that could never end is not begun."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from concurrency.watch import (
    Crew,
    core,
    following,
    in_thread,
    nothing_left,
    run,
    turn_until,
    until,
    waiters,
)

from memo import cached
from memo.background import background


def test_a_function_may_call_itself_with_the_same_key():
    """A call made inside the load of its own key computes directly."""
    depths = []

    @cached(ttl=60, ignore="depth")
    def load(key, depth=0):
        depths.append(depth)
        return load(key, depth + 1) if depth < 3 else "bottom"

    assert in_thread(lambda: load("k")) == "bottom"
    assert depths == [0, 1, 2, 3]
    assert nothing_left(load)


def test_a_coroutine_may_call_itself_with_the_same_key():
    """The same in one task."""
    depths = []

    @cached(ttl=60, ignore="depth")
    async def load(key, depth=0):
        depths.append(depth)
        return await load(key, depth + 1) if depth < 3 else "bottom"

    assert run(load("k")) == "bottom"
    assert depths == [0, 1, 2, 3]
    assert nothing_left(load)


@pytest.mark.parametrize("spawn", ["create_task", "gather", "shield", "wait_for", "task_group"])
def test_a_coroutine_may_call_itself_through_child_tasks(spawn):
    """The same through tasks that the load starts and waits for."""
    depths = []

    @cached(ttl=60, ignore="depth")
    async def load(key, depth=0):
        depths.append(depth)
        if depth == 2:
            return "bottom"
        inner = load(key, depth + 1)
        if spawn == "create_task":
            return await asyncio.create_task(inner)
        if spawn == "gather":
            return (await asyncio.gather(inner))[0]
        if spawn == "shield":
            return await asyncio.shield(inner)
        if spawn == "wait_for":
            return await asyncio.wait_for(inner, 20)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(inner)
        return task.result()

    assert run(load("k")) == "bottom"
    assert depths == [0, 1, 2]
    assert nothing_left(load)


def test_a_coroutine_may_gather_several_calls_of_itself():
    """Several re-entrant calls at once inside one load all end."""

    @cached(ttl=60, ignore="depth")
    async def load(key, depth=0):
        if depth == 2:
            return 1
        return sum(await asyncio.gather(*(load(key, depth + 1) for _ in range(3))))

    assert run(load("k")) in {1, 3, 9}
    assert nothing_left(load)


def test_a_load_may_call_itself_through_a_thread_and_another_loop():
    """A load that waits for a thread whose own loop calls the same key does not deadlock."""

    @cached(ttl=60, ignore="depth")
    async def load(key, depth=0):
        if depth == 0:
            return await asyncio.to_thread(lambda: asyncio.run(load(key, 1)))
        return "bottom"

    assert run(load("k")) == "bottom"
    assert nothing_left(load)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_threads_that_want_each_others_keys_do_not_deadlock(size):
    """A holds k1 and wants k2, B holds k2 and wants k1, and so on in a ring: all end."""
    barrier = threading.Barrier(size)

    @cached(ttl=60, ignore="inner")
    def load(number, inner=False):
        if inner:
            return number
        barrier.wait(30)
        return number, load((number + 1) % size, True)

    answers = Crew([lambda n=n: load(n) for n in range(size)]).join()
    assert [answer[0] for answer in answers] == list(range(size))
    for number, (_, other) in enumerate(answers):
        assert other == (number + 1) % size or other[0] == (number + 1) % size
    assert nothing_left(load)


def test_threads_may_wait_for_each_other_in_a_chain():
    """A wait that will end is begun: a chain of three threads loads each key once."""
    executions = []
    gate = threading.Event()

    @cached(ttl=60)
    def load(number):
        executions.append(number)
        if number == 0:
            assert gate.wait(30)
            return 0
        return load(number - 1) + 1

    crew = Crew()
    for number in range(4):
        crew.add(lambda number=number: load(number))
        until(lambda number=number: core(load).flights.loading((number,)))
    until(lambda: following() == 3)
    gate.set()
    assert crew.join() == [0, 1, 2, 3]
    assert sorted(executions) == [0, 1, 2, 3]
    assert nothing_left(load)


def test_two_functions_in_two_threads_that_call_each_other_do_not_deadlock():
    """The wait is seen across functions."""
    barrier = threading.Barrier(2)

    @cached(ttl=60, ignore="inner")
    def one(key, inner=False):
        if not inner:
            barrier.wait(30)
            return ("one", two(key, True))
        return "one"

    @cached(ttl=60, ignore="inner")
    def two(key, inner=False):
        if not inner:
            barrier.wait(30)
            return ("two", one(key, True))
        return "two"

    first, second = Crew([lambda: one("k"), lambda: two("k")]).join()
    assert first[0] == "one"
    assert second[0] == "two"
    assert nothing_left(one)
    assert nothing_left(two)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_tasks_that_want_each_others_keys_do_not_deadlock(size):
    """The ring, in tasks of one loop."""

    async def main():
        inside = 0
        everybody = asyncio.Event()

        @cached(ttl=60, ignore="inner")
        async def load(number, inner=False):
            nonlocal inside
            if inner:
                return number
            inside += 1
            if inside == size:
                everybody.set()
            await everybody.wait()
            return number, await load((number + 1) % size, True)

        answers = await asyncio.gather(*(load(n) for n in range(size)))
        assert [answer[0] for answer in answers] == list(range(size))
        assert nothing_left(load)

    run(main())


def test_two_loops_that_want_each_others_keys_do_not_deadlock():
    """The ring, across two loops in two threads."""
    barrier = threading.Barrier(2)

    @cached(ttl=60, ignore="inner")
    async def load(number, inner=False):
        if inner:
            return number
        barrier.wait(30)
        return number, await load(1 - number, True)

    answers = Crew([lambda: run(load(0)), lambda: run(load(1))]).join()
    assert [answer[0] for answer in answers] == [0, 1]
    assert nothing_left(load)


def test_a_direct_computation_is_no_trap_for_those_who_wait_for_it():
    """A task waits for a re-entrant computation, which then wants that task's key: all end."""

    async def main():
        reentered, followed = asyncio.Event(), asyncio.Event()

        @cached(ttl=60, ignore="how")
        async def load(key, how="outer"):
            if key == "a" and how == "outer":
                return await load("a", "again")
            if key == "a" and how == "again":
                reentered.set()
                await followed.wait()
                return "a", await load("b", "inner")
            if key == "b" and how == "outer":
                await reentered.wait()
                before = waiters(load)
                inner = asyncio.create_task(load("a", "inner"))
                await turn_until(lambda: inner.done() or waiters(load) > before)
                followed.set()
                return "b", await inner
            return key

        a = asyncio.create_task(load("a"))
        b = asyncio.create_task(load("b"))
        first, second = await asyncio.wait_for(asyncio.gather(a, b), 10)
        assert first[0] == "a"
        assert second[0] == "b"
        assert nothing_left(load)

    run(main())


def test_a_task_that_outlives_its_load_waits_like_any_other():
    """A task started inside a load that is over follows the key's next load, and loads once."""
    executions = []

    async def main():
        over, gate = asyncio.Event(), asyncio.Event()
        left = []

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            if not left:
                left.append(asyncio.create_task(later(key)))
                return "first"
            await gate.wait()
            return "second"

        async def later(key):
            await over.wait()
            return await load(key)

        assert await load("k") == "first"
        await load.invalidate("k")
        second = asyncio.create_task(load("k"))
        await turn_until(lambda: len(executions) == 2)
        over.set()
        await turn_until(lambda: waiters(load) == 2)
        gate.set()
        assert await second == "second"
        assert await left[0] == "second"

    run(main())
    assert executions == ["k", "k"]


def test_a_refresh_in_the_background_may_call_its_own_key():
    """A function refreshed behind its callers may call itself with the same key."""
    now = [0.0]
    executions = []

    @cached(ttl=10, stale_while_revalidate=10, timer=lambda: now[0], ignore="depth")
    def load(key, depth=0):
        executions.append(depth)
        if len(executions) == 2:
            now[0] += 100  # past every window: the call below cannot be answered with what is held
            return load(key, depth + 1)
        return len(executions)

    assert in_thread(lambda: load("k")) == 1
    now[0] = 15
    assert in_thread(lambda: load("k")) == 1
    assert background.wait(10), "the refresh hangs"
    assert executions == [0, 0, 1]
    assert nothing_left(load)


def test_who_caused_a_refresh_waits_for_it():
    """`refresh()` in the thread whose call set off a background refresh waits for that one."""
    now = [0.0]
    executions = []
    gate = threading.Event()

    @cached(ttl=10, stale_while_revalidate=10, timer=lambda: now[0])
    def load(key):
        executions.append(key)
        if len(executions) == 2:
            assert gate.wait(30)
        return len(executions)

    def visit():
        assert load("k") == 1  # stale, and sets off the refresh
        until(lambda: len(executions) == 2)
        return load.refresh("k")

    assert load("k") == 1
    now[0] = 15
    crew = Crew([visit])
    until(lambda: following() == 1 or not crew.threads[0].is_alive())
    gate.set()
    assert crew.join() == [2]
    assert background.wait(10)
    assert executions == ["k", "k"]


def test_two_refreshes_that_want_each_others_keys_do_not_deadlock():
    """The ring, among threads of the background."""
    now = [0.0]
    barrier = threading.Barrier(2)

    @cached(ttl=10, stale_while_revalidate=10, timer=lambda: now[0], ignore="inner")
    def load(number, inner=False):
        if now[0] and not inner:
            barrier.wait(30)
            now[0] = 1000.0
            barrier.wait(30)
            return number, load(1 - number, True)
        return number

    assert [load(0), load(1)] == [0, 1]
    now[0] = 15
    assert [load(0), load(1)] == [0, 1]
    assert background.wait(10), "the refreshes hang"
    assert nothing_left(load)


def test_context_of_the_caller_is_the_functions():
    """The function sees the caller's context variables in every colour of load."""
    variable = contextvars.ContextVar("variable", default="unset")

    @cached(ttl=60)
    async def load(key):
        return variable.get()

    @cached(ttl=60)
    def load_sync(key):
        return variable.get()

    async def main():
        variable.set("the caller's")
        return await load("k")

    assert run(main()) == "the caller's"

    def visit():
        variable.set("the thread's")
        return load_sync("k")

    assert in_thread(visit) == "the thread's"
