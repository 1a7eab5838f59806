"""`memo.bypass()` and `memo.configure(...)`: past the cache for a while, and defaults for all."""

import asyncio
import contextlib
import contextvars
import threading

import pytest

from memo import RAISE, CacheError, Miss, OperationFailed, Policy, bypass, cached, configure


@pytest.fixture(autouse=True)
def defaults():
    """Whatever a test configures is undone."""
    yield
    configure(backend=None, policy=None, enabled=True)


@pytest.fixture
def f(colour):
    """A function that gives how often it ran."""
    runs = []

    @colour.cached
    def f(a=0):
        runs.append(a)
        return len(runs)

    return f


def test_inside_bypass_nothing_is_read_or_stored(colour, f) -> None:
    """Calls go to the function; what was cached is there again afterwards."""
    assert colour.run(f()) == 1
    with bypass():
        assert [colour.run(f()), colour.run(f())] == [2, 3]
        assert colour.run(f(5)) == 4
    assert colour.run(f()) == 1
    assert colour.run(f.lookup(5)).status == "miss"
    assert f.cache_info()[:2] == (1, 1)


def test_a_function_first_used_inside_bypass(colour, f) -> None:
    """The first call may be one that goes past the cache."""
    with bypass():
        assert [colour.run(f()), colour.run(f())] == [1, 2]
    assert [colour.run(f()), colour.run(f())] == [3, 3]
    assert f.cache_info()[:2] == (1, 1)


def test_bypasses_nest(colour, f) -> None:
    """The inner block's end does not end the outer one."""
    colour.run(f())
    with bypass():
        with bypass():
            assert colour.run(f()) == 2
        assert colour.run(f()) == 3
    assert colour.run(f()) == 1


def test_a_bypass_ends_with_an_exception(colour, f) -> None:
    """A block that is left by an exception is over."""
    colour.run(f())
    with contextlib.suppress(ValueError), bypass():
        raise ValueError
    assert colour.run(f()) == 1


def test_bypass_can_decorate_a_function() -> None:
    """`bypass()` is a context manager of the standard kind: it decorates too, again and again."""
    runs = []
    f = cached(lambda: runs.append(1))

    @bypass()
    def fresh():
        f()

    fresh()
    fresh()
    assert len(runs) == 2
    f()
    f()
    assert len(runs) == 3


def test_a_bypass_is_of_one_thread() -> None:
    """Other threads go on using the cache meanwhile."""
    runs = []

    @cached
    def f():
        runs.append(threading.get_ident())
        return len(runs)

    f()
    inside, go_on = threading.Event(), threading.Event()

    def past():
        with bypass():
            inside.set()
            go_on.wait(10)
            f()

    thread = threading.Thread(target=past)
    thread.start()
    assert inside.wait(10)
    assert [f(), f()] == [1, 1]
    go_on.set()
    thread.join()
    assert len(runs) == 2
    assert f() == 1


def test_a_bypass_is_of_one_task() -> None:
    """Tasks beside the block use the cache; tasks started within it do not."""
    runs = []

    @cached
    async def f():
        runs.append(1)
        return len(runs)

    async def main():
        await f()
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def past():
            with bypass():
                inside.set()
                await go_on.wait()
                return [await f(), await asyncio.create_task(f())]

        task = asyncio.create_task(past())
        await inside.wait()
        assert await f() == 1
        go_on.set()
        assert await task == [2, 3]
        assert await f() == 1

    asyncio.run(main())


def test_a_task_that_outlives_the_block_uses_the_cache_again() -> None:
    """A task started in the block and run after it finds the bypass over."""
    runs = []

    @cached
    async def f():
        runs.append(1)
        return len(runs)

    async def later(go_on):
        await go_on.wait()
        return await f()

    async def main():
        await f()
        go_on = asyncio.Event()
        with bypass():
            task = asyncio.create_task(later(go_on))
            await asyncio.sleep(0)
        go_on.set()
        assert await task == 1

    asyncio.run(main())
    assert runs == [1]


def test_a_copied_context_carries_the_bypass() -> None:
    """What runs in a copy of the block's context is bypassed while the block lasts, not after."""
    runs = []
    f = cached(lambda: runs.append(1))
    f()
    with bypass():
        context = contextvars.copy_context()
        context.run(f)
        assert len(runs) == 2
    context.run(f)
    assert len(runs) == 2


def test_handles_work_inside_bypass(colour, f) -> None:
    """Explicit operations are explicit: `set`, `get`, `lookup`, `invalidate` act on the cache."""
    with bypass():
        assert colour.run(f.set("set")) is True
        assert colour.run(f.get()) == "set"
        assert colour.run(f.lookup()).value == "set"
        assert colour.run(f()) == 1
        assert colour.run(f.invalidate()) is True
        with pytest.raises(Miss):
            colour.run(f.get())


def test_get_or_load_inside_bypass(colour) -> None:
    """`Cache.get_or_load` calls the load, and stores nothing."""
    cache = colour.cache()
    colour.run(cache.set("k", 1))
    with bypass():
        assert colour.run(cache.get_or_load("k", colour(lambda: 2))) == 2
    assert colour.run(cache.get("k")) == 1


def test_switching_caching_off_and_on(colour, f) -> None:
    """`configure(enabled=False)` sends all calls to the functions, at once and everywhere."""
    assert colour.run(f()) == 1
    configure(enabled=False)
    assert [colour.run(f()), colour.run(f())] == [2, 3]
    new = colour.cached(lambda a=None: [a])
    assert colour.run(new()) is not colour.run(new())
    with bypass():
        assert colour.run(f()) == 4
    assert colour.run(f()) == 5
    configure(enabled=True)
    assert [colour.run(f()), colour.run(f())] == [1, 1]
    assert colour.run(new()) is colour.run(new())


def test_methods_can_be_switched_off(colour) -> None:
    """The same for methods: bound, and through the class."""

    class A:
        @colour.cached
        def m(self):
            return [self]

    a = A()
    first = colour.run(a.m())
    configure(enabled=False)
    assert colour.run(a.m()) is not first
    assert colour.run(A.m(a)) == [a]
    configure(enabled=True)
    assert colour.run(a.m()) is first


def test_a_configured_policy_is_taken_up_at_first_use(colour) -> None:
    """A function without a policy has the one that is configured when it is first used."""
    f, used = colour.cached(lambda: 1), colour.cached(lambda: 1)
    colour.run(used())
    configure(policy=Policy.cache_only())
    with pytest.raises(Miss):
        colour.run(f())
    colour.run(used.cache_clear())
    assert colour.run(used()) == 1
    written = colour.cached(policy=Policy())(lambda: 1)
    assert colour.run(written()) == 1
    configure(policy=None)
    with pytest.raises(Miss):
        colour.run(f())


def test_a_configured_backend_is_taken_up_at_first_use(colour) -> None:
    """A function without a backend uses the configured one, beside others and apart from them."""
    store = {}
    f, g = colour.cached(lambda a: [a]), colour.cached(lambda a: {a})
    configure(backend=store)
    assert colour.run(f(1)) is colour.run(f(1))
    assert colour.run(g(1)) == {1}
    assert len(store) == 2
    own = colour.cached(backend={})(lambda a: a)
    colour.run(own(1))
    assert len(store) == 2
    colour.run(f.cache_clear())
    assert len(store) == 1
    assert colour.run(g.lookup(1)).status == "fresh"


def test_a_bound_beside_a_configured_backend_is_ignored_with_one_warning(colour) -> None:
    """Code written with `maxsize` for one machine deploys on many: it warns, once, and works."""
    f = colour.cached(maxsize=1)(lambda a: a)
    configure(backend={})
    with pytest.warns(UserWarning, match="maxsize"):
        colour.run(f(1))
    colour.run(f(2))
    assert colour.run(f.lookup(1)).status == "fresh"


def test_maxsize_0_beside_a_configured_backend_still_stores_nothing(colour) -> None:
    """`maxsize=0` is no bound but a switch: it holds without a warning."""
    f = colour.cached(maxsize=0)(lambda a: a)
    store = {}
    configure(backend=store)
    assert colour.run(f(1)) == 1
    assert store == {}


def test_a_configured_async_backend_and_a_plain_function() -> None:
    """A plain function cannot use an async backend: the first call says so in a TypeError."""

    class Async:
        async def read(self, key):
            return None

        async def write(self, key, entry):
            return None

        async def delete(self, key):
            return False

        async def clear(self):
            return None

    f = cached(lambda: 1)
    configure(backend=Async())
    with pytest.raises(TypeError, match="async"):
        f()


def test_what_is_not_named_stays(colour, failing_mapping) -> None:
    """`configure(enabled=...)` leaves policy and backend as they were."""
    configure(policy=Policy(failed=RAISE))
    configure(enabled=False)
    configure(enabled=True)

    f = colour.cached(backend=failing_mapping())(lambda: 1)
    with pytest.raises(OperationFailed) as caught:
        colour.run(f())
    assert isinstance(caught.value, CacheError)


def test_explicit_caches_follow_the_configuration(colour) -> None:
    """`Cache()` takes up the configured backend and policy when it is made."""
    store = {}
    configure(backend=store, policy=Policy.cache_only())
    cache = colour.cache(namespace="n")
    colour.run(cache.set("k", 1))
    assert len(store) == 1
    with pytest.raises(Miss):
        colour.run(cache.get_or_load("other", colour(lambda: 1)))


def test_many_threads_switch_while_others_call() -> None:
    """Switching while calls are made gives every call a right answer, and ends on the cache."""
    runs = []

    @cached
    def f(a):
        runs.append(a)
        return a

    wrong = []

    def check(a):
        if f(a) != a:
            wrong.append(a)

    def call():
        for i in range(2000):
            check(i % 7)

    def switch():
        for i in range(300):
            with bypass():
                check(i % 7)
            configure(enabled=bool(i % 2))

    threads = [threading.Thread(target=call) for _ in range(3)]
    threads += [threading.Thread(target=switch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    configure(enabled=True)
    assert wrong == []
    assert [f(a) for a in range(7)] == list(range(7))
    runs.clear()
    assert [f(a) for a in range(7)] == list(range(7))
    assert runs == []
