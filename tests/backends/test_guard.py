"""The guard: what goes wrong in a backend becomes an error of memo's; nothing corrupt passes."""

import asyncio
import math
import threading
from functools import partial

import pytest

from memo import CacheError, Entry, Full, OperationFailed, Policy, cached
from memo.backends import Memory, Null
from memo.guard import Guard, async_guard_of
from memo.policy import STALE
from memo.testing import AsyncFaultyBackend, FakeTimer, FaultyBackend

ENTRY = Entry("value", 1.0, 2.0, 3.0)

#: Each operation reaches the backend, however many have failed before.
ALWAYS_ASK = Policy(breaker=None)


class Blocking:
    """A guard in the caller's thread."""

    guard, backend = Guard, FaultyBackend

    @staticmethod
    def run(answer):
        return answer


class Awaiting:
    """A guard in a loop, over an async backend."""

    guard, backend = partial(async_guard_of, policy=ALWAYS_ASK), AsyncFaultyBackend

    @staticmethod
    def run(answer):
        return asyncio.run(answer)


class AwaitingBlocking(Awaiting):
    """A guard in a loop, over a backend that is called directly."""

    backend = FaultyBackend


@pytest.fixture(params=[Blocking, Awaiting, AwaitingBlocking])
def colour(request):
    """Which guard is tested, over which backend."""
    return request.param


CALLS = {
    "read": lambda guard: guard.read("k"),
    "write": lambda guard: guard.write("k", ENTRY),
    "delete": lambda guard: guard.delete("k"),
    "clear": lambda guard: guard.clear(),
}


def test_gives_what_the_backend_gives(colour):
    """Over a healthy backend the guard answers as that does."""
    guard = colour.guard(colour.backend(Memory(1)), None)
    assert colour.run(guard.read("k")) is None
    assert colour.run(guard.write("k", ENTRY)) == 0
    assert colour.run(guard.read("k")) == ENTRY
    assert colour.run(guard.write("other", ENTRY)) == 1
    assert colour.run(guard.delete("k")) is False
    assert colour.run(guard.delete("other")) is True
    assert colour.run(guard.clear()) is True
    assert colour.run(guard.evict(1)) == 0


@pytest.mark.parametrize("operation", CALLS)
def test_foreign_errors_are_translated(colour, operation):
    """A backend's own exception becomes OperationFailed, which tells what, where, and why."""
    backend = colour.backend()
    backend.fail(error=lambda _: ConnectionResetError("peer went away"))
    guard = colour.guard(backend, None)
    with pytest.raises(OperationFailed) as caught:
        colour.run(CALLS[operation](guard))
    error = caught.value
    assert error.reason == "ConnectionResetError: peer went away"
    assert error.operation == operation
    assert error.backend == "memory"
    assert error.key == (None if operation == "clear" else "k")
    assert type(error.__cause__) is ConnectionResetError


@pytest.mark.parametrize("operation", CALLS)
def test_our_own_failures_pass_as_they_are(colour, operation):
    """OperationFailed from a backend is completed, not wrapped, and keeps its own cause."""
    cause = OSError("disk")

    def made(_):
        error = OperationFailed("the disk is gone")
        error.__cause__ = cause
        return error

    backend = colour.backend()
    backend.fail(error=made)
    with pytest.raises(OperationFailed) as caught:
        colour.run(CALLS[operation](colour.guard(backend, None)))
    assert caught.value.reason == "the disk is gone"
    assert caught.value.operation == operation
    assert caught.value.__cause__ is cause


def test_full_passes_from_a_write_only(colour):
    """Full is an answer to a write; from any other operation it is a failure."""
    backend = colour.backend()
    backend.fail(error=lambda _: Full("k", too_large=True))
    guard = colour.guard(backend, None)
    with pytest.raises(Full) as caught:
        colour.run(guard.write("k", ENTRY))
    assert caught.value.too_large
    for operation in ("read", "delete", "clear"):
        with pytest.raises(OperationFailed, match="Full"):
            colour.run(CALLS[operation](guard))


def test_a_failing_eviction_is_a_failed_write(colour):
    """An `evict` that raises is a failure of the write it was to make room for."""
    backend = colour.backend()
    backend.fail("evict")
    with pytest.raises(OperationFailed) as caught:
        colour.run(colour.guard(backend, None).evict(1))
    assert caught.value.operation == "write"


def test_without_evict_nothing_is_evicted(colour):
    """A backend that has no `evict` is not asked for one."""
    assert colour.run(colour.guard(colour.backend(Null()), None).evict(1)) == 0


def test_an_error_without_text_is_named(colour):
    """An exception that says nothing is reported by its type."""
    backend = colour.backend()
    backend.fail(error=lambda _: TimeoutError())
    with pytest.raises(OperationFailed, match="TimeoutError: no message"):
        colour.run(colour.guard(backend, None).read("k"))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_is_not_absorbed(stop):
    """Whatever asks the program to stop passes through untouched."""
    backend = FaultyBackend()
    backend.fail(error=lambda _: stop())
    with pytest.raises(stop):
        Guard(backend, None).read("k")


def test_cancellation_is_not_absorbed():
    """A cancelled read is cancelled, and no failure of the backend."""

    async def main():
        reached = asyncio.Event()

        async def hang(_seconds):
            reached.set()
            await asyncio.Event().wait()

        backend = AsyncFaultyBackend(delays=1.0, sleep=hang)
        guard = async_guard_of(backend, None, policy=ALWAYS_ASK)
        task = asyncio.ensure_future(guard.read("k"))
        await asyncio.wait_for(reached.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


class Answers:
    """A backend whose reads give whatever it was told."""

    blocking = False

    def __init__(self, answer):
        self.answer = answer

    def read(self, key):
        return self.answer

    def write(self, key, entry):
        return self.answer

    def delete(self, key):
        return self.answer

    def clear(self):
        return self.answer


class Impostor(tuple):
    """Has the fields of an entry, and is none."""

    __slots__ = ()
    value = created = expires = kept_until = 1.0


class Unspeakable:
    """Cannot be shown."""

    def __repr__(self):
        raise RuntimeError("no")


CORRUPT = {
    "text": "value",
    "false": False,
    "zero": 0,
    "empty": (),
    "tuple": tuple(ENTRY),
    "dict": ENTRY._asdict(),
    "class": Entry,
    "impostor": Impostor((1, 2, 3, 4, ())),
    "unspeakable": Unspeakable(),
    "exception": ValueError("a value"),
    "created-none": ENTRY._replace(created=None),
    "created-nan": ENTRY._replace(created=math.nan),
    "expires-text": ENTRY._replace(expires="2.0"),
    "expires-nan": ENTRY._replace(expires=math.nan),
    "expires-bool": ENTRY._replace(expires=True),
    "expires-list": ENTRY._replace(expires=[]),
    "kept-none": ENTRY._replace(kept_until=None),
    "kept-nan": ENTRY._replace(kept_until=math.nan),
}


@pytest.mark.parametrize("answer", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_corrupt_answer_is_a_failed_read(answer):
    """What is no sound entry never gets further than the guard."""
    with pytest.raises(OperationFailed, match="no entry") as caught:
        Guard(Answers(answer), None).read("k")
    assert caught.value.operation == "read"
    assert caught.value.key == "k"
    with pytest.raises(OperationFailed, match="no entry"):
        asyncio.run(async_guard_of(Answers(answer), None).read("k"))


@pytest.mark.parametrize("answer", CORRUPT.values(), ids=CORRUPT.keys())
@pytest.mark.parametrize("policy", [Policy(), Policy(failed=STALE), Policy(expired=STALE)])
def test_a_corrupt_answer_costs_the_caller_nothing(answer, policy):
    """A function over a backend that gives nonsense is called, and gives its own value."""

    @cached(ttl=60, backend=Answers(answer), policy=policy)
    def double(number):
        return 2 * number

    assert [double(2), double(2)] == [4, 4]
    assert double.cache_info().failures >= 2


@pytest.mark.parametrize("answer", ["3", None, 2.5, True, object(), -1])
def test_what_else_a_backend_answers_is_taken_with_care(answer):
    """A write that returns no count has evicted nothing, and a delete's answer is a bool."""
    guard = Guard(Answers(answer), None)
    evicted = guard.write("k", ENTRY)
    assert evicted == 0 if type(answer) is not int else evicted in {0, answer}
    assert guard.delete("k") is bool(answer)
    assert guard.clear() is True


def test_integers_are_times():
    """A backend that counts whole seconds is understood."""
    entry = Entry("value", 1, 2, 3)
    assert Guard(Answers(entry), None).read("k") == entry


def test_a_scope_is_cleared_alone(colour):
    """With a scope only its keys go, where the backend can tell them apart; else all go."""
    memory = Memory()
    for key in (("mine", 1), ("other", 1)):
        memory.write(key, ENTRY)
    colour.run(colour.guard(colour.backend(memory), "mine").clear())
    assert memory.read(("mine", 1)) is None
    assert memory.read(("other", 1)) == ENTRY
    colour.run(colour.guard(colour.backend(memory), None).clear())
    assert memory.read(("other", 1)) is None


def test_a_blocking_backend_does_not_block_the_loop():
    """Under async functions a backend that may block is called in another thread."""
    threads = []

    class Slow(Memory):
        blocking = True

        def read(self, key):
            threads.append(threading.get_ident())
            return super().read(key)

    class Quick(Slow):
        blocking = False

    async def main():
        await async_guard_of(Slow(), None, policy=ALWAYS_ASK).read("k")
        await async_guard_of(Quick(), None).read("k")
        return threading.get_ident()

    here = asyncio.run(main())
    assert threads[0] != here
    assert threads[1] == here


def test_a_backend_that_says_nothing_is_taken_to_block():
    """Without a `blocking` attribute a blocking backend is called in another thread."""
    threads = []

    class Silent:
        def read(self, key):
            threads.append(threading.get_ident())

        def write(self, key, entry):
            pass

        def delete(self, key):
            return False

        def clear(self):
            pass

    async def main():
        assert await async_guard_of(Silent(), None, policy=ALWAYS_ASK).read("k") is None
        return threading.get_ident()

    assert asyncio.run(main()) not in threads


def test_every_error_of_the_guard_is_a_cache_error(colour):
    """Under seeded chaos nothing but CacheErrors and sound entries comes out."""
    backend = colour.backend(
        Memory(timer=FakeTimer()), raises=0.3, loses=0.2, corrupts=0.3, seed=11
    )
    guard = colour.guard(backend, None)
    outcomes = set()
    for _ in range(60):
        for operation in ("write", "read", "delete", "clear"):
            try:
                answer = colour.run(CALLS[operation](guard))
            except CacheError as error:
                outcomes.add(type(error))
            else:
                outcomes.add(type(answer))
    assert outcomes == {OperationFailed, Entry, type(None), int, bool}
