"""Through an outage and back: what was done meanwhile arrives, and nothing old is served."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import weakref

import pytest
from concurrency.watch import PATIENCE, Crew, forked, run, turn_until, until
from guard.stores import AsyncStore, Prompt, Stubborn, ThreadStore, TimedStore, entry, within

import memo.guard.replays
from memo import RAISE, STALE, AsyncCache, Cache, Full, OperationFailed, Policy, cached
from memo.breaker import Breaker
from memo.guard import Budget, async_guard_of, guard_of
from memo.guard.awaiting import _strays
from memo.testing import FakeTimer


class Colour:
    """Caches of one colour over one kind of backend; everything runs in one loop, or in none."""

    def __init__(self, kind, *, is_async):
        self.kind, self.is_async = kind, is_async

    def cache(self, store, **options):
        return (AsyncCache if self.is_async else Cache)(store, namespace="ours", **options)

    def __repr__(self):
        return f"{'async' if self.is_async else 'sync'} over {self.kind.__name__}"


COLOURS = [
    Colour(ThreadStore, is_async=False),
    Colour(TimedStore, is_async=False),
    Colour(AsyncStore, is_async=True),
    Colour(Prompt, is_async=True),
    Colour(ThreadStore, is_async=True),
]
colours = pytest.mark.parametrize("colour", COLOURS, ids=repr)


class Outage:
    """A cache whose backend goes away and comes back, driven alike in both colours."""

    def __init__(self, colour, loop, **policy):
        self.loop, self.colour = loop, colour
        self.timer = FakeTimer()
        self.heard = []
        policy.setdefault("breaker", Breaker(timer=self.timer))
        self.policy = Policy(on_error=self.heard.append, **policy)
        self.store = colour.kind()
        self.cache = colour.cache(self.store, ttl=60, policy=self.policy, timer=FakeTimer())

    def do(self, answer):
        if not self.colour.is_async:
            return answer
        return self.loop.run_until_complete(asyncio.wait_for(answer, PATIENCE))

    def get(self, key):
        return self.do(self.cache.get(key, None))

    def set(self, key, value):
        return self.do(self.cache.set(key, value))

    def delete(self, key):
        return self.do(self.cache.delete(key))

    def clear(self):
        return self.do(self.cache.clear())

    def held(self, key):
        """What the backend itself has."""
        return self.store.value(("ours", key))

    def settled(self):
        """Wait until nothing is owed."""

        async def wait():
            await turn_until(lambda: self.cache.health().owed == 0)

        if self.colour.is_async:
            self.do(wait())
        else:
            until(lambda: self.cache.health().owed == 0)


@pytest.fixture
def outage():
    """Makes outages."""
    loop = asyncio.new_event_loop()
    yield lambda colour, **policy: Outage(colour, loop, **policy)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@colours
def test_an_invalidation_during_an_outage_is_never_undone(colour, outage):
    """The old value is served neither before nor after it reaches the backend."""
    o = outage(colour)
    o.set("k", "old")
    o.store.down()
    assert o.delete("k") is False, "it has not reached the backend"
    assert [error.operation for error in o.heard] == ["delete"]
    assert o.held("k") == "old"
    o.store.up()
    assert o.get("k") is None, "not read from the backend, which still has it"
    assert o.get("other") is None, "the backend answers again"
    o.settled()
    assert o.held("k") is None
    assert o.get("k") is None


@colours
def test_it_is_a_miss_while_the_backend_is_away(colour, outage):
    """Without asking the backend: the read does not even fail."""
    o = outage(colour)
    o.set("k", "old")
    o.store.down()
    o.delete("k")
    before = o.store.seen["read"]
    assert o.get("k") is None
    assert o.store.seen["read"] == before


@colours
def test_a_write_during_an_outage_answers_until_it_is_there(colour, outage):
    """And takes the place of what the backend has."""
    o = outage(colour)
    o.set("k", "old")
    o.store.down("write")
    assert o.set("k", "new") is False
    assert o.get("k") == "new"
    o.store.up()
    assert o.get("k") == "new"
    o.get("other")
    o.settled()
    assert o.held("k") == "new"
    assert o.get("k") == "new"


@colours
def test_the_last_of_many_wins(colour, outage):
    """Whatever was done to a key, in whatever order."""
    o = outage(colour)
    o.store.down()
    o.set("a", 1)
    o.delete("a")
    o.set("a", 2)
    o.set("b", 1)
    o.delete("b")
    assert (o.get("a"), o.get("b")) == (2, None)
    o.store.up()
    o.get("other")
    o.timer.advance(1)  # the breaker had opened
    o.get("other")
    o.settled()
    assert (o.held("a"), o.held("b")) == (2, None)


@colours
def test_a_clear_during_an_outage_drops_what_was_before_and_nothing_after(colour, outage):
    """It is carried out first."""
    o = outage(colour)
    for key in "abc":
        o.set(key, "old")
    o.store.down()
    o.set("d", "before")
    assert o.clear() is False
    o.set("b", "after")
    assert [o.get(key) for key in "abcd"] == [None, "after", None, None]
    o.store.up()
    others = (AsyncCache if colour.is_async else Cache)(o.store, policy=o.policy)
    assert o.do(others.get("other", None)) is None, "the backend answers again"
    o.settled()
    assert [o.held(key) for key in "abcd"] == [None, "after", None, None]
    assert [o.get(key) for key in "abcd"] == [None, "after", None, None]


@colours
def test_what_the_open_breaker_refused_is_owed_too(colour, outage):
    """Nothing reaches the backend until a probe does; then all of it does."""
    o = outage(colour)
    o.set("k", "old")
    o.store.down()
    for number in range(5):
        o.get(number)
    assert o.cache.health().status == "down"
    before = sum(o.store.seen.values())
    o.delete("k")
    o.set("new", 1)
    assert o.cache.health().owed == 2
    assert sum(o.store.seen.values()) == before
    assert "its breaker is open" in o.heard[-1].reason
    o.store.up()
    o.timer.advance(1)
    o.get("other")
    assert o.cache.health().breaker == "closed"
    o.settled()
    assert (o.held("k"), o.held("new")) == (None, 1)
    assert o.cache.health().status == "up"


@colours
def test_an_uncertain_drop_is_owed(colour, outage):
    """A drop whose answer was lost may or may not have been done; done twice does no harm."""
    o = outage(colour)
    o.set("k", "old")

    class Lost(ConnectionError):
        pass

    o.store.error = Lost
    done = o.store._do
    o.store._do = lambda *args: (done(*args), (_ for _ in ()).throw(Lost("no answer")))[0]
    assert o.delete("k") is False
    o.store._do = done
    assert o.cache.health().owed == 1
    deletes = o.store.seen["delete"]
    o.get("other")
    o.settled()
    assert o.store.seen["delete"] == deletes + 1


@colours
def test_a_newer_operation_that_succeeds_cancels_the_owed_one(colour, outage):
    """Nothing is carried out after it."""
    o = outage(colour)
    o.store.down("write", "delete")
    o.set("a", "owed")
    o.delete("b")
    o.store.up()
    o.set("a", "newer")
    o.set("b", "newer")
    o.settled()
    writes = o.store.seen["write"]
    o.get("other")
    assert (o.held("a"), o.held("b")) == ("newer", "newer")
    assert o.store.seen["write"] == writes


async def _tried(outage, times):
    await turn_until(lambda: outage.store.seen["delete"] > times)


@colours
def test_what_fails_again_is_kept(colour, outage, monkeypatch):
    """A replay that fails leaves all as it was, and is not tried at each success elsewhere."""
    monkeypatch.setattr(memo.guard.replays, "_PAUSE", 60.0)
    o = outage(colour, breaker=None)
    o.set("k", "old")
    o.store.down("delete")
    o.delete("k")
    tried = o.store.seen["delete"]
    o.get("other")
    o.do(_tried(o, tried) if o.colour.is_async else until(lambda: o.store.seen["delete"] > tried))
    for number in range(20):
        o.get(number)
    assert o.store.seen["delete"] == tried + 1
    assert o.cache.health().owed == 1
    assert o.get("k") is None
    o.store.up()


@colours
def test_full_and_unencodable_writes_are_not_owed(colour, outage):
    """Trying again would be no use."""

    def codec(text):
        error = OperationFailed(text)
        error.codec = True
        return error

    for error in (lambda text: Full("k"), codec):
        o = outage(colour)
        o.store.error = error
        o.store.down("write")
        assert o.set("k", 1) is False
        assert o.cache.health().owed == 0
        assert o.cache.health().failures == 0, "nor is it the backend's failure"


@colours
def test_a_refused_write_does_not_bring_an_older_value_back(colour, outage):
    """A drop is owed, a newer value is too large: the drop is owed still."""
    o = outage(colour)
    o.set("k", "old")
    o.store.down("delete")
    o.delete("k")
    o.store.error = lambda text: Full("k")
    o.store.down("write")
    assert o.set("k", "too large") is False
    assert o.get("k") is None
    o.store.up()
    o.get("other")
    o.settled()
    assert o.held("k") is None


@colours
def test_health_tells_of_an_outage(colour, outage):
    """Up, degraded, down, degraded while something is owed, up."""
    o = outage(colour, breaker=None)
    assert o.cache.health().status == "up"
    o = outage(colour)
    o.get("k")
    assert (o.cache.health().status, o.cache.health().breaker) == ("up", "closed")
    o.store.down()
    o.get("k")
    health = o.cache.health()
    assert (health.status, health.failures) == ("degraded", 1)
    assert health.last_error == "ConnectionError: read failed"
    for number in range(4):
        o.delete(number)
    health = o.cache.health()
    assert (health.status, health.breaker, health.owed) == ("down", "open", 4)
    o.store.up()
    o.timer.advance(1)
    o.get("other")
    o.settled()
    assert (o.cache.health().status, o.cache.health().owed) == ("up", 0)


@colours
def test_a_drill_is_an_outage(colour, outage):
    """Forced open, all is refused at once; released, what was owed is carried out."""
    o = outage(colour)
    o.set("k", "old")
    with o.cache.breaker.force_open():
        assert o.get("k") is None
        assert "forced" in o.heard[-1].reason
        o.delete("k")
        assert o.cache.health().status == "down"
    assert o.get("k") is None
    o.get("other")
    o.settled()
    assert o.held("k") is None


# Races.


def test_a_read_overtaken_by_an_invalidation_is_a_miss():
    """The backend was about to answer with the old value when the drop that failed came."""
    store = ThreadStore()
    cache = Cache(store, policy=Policy(timeout=None, breaker=None))
    cache.set("k", "old")
    store.hangs = {"read"}
    crew = Crew([lambda: cache.get("k", "miss")])
    assert store.hanging.acquire(timeout=PATIENCE)
    store.down("delete")
    assert cache.delete("k") is False
    store.hangs = set()
    store.released.set()
    assert crew.join() == ["miss"]


def test_an_async_read_overtaken_by_an_invalidation_is_a_miss():
    """The same in a loop."""

    async def main():
        store = AsyncStore()
        cache = AsyncCache(store, policy=Policy(timeout=None, breaker=None))
        await cache.set("k", "old")
        going, released = asyncio.Event(), asyncio.Event()
        wait = store._wait

        async def waits(operation):
            if operation == "read":
                going.set()
                await released.wait()

        store._wait = waits
        task = asyncio.ensure_future(cache.get("k", "miss"))
        await going.wait()
        store.down("delete")
        assert await cache.delete("k") is False
        released.set()
        assert await task == "miss"
        store._wait = wait

    run(main())


def test_a_write_in_a_hung_thread_does_not_bring_an_old_value_back():
    """It lands long after the invalidation that was made meanwhile, and is dropped again."""

    async def main():
        store = ThreadStore()
        guard = async_guard_of(store, None, policy=Policy(timeout=0.02, breaker=None))
        store.hangs = {"write"}
        with pytest.raises(OperationFailed, match="timed out"):
            await guard.write("k", entry("old"), Budget(0.02))
        store.hangs = set()
        assert await guard.delete("k", Budget(5)) is True, "what was owed has been dropped"
        assert await guard.read("k", Budget(5)) is None
        assert guard.recovery.counts()[0] == 1, "it may still land"
        store.released.set()
        await turn_until(lambda: not guard.recovery.active)
        assert store.log[-1] == ("delete", "k")
        assert store.held == {}
        assert await guard.read("k", Budget(5)) is None

    run(main())


def test_a_write_that_swallows_its_cancellation_does_not_either():
    """The same for an async backend."""

    async def main():
        store = Stubborn()
        guard = async_guard_of(store, None, policy=Policy(timeout=0.02, breaker=None))
        store.hangs = {"write"}
        with pytest.raises(OperationFailed, match="timed out"):
            await guard.write("k", entry("old"), Budget(0.02))
        store.hangs.discard("write")
        await guard.delete("k", Budget(5))
        assert await guard.read("k", Budget(5)) is None
        store.released.set()
        await turn_until(lambda: not _strays)
        await turn_until(lambda: not guard.recovery.active)
        assert [operation for operation, _ in store.log] == ["write", "delete", "delete"]
        assert store.held == {}

    run(main())


def test_a_cancelled_write_that_goes_on_is_in_doubt():
    """The caller is gone, its thread is not: until it has ended the key is a miss."""

    async def main():
        store = ThreadStore()
        guard = async_guard_of(store, None, policy=Policy(timeout=None, breaker=None))
        store.held["k"] = entry("older")
        store.hangs = {"write"}
        task = asyncio.ensure_future(guard.write("k", entry("old")))
        await asyncio.to_thread(store.hanging.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await guard.read("k") is None, "neither the one value nor the other"
        store.hangs = set()
        await guard.delete("k")
        store.released.set()
        await turn_until(lambda: not guard.recovery.active)
        assert store.held == {}

    run(main())


def test_held_values_are_not_put_back_by_a_read_that_was_overtaken():
    """Under `failed=STALE`: what a slow read has seen is not remembered after an invalidation."""
    store = ThreadStore()
    cache = Cache(store, policy=Policy(failed=STALE, timeout=None, breaker=None))
    cache.set("k", "old")
    store.hangs = {"read"}
    crew = Crew([lambda: cache.get("k", "miss")])
    assert store.hanging.acquire(timeout=PATIENCE)
    assert cache.delete("k") is True
    store.hangs = set()
    store.released.set()
    crew.join()
    store.down("read")
    assert cache.get("k", "miss") == "miss"


@pytest.mark.parametrize("kind", [ThreadStore, TimedStore])
def test_threads_that_write_and_drop_through_an_outage(kind):
    """Each key ends as its last writer left it, once the backend is back."""
    store = kind()
    cache = Cache(store, policy=Policy(timeout=None, breaker=Breaker(probe_every=0.001)))
    last = {}
    stop = threading.Event()

    def flap():
        while not stop.is_set():
            store.down("write", "delete")
            store.up()

    def work(thread):
        for turn in range(150):
            for number in range(4):
                key = (thread, number)
                if (turn + number) % 3:
                    cache.set(key, turn)
                    last[key] = turn
                else:
                    cache.delete(key)
                    last.pop(key, None)
                assert cache.get(key, None) in {last.get(key), None}

    flapper = Crew([flap])
    try:
        Crew([lambda thread=thread: work(thread) for thread in range(4)]).join(60)
    finally:
        stop.set()
        flapper.join()
        store.up()

    def through():
        cache.get("other", None)
        return cache.health().owed == 0

    until(through)
    for thread in range(4):
        for number in range(4):
            key = (thread, number)
            assert store.value(key) == last.get(key)


# Where it is carried out, and who has to be there for that.


@pytest.fixture
def impatient(monkeypatch):
    """What is owed is tried again after a short pause."""
    monkeypatch.setattr(memo.guard.replays, "_PAUSE", 0.01)


def test_replays_need_no_caller(impatient):
    """A program that only invalidates, and then does nothing more, still gets it done."""
    store = ThreadStore()
    cache = Cache(store, policy=Policy(breaker=None))
    cache.set("k", "old")
    store.down()
    cache.delete("k")
    store.up()
    until(lambda: store.value("k") is None)


def test_async_replays_need_no_caller(impatient):
    """As long as a loop runs."""

    async def main():
        store = AsyncStore()
        cache = AsyncCache(store, policy=Policy(breaker=None))
        await cache.set("k", "old")
        store.down()
        await cache.delete("k")
        store.up()
        await turn_until(lambda: store.value("k") is None)

    run(main())


@pytest.mark.parametrize("kind", [ThreadStore, AsyncStore])
def test_a_timer_that_raises_holds_nothing_up(impatient, kind):
    """What is owed is carried out though nobody knows whether it is of use any more."""

    def broken():
        raise RuntimeError("no time")

    async def main():
        store = kind()
        guard = async_guard_of(store, None, policy=Policy(breaker=None), timer=broken)
        store.down()
        with pytest.raises(OperationFailed):
            await guard.write("k", entry("value"))
        store.up()
        await turn_until(lambda: not guard.health().owed)
        assert store.value("k") == "value"

    run(main())


def test_what_one_loop_owed_another_carries_out():
    """The first one has ended with its work undone."""
    store = AsyncStore()
    cache = AsyncCache(store, policy=Policy(breaker=None))

    async def first():
        await cache.set("k", "old")
        store.down()
        await cache.delete("k")

    async def second():
        store.up()
        await cache.get("other", None)
        await turn_until(lambda: cache.health().owed == 0)

    run(first())
    run(second())
    assert store.value("k") is None


def test_another_loop_does_so_by_itself(impatient):
    """Where nothing succeeds there that would tell it to."""
    store = AsyncStore()
    cache = AsyncCache(store, policy=Policy(breaker=None))

    async def first():
        await cache.set("k", "old")
        store.down()
        await cache.delete("k")

    async def second():
        await cache.delete("other")
        store.up()
        await turn_until(lambda: cache.health().owed == 0)

    run(first())
    run(second())
    assert store.value("k") is None


def test_a_closed_cache_owes_nothing_more():
    """The backend is closed: nothing is tried on it, and what was owed is heard of."""
    store = ThreadStore()
    heard = []
    cache = Cache(store, policy=Policy(on_error=heard.append))
    store.down()
    cache.delete("k")
    cache.close()
    assert "it is closed, and was owed 1 drops" in heard[-1].reason
    assert cache.health().owed == 0


def test_many_owed_operations_are_carried_out_in_batches():
    """All of them, oldest first."""
    store = ThreadStore()
    cache = Cache(store, policy=Policy(breaker=None))
    store.down()
    for number in range(350):
        cache.delete(number)
    store.up()
    store.log.clear()
    cache.get("other", None)
    until(lambda: cache.health().owed == 0)
    assert [key for operation, key in store.log if operation == "delete"] == list(range(350))


def test_views_and_the_twin_share_breaker_and_debts():
    """They stand before the same server."""
    store, timer = TimedStore(), FakeTimer()
    policy = Policy(breaker=Breaker(timer=timer))
    view, twin = TimedStore(), AsyncStore()
    view.held = twin.held = store.held
    view.origin = twin.origin = store
    sync, other, loop = Cache(store, policy=policy), Cache(view, policy=policy), None

    async def main():
        loop = AsyncCache(twin, policy=policy)
        sync.set("k", "old")
        for one in (store, view, twin):
            one.down()
        for _ in range(5):
            other.get("k", None)
        assert loop.health().status == sync.health().status == "down"
        assert await loop.delete("k") is False
        assert sync.get("k", None) is None
        assert sync.health().owed == 1
        assert store.seen["read"] == 0
        for one in (store, view, twin):
            one.up()
        timer.advance(1)
        assert sync.get("other", None) is None
        assert loop.health().breaker == "closed"
        await turn_until(lambda: loop.health().owed == 0)
        assert "delete" in twin.seen

    run(main())
    assert store.held == {}
    assert loop is None
    assert Cache(store, policy=Policy()).breaker is not sync.breaker, "other options, other breaker"


def test_a_breaker_goes_with_the_last_cache_that_uses_it():
    """Nothing is kept of a backend that nobody uses any more."""
    store = ThreadStore()
    cache = Cache(store)
    cache.get("k", None)
    breaker, kept = weakref.ref(cache.breaker), weakref.ref(store)
    del cache, store
    gc.collect()
    assert (breaker(), kept()) == (None, None)


@pytest.mark.parametrize("kind", [ThreadStore, AsyncStore, Prompt])
def test_a_cache_goes_without_the_collector(kind):
    """Guards and cores refer to each other in no circle."""
    store = kind()
    cache = Cache(store) if kind is ThreadStore else AsyncCache(store)
    other = AsyncCache(store)
    kept = [
        weakref.ref(one) for cache in (cache, other) for one in (cache._core, cache._core.guard)
    ]
    gc.collect()
    gc.disable()
    try:
        del cache, other
        assert [one() for one in kept] == [None] * 4
    finally:
        gc.enable()


def test_a_backend_without_weak_references_is_known_by_all():
    """Two caches on an object with slots share its breaker."""

    class Slotted:
        __slots__ = ()

        def read(self, key):
            raise ConnectionError("down")

        write = delete = clear = read

    store = Slotted()
    one, other = Cache(store), Cache(store)
    assert one.breaker is other.breaker


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_owes_nothing_and_works():
    """The parent carries it out; the child's own operations and threads are new."""
    store = ThreadStore()
    cache = Cache(store, policy=Policy(breaker=None))
    cache.set("k", "old")
    store.down()
    cache.delete("k")

    def child():
        store.up()
        found = [cache.health().owed, cache.get("k", None)]
        store.down()
        cache.delete("k")
        store.up()
        cache.get("other", None)
        until(lambda: cache.health().owed == 0)
        return [*found, store.value("k")]

    assert forked(child) == "[0, 'old', None]"
    assert cache.health().owed == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_running_loop_carries_out_what_it_owes(impatient):
    """In a loop of its own: its copy of the parent's says that it is running, and never will."""
    store = AsyncStore()
    cache = AsyncCache(store, policy=Policy(breaker=None))

    async def invalidate():
        store.up()
        await cache.set("k", "old")
        store.down()
        await cache.delete("k")
        store.up()
        await turn_until(lambda: cache.health().owed == 0)
        return store.value("k")

    async def parent():
        assert await invalidate() is None
        return forked(lambda: run(invalidate()))

    assert run(parent()) == "None"


@colours
def test_strict_raises_with_the_foreign_error_as_its_cause(colour, outage):
    """Each time: when the backend itself fails, and when its open breaker refuses."""
    o = outage(colour, failed=RAISE)
    o.store.down()
    for _ in range(10):
        with pytest.raises(OperationFailed) as caught:
            o.do(o.cache.get("k"))
        assert isinstance(caught.value.__cause__, ConnectionError)
    assert o.store.seen["read"] == 5


@colours
def test_strict_raises_and_owes_all_the_same(colour, outage):
    """Under `strict` the caller knows at once, and the backend is told later."""
    o = outage(colour, failed=RAISE)
    o.set("k", "old")
    o.store.down()
    with pytest.raises(OperationFailed):
        o.delete("k")
    with contextlib.suppress(OperationFailed):
        o.set("other", 1)
    o.store.up()
    assert o.get("k") is None
    o.get("third")
    o.settled()
    assert (o.held("k"), o.held("other")) == (None, 1)


@colours
def test_a_load_takes_the_place_of_an_owed_drop(colour, outage):
    """After an invalidation that has not reached the backend the function is called once."""
    o = outage(colour, breaker=None)
    executions = []

    def body(key):
        executions.append(key)
        return f"value {len(executions)}"

    async def body_async(key):
        return body(key)

    options = {"ttl": 60, "backend": o.store, "policy": o.policy, "timer": FakeTimer()}
    load = cached(**options)(body_async if colour.is_async else body)
    assert o.do(load("k")) == "value 1"
    o.store.down()
    o.do(load.invalidate("k"))
    assert o.do(load("k")) == "value 2"
    assert o.do(load("k")) == "value 2"
    o.store.up()
    assert o.do(load("k")) == "value 2"
    o.get("other")
    o.settled()
    assert o.do(load("k")) == "value 2"
    assert len(executions) == 2


def test_nothing_is_left_of_an_outage(impatient):
    """No thread but those of the background, and they end by themselves."""
    store = TimedStore()
    store.hangs = {"read", "write", "delete"}
    guard = guard_of(store, None, policy=Policy(timeout=0.01))
    for number in range(10):
        with within(5), pytest.raises(OperationFailed):
            guard.delete(number, Budget(0.01))
    store.hangs = set()
    until(lambda: not guard.recovery.active, 30)
    assert {thread.name.partition("-")[0] for thread in threading.enumerate()} <= {
        "MainThread",
        "memo",
        "Thread",
        "asyncio_0",
    }
