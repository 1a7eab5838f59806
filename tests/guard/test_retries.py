"""Retries: within the deadline, after pauses drawn at random, and only of what may pass."""

from __future__ import annotations

import asyncio
import random

import pytest
from guard.stores import AsyncStore, ThreadStore, entry

from memo import Full, OperationFailed, Policy, cached
from memo.breaker import Breaker
from memo.guard import Budget, async_guard_of, guard_of
from memo.testing import FakeTimer


class Blocking:
    """A blocking guard, whose pauses only advance its clock."""

    store = ThreadStore

    @staticmethod
    def guard(store, pauses, **more):
        return guard_of(store, None, sleep=pauses.append, **more)

    @staticmethod
    def run(answer):
        return answer


class Awaiting:
    """The same in a loop."""

    store = AsyncStore

    @staticmethod
    def guard(store, pauses, **more):
        async def sleep(seconds):
            pauses.append(seconds)

        return async_guard_of(store, None, sleep=sleep, **more)

    @staticmethod
    def run(answer):
        return asyncio.run(answer)


@pytest.fixture(params=[Blocking, Awaiting])
def colour(request):
    """Which guard is tested."""
    return request.param


def failing(colour, times, error=ConnectionError):
    """A store of this colour that fails so many times, and then works."""

    class Store(colour.store):
        def _enter(self, operation, key):
            super()._enter(operation, key)
            if sum(self.seen.values()) <= times:
                raise error("down")

    store = Store()
    store.held["k"] = entry("value")
    return store


ALWAYS = {"breaker": None}


def test_an_operation_is_tried_again(colour):
    """As often as `retry` says; what succeeds in the end is a success."""
    for operation in ("read", "write", "delete", "clear"):
        store, pauses = failing(colour, 2), []
        guard = colour.guard(store, pauses, policy=Policy(retry=2, **ALWAYS))
        calls = {
            "read": lambda guard: guard.read("k"),
            "write": lambda guard: guard.write("k", entry(2)),
            "delete": lambda guard: guard.delete("k"),
            "clear": lambda guard: guard.clear(),
        }
        colour.run(calls[operation](guard))
        assert store.seen[operation] == 3
        assert len(pauses) == 2


def test_what_goes_on_failing_is_raised_in_the_end(colour):
    """The last error, with its cause."""
    store, pauses = failing(colour, 10), []
    guard = colour.guard(store, pauses, policy=Policy(retry=3, **ALWAYS))
    with pytest.raises(OperationFailed) as caught:
        colour.run(guard.read("k"))
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert store.seen["read"] == 4


def test_by_default_nothing_is_tried_again(colour):
    """`retry=0`."""
    store, pauses = failing(colour, 1), []
    with pytest.raises(OperationFailed):
        colour.run(colour.guard(store, pauses, policy=Policy()).read("k"))
    assert store.seen["read"] == 1
    assert pauses == []


def test_pauses_grow_and_are_drawn_at_random(colour):
    """Full jitter: anything between nothing and 10 ms, 20 ms, 40 ms ... at most a second."""
    store, pauses = failing(colour, 100), []
    policy = Policy(retry=9, timeout=None, **ALWAYS)
    with pytest.raises(OperationFailed):
        colour.run(colour.guard(store, pauses, policy=policy, random=lambda: 1.0).read("k"))
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    store, pauses = failing(colour, 100), []
    draw = random.Random(3).random
    with pytest.raises(OperationFailed):
        colour.run(colour.guard(store, pauses, policy=policy, random=draw).read("k"))
    again = random.Random(3)
    bounds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    assert pauses == [again.random() * bound for bound in bounds]


def test_a_pause_longer_than_what_is_left_is_not_made(colour):
    """The error is raised at once: waiting could only end in a timeout."""
    store, pauses = failing(colour, 100), []
    policy = Policy(retry=100, **ALWAYS)
    guard = colour.guard(store, pauses, policy=policy, random=lambda: 1.0)
    with pytest.raises(OperationFailed, match="ConnectionError: down"):
        colour.run(guard.read("k", Budget(0.05)))
    assert pauses == [0.01, 0.02, 0.04]


def test_a_pause_uses_the_budget_up():
    """What is left after it is the deadline of the next attempt."""
    clock = FakeTimer()
    budget = Budget(0.25)
    lefts = []

    class Store(ThreadStore):
        def read(self, key, *, deadline=None):
            lefts.append(round(deadline - clock(), 6))
            raise ConnectionError("down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memo.guard.blocking.monotonic", clock)
        guard = guard_of(
            Store(),
            None,
            policy=Policy(retry=2, **ALWAYS),
            sleep=clock.advance,
            random=lambda: 1.0,
        )
        with pytest.raises(OperationFailed):
            guard.read("k", budget)
    assert lefts == [0.25, 0.24, 0.22]


@pytest.mark.parametrize("what", ["full", "codec", "key"])
def test_what_cannot_get_better_is_not_tried_again(colour, what):
    """No room, a value that cannot be encoded, and a key that cannot be made."""

    def error(text):
        if what == "full":
            return Full("k")
        failure = OperationFailed(text, operation="key" if what == "key" else None)
        failure.codec = what == "codec"
        return failure

    store, pauses = failing(colour, 100, error), []
    guard = colour.guard(store, pauses, policy=Policy(retry=5, **ALWAYS))
    with pytest.raises((Full, OperationFailed)):
        colour.run(guard.write("k", entry(1)))
    assert store.seen["write"] == 1


def test_each_attempt_counts_for_the_breaker_and_an_open_one_ends_it(colour):
    """No retry is made against a breaker that has just opened, and the true error is raised."""
    store, pauses = failing(colour, 100), []
    guard = colour.guard(store, pauses, policy=Policy(retry=50, breaker=Breaker(failures=3)))
    with pytest.raises(OperationFailed, match="ConnectionError: down"):
        colour.run(guard.read("k"))
    assert store.seen["read"] == 3
    assert guard.circuit.state == "open"
    with pytest.raises(OperationFailed, match="its breaker is open"):
        colour.run(guard.read("k"))
    assert store.seen["read"] == 3


def test_a_probe_is_not_repeated(colour):
    """Exactly one operation is let through."""
    timer = FakeTimer()
    store, pauses = failing(colour, 100), []
    breaker = Breaker(failures=1, timer=timer)
    guard = colour.guard(store, pauses, policy=Policy(retry=50, breaker=breaker))
    with pytest.raises(OperationFailed):
        colour.run(guard.read("k"))
    timer.advance(1)
    with pytest.raises(OperationFailed, match="ConnectionError: down"):
        colour.run(guard.read("k"))
    assert store.seen["read"] == 2


def test_a_call_needs_no_second_try_of_its_own():
    """With `retry`, a backend that stumbles once costs the caller nothing but a pause."""

    class Stumbles(ThreadStore):
        def _enter(self, operation, key):
            super()._enter(operation, key)
            if self.seen[operation] % 2:
                raise ConnectionError("down")

    store = Stumbles()

    @cached(ttl=60, backend=store, policy=Policy(retry=1))
    def load(key):
        return key

    assert [load(1), load(1), load(1)] == [1, 1, 1]
    info = load.cache_info()
    assert (info.hits, info.misses, info.failures) == (2, 1, 0)
