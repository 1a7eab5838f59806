"""FaultyBackend: backends that fail to order, by chance or by plan."""

import asyncio
import contextlib
import math
import threading

import cachetools
import pytest

from memo import Entry, Full, OperationFailed, Policy, cached
from memo.backends import Memory, Null
from memo.backends.base import is_async
from memo.guard import Guard
from memo.testing import AsyncFaultyBackend, FakeTimer, FaultyBackend

ENTRY = Entry("value", 1.0, 2.0, 3.0)


class Blocking:
    """Drives a `FaultyBackend`."""

    kind = FaultyBackend

    @staticmethod
    def run(answer):
        return answer

    @staticmethod
    def sleep(timer):
        return timer.advance


class Awaiting:
    """Drives an `AsyncFaultyBackend` by the same calls."""

    kind = AsyncFaultyBackend

    @staticmethod
    def run(answer):
        return asyncio.run(answer)

    @staticmethod
    def sleep(timer):
        async def sleep(seconds):
            timer.advance(seconds)

        return sleep


@pytest.fixture(params=[Blocking, Awaiting])
def colour(request):
    """Which of the two classes is tested."""
    return request.param


def reads(colour, backend, count):
    """What `count` reads of one key do: "ok", "miss", "raise", or "bad"."""
    found = []
    for _ in range(count):
        try:
            entry = colour.run(backend.read("k"))
        except ConnectionError:
            found.append("raise")
        else:
            found.append("miss" if entry is None else "ok" if entry == ENTRY else "bad")
    return found


def filled(colour, **options):
    """A backend whose inner one holds `ENTRY` under "k"."""
    backend = colour.kind(**options)
    backend.inner.write("k", ENTRY)
    return backend


def test_without_faults_it_is_the_inner_backend(colour):
    """A backend that was told of no faults does what the inner one does."""
    inner = Memory(2)
    backend = colour.kind(inner)
    colour.run(backend.write("k", ENTRY))
    assert inner.read("k") == ENTRY
    assert colour.run(backend.read("k")) == ENTRY
    assert colour.run(backend.delete("k")) is True
    assert colour.run(backend.delete("k")) is False
    assert colour.run(backend.read("k")) is None
    colour.run(backend.write("k", ENTRY))
    colour.run(backend.clear())
    assert inner.read("k") is None
    assert backend.calls == {"write": 2, "read": 2, "delete": 2, "clear": 1}
    assert not backend.struck


def test_colours_are_told_apart():
    """Each class is a backend of its own colour, whatever stands behind it."""
    assert not is_async(FaultyBackend())
    assert is_async(AsyncFaultyBackend())
    assert is_async(AsyncFaultyBackend(AsyncFaultyBackend()))


def test_a_blocking_one_refuses_an_async_backend():
    """A FaultyBackend over an async backend is refused, with the name of the class to use."""
    with pytest.raises(TypeError, match="AsyncFaultyBackend"):
        FaultyBackend(AsyncFaultyBackend())


def test_adapts_what_cached_would_adapt(colour):
    """The inner backend may be given as `cached` takes it: a mapping, a cachetools cache, a URL."""
    mapping = {}
    colour.run(colour.kind(mapping).write("k", ENTRY))
    assert mapping == {"k": ENTRY}
    assert colour.run(colour.kind("null://").read("k")) is None


def test_a_schedule_counts_calls_from_now_on(colour):
    """The third to the fifth read fail, counted from the moment that was said."""
    backend = filled(colour)
    reads(colour, backend, 2)
    fault = backend.inject("raise", "read", first=3, last=5)
    assert reads(colour, backend, 7) == ["ok", "ok", "raise", "raise", "raise", "ok", "ok"]
    assert fault.struck == 3
    assert backend.struck == {("read", "raise"): 3}
    assert backend.calls["read"] == 9


def test_each_operation_is_counted_by_itself(colour):
    """With several operations in one schedule, the first call of each is struck."""
    backend = filled(colour)
    backend.inject("raise", "read", "write", last=1)
    assert reads(colour, backend, 2) == ["raise", "ok"]
    with pytest.raises(ConnectionError):
        colour.run(backend.write("k", ENTRY))
    colour.run(backend.write("k", ENTRY))


def test_fails_until_healed(colour):
    """An outage begins with `fail` and ends with `heal`, for all operations."""
    backend = filled(colour)
    backend.fail()
    for call in (
        lambda: backend.read("k"),
        lambda: backend.write("k", ENTRY),
        lambda: backend.delete("k"),
        backend.clear,
        lambda: backend.evict(1),
        lambda: backend.clear_scope("s"),
    ):
        with pytest.raises(ConnectionError, match="injected fault"):
            colour.run(call())
    assert backend.inner.read("k") == ENTRY
    backend.heal()
    assert reads(colour, backend, 2) == ["ok", "ok"]


def test_fails_for_named_operations_only(colour):
    """An outage of writes leaves reads alone."""
    backend = filled(colour)
    backend.fail("write", "delete")
    assert reads(colour, backend, 1) == ["ok"]
    with pytest.raises(ConnectionError):
        colour.run(backend.write("k", ENTRY))


def test_one_fault_ends_and_others_go_on(colour):
    """A fault used as a context manager ends with its block; what else was injected stays."""
    backend = filled(colour)
    backend.inject("raise", "write")
    with backend.inject("raise", "read"):
        assert reads(colour, backend, 1) == ["raise"]
    assert reads(colour, backend, 1) == ["ok"]
    with pytest.raises(ConnectionError):
        colour.run(backend.write("k", ENTRY))


def test_the_error_is_chosen(colour):
    """What is raised is made by `error`, given here or for the whole backend."""
    backend = filled(colour, error=TimeoutError)
    backend.fail("read")
    with pytest.raises(TimeoutError, match="read number 1"):
        colour.run(backend.read("k"))
    backend.inject("raise", "write", error=Full)
    with pytest.raises(Full):
        colour.run(backend.write("k", ENTRY))


def test_each_error_is_a_new_one(colour):
    """Two failing calls raise two exceptions, so that neither drags the other's traceback along."""
    backend = filled(colour)
    backend.fail()
    caught = []
    for _ in range(2):
        with pytest.raises(ConnectionError) as info:
            colour.run(backend.read("k"))
        caught.append(info.value)
    assert caught[0] is not caught[1]


def test_an_operation_may_be_done_although_it_raises(colour):
    """With `done` a write is carried out before it raises, as when only the answer gets lost."""
    backend = colour.kind()
    backend.inject("raise", "write", done=True)
    with pytest.raises(ConnectionError):
        colour.run(backend.write("k", ENTRY))
    assert backend.inner.read("k") == ENTRY


def test_delays_wait_by_the_sleep_that_was_given(colour):
    """Delays add up, and nothing waits in earnest."""
    timer = FakeTimer()
    backend = filled(colour, delay="2s", sleep=colour.sleep(timer))
    backend.inject("delay", "read", first=2)
    backend.inject("delay", "read", first=3, delay=0.5)
    times = []
    for _ in range(3):
        assert colour.run(backend.read("k")) == ENTRY
        times.append(timer())
    assert times == [0.0, 2.0, 4.5]
    assert backend.struck["read", "delay"] == 3


def test_a_call_may_be_late_and_then_fail(colour):
    """A call that is both delayed and failed fails after its delay."""
    timer = FakeTimer()
    backend = filled(colour, sleep=colour.sleep(timer))
    backend.inject("delay", delay=3)
    backend.inject("raise")
    assert reads(colour, backend, 1) == ["raise"]
    assert timer() == 3.0


def test_a_lost_write_stores_nothing_and_says_nothing(colour):
    """By default writes are what is lost; a lost one is not carried out, and nobody is told."""
    backend = colour.kind(loses=1.0)
    assert colour.run(backend.write("k", ENTRY)) == 0
    assert backend.inner.read("k") is None
    backend.inner.write("k", ENTRY)
    assert colour.run(backend.delete("k")) is True
    assert backend.inner.read("k") is None
    assert backend.struck == {("write", "lose"): 1}


def test_other_operations_are_lost_when_asked_for(colour):
    """A lost read finds nothing; a lost delete, clear or eviction leaves everything in place."""
    backend = filled(colour, loses=dict.fromkeys(("read", "delete", "clear", "evict"), 1.0))
    assert colour.run(backend.read("k")) is None
    assert colour.run(backend.delete("k")) is True
    assert colour.run(backend.evict(3)) == 3
    colour.run(backend.clear())
    colour.run(backend.clear_scope("s"))
    assert backend.inner.read("k") == ENTRY
    assert backend.struck["clear", "lose"] == 2


def test_corruption_is_of_both_kinds_and_never_looks_sound(colour):
    """Corrupt reads give things that are no entries, and entries whose times are no times."""
    backend = filled(colour, corrupts=1.0)
    found = [colour.run(backend.read("k")) for _ in range(200)]
    entries = [one for one in found if type(one) is Entry]
    others = [one for one in found if type(one) is not Entry]
    assert entries
    assert len({type(one) for one in others}) >= 4
    damaged = set()
    for entry in entries:
        assert entry.value == "value"
        times = {name: getattr(entry, name) for name in ("created", "expires", "kept_until")}
        bad = {name for name, time in times.items() if type(time) is not float or math.isnan(time)}
        assert len(bad) == 1
        damaged |= bad
    assert damaged == {"created", "expires", "kept_until"}
    assert backend.struck["read", "corrupt"] == 200


def test_a_guard_lets_no_default_corruption_through():
    """Whatever a corrupt read gives by default, memo's own guard refuses it."""
    backend = FaultyBackend(corrupts=1.0)
    backend.inner.write("k", ENTRY)
    guard = Guard(backend, None)
    for _ in range(200):
        with pytest.raises(OperationFailed, match="no entry"):
            guard.read("k")


def test_values_are_damaged_on_request(colour):
    """An entry with another value is sound to look at, and comes only when asked for."""
    backend = filled(colour)
    backend.inject("corrupt", damage="value")
    entry = colour.run(backend.read("k"))
    assert entry.value.startswith("damaged")
    assert entry[1:] == ENTRY[1:]


def test_a_miss_cannot_be_corrupted(colour):
    """A read that finds nothing has nothing to corrupt, and is not counted as corrupted."""
    backend = colour.kind(corrupts=1.0)
    assert colour.run(backend.read("k")) is None
    assert not backend.struck


def test_chance_is_the_same_in_every_run(colour):
    """Equal seeds give equal faults, other seeds others, at about the rate that was asked for."""

    def run(seed):
        backend = filled(colour, seed=seed, raises={"read": 0.2}, corrupts=0.2)
        return reads(colour, backend, 300)

    first = run(1)
    assert run(1) == first
    assert run(2) != first
    assert 30 <= first.count("raise") <= 90
    assert 20 <= first.count("bad") <= 80


def test_chance_of_one_operation_does_not_depend_on_others(colour):
    """The same reads fail whether or not writes come between them."""

    def run(writes):
        backend = filled(colour, seed=3, raises=0.3)
        found = []
        for _ in range(50):
            found += reads(colour, backend, 1)
            for _ in range(writes):
                with contextlib.suppress(ConnectionError):
                    colour.run(backend.write("other", ENTRY))
        return found

    assert run(0) == run(2)


def test_colours_meet_the_same_faults():
    """One seed means the same faults for both colours."""
    sync = filled(Blocking, seed=5, raises=0.3, corrupts=0.3, loses={"read": 0.3})
    twin = filled(Awaiting, seed=5, raises=0.3, corrupts=0.3, loses={"read": 0.3})
    assert reads(Blocking, sync, 100) == reads(Awaiting, twin, 100)
    assert sync.struck == twin.struck


def test_heal_also_ends_chance(colour):
    """After `heal` nothing fails any more, whatever the backend was made with."""
    backend = filled(colour, raises=1.0)
    backend.heal()
    assert reads(colour, backend, 20) == ["ok"] * 20


def test_has_the_optional_attributes_of_the_inner_backend(colour):
    """What the inner backend can tell is told by the faulty one."""
    timer = FakeTimer()
    inner = Memory(5, timer=timer)
    inner.write("k", ENTRY)
    backend = colour.kind(inner)
    assert backend.timer is timer
    assert (backend.maxsize, backend.currsize) == (5, 1)
    assert (backend.name, backend.blocking) == ("memory", False)
    assert colour.run(backend.evict(2)) == 1
    inner.write(("s", 1), ENTRY)
    inner.write(("t", 1), ENTRY)
    colour.run(backend.clear_scope("s"))
    assert inner.read(("s", 1)) is None
    assert inner.read(("t", 1)) == ENTRY


def test_lacks_what_the_inner_backend_lacks(colour):
    """Optional methods that the inner backend does not have are not there to be found."""
    backend = colour.kind(Null())
    for name in ("evict", "clear_scope", "close", "timer", "read_many", "whatever"):
        assert not hasattr(backend, name)


def test_closes_the_inner_backend(colour):
    """`close` reaches the inner backend, also during an outage."""
    closed = []

    class Closable(Memory):
        def close(self):
            closed.append(self)

    inner = Closable()
    backend = colour.kind(inner)
    backend.fail()
    colour.run(backend.close())
    assert closed == [inner]


def test_runs_a_blocking_inner_backend_in_a_thread():
    """The async one does not hold up the loop with an inner backend that blocks."""
    threads = []

    class Slow(Memory):
        blocking = True

        def read(self, key):
            threads.append(threading.get_ident())
            return super().read(key)

    async def main():
        await AsyncFaultyBackend(Slow()).read("k")
        return threading.get_ident()

    loop_thread = asyncio.run(main())
    assert threads != [loop_thread]


def test_threads_lose_no_count():
    """Calls and faults of many threads are all counted."""
    backend = FaultyBackend(raises={"read": 0.5})

    def read():
        for _ in range(200):
            with contextlib.suppress(ConnectionError):
                backend.read("k")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backend.calls["read"] == 1600
    # The stream of chance does not depend on which thread drew from it.
    twin = FaultyBackend(raises={"read": 0.5})
    assert reads(Blocking, twin, 1600).count("raise") == backend.struck["read", "raise"]


@pytest.mark.parametrize(
    "options",
    [
        {"raises": 1.5},
        {"delays": -0.1},
        {"loses": {"sing": 0.5}},
        {"corrupts": {"write": 0.5}},
        {"delay": "soon"},
    ],
)
def test_refuses_options_that_cannot_be(colour, options):
    """Impossible probabilities, operations and durations are errors that say what is allowed."""
    with pytest.raises(ValueError, match="takes"):
        colour.kind(**options)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (("explode",), {}),
        (("raise", "sing"), {}),
        (("corrupt", "write"), {}),
        (("corrupt",), {"damage": "soul"}),
        (("corrupt",), {"damage": ()}),
        (("raise",), {"first": 0}),
        (("raise",), {"first": 3, "last": 2}),
    ],
)
def test_refuses_faults_that_cannot_be(args, options):
    """`inject` names the argument that cannot be."""
    with pytest.raises(ValueError, match=r"kind|operation|damage|first"):
        FaultyBackend().inject(*args, **options)


def test_says_what_it_is(colour):
    """The repr of a backend shows the inner one, the repr of a fault what it does."""
    backend = colour.kind(cachetools.LRUCache(2))
    assert repr(backend) == f"<{colour.kind.__name__} on <CachetoolsBackend on LRUCache>>"
    assert repr(backend.fail("read")) == "<Fault raise on read, struck 0 times>"


def test_a_cached_function_lives_through_chaos():
    """Under an absorbing policy the caller of a cached function sees no fault, whatever strikes."""
    heard = []
    backend = FaultyBackend(raises=0.2, loses=0.2, corrupts=0.2, delays=0.1, sleep=lambda _: None)

    @cached(backend=backend, policy=Policy(on_error=heard.append))
    def double(number):
        return 2 * number

    assert [double(number % 7) for number in range(500)] == [2 * (n % 7) for n in range(500)]
    info = double.cache_info()
    assert info.hits + info.misses == 500
    assert info.failures == len(heard) > 0


def test_an_async_cached_function_lives_through_chaos():
    """The same holds for a coroutine function over the async twin."""

    async def sleep(_):
        await asyncio.sleep(0)

    backend = AsyncFaultyBackend(raises=0.2, loses=0.2, corrupts=0.2, delays=0.1, sleep=sleep)

    @cached(backend=backend)
    async def double(number):
        return 2 * number

    async def main():
        return [await double(number % 7) for number in range(500)]

    assert asyncio.run(main()) == [2 * (n % 7) for n in range(500)]
    assert double.cache_info().failures > 0
