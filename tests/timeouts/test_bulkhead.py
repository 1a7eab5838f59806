"""max_loads_while_open: a dead cache does not send everything to the origin at once."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from concurrency.watch import PATIENCE, Crew, run, turn_until, until
from timeouts.waiting import LONG, SOON

from memo import LoadTimeout, Policy, cached
from memo.flights.bulkhead import Bulkhead, bulkheads
from memo.turns.base import bulkhead_of


class Store:
    """A backend that may block, and therefore has a breaker."""

    blocking = True

    def __init__(self):
        self.held = {}

    def read(self, key):
        return self.held.get(key)

    def write(self, key, entry):
        self.held[key] = entry

    def delete(self, key):
        return self.held.pop(key, None) is not None

    def clear(self):
        self.held.clear()


def limited(ways, most=2, **options):
    """A gated function of a store whose breaker can be forced, its core, and the drill."""
    store = options.pop("backend", None) or Store()
    policy = Policy(max_loads_while_open=most, timeout=None)
    f = ways.gated(ttl=10, backend=store, policy=policy, **options)
    core = f._self_site.core
    return f, core, core.guard.circuit.force_open()


def test_while_the_breaker_is_open_so_many_load_at_once(ways):
    """Those beyond the limit wait for a place, and get it when one is left."""

    @ways.run
    async def _():
        f, core, drill = limited(ways)
        with drill:
            ways.shut()
            callers = [ways.begin(f, key) for key in range(6)]
            bulkhead = bulkhead_of(core)
            await ways.until(lambda: len(bulkhead._waiting) == 4 and len(ways.runs) == 2)
            assert bulkhead.running == 2
            ways.open()
            assert [await ways.ended(caller) for caller in callers] == list(range(6))
        assert sorted(ways.runs) == list(range(6))
        assert bulkhead.running == 0
        assert not bulkhead._waiting


def test_while_it_is_closed_nobody_waits(ways):
    """The limit is for bad times; what runs is counted all the same."""

    @ways.run
    async def _():
        f, core, drill = limited(ways)
        drill.release()
        ways.shut()
        callers = [ways.begin(f, key) for key in range(6)]
        await ways.until(lambda: len(ways.runs) == 6)
        assert bulkhead_of(core).running == 6
        ways.open()
        assert sorted([await ways.ended(caller) for caller in callers]) == list(range(6))


def test_loads_that_began_before_count(ways):
    """Who comes when the breaker has opened waits until they are few enough."""

    @ways.run
    async def _():
        f, core, drill = limited(ways)
        drill.release()
        ways.shut()
        before = [ways.begin(f, key) for key in range(4)]
        await ways.until(lambda: len(ways.runs) == 4)
        with core.guard.circuit.force_open():
            after = ways.begin(f, "after")
            await ways.until(lambda: bulkhead_of(core)._waiting)
            assert "after" not in ways.runs
            ways.open()
            assert await ways.ended(after) == "after"
            for caller in before:
                await ways.ended(caller)


def test_who_waits_goes_on_when_the_breaker_closes(ways):
    """Without a place being left: it looks again every half second."""

    @ways.run
    async def _():
        f, core, drill = limited(ways, most=1)
        ways.shut()
        first = ways.begin(f, 1)
        await ways.until(lambda: ways.runs == [1])
        second = ways.begin(f, 2)
        await ways.until(lambda: bulkhead_of(core)._waiting)
        drill.release()
        await ways.until(lambda: ways.runs == [1, 2])
        ways.open()
        assert [await ways.ended(first), await ways.ended(second)] == [1, 2]


def test_followers_need_no_place(ways):
    """One load per key runs, and it has one place."""

    @ways.run
    async def _():
        f, core, drill = limited(ways, most=1)
        with drill:
            ways.shut()
            callers = [ways.begin(f, 1) for _ in range(5)]
            await ways.until(lambda: ways.runs == [1])
            assert bulkhead_of(core).running == 1
            ways.open()
            assert [await ways.ended(caller) for caller in callers] == [1] * 5


def test_a_place_is_waited_for_no_longer_than_the_hard_timeout(ways):
    """The caller leaves; its load comes to its turn behind."""

    @ways.run
    async def _():
        f, core, drill = limited(ways, most=1, hard_timeout=SOON)
        with drill:
            ways.shut()
            for key in (1, 2):
                with pytest.raises(LoadTimeout):
                    await ways.call(f, key)
            assert ways.runs == [1]
            ways.open()
            await ways.until(lambda: ways.runs == [1, 2])
            await ways.idle(f)
        assert bulkhead_of(core).running == 0


def test_a_place_is_left_by_a_function_that_raises(ways):
    """The next one gets it."""

    @ways.run
    async def _():
        store = Store()
        policy = Policy(max_loads_while_open=1, timeout=None)
        f = ways.gated(lambda key: 1 / key, ttl=10, backend=store, policy=policy)
        core = f._self_site.core
        with core.guard.circuit.force_open():
            for _ in range(3):
                with pytest.raises(ZeroDivisionError):
                    await ways.call(f, 0)
            assert await ways.call(f, 2) == 0.5
        assert bulkhead_of(core).running == 0


def test_functions_on_one_backend_share_the_limit(ways):
    """It is the origin behind them that is spared: counted as the breaker is, by backend."""

    @ways.run
    async def _():
        store = Store()
        f, core, drill = limited(ways, most=1, backend=store)
        g, other, _drill = limited(ways, most=1, backend=store)
        assert bulkhead_of(core) is bulkhead_of(other)
        with drill:
            ways.shut()
            first = ways.begin(f, "f")
            await ways.until(lambda: ways.runs == ["f"])
            second = ways.begin(g, "g")
            await ways.until(lambda: bulkhead_of(core)._waiting)
            assert ways.runs == ["f"]
            ways.open()
            assert [await ways.ended(first), await ways.ended(second)] == ["f", "g"]


def test_a_cancelled_task_gives_its_place_up():
    """Waiting for one, or having one: the next is let in."""

    async def main():
        store = Store()
        started, gate = [], asyncio.Event()

        @cached(backend=store, policy=Policy(max_loads_while_open=1, timeout=None))
        async def f(key):
            started.append(key)
            await gate.wait()
            return key

        core = f._self_site.core
        with core.guard.circuit.force_open():
            tasks = [asyncio.ensure_future(f(key)) for key in range(3)]
            await turn_until(lambda: len(bulkhead_of(core)._waiting) == 2)
            tasks[1].cancel()
            await asyncio.gather(tasks[1], return_exceptions=True)
            assert len(bulkhead_of(core)._waiting) == 1
            tasks[0].cancel()
            await asyncio.gather(tasks[0], return_exceptions=True)
            await turn_until(lambda: started == [0, 2])
            gate.set()
            assert await tasks[2] == 2
        assert bulkhead_of(core).running == 0

    run(main())


def test_a_place_that_nobody_holds_is_free():
    """An interrupt between getting one and loading loses none."""
    bulkhead = Bulkhead(None)
    place = bulkhead.enter(1, lambda: True)
    assert bulkhead.running == 1
    del place
    assert bulkhead.running == 0
    place = bulkhead.enter(1, lambda: True)
    place.leave()
    place.leave()
    assert bulkhead.running == 0


def test_threads_and_tasks_wait_for_the_same_places():
    """A function of each colour on one backend: each wakes the other."""
    bulkhead = Bulkhead(None)
    place = bulkhead.enter(1, lambda: True)
    order = []

    def in_a_thread():
        mine = bulkhead.enter(1, lambda: True)
        order.append("thread")
        mine.leave()

    async def in_a_task():
        mine = await bulkhead.enter_async(1, lambda: True)
        order.append("task")
        mine.leave()

    crew = Crew([in_a_thread])
    until(lambda: len(bulkhead._waiting) == 1)
    crew.add(lambda: asyncio.run(in_a_task()))
    until(lambda: len(bulkhead._waiting) == 2)
    place.leave()
    crew.join()
    assert order == ["thread", "task"]


def test_places_are_had_in_the_order_of_coming():
    """Who comes when one has just been left stands behind those who wait."""
    bulkhead = Bulkhead(None)
    first = bulkhead.enter(1, lambda: True)
    order = []

    def wait(name):
        mine = bulkhead.enter(1, lambda: True)
        order.append(name)
        mine.leave()

    crew = Crew()
    for name in range(5):
        crew.add(lambda name=name: wait(name))
        until(lambda name=name: len(bulkhead._waiting) == name + 1)
    first.leave()
    wait("last")
    crew.join()
    assert order == [0, 1, 2, 3, 4, "last"]


def test_a_bulkhead_goes_when_nobody_loads():
    """Nothing is kept of a backend that nobody uses any more."""
    origin = Store()
    place = bulkheads.of(origin).enter(1, lambda: True)
    assert bulkheads.of(origin).running == 1
    place.leave()
    del place
    gc.collect()
    assert id(origin) not in bulkheads._known


def test_the_bound_holds_under_threads():
    """However many wait, no more than so many run."""
    store = Store()
    lock, running, most = threading.Lock(), [0], [0]

    @cached(backend=store, policy=Policy(max_loads_while_open=3, timeout=None))
    def f(key):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.0005)  # others have time to come
        with lock:
            running[0] -= 1
        return key

    core = f._self_site.core
    with core.guard.circuit.force_open():

        def calls(name):
            return [f((name, number)) for number in range(20)]

        Crew([lambda name=name: calls(name) for name in range(16)]).join(2 * PATIENCE)
    assert most[0] <= 3
    assert bulkhead_of(core).running == 0


def test_a_soft_timeout_is_kept_while_a_place_is_waited_for(ways):
    """What is stale is served; the load waits for its place behind."""

    @ways.run
    async def _():
        f, core, drill = limited(
            ways, most=1, stale_if_error=100, soft_timeout=SOON, hard_timeout=LONG
        )
        drill.release()
        await ways.call(f, 1)
        ways.timer.advance(20)
        # The breaker closes for the read and is open for the load: as in a bad minute.
        core.breaker_is_open = lambda: True
        ways.shut()
        busy = ways.begin(f, 2)
        await ways.until(lambda: ways.runs == [1, 2])
        assert await ways.call(f, 1) == 1
        assert ways.runs == [1, 2]
        ways.open()
        assert await ways.ended(busy) == 2
        await ways.until(lambda: ways.runs == [1, 2, 1])
        await ways.idle(f)
