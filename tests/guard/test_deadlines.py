"""One deadline for all that a call does with its backend, kept whatever the backend does."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time

import pytest
from concurrency.watch import Crew, run, turn_until, until
from guard.stores import AsyncStore, Prompt, Stubborn, ThreadStore, TimedStore, entry, within

from memo import AsyncCache, Cache, OperationFailed, Policy, cached
from memo.guard import Budget, async_guard_of, guard_of
from memo.guard.awaiting import _strays
from memo.testing import FakeTimer

SHORT = 0.03


def policy(**more):
    """With a short deadline, and no breaker that would spare the backend."""
    return Policy(**({"timeout": SHORT, "breaker": None} | more))


def test_a_blocking_backend_gets_what_is_left_as_its_deadline():
    """The moment of monotonic time at which the call's budget is used up."""
    store = TimedStore()
    guard = guard_of(store, None, policy=policy(timeout=5))
    budget = Budget(5)
    before = time.monotonic()
    guard.read("k", budget)
    assert before + 5 <= store.deadlines[0] <= time.monotonic() + 5
    budget.left = 1.0
    before = time.monotonic()
    guard.write("k", entry(1), budget)
    assert before + 1 <= store.deadlines[1] <= time.monotonic() + 1
    guard.delete("k", budget)
    guard.clear(budget)
    assert len(store.deadlines) == 4
    assert None not in store.deadlines
    assert 0 < budget.left < 1


def test_without_a_timeout_there_is_no_deadline():
    """`timeout=None`: the backend is told so."""
    store = TimedStore()

    @cached(ttl=60, backend=store, policy=Policy(timeout=None))
    def load(key):
        return key

    assert [load(1), load(1)] == [1, 1]
    assert set(store.deadlines) == {None}


def test_a_hung_read_costs_the_deadline_and_no_more():
    """The caller gets the function's value; the error names the timeout and its value."""
    store = TimedStore()
    store.hangs = {"read", "write", "delete"}
    heard = []

    @cached(ttl=60, backend=store, policy=policy(on_error=heard.append))
    def load(key):
        return key

    with within(5):
        assert load("k") == "k"
    (error,) = heard
    assert error.operation == "read"
    assert "timeout=0.03 s for all backend work of one call" in error.reason
    assert isinstance(error.__cause__, TimeoutError)


@pytest.fixture
def clock(monkeypatch):
    """The monotonic time that guards of blocking backends go by."""
    timer = FakeTimer(1000.0)
    monkeypatch.setattr("memo.guard.blocking.monotonic", timer)
    return timer


def test_all_work_of_one_call_has_one_deadline(clock):
    """What the read has used up is not there for the write."""

    class Slow(TimedStore):
        def _enter(self, operation, key):
            super()._enter(operation, key)
            clock.advance(0.5)

    store = Slow()

    @cached(ttl=60, backend=store, policy=policy(timeout=3))
    def load(key):
        clock.advance(100)
        return key

    load("k")
    assert [operation for operation, _ in store.log] == ["read", "write"]
    assert store.deadlines == [1003.0, 1103.0]
    assert load.cache_info().failures == 0


def test_time_in_the_function_does_not_count(clock):
    """A function that takes longer than the timeout is stored all the same."""
    store = TimedStore()

    @cached(ttl=60, backend=store, policy=policy())
    def load(key):
        clock.advance(3600)
        return key

    load("k")
    assert store.seen["write"] == 1
    assert load.get("k") == "k"
    assert load.cache_info().failures == 0


def test_with_nothing_left_the_backend_is_not_touched():
    """The second read and the write of the call fail at once, and say why."""
    store = TimedStore()
    store.hangs = {"read"}
    guard = guard_of(store, None, policy=policy())
    budget = Budget(SHORT)
    with pytest.raises(OperationFailed):
        guard.read("k", budget)
    assert budget.left <= 0
    with pytest.raises(OperationFailed, match=r"nothing is left of timeout=0\.03 s") as caught:
        guard.delete("k", budget)
    assert (caught.value.operation, caught.value.key, caught.value.backend) == (
        "delete",
        "k",
        "store",
    )
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert store.seen == {"read": 1}


def test_a_late_answer_is_used_and_counts_as_a_failure(clock):
    """Of a backend that takes no deadline: five of them, and the breaker opens."""

    class Late(ThreadStore):
        def read(self, key):
            clock.advance(0.3)
            return super().read(key)

    store = Late()
    store.held["k"] = entry("value")
    guard = guard_of(store, None, policy=Policy())
    for number in range(1, 6):
        assert guard.read("k", Budget(0.25)).value == "value"
        assert guard.circuit.failures == number
    assert guard.circuit.state == "open"
    assert guard.circuit.last_error.startswith("answered after 0.3 s (timeout=0.25 s")


@pytest.mark.parametrize("parameter", ["keyword", "positional", "none", "star"])
def test_a_deadline_is_given_to_methods_that_take_one(parameter):
    """By the name of their parameter, looked for once; `**options` is no promise."""
    given = []

    class Store(ThreadStore):
        if parameter == "keyword":

            def read(self, key, *, deadline=None):
                given.append(deadline)

        elif parameter == "positional":

            def read(self, key, deadline=None):
                given.append(deadline)

        elif parameter == "star":

            def read(self, key, **options):
                given.append(options or None)

        else:

            def read(self, key):
                given.append(None)

    guard = guard_of(Store(), None, policy=policy())
    guard.read("k", Budget(1))
    assert [one is not None for one in given] == [parameter in {"keyword", "positional"}]


def test_a_backend_made_of_attributes_may_take_a_deadline():
    """Callables that are no methods are looked at, too."""
    given = []

    class Store:
        def __init__(self):
            self.read = functools.partial(lambda key, *, deadline: given.append(deadline))
            self.write = self.delete = self.clear = print

    guard_of(Store(), None, policy=policy()).read("k", Budget(1))
    assert given[0] is not None


# Async.


@pytest.mark.parametrize("kind", [AsyncStore, Prompt])
def test_a_hung_async_operation_is_cancelled(kind):
    """The caller gets the function's value in time, and nothing of the operation is left."""
    store = kind()
    store.hangs = {"read", "write", "delete"}
    heard = []

    @cached(ttl=60, backend=store, policy=policy(on_error=heard.append))
    async def load(key):
        return key

    async def main():
        with within(5):
            assert await load("k") == "k"
        await turn_until(lambda: len(asyncio.all_tasks()) == 1 and not _strays)

    asyncio.run(main())
    (error,) = heard
    assert "timeout=0.03 s for all backend work of one call" in error.reason
    assert isinstance(error.__cause__, TimeoutError)


def test_one_that_swallows_its_cancellation_holds_nobody_up():
    """It is left to itself, kept alive, and what it gives in the end is let go of."""
    store = None

    async def main():
        nonlocal store
        store = Stubborn()
        store.hangs = {"read"}
        guard = async_guard_of(store, None, policy=policy())
        with within(5), pytest.raises(OperationFailed, match="timed out"):
            await guard.read("k", Budget(SHORT))
        assert len(_strays) == 1
        await turn_until(lambda: store.swallowed == 1)
        store.fails = {"read"}  # what it ends with is nobody's business
        store.released.set()
        await turn_until(lambda: not _strays)

    asyncio.run(main())


def test_a_stray_that_fails_is_not_reported_by_the_loop(caplog):
    """Its exception is looked at, so that no "never retrieved" is logged."""

    class Failing(Stubborn):
        async def _wait(self, operation):
            await super()._wait(operation)
            raise ConnectionError("too late")

    async def main():
        store = Failing()
        store.hangs = {"read"}
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda *context: reported.append(context))
        guard = async_guard_of(store, None, policy=policy())
        with pytest.raises(OperationFailed):
            await guard.read("k", Budget(SHORT))
        store.released.set()
        await turn_until(lambda: not _strays)
        return reported

    assert asyncio.run(main()) == []
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("kind", [AsyncStore, Stubborn, Prompt, ThreadStore])
def test_the_callers_own_cancellation_passes_through(kind):
    """At once, whatever the backend does with its own, and it is nobody's failure."""

    async def main():
        store = kind()
        store.hangs = {"read"}
        guard = async_guard_of(store, None, policy=Policy(timeout=None))
        task = asyncio.ensure_future(guard.read("k"))
        await turn_until(lambda: store.seen["read"])
        if kind is ThreadStore:
            await asyncio.to_thread(store.hanging.acquire)
        task.cancel()
        with within(5), pytest.raises(asyncio.CancelledError):
            await task
        assert guard.circuit.failures == 0
        store.released = getattr(store, "released", None)
        if store.released is not None:
            store.released.set()
        await turn_until(lambda: not _strays)

    run(main())


def test_a_failure_that_nobody_waits_for_any_more_is_not_reported():
    """The caller is cancelled in the very turn of the loop in which the operation fails."""

    class Fails(AsyncStore):
        async def read(self, key):
            try:
                raise ConnectionError("down")
            finally:
                task.cancel()

    async def main():
        nonlocal task
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda *context: reported.append(context))
        guard = async_guard_of(Fails(), None, policy=policy())
        task = asyncio.ensure_future(guard.read("k", Budget(5)))
        with pytest.raises(asyncio.CancelledError):
            await task
        gc.collect()
        return reported

    task = None
    assert run(main()) == []


def test_a_cancellation_from_elsewhere_is_a_failure():
    """A backend whose operation is cancelled by other hands does not cancel the caller."""

    class Cancelled(AsyncStore):
        async def read(self, key):
            raise asyncio.CancelledError

    async def main():
        guard = async_guard_of(Cancelled(), None, policy=policy())
        with pytest.raises(OperationFailed, match="cancelled, and not by us"):
            await guard.read("k", Budget(1))

    run(main())


def test_an_answer_in_the_last_moment_is_an_answer():
    """An operation that ends in the very turn of the loop in which its time is up is not lost."""

    class Last(AsyncStore):
        async def read(self, key):
            loop = asyncio.get_running_loop()
            landed = loop.create_future()
            loop.call_later(SHORT, lambda: landed.done() or landed.set_result(None))
            await landed
            return entry("value")

    async def main():
        guard = async_guard_of(Last(), None, policy=policy())
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda *context: reported.append(context))
        answers = 0
        for _ in range(20):
            try:
                answers += (await guard.read("k", Budget(SHORT))).value == "value"
            except OperationFailed as error:
                assert "timed out" in error.reason  # noqa: PT017 - either is right
        await turn_until(lambda: not _strays)
        return reported

    assert run(main()) == []


# Blocking backends under async functions.


def test_a_hung_thread_does_not_hold_the_caller_up():
    """It is waited for as long as the deadline says."""

    async def main():
        store = ThreadStore()
        store.hangs = {"read"}
        guard = async_guard_of(store, None, policy=policy())
        with within(5), pytest.raises(OperationFailed, match="timed out"):
            await guard.read("k", Budget(SHORT))
        store.released.set()

    run(main())


def test_hung_threads_are_bounded_and_what_waits_is_withdrawn():
    """200 tasks at a backend that hangs: no more than so many threads, and no queue afterwards."""

    async def main():
        store = ThreadStore()
        store.hangs = {"read"}
        guard = async_guard_of(store, None, policy=policy())
        before = _workers()
        for _ in range(3):
            answers = await asyncio.gather(
                *(guard.read(number, Budget(SHORT)) for number in range(200)),
                return_exceptions=True,
            )
            assert all(isinstance(answer, OperationFailed) for answer in answers)
            assert len(_workers() - before) <= 32
            assert not guard.origin.workers._calls
        assert store.seen["read"] <= 32, "what was withdrawn is never called"
        store.hangs = set()
        store.released.set()
        assert await guard.read("k") is None, "the threads are free again"

    run(main())


def _workers():
    """The threads in which loops have blocking backends called; other tests may have left some."""
    return {thread for thread in threading.enumerate() if thread.name == "memo-backend"}


def test_a_blocking_backend_is_given_the_deadline_in_its_thread():
    """And its own TimeoutError, raised in time, is the error's cause."""

    async def main():
        store = TimedStore()
        store.hangs = {"read"}
        guard = async_guard_of(store, None, policy=policy())
        with within(5), pytest.raises(OperationFailed) as caught:
            await guard.read("k", Budget(SHORT))
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert store.deadlines[0] is not None

    run(main())


def test_threads_end_when_there_is_nothing_to_do(monkeypatch):
    """After a while without work."""
    import memo.guard.workers

    monkeypatch.setattr(memo.guard.workers, "_IDLE", 0.01)

    async def main():
        guard = async_guard_of(ThreadStore(), None, policy=policy())
        await asyncio.gather(*(guard.read(number) for number in range(5)))
        return guard.origin.workers

    workers = run(main())
    until(lambda: workers._threads == 0)


def test_context_variables_reach_the_backends_thread():
    """As with `asyncio.to_thread`."""
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    class Reads(ThreadStore):
        def read(self, key):
            return entry(variable.get())

    async def main():
        variable.set("set")
        return (await async_guard_of(Reads(), None, policy=policy()).read("k")).value

    assert run(main()) == "set"


def test_a_stop_iteration_in_a_thread_is_a_failure():
    """A future would not take it."""

    class Stops(ThreadStore):
        def read(self, key):
            raise StopIteration(3)

    async def main():
        with pytest.raises(OperationFailed, match=r"StopIteration\(3\)"):
            await async_guard_of(Stops(), None, policy=policy()).read("k")

    run(main())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_stops_a_program_is_not_absorbed(stop):
    """Also when a backend raises it in a thread."""

    class Stops(ThreadStore):
        def read(self, key):
            raise stop

    async def main():
        guard = async_guard_of(Stops(), None, policy=policy())
        with pytest.raises(stop):
            await guard._in_thread(lambda: guard.backend.read("k"), ())

    run(main())
    with pytest.raises(stop):
        guard_of(Stops(), None, policy=policy()).read("k", Budget(1))


def test_64_threads_at_a_hung_backend_are_each_delayed_once():
    """With the breaker on, 5 failures and 1 call of each thread under way are all that is slow."""
    store = TimedStore()
    store.hangs = {"read"}
    heard = []

    @cached(ttl=60, backend=store, policy=Policy(timeout=SHORT, on_error=heard.append))
    def load(key):
        return key

    def work(thread):
        for number in range(50):
            assert load((thread, number)) == (thread, number)

    Crew([functools.partial(work, thread) for thread in range(16)]).join()
    asked = store.seen["read"]
    assert asked <= 5 + 16 + 3, "and a probe each second"
    assert len(heard) == 16 * 50


def test_in_process_stores_have_no_deadline_and_no_breaker():
    """However often they fail, each call asks them."""

    class Failing(dict):
        asked = 0

        def __getitem__(self, key):
            Failing.asked += 1
            raise OSError("no")

    @cached(ttl=60, backend=Failing())
    def load(key):
        return key

    for number in range(20):
        load(number)
    assert Failing.asked >= 20
    assert load.cache_info().failures >= 20


def test_caches_have_a_deadline_for_each_operation():
    """`get`, `set`, `delete` and `clear` of a cache too."""
    store = TimedStore()
    cache = Cache(store, policy=policy())
    store.hangs = {"read", "write", "delete", "clear"}
    with within(5):
        assert cache.get("k", "default") == "default"
        assert cache.set("k", 1) is False
        assert cache.delete("other") is False
        assert cache.clear() is False

    async def main():
        store = AsyncStore()
        store.hangs = {"read", "write", "delete", "clear"}
        cache = AsyncCache(store, policy=policy())
        with within(5):
            assert await cache.get("k", "default") == "default"
            assert await cache.set("k", 1) is False
            assert await cache.delete("other") is False
            assert await cache.clear() is False

    run(main())
