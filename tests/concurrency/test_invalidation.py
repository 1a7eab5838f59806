"""An invalidation, a newer value or a clear during a load wins over what that load writes."""

from __future__ import annotations

import asyncio
import threading

import pytest
from concurrency.watch import Crew, core, nothing_left, run, turn_until, until, waiters

from memo import AsyncCache, Cache, cached
from memo.backends import Memory

#: What may come between, and what a look finds afterwards.
WINNERS = {
    "invalidate": (lambda f: f.invalidate("k"), None),
    "set": (lambda f: f.set("newer", "k"), "newer"),
    "cache_clear": (lambda f: f.cache_clear(), None),
}


class Slow:
    """A memory whose next write waits, before or after it is done, until it is let go on."""

    blocking = True

    def __init__(self):
        self.memory = Memory(None)
        self.stops = None
        self.arrived = threading.Event()
        self.go_on = threading.Event()

    def stop(self, place):
        """Have the next write stop at `place`."""
        self.stops = place
        return self

    def write(self, key, entry):
        place, self.stops = self.stops, None
        self._pause(place == "before")
        self.memory.write(key, entry)
        self._pause(place == "after")

    def _pause(self, here):
        if here:
            self.arrived.set()
            assert self.go_on.wait(10)

    def read(self, key):
        return self.memory.read(key)

    def delete(self, key):
        return self.memory.delete(key)

    def clear(self):
        self.memory.clear()


@pytest.mark.parametrize("winner", WINNERS)
def test_what_comes_during_a_load_wins(winner):
    """While the function runs: the caller gets its result, and it is not stored."""
    act, left = WINNERS[winner]
    gate = threading.Event()
    executions = []

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        assert gate.wait(30)
        return f"loaded {len(executions)}"

    crew = Crew([lambda: load("k")])
    until(lambda: core(load).flights.loading(("k",)))
    act(load)
    gate.set()
    assert crew.join() == ["loaded 1"]
    assert load.lookup("k").value == left
    assert load("k") == (left or "loaded 2")
    assert nothing_left(load)


@pytest.mark.parametrize("winner", WINNERS)
def test_what_comes_during_an_async_load_wins(winner):
    """The same in a loop."""
    act, left = WINNERS[winner]
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            await gate.wait()
            return f"loaded {len(executions)}"

        call = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        await act(load)
        gate.set()
        assert await call == "loaded 1"
        assert (await load.lookup("k")).value == left
        assert await load("k") == (left or "loaded 2")
        assert nothing_left(load)

    run(main())


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("winner", WINNERS)
def test_what_comes_during_a_write_wins(winner, place):
    """Just before or just after the backend's write: the outdated value is not left behind."""
    act, left = WINNERS[winner]
    backend = Slow().stop(place)

    @cached(ttl=60, backend=backend)
    def load(key):
        return "outdated"

    crew = Crew([lambda: load("k")])
    assert backend.arrived.wait(10)
    act(load)
    backend.go_on.set()
    assert crew.join() == ["outdated"]
    assert load.lookup("k").value in {left, None}
    assert nothing_left(load)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("winner", WINNERS)
def test_what_comes_during_an_async_functions_write_wins(winner, place):
    """The same for an async function, whose blocking backend works in a thread."""
    act, left = WINNERS[winner]
    backend = Slow().stop(place)

    @cached(ttl=60, backend=backend)
    async def load(key):
        return "outdated"

    async def main():
        call = asyncio.create_task(load("k"))
        await turn_until(backend.arrived.is_set)
        await act(load)
        backend.go_on.set()
        assert await call == "outdated"
        assert (await load.lookup("k")).value in {left, None}
        assert nothing_left(load)

    run(main())


@pytest.mark.parametrize("winner", WINNERS)
def test_who_comes_after_an_invalidation_does_not_get_what_was_loading_before(winner):
    """A caller that comes after the invalidation gets a value loaded, or set, after it."""
    act, left = WINNERS[winner]
    gate = threading.Event()
    executions = []

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        number = len(executions)
        if number == 1:
            assert gate.wait(30)
        return f"loaded {number}"

    crew = Crew([lambda: load("k")])
    until(lambda: core(load).flights.loading(("k",)))
    act(load)
    crew.add(lambda: load("k"))
    until(lambda: not crew.threads[1].is_alive())
    gate.set()
    assert crew.join() == ["loaded 1", left or "loaded 2"]
    assert load("k") == (left or "loaded 2")


@pytest.mark.parametrize("winner", WINNERS)
def test_a_task_that_comes_after_an_invalidation_gets_a_newer_value(winner):
    """The same in a loop."""
    act, left = WINNERS[winner]
    executions = []

    async def main():
        gate = asyncio.Event()

        @cached(ttl=60)
        async def load(key):
            executions.append(key)
            number = len(executions)
            if number == 1:
                await gate.wait()
            return f"loaded {number}"

        first = asyncio.create_task(load("k"))
        await turn_until(lambda: waiters(load) == 1)
        await act(load)
        assert await load("k") == (left or "loaded 2")
        gate.set()
        assert await first == "loaded 1"
        assert await load("k") == (left or "loaded 2")

    run(main())


def test_followers_from_before_an_invalidation_get_the_leaders_value():
    """Those who were waiting already are answered by the load they waited for."""
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        assert gate.wait(30)
        return "loaded"

    crew = Crew([lambda: load("k")] * 3)
    flights = core(load).flights
    until(lambda: flights.loading(("k",)) and flights._flights[("k",)].landed is not None)
    load.invalidate("k")
    gate.set()
    assert crew.join() == ["loaded"] * 3


def test_another_key_is_not_superseded():
    """An invalidation of one key lets a load of another be stored."""
    gate = threading.Event()

    @cached(ttl=60)
    def load(key):
        assert gate.wait(30)
        return "loaded"

    crew = Crew([lambda: load("k")])
    until(lambda: core(load).flights.loading(("k",)))
    load.invalidate("other")
    gate.set()
    crew.join()
    assert load.lookup("k").value == "loaded"


def test_the_function_may_invalidate_its_own_key():
    """An invalidation out of the load itself wins too."""

    @cached(ttl=60)
    def load(key):
        load.invalidate(key)
        return "loaded"

    assert load("k") == "loaded"
    assert load.lookup("k").status == "miss"
    assert nothing_left(load)


def test_a_load_superseded_twice_still_lands():
    """Several invalidations of one load, and the loads that follow them, all end."""
    gates = [threading.Event() for _ in range(3)]
    executions = []

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        number = len(executions)
        if number <= 3:
            assert gates[number - 1].wait(30)
        return number

    crew = Crew()
    for number in range(3):
        crew.add(lambda: load("k"))
        until(lambda number=number: len(executions) == number + 1)
        load.invalidate("k")
    for gate in reversed(gates):
        gate.set()
    assert crew.join() == [1, 2, 3]
    assert load.lookup("k").status == "miss"
    assert load("k") == 4
    assert nothing_left(load)


def test_explicit_keys_are_superseded_by_set_delete_and_clear():
    """`Cache` and `AsyncCache` keep the same promise."""
    for act, left in (
        (lambda cache: cache.set("k", "newer"), "newer"),
        (lambda cache: cache.delete("k"), None),
        (lambda cache: cache.clear(), None),
    ):
        cache = Cache(ttl=60)
        gate = threading.Event()

        def load(gate=gate):
            assert gate.wait(30)
            return "loaded"

        crew = Crew([lambda cache=cache, load=load: cache.get_or_load("k", load)])
        until(lambda cache=cache: cache._core.flights.loading("k"))
        act(cache)
        gate.set()
        assert crew.join() == ["loaded"]
        assert cache.get("k", None) == left

        async def main(act=act, left=left):
            cache = AsyncCache(ttl=60)
            gate = asyncio.Event()

            async def load():
                await gate.wait()
                return "loaded"

            call = asyncio.create_task(cache.get_or_load("k", load))
            await turn_until(lambda: cache._core.flights.loading("k"))
            await act(cache)
            gate.set()
            assert await call == "loaded"
            assert await cache.get("k", None) == left

        run(main())


def test_a_refresh_called_for_joins_the_load_under_way():
    """`refresh()` during a load waits for it, and returns its value."""
    gate = threading.Event()
    executions = []

    @cached(ttl=60)
    def load(key):
        executions.append(key)
        assert gate.wait(30)
        return len(executions)

    crew = Crew([lambda: load("k")])
    until(lambda: core(load).flights.loading(("k",)))
    crew.add(lambda: load.refresh("k"))
    flights = core(load).flights
    until(lambda: flights._flights[("k",)].landed is not None)
    gate.set()
    assert crew.join() == [1, 1]


def test_a_hit_during_an_invalidation_race_is_never_older_than_the_invalidation():
    """A reader that starts after `invalidate` returned never sees what was loaded before it."""
    version = 0
    stop = threading.Event()

    @cached(ttl=60)
    def load(key):
        return version

    def churn():
        while not stop.is_set():
            load("k")

    crew = Crew([churn] * 3)
    try:
        for version in range(1, 1500):
            load.invalidate("k")
            assert load("k") == version
    finally:
        stop.set()
    crew.join()
