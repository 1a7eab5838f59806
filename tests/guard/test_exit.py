"""A program ends, and forks, whatever its backends are doing."""

from __future__ import annotations

import os
import threading

import pytest
from concurrency.watch import PATIENCE, Crew, forked, python, run
from guard.stores import AsyncStore, ThreadStore, entry

from memo import AsyncCache, Policy
from memo.breaker import Breaker
from memo.guard import origins

HANGS = """
    import asyncio, logging, threading
    from memo import AsyncCache, Policy

    logging.getLogger("memo").setLevel(logging.CRITICAL)

    class Hangs:
        def read(self, key):
            started.set()
            threading.Event().wait()
        write = delete = clear = read

    started = threading.Event()
"""


def test_a_hung_thread_does_not_keep_a_program_from_ending():
    """Neither the loop nor the interpreter waits for it."""
    said = python(
        HANGS
        + """
    async def main():
        cache = AsyncCache(Hangs(), policy=Policy(timeout=0.02))
        print(await cache.get("k", "default"), started.is_set())

    asyncio.run(main())
    print("over")
    """
    )
    assert said == "default True\nover\n"


def test_what_is_owed_is_told_at_the_end():
    """It ends with the program, which says so."""
    said = python(
        """
    import logging, sys
    from memo import Cache, Policy

    class Down:
        name = "store"
        def read(self, key):
            raise ConnectionError
        write = delete = clear = read

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("memo").addFilter(lambda record: "program ends" in record.getMessage())
    cache = Cache(Down())
    cache.delete("a")
    cache.delete("b")
    """
    )
    assert said == "store: the program ends while it is owed 2 operations\n"


def test_a_program_with_nothing_owed_ends_in_silence():
    """Also where a breaker is open and threads have been started."""
    said = python(
        """
    import asyncio, logging
    from memo import AsyncCache

    logging.getLogger("memo").setLevel(logging.CRITICAL)

    class Down:
        def read(self, key):
            raise ConnectionError
        write = delete = clear = read

    async def main():
        cache = AsyncCache(Down())
        for number in range(10):
            await cache.get(number, None)
        print(cache.health().status)

    asyncio.run(main())
    """
    )
    assert said == "down\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", [ThreadStore, AsyncStore])
def test_a_child_uses_a_backend_of_its_parents(kind):
    """Threads, tasks and breaker: what the parent was in the middle of is not the child's."""
    store = kind()
    store.held["k"] = entry("value")
    cache = AsyncCache(store, policy=Policy(breaker=Breaker(failures=2)))

    async def hung():
        store.hangs = {"read"}
        assert await cache.get("k", "default") == "default"
        store.hangs = set()

    async def child():
        return await cache.get("k", None), cache.health().breaker

    run(hung())
    assert forked(lambda: run(child())) == "('value', 'closed')"
    if kind is ThreadStore:
        store.released.set()
    assert run(child()) == ("value", "closed")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_parent_that_holds_every_lock_works():
    """The fork comes while other threads decide about breaker, debts, origins and threads."""
    store = ThreadStore()
    cache = AsyncCache(store, policy=Policy(breaker=Breaker(failures=2)))
    run(cache.get("k", None))
    guard = cache._core.guard
    locks = [
        guard.circuit._lock.lock,
        guard.recovery._lock.lock,
        guard.origin.workers._changed,
        guard.origin.underway._lock.lock,
        origins._lock.lock,
        *(colour._lock.lock for colour in guard.origin.replays._colours),
    ]
    held, release = threading.Semaphore(0), threading.Event()

    def hold(lock):
        with lock:
            held.release()
            assert release.wait(PATIENCE)

    crew = Crew([lambda lock=lock: hold(lock) for lock in locks])
    for _ in locks:
        assert held.acquire(timeout=PATIENCE)

    async def child():
        store.down()
        for number in range(3):
            await cache.delete(number)
        found = [cache.health().status, cache.health().owed]
        other = AsyncCache(ThreadStore())
        await other.set("k", 1)
        return [*found, await other.get("k")]

    try:
        assert forked(lambda: run(child())) == "['down', 3, 1]"
    finally:
        release.set()
        crew.join()
