"""No count is lost under threads."""

from __future__ import annotations

import sys
import threading

import pytest
from concurrency.watch import Crew

from memo import Cache, cached
from memo.backends import Memory
from memo.testing import FakeTimer

THREADS = 8


@pytest.fixture(autouse=True)
def eager_switches():
    """Threads are switched as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_hits_are_exactly_the_calls_that_were_hits():
    """Eight threads, one warm key: not one hit is lost, of functions and of methods."""
    each = 30_000

    @cached(ttl=60)
    def load(key):
        return key

    class Shop:
        @cached(ttl=60)
        def price(self, item):
            return item

    shop = Shop()
    price = shop.price
    load("k")
    price("k")
    barrier = threading.Barrier(THREADS)

    def visit():
        barrier.wait(30)
        for _ in range(each):
            load("k")
            price("k")

    Crew([visit] * THREADS).join(60)
    assert load.cache_info()[:2] == (THREADS * each, 1)
    assert shop.price.cache_info()[:2] == (THREADS * each, 1)


def test_hits_and_misses_add_up_to_the_calls_whatever_happens():
    """With evictions, expiries, failures and invalidations among threads, every call is counted."""
    each = 1500
    timer = FakeTimer()
    executions = []

    @cached(ttl=5, maxsize=20, stale_if_error=1, timer=timer)
    def load(key):
        executions.append(key)
        if key % 13 == 0:
            raise ValueError(key)
        return key

    def visit(start):
        calls = 0
        for step in range(each):
            key = (start * 7 + step * 11) % 60
            try:
                right = load(key) == key
            except ValueError as error:
                right = error.args == (key,)
            assert right
            calls += 1
            if step % 50 == 0:
                timer.advance(1)
                load.invalidate(key)
        return calls

    calls = sum(Crew([lambda n=n: visit(n) for n in range(THREADS)]).join(60))
    info = load.cache_info()
    assert info.hits + info.misses == calls == THREADS * each
    assert info.loads == len(executions)
    assert info.load_failures == sum(key % 13 == 0 for key in executions)
    assert info.currsize <= 20
    assert info.failures == 0


def test_evictions_are_exactly_what_is_no_longer_there():
    """What was stored, less what was evicted, is what is held."""

    @cached(maxsize=50)
    def load(key):
        return key

    def visit(start):
        for number in range(1000):
            load((start, number))

    Crew([lambda n=n: visit(n) for n in range(THREADS)]).join(60)
    info = load.cache_info()
    assert info.misses == info.loads == THREADS * 1000
    assert info.evictions == THREADS * 1000 - 50
    assert info.currsize == 50


def test_a_shared_memory_stays_within_its_bound():
    """Several caches of one store, several threads each: never more than `maxsize`."""
    store = Memory(30)
    caches = [Cache(store, namespace=str(number)) for number in range(4)]
    most = []

    def visit(cache):
        for number in range(500):
            assert cache.get_or_load(number, lambda number=number: number) == number
            most.append(store.currsize)

    Crew([lambda cache=cache: visit(cache) for cache in caches * 2]).join(60)
    assert max(most) <= 30
    assert len(store) == 30
