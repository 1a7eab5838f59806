"""What loops are waiting for when the breaker opens, or when its time is up, is given up."""

from __future__ import annotations

import asyncio
import functools
import gc
import math
import os
import socket
import threading
import time
import weakref

import pytest
from concurrency.watch import Crew, forked, run, turn_until
from guard.stores import AsyncStore, Prompt, Stubborn, ThreadStore, entry

from memo import AsyncCache, Breaker, Cache, OperationFailed, Policy, cached
from memo.guard import Budget, async_guard_of
from memo.guard.awaiting import _strays
from memo.guard.underway import GivenUp, Operation, Underway, Watch

#: Without a deadline: nothing but the breaker ends what hangs.
POLICY = Policy(timeout=None, breaker=Breaker(failures=3, probe_every=1000))

each_kind = pytest.mark.parametrize("kind", [AsyncStore, Prompt, Stubborn, ThreadStore])


def release(store):
    """Let what hangs in a thread, or swallows its cancellation, go on."""
    released = getattr(store, "released", None)
    if released is not None:
        released.set()


async def begin(store, guard, count):
    """So many reads that hang."""
    store.hangs = {"read"}
    seen = store.seen["read"]
    tasks = [asyncio.ensure_future(guard.read(number)) for number in range(count)]
    await turn_until(lambda: store.seen["read"] - seen == count)
    return tasks


async def fail(store, guard, times=3):
    """Writes that fail, so many in a row."""
    store.down("write")
    for number in range(times):
        with pytest.raises(OperationFailed):
            await guard.write(("failed", number), entry(number))


# When the breaker opens.


@each_kind
def test_what_is_under_way_ends_with_a_refusal_when_the_breaker_opens(kind):
    """At once, with the error of the backend as its cause; and it counts as no further failure."""

    async def main():
        store = kind()
        guard = async_guard_of(store, None, policy=POLICY)
        tasks = await begin(store, guard, 20)
        await fail(store, guard)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(error) for error in ended} == {OperationFailed}
        assert all("given up after" in error.reason for error in ended)
        assert all("its breaker is open, after 3 failures in a row" in e.reason for e in ended)
        assert {type(error.__cause__) for error in ended} == {ConnectionError}
        assert {error.operation for error in ended} == {"read"}
        assert [error.key for error in ended] == list(range(20))
        assert guard.circuit.failures == 3
        assert not any(watch.operations for watch in guard.origin.underway._watches.values())
        release(store)
        await turn_until(lambda: not _strays)

    run(main())


@pytest.mark.parametrize("kind", [AsyncStore, Prompt, ThreadStore])
def test_callers_get_the_functions_value_when_the_breaker_opens(kind):
    """None of them has to wait for its own deadline."""
    store = kind()

    @cached(ttl=60, backend=store, policy=POLICY)
    async def load(key):
        return key

    async def main():
        store.hangs = {"read"}
        calls = [asyncio.ensure_future(load(number)) for number in range(20)]
        await turn_until(lambda: store.seen["read"] == 20)
        await fail(store, load._self_site.core.guard)
        assert await asyncio.gather(*calls) == list(range(20))
        info = load.cache_info()
        assert (info.misses, info.loads, info.failures) == (20, 20, 20)
        release(store)

    run(main())


@pytest.mark.parametrize("kind", [AsyncStore, Prompt, Stubborn, ThreadStore])
@pytest.mark.parametrize("operation", ["write", "delete", "clear"])
def test_what_would_have_changed_the_backend_is_owed(kind, operation):
    """A write, a drop or a clear that is given up is carried out once the backend is back."""

    async def main():
        store = kind()
        guard = async_guard_of(store, None, policy=POLICY)
        store.held["k"] = entry("old")
        store.hangs = {operation}
        args = {"write": ("k", entry("new")), "delete": ("k",), "clear": ()}[operation]
        task = asyncio.ensure_future(getattr(guard, operation)(*args))
        await turn_until(lambda: store.seen[operation])
        store.down("read")
        for number in range(3):
            with pytest.raises(OperationFailed):
                await guard.read(number)
        with pytest.raises(OperationFailed, match="given up"):
            await task
        found = await guard.read("k")
        assert (found and found.value) == ("new" if operation == "write" else None)
        store.up()
        store.hangs = set()
        release(store)
        guard.circuit.release()
        await guard.read("another")
        await turn_until(lambda: not guard.health().owed)
        assert store.value("k") == ("new" if operation == "write" else None)

    run(main())


def test_a_breaker_that_threads_have_opened_is_that_of_loops_too():
    """What a loop waits for ends although it is a plain function that meets the last failure."""
    store = ThreadStore()
    blocking = Cache(store, policy=POLICY)
    awaiting = AsyncCache(store, policy=POLICY)

    async def main():
        store.hangs = {"read"}
        reads = [asyncio.ensure_future(awaiting.get(number, "none")) for number in range(5)]
        await turn_until(lambda: store.seen["read"] == 5)
        store.down("write")

        def fail():
            for number in range(3):
                blocking.set(number, number)

        Crew([fail]).join()
        assert await asyncio.gather(*reads) == ["none"] * 5
        release(store)

    run(main())


def test_each_breaker_gives_up_what_is_subject_to_it():
    """Another cache on the same backend, with other options or none, waits on."""

    async def main():
        store = Prompt()
        guard = async_guard_of(store, None, policy=POLICY)
        others = [
            async_guard_of(store, None, policy=Policy(timeout=None, breaker=breaker))
            for breaker in (Breaker(failures=4), None)
        ]
        waiting = [task for other in others for task in await begin(store, other, 5)]
        given_up = await begin(store, guard, 5)
        await fail(store, guard)
        await asyncio.wait(given_up)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    run(main())


def test_a_drill_lets_what_is_under_way_go_on():
    """A breaker that is held open says nothing of the backend."""

    async def main():
        store = Prompt()
        guard = async_guard_of(store, None, policy=POLICY)
        (task,) = await begin(store, guard, 1)
        with guard.circuit.force_open():
            for _ in range(5):
                await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])

    run(main())


def test_a_probe_that_begins_when_the_breaker_has_just_opened_goes_on():
    """It was not under way by then."""

    async def main():
        now = 0.0
        store = Prompt()
        breaker = Breaker(failures=3, probe_every=1, timer=lambda: now)
        guard = async_guard_of(store, None, policy=Policy(timeout=None, breaker=breaker))
        tasks = await begin(store, guard, 1)
        await fail(store, guard)
        now = 1.0
        probe = asyncio.ensure_future(guard.read("probe"))
        await asyncio.wait(tasks)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not probe.done()
        probe.cancel()
        await asyncio.wait([probe])
        assert guard.circuit.admit() > 0  # it has given its turn back

    run(main())


# Beside cancellation.


@pytest.mark.parametrize("first", ["breaker", "caller"])
@each_kind
def test_a_caller_that_is_cancelled_as_the_breaker_opens_is_cancelled(kind, first):
    """Whichever of the two comes first, in the same turn of the loop."""

    async def main():
        store = kind()
        guard = async_guard_of(store, None, policy=POLICY)
        (task,) = await begin(store, guard, 1)
        watch = guard.origin.underway.here()
        (operation,) = watch.operations
        stops = [lambda: _stop(operation), task.cancel]
        for stop in stops if first == "breaker" else reversed(stops):
            stop()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not watch.operations
        assert guard.circuit.failures == 0
        release(store)
        await turn_until(lambda: not _strays)

    run(main())


def _stop(operation):
    operation.error = GivenUp()
    operation.stop()


@pytest.mark.parametrize("kind", [AsyncStore, Prompt])
def test_what_is_given_up_leaves_no_request_to_cancel_behind(kind):
    """A timeout of the caller's own, around it, still works as it should."""

    async def main():
        store = kind()
        guard = async_guard_of(store, None, policy=POLICY)
        store.hangs = {"read"}

        async def call():
            with pytest.raises(OperationFailed):
                await guard.read("k")
            task = asyncio.current_task()
            assert task.cancelling() == 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.get_running_loop().create_future()
            return task.cancelling()

        task = asyncio.ensure_future(call())
        await turn_until(lambda: store.seen["read"])
        await fail(store, guard)
        assert await task == 0

    run(main())


def test_one_that_fails_by_itself_as_it_is_stopped_has_failed_so():
    """The backend's own error is told, and no request to cancel is left behind."""

    class Fails(Prompt):
        async def _wait(self, operation):
            try:
                await super()._wait(operation)
            except asyncio.CancelledError:
                raise ConnectionError("of its own") from None

    async def main():
        store = Fails()
        guard = async_guard_of(store, None, policy=POLICY)

        async def call():
            with pytest.raises(OperationFailed, match="of its own"):
                await guard.read("k")
            return asyncio.current_task().cancelling()

        store.hangs = {"read"}
        task = asyncio.ensure_future(call())
        await turn_until(lambda: store.seen["read"])
        await fail(store, guard)
        assert await task == 0

    run(main())


# Deadlines.


class Loop:
    """A loop whose timers are rung by hand."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay, callback, *args):
        self.timers.append((delay, callback, args))

    def call_soon(self, callback, *args):
        self.call_later(0.0, callback, *args)

    def ring(self):
        """Let all timers run out that are set by now."""
        timers, self.timers = self.timers, []
        for _, callback, args in timers:
            callback(*args)


@pytest.fixture
def clock(monkeypatch):
    """The moment it is, in a list."""
    now = [100.0]
    monkeypatch.setattr("memo.guard.underway.monotonic", lambda: now[0])
    return now


def test_one_timer_serves_all_operations_of_a_loop(clock):
    """It is set to the earliest deadline, and set again as long as anything is under way."""
    loop = Loop()
    watch = Watch(loop)
    ended = []
    operations = [
        Operation(deadline, None, lambda deadline=deadline: ended.append(deadline))
        for deadline in (101.0, 102.0, 103.0, math.inf)
    ]
    for operation in operations:
        watch.begin(operation)
    assert len(loop.timers) == 1
    clock[0] = 101.0
    loop.ring()
    assert ended == [101.0]
    assert isinstance(operations[0].error, TimeoutError)
    del watch.operations[operations[0]]
    del watch.operations[operations[1]]  # it has ended well
    clock[0] = 102.005
    loop.ring()
    assert ended == [101.0]
    clock[0] = 103.0
    loop.ring()
    assert ended == [101.0, 103.0]
    assert loop.timers == []  # what is left has no deadline


def test_an_earlier_deadline_is_not_missed(clock):
    """Whatever the timer was set for before."""
    loop = Loop()
    watch = Watch(loop)
    ended = []
    late = Operation(200.0, None, lambda: ended.append("late"))
    early = Operation(101.0, None, lambda: ended.append("early"))
    watch.begin(late)
    watch.begin(early)
    assert [delay for delay, _, _ in loop.timers] == [100.0, 1.0]
    clock[0] = 101.0
    loop.ring()
    assert ended == ["early"]
    clock[0] = 200.0
    loop.ring()
    assert ended == ["early", "late"]
    loop.ring()
    assert ended == ["early", "late"]
    assert loop.timers == []


def test_of_many_that_are_late_the_first_is_not_kept_waiting_for_the_last(clock):
    """A few end in each turn of the loop, in the order in which they began."""
    loop = Loop()
    watch = Watch(loop)
    ended = []
    for number in range(12):
        watch.begin(Operation(101.0, None, lambda number=number: ended.append(number)))
    clock[0] = 101.0
    turns = []
    while loop.timers:
        loop.ring()
        turns.append(len(ended))
    assert ended == list(range(12))
    assert turns == [5, 10, 12]


def test_an_interrupt_as_one_is_stopped_keeps_the_others_from_nothing(clock):
    """The rest of those that are late are stopped, and a later deadline is rung for."""
    loop = Loop()
    watch = Watch(loop)
    ended = []

    def interrupted():
        raise KeyboardInterrupt

    watch.begin(Operation(101.0, None, interrupted))
    for deadline in (101.0, 101.0, 102.0):
        watch.begin(Operation(deadline, None, lambda deadline=deadline: ended.append(deadline)))
    clock[0] = 101.0
    with pytest.raises(KeyboardInterrupt):
        loop.ring()
    assert ended == []
    loop.ring()
    assert ended == [101.0, 101.0]
    clock[0] = 102.0
    loop.ring()
    assert ended == [101.0, 101.0, 102.0]


def test_a_loop_that_was_held_up_lets_answers_land_first(clock):
    """Where the timer itself is late, what is due ends a few turns later."""
    loop = Loop()
    watch = Watch(loop)
    ended = []
    watch.begin(Operation(101.0, None, lambda: ended.append("late")))
    clock[0] = 101.3
    turns = 0
    while not ended:
        loop.ring()
        turns += 1
    assert turns == 6
    assert loop.timers == []


class Wired(Prompt):
    """A server behind a socket, which answers while the loop stands still."""

    def __init__(self):
        super().__init__()
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)

    async def read(self, key):
        await asyncio.get_running_loop().sock_recv(self.ours, 100)
        return entry("value")

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.mark.parametrize("kind", [AsyncStore, Prompt, ThreadStore, Wired])
def test_a_loop_that_stands_still_is_no_failure_of_the_backend(kind):
    """An answer that is there is used, however late the loop comes to it, and counts as one."""

    async def main():
        store = kind()
        store.held |= dict.fromkeys(range(20), entry("value"))
        guard = async_guard_of(store, None, policy=Policy(breaker=Breaker(failures=3)))

        def stand_still():
            if kind is Wired:
                store.theirs.sendall(b"answer")
            time.sleep(0.1)

        reads = asyncio.gather(
            *(guard.read(number, Budget(0.03)) for number in range(1 if kind is Wired else 20))
        )
        asyncio.get_running_loop().call_soon(stand_still)
        found = await reads
        assert {one.value for one in found} == {"value"}
        assert guard.circuit.failures == 0
        assert guard.circuit.state == "closed"
        if kind is Wired:
            store.close()

    run(main())


def test_one_that_takes_an_earlier_operations_room_has_its_own_deadline():
    """With a budget that is nearly used up beside others that are not."""

    async def main():
        store = Prompt()
        store.hangs = {"read"}
        guard = async_guard_of(store, None, policy=Policy(timeout=100, breaker=None))
        long = asyncio.ensure_future(guard.read("long", Budget(100)))
        with pytest.raises(OperationFailed, match="timed out"):
            await guard.read("short", Budget(0.01))
        assert not long.done()
        long.cancel()
        await asyncio.wait([long])

    run(main())


# Loops and processes.


def test_nothing_is_left_of_a_loop():
    """One that has ended is forgotten when another one begins, also with things under way."""
    store = Prompt()
    store.hangs = {"read"}
    guard = async_guard_of(store, None, policy=Policy())
    underway = guard.origin.underway
    loop = asyncio.new_event_loop()
    gone = weakref.ref(loop)
    read = loop.create_task(guard.read("k", Budget(1000)))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert len(underway._watches[id(loop)].operations) == 1
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(read)
    loop.close()
    store.hangs = set()
    run(guard.read("k", Budget(1)))
    del loop, read
    gc.collect()
    assert gone() is None
    assert len(underway._watches) == 1


def test_a_loop_that_nobody_closes_is_let_go_of():
    """It has descriptors, which close as the collector takes it."""
    store = Prompt()
    guard = async_guard_of(store, None, policy=Policy())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(guard.read("k", Budget(1)))
    gone = weakref.ref(loop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert gone() is None


@each_kind
@pytest.mark.parametrize("timeout", [None, 10])
def test_what_is_stepped_by_something_else_than_a_task_is_served_too(kind, timeout):
    """Frameworks with tasks of their own await what a loop gives them."""
    store = kind()
    guard = async_guard_of(store, None, policy=Policy())

    async def calls():
        budget = None if timeout is None else Budget(timeout)
        await guard.write("k", entry(1), budget)
        return await guard.read("k", budget)

    async def main():
        done = asyncio.get_running_loop().create_future()
        _step(calls(), done)
        return await done

    assert run(main()) == entry(1)


def _step(coroutine, done, _awaited=None):
    """Step `coroutine` in callbacks of the loop, up to its end."""
    try:
        awaited = coroutine.send(None)
    except StopIteration as stop:
        done.set_result(stop.value)
    except BaseException as error:
        done.set_exception(error)
    else:
        awaited._asyncio_future_blocking = False
        awaited.add_done_callback(functools.partial(_step, coroutine, done))


def test_loops_in_several_threads_keep_apart():
    """Each has its own timer; the breaker ends what is under way in all of them."""
    store = Prompt()
    guard = async_guard_of(store, None, policy=POLICY)
    reading = threading.Barrier(4)

    async def main(number):
        store.hangs = {"read"}
        task = asyncio.ensure_future(guard.read(number))
        await turn_until(lambda: any(w.operations for w in _watches(guard, task.get_loop())))
        reading.wait(10)
        if number == 0:
            await fail(store, guard)
        with pytest.raises(OperationFailed, match="given up"):
            await task

    Crew([lambda number=number: run(main(number)) for number in range(4)]).join()


def _watches(guard, loop):
    return [watch for watch in guard.origin.underway._watches.values() if watch.loop() is loop]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_knows_nothing_of_its_parents_loops():
    """A breaker that opens in the child does not reach into them."""
    underway = Underway()

    async def main():
        watch = underway.here()
        operation = Operation(math.inf, None, lambda: None)
        watch.begin(operation)
        said = forked(lambda: (underway._watches, underway._last, underway.give_up(None)))
        assert said == "({}, None, None)"
        assert underway.here() is watch

    run(main())
