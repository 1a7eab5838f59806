"""A forked child works, whatever the threads of its parent were in the middle of."""

from __future__ import annotations

import os
import threading
import time
import warnings

import pytest
from concurrency.watch import Crew, core, forked, run, turn_until, until

import memo.alerts
import memo.configuration
from memo import Cache, Policy, cached
from memo.background import background
from memo.testing import FakeTimer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    # From 3.12 on Python warns of forks in programs with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


class Holding:
    """A thread that holds a lock, or is in the middle of something else, as long as the block."""

    def __init__(self, lock):
        self.lock = lock
        self.held, self.release = threading.Event(), threading.Event()

    def __enter__(self):
        self.crew = Crew([self.hold])
        assert self.held.wait(10)

    def hold(self):
        with self.lock:
            self.held.set()
            assert self.release.wait(60)

    def __exit__(self, *error):
        self.release.set()
        self.crew.join()


def answers(load):
    """What a child finds: a hit or load of a known key, a new key, a drop, and the counters."""
    found = [load("known"), load("new"), load.invalidate("new"), load("new")]
    load.set("set", "set")
    found.append(load("set"))
    load.cache_clear()
    return [*found, tuple(load.cache_info())]


EXPECTED = repr(["known", "new", True, "new", "set", (0, 0, 1024, 0)])


def test_a_child_works_while_another_thread_leads_a_load():
    """The parent's load is not waited for: the child loads the same key itself."""
    gate, pid = threading.Event(), os.getpid()

    @cached(ttl=60)
    def load(key):
        if key == "k" and os.getpid() == pid:
            assert gate.wait(60)
            return "the parent's"
        return "the child's"

    crew = Crew([lambda: load("k")] * 3)
    until(lambda: core(load).flights.loading(("k",)))
    assert forked(lambda: [load("k"), load("k"), load("other")]) == repr(["the child's"] * 3)
    gate.set()
    assert crew.join() == ["the parent's"] * 3


def test_a_child_works_while_a_task_of_another_thread_leads_a_load():
    """The same for a load in an event loop."""
    gate, pid = threading.Event(), os.getpid()

    @cached(ttl=60)
    async def load(key):
        if os.getpid() == pid:
            await turn_until(gate.is_set)
            return "the parent's"
        return "the child's"

    crew = Crew([lambda: run(load("k"))])
    until(lambda: core(load).flights.loading(("k",)))
    assert forked(lambda: [run(load("k"), 5), run(load("k"), 5)]) == repr(["the child's"] * 2)
    gate.set()
    assert crew.join() == ["the parent's"]


def test_a_child_works_while_another_thread_holds_the_memorys_lock():
    """A write of the parent's that the fork cut in two does not block the child."""

    @cached(ttl=60)
    def load(key):
        return key

    load("known")
    with Holding(core(load).store._lock):
        assert forked(lambda: answers(load)) == EXPECTED


LOCKS = {
    "flights": lambda load: core(load).flights._lock,
    "site": lambda load: load._self_site._lock.lock,
    "receivers": lambda load: load._self_site.receivers._lock.lock,
    "background": lambda load: background._changed,
    "configuration": lambda load: memo.configuration._lock.lock,
    "alerts": lambda load: memo.alerts._lock.lock,
}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_child_works_while_another_thread_holds_a_lock_of_ours(lock):
    """Whichever lock the fork finds held, the child can call, fail, refresh and configure."""
    timer = FakeTimer()

    def fails(value):
        raise ValueError(value)

    def fresh():
        @cached(ttl=10, stale_while_revalidate=10, timer=timer)
        def load(key):
            return key

        return load

    class Shop:
        @cached(ttl=60)
        def price(self, item):
            return item

    load = fresh()
    load("known")
    hooked = cached(should_cache=fails)(lambda key: key)
    unused = fresh()
    shop = Shop()
    held = LOCKS[lock](Shop.price if lock == "receivers" else unused if lock == "site" else load)

    def child():
        found = answers(load)
        found.append(unused("first use"))
        found.append(shop.price(1))
        found.append(hooked("absorbed"))
        with memo.bypass():
            found.append(load("bypassed"))
        load("stale")
        timer.advance(15)
        found.append(load("stale"))
        found.append(background.wait(5))
        return found

    with Holding(held):
        answer = forked(child)
    assert answer == EXPECTED[:-1] + ", 'first use', 1, 'absorbed', 'bypassed', 'stale', True]"


def test_a_child_works_while_a_refresh_runs_in_the_parent():
    """Jobs and threads of the background are the parent's; the child starts its own."""
    timer, gate, pid = FakeTimer(), threading.Event(), os.getpid()

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def load(key):
        if timer() and os.getpid() == pid:
            assert gate.wait(60)
        return f"loaded at {timer()}"

    load("k")
    timer.advance(15)
    assert load("k") == "loaded at 0.0"
    until(lambda: background._running)

    def child():
        first = load("k")
        refreshed = background.wait(5)
        return first, refreshed, load("k")

    assert forked(child) == repr(("loaded at 0.0", True, "loaded at 15.0"))
    gate.set()
    assert background.wait(10)


def test_a_fork_from_inside_a_load_works_in_parent_and_child():
    """The function itself forks: the child may call the cached function, and so may the parent."""
    told = []

    @cached(ttl=60, ignore="inner")
    def load(key, inner=False):
        if not inner:
            told.append(forked(lambda: (load(key, True), load("other", True))))
        return key

    assert load("k") == "k"
    assert told == [repr(("k", "other"))]
    assert load("k") == "k"
    assert len(told) == 1


def test_what_the_parent_has_stored_is_the_childs_too_and_only_until_it_changes():
    """A child starts with its parent's entries; what either stores is its own."""
    executions = []

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        return key

    load("before")

    def child():
        load("before")
        load("in the child")
        return executions

    assert forked(child) == repr(["before", "in the child"])
    load("in the child")
    assert executions == ["before", "in the child"]


def test_forks_among_busy_threads_never_deadlock():
    """Fifty forks while threads read, write and drop: every child answers, in no time."""
    stop = threading.Event()
    cache = Cache(ttl=60, maxsize=50, policy=Policy())

    def churn():
        number = 0
        while not stop.is_set():
            number = (number + 7) % 101
            cache.get_or_load(number, lambda number=number: number)
            cache.delete(number - 3)

    def child():
        return [cache.get_or_load(number, lambda number=number: number) for number in range(101)]

    crew = Crew([churn] * 3)
    try:
        for _ in range(50):
            assert forked(child) == repr(list(range(101)))
    finally:
        stop.set()
    crew.join()


def test_the_forking_thread_may_hold_a_load_of_its_own():
    """A child forked by the leader of a load can finish that load."""
    pid = os.getpid()
    read, write = os.pipe()

    @cached(ttl=60)
    def load(key):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()

    child = load("k")
    if child == 0 or os.getpid() != pid:
        os.write(write, repr(load("k")).encode())
        os._exit(0)
    os.close(write)
    deadline = time.monotonic() + 15
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            raise AssertionError("the child hangs")
        time.sleep(0.001)
    with os.fdopen(read) as told:
        assert told.read() == "0"
    assert load("k") == child
