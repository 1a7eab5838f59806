"""Single flight: however many come for one cold key, the function runs once."""

from __future__ import annotations

import asyncio
import threading
import traceback

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

from memo import AsyncCache, Cache, cached


class Upstream(Exception):
    """What the functions below raise."""


def crowd(size, visit):
    """`size` threads that call `visit` at the same moment."""
    barrier = threading.Barrier(size)

    def come():
        barrier.wait(30)
        return visit()

    with _SmallStacks():
        return Crew([come] * size)


class _SmallStacks:
    def __enter__(self):
        self.before = threading.stack_size(256 * 1024)

    def __exit__(self, *error):
        threading.stack_size(self.before)


def test_a_thousand_threads_on_one_cold_key_run_the_function_once():
    """All of a thousand threads get an equal result of one execution."""
    executions = []
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        assert gate.wait(30)
        return [key]

    visitors = crowd(1000, lambda: load("cold"))
    until(lambda: following() == 999)
    gate.set()
    assert visitors.join() == [["cold"]] * 1000
    assert executions == ["cold"]
    info = load.cache_info()
    assert (info.hits, info.misses, info.loads) == (999, 1, 1)
    assert nothing_left(load)


def test_a_thousand_tasks_on_one_cold_key_run_the_function_once():
    """All of a thousand tasks of one loop get an equal result of one execution."""
    executions = []

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        await gate.wait()
        return [key]

    async def main():
        nonlocal gate
        gate = asyncio.Event()
        tasks = [asyncio.create_task(load("cold")) for _ in range(1000)]
        await turn_until(lambda: waiters(load) == 1000)
        gate.set()
        return await asyncio.gather(*tasks)

    gate = None
    assert run(main()) == [["cold"]] * 1000
    assert executions == ["cold"]
    info = load.cache_info()
    assert (info.hits, info.misses, info.loads) == (999, 1, 1)
    assert nothing_left(load)


def test_eight_loops_in_eight_threads_run_the_function_once():
    """Tasks of eight loops in eight threads get an equal result of one execution; none hangs."""
    executions = []
    gate = threading.Event()

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        await turn_until(gate.is_set)
        return [key]

    def visit():
        async def main():
            return await asyncio.gather(*(load("cold") for _ in range(50)))

        return run(main())

    visitors = crowd(8, visit)
    until(lambda: waiters(load) == 400)
    gate.set()
    assert visitors.join() == [[["cold"]] * 50] * 8
    assert executions == ["cold"]
    info = load.cache_info()
    assert (info.hits, info.misses, info.loads) == (399, 1, 1)
    assert nothing_left(load)


def test_explicit_keys_fly_alone_too():
    """`get_or_load` of both colours runs one load for a cold key."""
    executions = []
    gate = threading.Event()
    cache = Cache(ttl=60)

    def load():
        executions.append("sync")
        assert gate.wait(30)
        return 1

    visitors = crowd(20, lambda: cache.get_or_load("k", load))
    until(lambda: following() == 19)
    gate.set()
    assert visitors.join() == [1] * 20

    async def main():
        cache = AsyncCache(ttl=60)
        gate = asyncio.Event()

        async def load():
            executions.append("async")
            await gate.wait()
            return 2

        tasks = [asyncio.create_task(cache.get_or_load("k", load)) for _ in range(20)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks)

    assert run(main()) == [2] * 20
    assert executions == ["sync", "async"]


def test_different_keys_do_not_wait_for_each_other():
    """A load that lasts keeps nobody from loading another key."""
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        if key == "slow":
            assert gate.wait(30)
        return key

    crew = Crew([lambda: load("slow")])
    until(lambda: core(load).flights.loading(("slow",)))
    assert in_thread(lambda: load("quick")) == "quick"
    gate.set()
    assert crew.join() == ["slow"]


def test_instances_do_not_wait_for_each_other():
    """A method's load on one instance keeps nobody from calling it on another."""
    gate = threading.Event()

    class Shop:
        def __init__(self, name):
            self.name = name

        @cached(ttl=60)
        def price(self, item):
            if self.name == "slow":
                assert gate.wait(30)
            return self.name, item

    slow, quick = Shop("slow"), Shop("quick")
    crew = Crew([lambda: slow.price(1)])
    assert in_thread(lambda: quick.price(1)) == ("quick", 1)
    gate.set()
    assert crew.join() == [("slow", 1)]


def test_a_hundred_threads_each_get_the_exception_and_nothing_is_stored():
    """The leader's exception goes to every follower at once, and the next call loads anew."""
    executions = []
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        assert gate.wait(30)
        raise Upstream("down", len(executions))

    def visit():
        with pytest.raises(Upstream) as caught:
            load("k")
        return caught.value

    visitors = crowd(100, visit)
    until(lambda: following() == 99)
    gate.set()
    errors = visitors.join()
    assert [error.args for error in errors] == [("down", 1)] * 100
    assert executions == ["k"]
    assert load.cache_info().currsize == 0
    assert load.lookup("k").status == "miss"
    with pytest.raises(Upstream) as caught:
        load("k")
    assert caught.value.args == ("down", 2)
    assert nothing_left(load)


def test_a_hundred_tasks_each_get_the_exception_and_nothing_is_stored():
    """The same in a loop."""
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            await gate.wait()
            raise Upstream("down", len(executions))

        tasks = [asyncio.create_task(load("k")) for _ in range(100)]
        await turn_until(lambda: waiters(load) == 100)
        gate.set()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [error.args for error in errors] == [("down", 1)] * 100
        assert (await load.lookup("k")).status == "miss"
        assert nothing_left(load)
        return errors

    errors = run(main())
    assert executions == ["k"]
    assert len({id(error) for error in errors}) == 100


def test_followers_get_exceptions_with_tracebacks_of_their_own():
    """No two callers share an exception object or a traceback; each names the function's frame."""
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        assert gate.wait(30)
        raise Upstream(key)

    def visit():
        try:
            load("k")
        except Upstream as error:
            return error

    visitors = crowd(5, visit)
    until(lambda: following() == 4)
    gate.set()
    errors = visitors.join()
    assert len({id(error) for error in errors}) == 5
    assert len({id(error.__traceback__) for error in errors}) == 5
    for error in errors:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert frames.count("visit") == 1
        assert frames[-1] == "load"
        assert error.__context__ is None
        assert error.__cause__ is None


def test_tasks_get_exceptions_with_tracebacks_of_their_own():
    """The same in a loop."""

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            await gate.wait()
            raise Upstream(key)

        async def visit():
            try:
                await load("k")
            except Upstream as error:
                return error

        tasks = [asyncio.create_task(visit()) for _ in range(5)]
        await turn_until(lambda: waiters(load) == 5)
        gate.set()
        return await asyncio.gather(*tasks)

    errors = run(main())
    assert len({id(error) for error in errors}) == 5
    for error in errors:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert frames.count("visit") == 1
        assert frames[-1] == "load"
        assert error.__context__ is None


def test_an_exception_keeps_the_cause_the_function_gave_it():
    """What a follower gets has the leader's `__cause__`, arguments and notes."""
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        assert gate.wait(30)
        error = Upstream(key)
        error.add_note("twice a day")
        raise error from KeyError("inner")

    def visit():
        try:
            load("k")
        except Upstream as error:
            return error

    visitors = crowd(3, visit)
    until(lambda: following() == 2)
    gate.set()
    for error in visitors.join():
        assert error.args == ("k",)
        assert repr(error.__cause__) == "KeyError('inner')"
        assert error.__notes__ == ["twice a day"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, RecursionError])
def test_what_ends_the_leader_alone_makes_followers_start_anew(kind):
    """An interrupt, an exit or a full stack is the leader's own; followers get a value."""
    executions = []
    gate = threading.Event()
    lock = threading.Lock()

    @cached(ttl=60)
    def load(key):
        with lock:
            executions.append(key)
            first = len(executions) == 1
        if first:
            assert gate.wait(30)
            raise kind("the leader's own")
        return "value"

    leader = Crew([lambda: load("k")])
    until(lambda: core(load).flights.loading(("k",)))
    followers = crowd(10, lambda: load("k"))
    until(lambda: following() == 10)
    gate.set()
    assert followers.join() == ["value"] * 10
    leader.wait()
    assert type(leader.errors[0]) is kind
    assert len(executions) == 2
    assert nothing_left(load)


class Leaving(BaseException):
    """What is no ordinary error, as pytest's own outcomes are none."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, Leaving])
def test_what_ends_the_leader_alone_makes_followers_in_tasks_start_anew(kind):
    """The same for tasks: the leader gets the interrupt itself, and goes on if it catches it."""
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            if len(executions) == 1:
                await gate.wait()
                raise kind("the leader's own")
            return "value"

        async def lead():
            try:
                await load("k")
            except kind as error:
                return error.args

        leader = asyncio.create_task(lead())
        await turn_until(lambda: waiters(load) == 1)
        followers = [asyncio.create_task(load("k")) for _ in range(10)]
        await turn_until(lambda: waiters(load) == 11)
        gate.set()
        assert await asyncio.gather(*followers) == ["value"] * 10
        assert await leader == ("the leader's own",)
        assert nothing_left(load)

    run(main())
    assert len(executions) == 2


def test_an_interrupt_of_a_load_whose_leader_has_gone_ends_the_loop():
    """With nobody there to catch it, it is not swallowed."""

    async def main():
        @cached(ttl=60)
        async def load(key):
            try:
                await asyncio.Event().wait()
            finally:
                raise SystemExit(3)

        leader = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        leader.cancel()
        await asyncio.sleep(60)

    with pytest.raises(SystemExit):
        asyncio.run(main())


def test_a_load_that_cancels_itself_makes_followers_start_anew():
    """A `CancelledError` out of the function is the leader's; followers get a value."""
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            if len(executions) == 1:
                await gate.wait()
                raise asyncio.CancelledError
            return "value"

        leader = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        followers = [asyncio.create_task(load("k")) for _ in range(10)]
        await turn_until(lambda: waiters(load) == 11)
        gate.set()
        assert await asyncio.gather(*followers) == ["value"] * 10
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert nothing_left(load)

    run(main())
    assert len(executions) == 2


def test_an_exit_inside_a_load_leaves_followers_of_other_loops_unharmed():
    """A `SystemExit` in an async load ends its own loop; followers in others get a value."""
    executions = []
    gate = threading.Event()

    @cached(ttl=60)
    async def load(key):
        executions.append(key)
        if len(executions) == 1:
            await turn_until(gate.is_set)
            raise SystemExit(3)
        return "value"

    def leads():
        with pytest.raises(SystemExit):
            asyncio.run(load("k"))

    leader = Crew([leads])
    until(lambda: waiters(load) == 1)
    follower = Crew([lambda: run(load("k"))])
    until(lambda: waiters(load) == 2)
    gate.set()
    leader.join()
    assert follower.join() == ["value"]
    assert nothing_left(load)


def test_a_stop_iteration_of_the_function_is_the_callers():
    """A `StopIteration` out of the function reaches every caller as it is."""
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        assert gate.wait(30)
        raise StopIteration(key)

    def visit():
        try:
            return load("k")
        except StopIteration as error:
            return error.value

    visitors = crowd(3, visit)
    until(lambda: following() == 2)
    gate.set()
    assert visitors.join() == ["k"] * 3


def test_without_single_flight_everybody_loads():
    """With `single_flight=False` each caller runs the function, and all get a value."""
    barrier = threading.Barrier(8)
    executions = []

    @cached(ttl=60, single_flight=False)
    def load(key):
        executions.append(key)
        barrier.wait(30)  # passes only if all eight are in here at once
        return key

    assert Crew([lambda: load("k")] * 8).join() == ["k"] * 8
    assert len(executions) == 8
    info = load.cache_info()
    assert (info.hits, info.misses, info.loads) == (0, 8, 8)
    assert load("k") == "k"
    assert len(executions) == 8
    assert nothing_left(load)


def test_without_single_flight_a_load_that_has_ended_meanwhile_is_used():
    """Who finds nothing, and is then overtaken by another caller's load, has its value."""
    answers = iter(["first", "second"])

    class Key:
        """Its second hash, of the call that is on its way in, comes after a whole other call."""

        asked = 0

        def __hash__(self):
            self.asked += 1
            if self.asked == 2:
                load(self)
            return 1

    @cached(ttl=60, single_flight=False)
    def load(key):
        return next(answers)

    assert load(Key()) == "first"
    assert load.cache_info().loads == 1
    assert nothing_left(load)


def test_without_single_flight_every_task_loads():
    """The same in a loop."""
    executions = []

    async def main():
        everybody = asyncio.Event()

        @cached(ttl=60, single_flight=False)
        async def load(key):
            executions.append(key)
            if len(executions) == 8:
                everybody.set()
            await everybody.wait()
            return key

        assert await asyncio.gather(*(load("k") for _ in range(8))) == ["k"] * 8
        assert await load("k") == "k"
        assert nothing_left(load)

    run(main())
    assert len(executions) == 8


def test_without_single_flight_an_invalidation_still_wins_over_every_load():
    """With several loads of a key under way, an invalidation keeps all of them from storing."""
    barrier = threading.Barrier(4)
    gate = threading.Event()

    @cached(ttl=60, single_flight=False)
    def load(key):
        barrier.wait(30)
        assert gate.wait(30)
        return key

    crew = Crew([lambda: load("k")] * 3)
    barrier.wait(30)
    load.invalidate("k")
    gate.set()
    assert crew.join() == ["k"] * 3
    assert load.lookup("k").status == "miss"
