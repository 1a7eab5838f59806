"""`Cache` and `AsyncCache`: the same machine with keys of the user's own."""

import asyncio
import inspect
import threading

import pytest

from memo import (
    STALE,
    AsyncCache,
    Cache,
    CacheError,
    CacheInfo,
    Expired,
    Miss,
    OperationFailed,
    Policy,
)


def counter(colour):
    """A load that gives 1, then 2, and so on."""
    runs = []

    def load():
        runs.append(1)
        return len(runs)

    return colour(load)


def test_get_and_set(colour) -> None:
    """What is set is got; what is not there is `Miss`, or the default."""
    cache = colour.cache()
    with pytest.raises(Miss) as caught:
        colour.run(cache.get("k"))
    assert caught.value.key == "k"
    assert colour.run(cache.get("k", None)) is None
    assert colour.run(cache.get("k", default=5)) == 5
    assert colour.run(cache.set("k", [1])) is True
    assert colour.run(cache.get("k")) is colour.run(cache.get("k", None))
    assert colour.run(cache.get("k")) == [1]


@pytest.mark.parametrize("value", [None, False, 0, "", KeyError("a value")], ids=repr)
def test_every_value_is_a_value(colour, value) -> None:
    """None and exceptions are values; a default does not hide them."""
    cache = colour.cache()
    colour.run(cache.set("k", value))
    assert colour.run(cache.get("k", "default")) is value
    assert colour.run(cache.get_or_load("k", colour(lambda: "loaded"))) is value


@pytest.mark.parametrize("key", [0, None, "", (), ("a", 1), frozenset(), 1.5, object()], ids=repr)
def test_any_hashable_is_a_key(colour, key) -> None:
    """Keys are what a dict takes, and equal ones are one."""
    cache = colour.cache()
    colour.run(cache.set(key, "v"))
    assert colour.run(cache.get(key)) == "v"
    assert colour.run(cache.delete(key)) is True
    assert colour.run(cache.delete(key)) is False


def test_a_key_that_cannot_be_hashed(colour) -> None:
    """Such a key is `OperationFailed`; `get_or_load` loads, and stores nothing."""
    cache = colour.cache()
    for operation in (cache.get, cache.delete, lambda key: cache.set(key, 1)):
        with pytest.raises(OperationFailed) as caught:
            colour.run(operation(["k"]))
        assert caught.value.operation == "key"
        assert isinstance(caught.value.__cause__, TypeError)
    load = counter(colour)
    assert colour.run(cache.get_or_load(["k"], load)) == 1
    assert colour.run(cache.get_or_load(["k"], load)) == 2


def test_a_ttl_of_the_cache_and_one_of_the_call(colour, timer) -> None:
    """`set` has the cache's ttl, unless it is given its own."""
    cache = colour.cache(ttl=10, timer=timer)
    colour.run(cache.set("short", 1, ttl=5))
    colour.run(cache.set("usual", 2))
    colour.run(cache.set("long", 3, ttl="1m"))
    timer.advance(5)
    with pytest.raises(Expired) as caught:
        colour.run(cache.get("short"))
    assert (caught.value.key, caught.value.value, caught.value.age) == ("short", 1, 5)
    assert colour.run(cache.get("short", "default")) == "default"
    assert colour.run(cache.get("usual")) == 2
    timer.advance(5)
    assert colour.run(cache.get("usual", None)) is None
    timer.advance(49)
    assert colour.run(cache.get("long")) == 3
    timer.advance(1)
    assert colour.run(cache.get("long", None)) is None


@pytest.mark.parametrize(("ttl", "kind"), [(-1, ValueError), ("x", ValueError), (True, TypeError)])
def test_a_wrong_ttl_of_a_set(colour, ttl, kind) -> None:
    """A ttl that is none is an error that names it, and stores nothing."""
    cache = colour.cache()
    with pytest.raises(kind, match="ttl"):
        colour.run(cache.set("k", 1, ttl=ttl))
    assert colour.run(cache.get("k", None)) is None


def test_a_ttl_of_zero_drops_what_was_stored(colour) -> None:
    """A value that is over at once is not stored, and what was stored before it is outdated."""
    cache = colour.cache()
    assert colour.run(cache.set("k", 1)) is True
    assert colour.run(cache.set("k", 2, ttl=0)) is False
    assert colour.run(cache.get("k", None)) is None


def test_get_or_load(colour, timer) -> None:
    """It loads what is not there, once, and again when that has expired."""
    cache = colour.cache(ttl=10, timer=timer)
    load = counter(colour)
    assert [colour.run(cache.get_or_load("k", load)) for _ in range(3)] == [1, 1, 1]
    assert colour.run(cache.get("k")) == 1
    timer.advance(10)
    assert colour.run(cache.get_or_load("k", load)) == 2
    assert cache.info()[:2] == (3, 2)
    assert cache.info().expirations == 1


def test_get_or_load_passes_exceptions_on(colour) -> None:
    """What the load raises arrives as it is, and nothing is stored."""
    cache = colour.cache()
    error = ValueError("the load's")

    def load():
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="the load's") as caught:
            colour.run(cache.get_or_load("k", colour(load)))
        assert caught.value is error
        assert error.__context__ is None
        error.__traceback__ = None
    assert colour.run(cache.get("k", None)) is None


def test_get_or_load_remembers_exceptions(colour, timer) -> None:
    """`cache_exceptions` works here too."""
    cache = colour.cache(timer=timer, cache_exceptions={ValueError: 10})
    runs = []

    def load():
        runs.append(1)
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            colour.run(cache.get_or_load("k", colour(load)))
    assert len(runs) == 1
    timer.advance(10)
    assert colour.run(cache.get_or_load("k", colour(lambda: 5))) == 5


def test_options_work_as_on_the_decorator(colour, timer) -> None:
    """Bound, hooks, windows and copies are those of `cached`."""
    cache = colour.cache(
        maxsize=2,
        eviction="lru",
        ttl=10,
        stale_while_revalidate=5,
        timer=timer,
        copy=list,
        should_cache=bool,
    )
    for n in (1, 2, 1, 3):
        colour.run(cache.get_or_load(n, colour(lambda n=n: [n]))).append("mine")
    assert cache.info() == (1, 3, 2, 2)
    assert colour.run(cache.get(2, None)) is None
    assert colour.run(cache.get(1)) == [1]
    assert colour.run(cache.get_or_load(9, colour(list))) == []
    assert colour.run(cache.get(9, None)) is None
    timer.advance(12)
    assert colour.run(cache.get(1)) == [1]
    assert colour.run(cache.get_or_load(1, colour(lambda: ["new"]))) == [1]
    colour.settle()
    assert colour.run(cache.get(1)) == ["new"]


def test_a_policy_works_as_on_the_decorator(colour, timer) -> None:
    """`RAISE` and `STALE` are obeyed."""
    cache = colour.cache(ttl=10, timer=timer, policy=Policy.cache_only(expired=STALE))
    with pytest.raises(Miss):
        colour.run(cache.get_or_load("k", colour(lambda: 1)))
    colour.run(cache.set("k", 5))
    timer.advance(100)
    assert colour.run(cache.get("k")) == 5


def test_a_failing_store(colour, failing_mapping) -> None:
    """Under `absorb` loads go on, sets and deletes say False, and `get` raises what failed."""
    store = failing_mapping(failing=False)
    cache = colour.cache(store)
    colour.run(cache.set("k", 1))
    store.failing = True
    assert colour.run(cache.get_or_load("k", colour(lambda: 2))) == 2
    assert colour.run(cache.set("k", 3)) is False
    assert colour.run(cache.delete("k")) is False
    assert colour.run(cache.get("k", "default")) == "default"
    with pytest.raises(OperationFailed):
        colour.run(cache.get("k"))
    strict = colour.cache(store, policy=Policy.strict())
    for operation in (lambda: strict.set("k", 1), lambda: strict.delete("k")):
        with pytest.raises(OperationFailed) as caught:
            colour.run(operation())
        assert isinstance(caught.value.__cause__, ConnectionError)


def test_delete_and_clear(colour) -> None:
    """`delete` drops one and says whether it was there; `clear` drops all and the counters."""
    cache = colour.cache()
    for key in "abc":
        colour.run(cache.set(key, key))
    assert colour.run(cache.delete("a")) is True
    assert colour.run(cache.delete("a")) is False
    assert colour.run(cache.get("b")) == "b"
    assert cache.info() == (1, 0, 1024, 2)
    assert colour.run(cache.clear()) is True
    assert cache.info() == (0, 0, 1024, 0)
    assert isinstance(cache.info(), CacheInfo)
    assert colour.run(cache.get("b", None)) is None


def test_namespaces_share_a_mapping(colour) -> None:
    """Caches with different namespaces on one mapping meet in nothing, `clear` included."""
    store = {}
    one, other = colour.cache(store, namespace="one"), colour.cache(store, namespace="other")
    same = colour.cache(store, namespace="one")
    colour.run(one.set("k", 1))
    colour.run(other.set("k", 2))
    assert [colour.run(cache.get("k")) for cache in (one, other, same)] == [1, 2, 1]
    assert len(store) == 2
    colour.run(one.delete("k"))
    assert colour.run(same.get("k", None)) is None
    colour.run(one.set("k", 1))
    colour.run(one.clear())
    assert colour.run(other.get("k")) == 2
    assert len(store) == 1


def test_without_a_namespace_keys_are_used_as_they_are(colour) -> None:
    """Two caches on one mapping without namespaces are one; the mapping has the plain keys."""
    store = {}
    one, other = colour.cache(store), colour.cache(store)
    colour.run(one.set("k", 1))
    assert colour.run(other.get("k")) == 1
    assert list(store) == ["k"]


@pytest.mark.parametrize("namespace", [5, b"n", ["n"]])
def test_a_namespace_is_a_text(colour, namespace) -> None:
    """Anything else is a TypeError that names it."""
    with pytest.raises(TypeError, match="namespace="):
        colour.cache(namespace=namespace)


@pytest.mark.parametrize("option", ["key", "ignore", "typed", "name", "version"])
def test_options_about_arguments_are_not_there(colour, option) -> None:
    """A cache with explicit keys has no arguments to speak of."""
    with pytest.raises(TypeError, match=option):
        colour.cache(**{option: None})


def test_cached_functions_of_a_cache(colour, timer) -> None:
    """`cache.cached` decorates with the cache's store, policy, timer and lifetime."""
    store = {}
    cache = colour.cache(store, ttl=10, timer=timer, policy=Policy.absorb())
    runs = []

    @cache.cached
    @colour
    def f(a):
        runs.append(a)
        return a

    @cache.cached(ttl=100)
    @colour
    def g(a):
        runs.append(a)
        return -a

    for _ in range(2):
        assert colour.run(f(1)) == 1
        assert colour.run(g(1)) == -1
    assert runs == [1, 1]
    assert len(store) == 2
    timer.advance(10)
    colour.run(f(1))
    colour.run(g(1))
    assert runs == [1, 1, 1]


def test_cached_functions_of_a_cache_on_its_own_memory(colour) -> None:
    """A cache without a backend shares its memory with its functions, and its bound."""
    cache = colour.cache(maxsize=2)
    f = cache.cached(colour(lambda a: a))
    g = cache.cached(colour(lambda a: -a))
    for a in range(3):
        assert colour.run(f(a)) == a
        assert colour.run(g(a)) == -a
    assert cache.info().currsize == 2
    colour.run(cache.set("k", 1))
    assert cache.info().currsize == 2


def test_clearing_a_cached_function_leaves_the_cache(colour) -> None:
    """`f.cache_clear()` drops f's entries alone."""
    cache = colour.cache()
    f = cache.cached(colour(lambda a: a))
    colour.run(cache.set("k", 1))
    colour.run(f(1))
    colour.run(f.cache_clear())
    assert colour.run(cache.get("k")) == 1
    assert colour.run(f.lookup(1)).status == "miss"


def test_a_mistake_in_the_options_of_cached(colour) -> None:
    """`cache.cached(...)` refuses what `cached(...)` refuses."""
    with pytest.raises(TypeError, match="nonsense"):
        colour.cache().cached(nonsense=5)
    with pytest.raises(ValueError, match="ttl"):
        colour.cache().cached(ttl=-1)


def test_caches_are_context_managers(timer) -> None:
    """Leaving the block closes the backend, and passes exceptions on."""

    class Backend:
        closed = 0

        def read(self, key):
            return None

        def write(self, key, entry):
            return None

        def delete(self, key):
            return False

        def clear(self):
            return None

        def close(self):
            self.closed += 1

    backend = Backend()
    with Cache(backend) as cache:
        assert isinstance(cache, Cache)
        cache.set("k", 1)
    assert backend.closed == 1
    with pytest.raises(ValueError, match="passes"), Cache(backend):
        raise ValueError("passes")
    assert backend.closed == 2
    Cache().close()
    Cache({}).close()

    async def main():
        async with AsyncCache(backend) as cache:
            assert isinstance(cache, AsyncCache)
            await cache.set("k", 1)
        assert backend.closed == 3
        await AsyncCache().close()

    asyncio.run(main())


def test_closing_ends_refreshes_in_the_background(timer) -> None:
    """After `close` no refresh of that cache is waiting or running."""

    async def main():
        started = asyncio.Event()
        ended = []

        async def slow():
            if started.is_set() or cache.info().loads:
                started.set()
                try:
                    await asyncio.sleep(3600)
                finally:
                    ended.append(1)
            return 1

        cache = AsyncCache(ttl=10, stale_while_revalidate=10, timer=timer)
        await cache.get_or_load("k", slow)
        timer.advance(15)
        assert await cache.get_or_load("k", slow) == 1
        await started.wait()
        await cache.close()
        assert ended == [1]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_the_colour_of_the_methods() -> None:
    """All that may wait is a coroutine function on `AsyncCache`, and none is on `Cache`."""
    for name in ("get", "set", "get_or_load", "delete", "clear", "close"):
        assert not inspect.iscoroutinefunction(getattr(Cache, name))
        assert inspect.iscoroutinefunction(getattr(AsyncCache, name))


def test_one_load_for_many_threads() -> None:
    """Threads that ask for one cold key at once share one load."""
    cache = Cache()
    runs = []
    started, go_on = threading.Event(), threading.Event()

    def load():
        runs.append(1)
        started.set()
        go_on.wait(10)
        return [1]

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_load("k", load)))
        for _ in range(10)
    ]
    threads[0].start()
    started.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert runs == [1]
    assert all(result is results[0] for result in results)
    assert len(results) == 10


def test_one_load_for_many_tasks() -> None:
    """Tasks that ask for one cold key at once share one load."""
    runs = []

    async def main():
        cache = AsyncCache()

        async def load():
            runs.append(1)
            await asyncio.sleep(0)
            return [1]

        results = await asyncio.gather(*(cache.get_or_load("k", load) for _ in range(10)))
        assert all(result is results[0] for result in results)

    asyncio.run(main())
    assert runs == [1]


def test_a_set_during_a_load_wins(colour) -> None:
    """A value that is set while another is loaded stays; so does a delete."""
    for wins in ("set", "delete"):
        cache = Cache()

        def load(cache=cache, wins=wins):
            if wins == "set":
                cache.set("k", "newer")
            else:
                cache.delete("k")
            return "older"

        assert cache.get_or_load("k", load) == "older"
        assert cache.get("k", "gone") == ("newer" if wins == "set" else "gone")


def test_a_cache_says_what_it_is(colour) -> None:
    """Its repr names class and namespace."""
    assert "prices" in repr(colour.cache(namespace="prices"))
    assert colour.cache.__name__ in repr(colour.cache())


def test_errors_of_get_are_cache_errors(colour) -> None:
    """All that `get` raises about the cache can be caught as `CacheError`."""
    with pytest.raises(CacheError):
        colour.run(colour.cache().get("k"))
