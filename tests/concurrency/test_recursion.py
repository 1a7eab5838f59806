"""Recursive functions go as deep as under cachetools, and a full stack leaves the cache usable."""

from __future__ import annotations

import asyncio
import sys

import cachetools
import pytest
from concurrency.watch import Crew, in_thread, nothing_left, python, run

from memo import cached

DEEP = """
    import gc, sys, threading, cachetools, time
    from memo import cached

    def deepest(call):
        low, high = 1, sys.getrecursionlimit()
        while low < high:
            depth = (low + high + 1) // 2
            gc.collect()  # finalizers of what was there before need room on the stack themselves
            try:
                call(depth)
            except RecursionError:
                high = depth - 1
            else:
                low = depth
        return low

    def plain(**options):
        def make(depth):
            @cached(**options)
            def down(n):
                return 0 if n == 0 else 1 + down(n - 1)
            assert down(depth) == depth
        return make

    def method(**options):
        def make(depth):
            class Down:
                @cached(**options)
                def down(self, n):
                    return 0 if n == 0 else 1 + self.down(n - 1)
            assert Down().down(depth) == depth
        return make

    def keywords(**options):
        def make(depth):
            @cached(**options)
            def down(*, n):
                return 0 if n == 0 else 1 + down(n=n - 1)
            assert down(n=depth) == depth
        return make

    def theirs(depth):
        @cachetools.cached({}, lock=threading.Lock())
        def down(n):
            return 0 if n == 0 else 1 + down(n - 1)
        assert down(depth) == depth

    def theirs_method(depth):
        class Down:
            def __init__(self):
                self.cache, self.lock = {}, threading.Lock()
            @cachetools.cachedmethod(lambda self: self.cache, lock=lambda self: self.lock)
            def down(self, n):
                return 0 if n == 0 else 1 + self.down(n - 1)
        assert Down().down(depth) == depth
"""

#: The release of cachetools whose decorated functions are objects, as memo's are.
CALLED_FROM_C = 8

OPTIONS = {
    "bare": "",
    "ttl": "ttl=60",
    "bounded": "ttl=60, maxsize=5000",
    "unbounded": "maxsize=None",
    "lru": "maxsize=5000, eviction='lru'",
    "windows": "ttl=60, stale_while_revalidate=10, stale_if_error=10, jitter=0.1",
    "refresh ahead": "ttl=60, refresh_after=0.5",
    "no single flight": "ttl=60, single_flight=False",
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_recursion_goes_as_deep_as_under_cachetools(options):
    """At the default limit, functions, keyword calls and methods go at least as deep."""
    said = python(
        DEEP
        + f"""
    ours = deepest(plain({options}))
    print(ours, deepest(keywords({options})), deepest(theirs), end=" ")
    print(deepest(method({options})), deepest(theirs_method))
    """
    )
    ours, keywords, theirs, method, theirs_method = map(int, said.split())
    if int(cachetools.__version__.split(".")[0]) < CALLED_FROM_C:
        # A plain closure costs a level less than anything that is called by way of C.
        theirs = theirs_method = min(theirs, sys.getrecursionlimit() // 3 - 5)
    assert ours >= theirs
    assert keywords >= theirs
    assert method >= theirs_method


def overflow(load):
    """Call `load` until the stack is full."""
    with pytest.raises(RecursionError):
        load(10 * sys.getrecursionlimit())


@pytest.fixture
def down():
    """A recursive function that can be told to stop at a depth."""

    @cached(ttl=60)
    def down(n):
        return 0 if n == 0 else 1 + down(n - 1)

    return down


def test_a_full_stack_leaves_the_cache_usable(down):
    """After a `RecursionError` no load is left under way, and the same and other keys work."""
    in_thread(lambda: overflow(down))
    assert nothing_left(down)
    assert in_thread(lambda: down(20)) == 20
    key = 10 * sys.getrecursionlimit() - 5
    down.set(5, key)
    assert in_thread(lambda: down(key + 5)) == 10
    assert in_thread(lambda: down(20)) == 20
    assert nothing_left(down)
    before = down.cache_info()
    assert down(20) == 20
    assert down.cache_info().hits == before.hits + 1


def test_every_depth_of_overflow_leaves_the_cache_usable():
    """Wherever in our own code the stack becomes full, no flight is stranded."""

    def attempt(padding):
        @cached(ttl=60)
        def down(n):
            return 0 if n == 0 else 1 + down(n - 1)

        def pad(n):
            return down(10 * sys.getrecursionlimit()) if n == 0 else pad(n - 1)

        with pytest.raises(RecursionError):
            pad(padding)
        assert not down._self_site.core.flights
        assert Crew([lambda: down(10)] * 2).join(10) == [10, 10]

    for padding in range(30):
        in_thread(lambda padding=padding: attempt(padding))


def of_method():
    """A recursive method, and the function it is."""

    class Down:
        @cached(ttl=60)
        def down(self, n):
            return 0 if n == 0 else 1 + self.down(n - 1)

    instance = Down()
    return instance.down, Down.down._self_site.receivers.cache_of(instance).flights


def of_keywords():
    """A recursive function called by keyword."""

    @cached(ttl=60)
    def named(*, n):
        return 0 if n == 0 else 1 + named(n=n - 1)

    return lambda n: named(n=n), named._self_site.core.flights


def of_two():
    """Two functions that call each other in turn."""

    @cached(ttl=60)
    def odd(n):
        return 0 if n == 0 else 1 + even(n - 1)

    @cached(ttl=60)
    def even(n):
        return 0 if n == 0 else 1 + odd(n - 1)

    return odd, odd._self_site.core.flights


def of_options(**options):
    """A recursive function with options that run Python of the user's."""

    @cached(ttl=60, **options)
    def down(n):
        return 0 if n == 0 else 1 + down(n - 1)

    return down, down._self_site.core.flights


SHAPES = {
    "method": of_method,
    "keywords": of_keywords,
    "two": of_two,
    "copy": lambda: of_options(copy=lambda n: n),
    "key": lambda: of_options(key=lambda n: ("n", n)),
    "typed": lambda: of_options(typed=True),
    "getsizeof": lambda: of_options(getsizeof=lambda n: 1),
    "should_cache": lambda: of_options(should_cache=lambda n: True),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_full_stack_leaves_caches_of_every_shape_usable(shape):
    """The same for methods, keyword calls, two functions in turn, and the user's hooks."""
    function, flights = SHAPES[shape]()
    for _ in range(3):
        in_thread(lambda: overflow(function))
        assert not flights
        assert in_thread(lambda: function(20)) == 20
        assert Crew([lambda: function(15)] * 3).join() == [15] * 3


def test_a_full_stack_is_the_callers_own_problem(down):
    """A thread with a full stack does not hand its `RecursionError` to one with room."""
    in_thread(lambda: overflow(down))
    answers = Crew([lambda: down(30)] * 5).join()
    assert answers == [30] * 5


def test_a_recursive_coroutine_leaves_the_cache_usable():
    """An async function that recurses without end fails by itself, and the cache goes on."""

    @cached(ttl=60)
    async def down(n):
        return 0 if n == 0 else 1 + await down(n - 1)

    assert run(down(500)) == 500
    assert run(down(20)) == 20

    @cached(ttl=60, key=lambda n: "one key", maxsize=3)
    async def endless(n):
        return await endless(n + 1)

    async def main():
        with pytest.raises(RecursionError):
            await endless(0)
        assert nothing_left(endless)
        assert await asyncio.wait_for(down(600), 10) == 600

    run(main())
