"""Each failure is counted by variant and operation, exactly, whoever else counts at that moment."""

from __future__ import annotations

import logging
import random

import pytest
from concurrency.watch import Crew
from guard.stores import AsyncStore, ThreadStore
from policy.scripted import Scripted, colours

from memo import Full, OperationFailed, Policy, cached
from memo.backends import Memory

FAILED = "OperationFailed"


@colours
def test_failures_are_counted_by_variant_and_operation(colour):
    """What the log and `on_error` hear of, absorbed or raised; the sum is `failures`."""
    heard = []
    backend = colour.backend()
    policy = Policy(on_error=heard.append, breaker=None)
    load = colour.cached(str, ttl=10, backend=backend, policy=policy)
    assert load.cache_info().failures_by == {}
    for fails in ("read", "write", "delete"):
        backend.fails = {fails}
        colour.run(load(1))
        colour.run(load.set("value", 2))
        colour.run(load.invalidate(3))
    backend.error = lambda text: Full("k")
    backend.fails = {"write"}
    colour.run(load.set("value", 4))
    info = load.cache_info()
    assert info.failures_by[FAILED, "read"] == 1
    assert info.failures_by[FAILED, "delete"] == 1
    assert info.failures_by["Full", None] == 1
    assert sum(info.failures_by.values()) == info.failures == len(heard)
    backend.fails = set()
    colour.run(load.cache_clear())
    assert load.cache_info().failures_by == {}


def test_a_subclass_counts_as_its_variant():
    """A backend's own kind of `OperationFailed` is one."""

    class Torn(OperationFailed):
        pass

    backend = Scripted()
    backend.error, backend.fails = Torn, {"read"}
    load = cached(ttl=10, backend=backend)(lambda key: key)
    load(1)
    assert load.cache_info().failures_by == {(FAILED, "read"): 1}


@pytest.mark.parametrize("what", ["on_error", "log", "both"])
def test_hooks_and_handlers_that_raise_each_time_are_counted_each_time(what):
    """Ten thousand calls give ten thousand failures of the backend, and as many of the hook."""

    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("no disk")

    def raises(error):
        raise ValueError("no hook")

    backend = Scripted()
    backend.fails = {"read"}
    policy = Policy(on_error=raises if what != "log" else None)
    load = cached(ttl=10, backend=backend, policy=policy)(lambda key: key)
    log, handler = logging.getLogger("memo"), Broken()
    if what != "on_error":
        log.addHandler(handler)
    try:
        for number in range(10_000):
            assert load(number) == number
    finally:
        log.removeHandler(handler)
    info = load.cache_info()
    assert info.failures_by[FAILED, "read"] == 10_000
    reports = info.failures_by.get((FAILED, "report"), 0)
    assert reports == 10_000 if what != "log" else reports >= 1, "a log line only comes at a rate"
    assert info.failures == sum(info.failures_by.values())
    assert (info.hits, info.misses) == (0, 10_000)


def test_counts_are_exact_under_threads():
    """Eight threads, two kinds of failure, no count lost."""
    backend = Scripted()
    backend.fails = {"read", "delete"}
    load = cached(ttl=10, backend=backend)(lambda key: key)

    def work():
        for number in range(2000):
            load(number)
            load.invalidate(number)

    Crew([work for _ in range(8)]).join(60)
    assert load.cache_info().failures_by == {(FAILED, "read"): 16_000, (FAILED, "delete"): 16_000}


def test_a_methods_failures_are_those_of_all_instances():
    """Summed up, as the other counters are."""

    class Shop:
        backend = Scripted()

        @cached(ttl=10, backend=backend)
        def price(self, item):
            return item

    Shop.backend.fails = {"read"}
    one, other = Shop(), Shop()
    for shop in (one, one, other):
        shop.price("apple")
    assert one.price.cache_info().failures_by == {(FAILED, "read"): 2}
    assert Shop.price.cache_info().failures_by == {(FAILED, "read"): 3}


def test_a_hook_that_fails_is_a_call():
    """A `ttl` or `should_cache` that raises, and a `copy`."""

    def raises(value):
        raise ValueError("no")

    load = cached(ttl=raises, maxsize=3)(lambda key: key)
    load(1)
    assert load.cache_info().failures_by == {(FAILED, "call"): 1}
    load = cached(ttl=10, copy=raises)(lambda key: key)
    load(1)
    assert load.cache_info().failures_by[FAILED, "call"] >= 1


def test_a_key_that_cannot_be_is_a_key():
    """Of the operation "key"."""

    class Unhashable:
        __hash__ = None

    load = cached(ttl=10)(lambda key: 1)
    load(Unhashable())
    assert load.cache_info().failures_by == {(FAILED, "key"): 1}


@pytest.mark.parametrize("kind", [ThreadStore, AsyncStore])
def test_refusals_are_counted_as_what_was_refused(kind):
    """A read that the open breaker refused is a failed read."""
    import asyncio

    store = kind()
    store.down()

    def body(key):
        return key

    async def body_async(key):
        return key

    load = cached(ttl=10, backend=store)(body if kind is ThreadStore else body_async)

    async def main():
        for number in range(20):
            await load(number)

    if kind is AsyncStore:
        asyncio.run(main())
    else:
        for number in range(20):
            load(number)
    assert store.seen["read"] == 5
    assert load.cache_info().failures_by == {(FAILED, "read"): 20}


def test_the_counters_add_up_under_chaos():
    """Whatever fails at random: each call is a hit or a miss, each failure is heard."""
    draw = random.Random(5)
    heard = []

    class Chaos(ThreadStore):
        def _enter(self, operation, key):
            super()._enter(operation, key)
            if draw.random() < 0.3:
                raise ConnectionError("chance")

    load = cached(ttl=10, backend=Chaos(), policy=Policy(on_error=heard.append))(lambda key: key)

    def work(thread):
        for number in range(500):
            assert load((thread, number % 40)) == (thread, number % 40)

    Crew([lambda thread=thread: work(thread) for thread in range(8)]).join(60)
    info = load.cache_info()
    assert info.hits + info.misses == 4000
    assert info.failures == sum(info.failures_by.values()) == len(heard) > 0


def test_memory_counts_nothing():
    """A store in this process that works has no failures to tell of."""
    load = cached(ttl=10, backend=Memory(5))(lambda key: key)
    for number in range(100):
        load(number)
    assert load.cache_info().failures_by == {}
