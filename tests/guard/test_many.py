"""Many keys in one operation: one deadline, one verdict of the breaker, and an answer for each."""

from __future__ import annotations

import asyncio

import pytest
from concurrency.watch import PATIENCE
from guard.stores import AsyncStore, ThreadStore, entry

from memo import STALE, AsyncCache, Cache, Full, OperationFailed, Policy
from memo.breaker import Breaker
from memo.guard import Budget, async_guard_of, guard_of


class ManyThreads(ThreadStore):
    """A blocking store with `read_many` and `write_many`."""

    limit = None

    def read_many(self, keys):
        keys = list(keys)
        self._enter("read_many", tuple(keys))
        self._wait("read_many")
        return {key: self.held[key] for key in keys if key in self.held}

    def write_many(self, entries):
        self._enter("write_many", tuple(entries))
        for key, one in entries.items():
            if one.value == "large":
                raise Full(key, too_large=True)
            self.held[key] = one
        return 3

    def write(self, key, entry):
        if entry.value == "large":
            raise Full(key, too_large=True)
        return super().write(key, entry)


class ManyAsync(AsyncStore):
    """The same for loops."""

    async def read_many(self, keys):
        keys = list(keys)
        self._enter("read_many", tuple(keys))
        await self._wait("read_many")
        return {key: self.held[key] for key in keys if key in self.held}

    async def write_many(self, entries):
        return ManyThreads.write_many(self, entries)

    async def write(self, key, entry):
        if entry.value == "large":
            raise Full(key, too_large=True)
        return await super().write(key, entry)


class Blocking:
    """In the caller's thread."""

    store, cache, guard = ManyThreads, Cache, staticmethod(guard_of)

    @staticmethod
    def run(answer):
        return answer


class Awaiting:
    """In a loop."""

    store, cache, guard = ManyAsync, AsyncCache, staticmethod(async_guard_of)

    @staticmethod
    def run(answer):
        return asyncio.run(asyncio.wait_for(answer, PATIENCE))


class AwaitingThreads(Awaiting):
    """In a loop, over a blocking store."""

    store = ManyThreads


@pytest.fixture(params=[Blocking, Awaiting, AwaitingThreads])
def colour(request):
    """Which guard is tested."""
    return request.param


ALWAYS_ASK = Policy(breaker=None)


def test_many_are_read_in_one_operation(colour):
    """Each key has its entry, or None."""
    store = colour.store()
    store.held = {1: entry("one"), 2: entry("two")}
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    answers = colour.run(guard.read_many([1, 2, 3]))
    assert {key: one and one.value for key, one in answers.items()} == {1: "one", 2: "two", 3: None}
    assert store.log == [("read_many", (1, 2, 3))]


def test_a_failed_read_of_many_is_an_error_for_each(colour):
    """Of its own, with its key and the cause; and one failure for the breaker."""
    store = colour.store()
    store.down("read_many")
    guard = colour.guard(store, None, policy=Policy())
    answers = colour.run(guard.read_many([1, 2, 3]))
    assert [error.key for error in answers.values()] == [1, 2, 3]
    assert len({id(error) for error in answers.values()}) == 3
    for error in answers.values():
        assert (error.operation, error.backend) == ("read", "store")
        assert isinstance(error.__cause__, ConnectionError)
    assert guard.circuit.failures == 1


@pytest.mark.parametrize("found", [None, 3, [], {1: "no entry"}])
def test_a_corrupt_answer_is_an_error_of_its_key(colour, found):
    """What is no entry, or no mapping at all, harms no other key."""
    store = colour.store()
    store.held = {1: entry("one"), 2: entry("two")}
    if isinstance(found, dict):
        store.held |= found
    elif colour.store is ManyAsync:

        async def read_many(keys):
            return found

        store.read_many = read_many
    else:
        store.read_many = lambda keys: found
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    answers = colour.run(guard.read_many([1, 2]))
    assert type(answers[1]) is OperationFailed
    assert type(answers[2]) is OperationFailed or answers[2].value == "two"
    assert (answers[2].value == "two") is isinstance(found, dict)


def test_owed_keys_are_not_read(colour):
    """A drop is a miss and a write its entry, in the middle of others."""
    store = colour.store()
    store.held = {1: entry("old"), 2: entry("old"), 3: entry("three")}
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    guard.recovery.missed(guard.debtor, None, 1, None)
    guard.recovery.missed(guard.debtor, None, 2, entry("new"))
    answers = colour.run(guard.read_many([1, 2, 3]))
    assert {key: one and one.value for key, one in answers.items()} == {
        1: None,
        2: "new",
        3: "three",
    }
    assert [keys for operation, keys in store.log if operation == "read_many"] == [(3,)]


def test_many_are_written_in_one_operation(colour):
    """And the evictions are counted once."""
    store = colour.store()
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    answers = colour.run(guard.write_many({1: entry("one"), 2: entry("two")}))
    assert sorted(answers.values()) == [0, 3]
    assert store.log == [("write_many", (1, 2))]
    assert store.value(2) == "two"


def test_a_failed_write_of_many_is_owed_for_each(colour):
    """As single ones are."""
    store = colour.store()
    store.down("write_many")
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    answers = colour.run(guard.write_many({1: entry("one"), 2: entry("two")}))
    assert all(isinstance(error, OperationFailed) for error in answers.values())
    assert [error.key for error in answers.values()] == [1, 2]
    assert guard.recovery.counts() == (2, 0)
    assert colour.run(guard.read(2)).value == "two"


def test_one_that_does_not_fit_spoils_no_other(colour):
    """Where the whole is refused, each is tried alone."""
    store = colour.store()
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    entries = {1: entry("one"), 2: entry("large"), 3: entry("three")}
    answers = colour.run(guard.write_many(entries))
    assert type(answers[2]) is Full
    assert (answers[1], answers[3]) == (0, 0)
    assert (store.value(1), store.value(2), store.value(3)) == ("one", None, "three")


def test_a_write_of_many_behind_an_owed_clear_waits(colour):
    """None of it reaches the backend before the clear."""
    store = colour.store()
    guard = colour.guard(store, "ours", policy=ALWAYS_ASK)
    guard.recovery.missed_clear(guard.debtor, None)
    answers = colour.run(guard.write_many({("ours", 1): entry("one")}))
    assert answers == {("ours", 1): 0}
    assert "write_many" not in store.seen
    assert colour.run(guard.read(("ours", 1))).value == "one"


def test_an_owed_key_that_is_written_among_others_is_owed_no_more(colour):
    """The write that succeeds takes its place."""
    store = colour.store()
    store.down("delete")
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    guard.recovery.missed(guard.debtor, None, 1, None)
    colour.run(guard.write_many({1: entry("one"), 2: entry("two")}))
    assert not guard.recovery.active
    assert store.value(1) == "one"


def test_many_have_one_deadline(colour):
    """What hangs costs the call its time once, not once for each key."""
    store = colour.store()
    if colour is Blocking:
        return  # a method that takes no deadline cannot be bounded
    store.hangs = {"read_many"}
    guard = colour.guard(store, None, policy=ALWAYS_ASK)
    answers = colour.run(guard.read_many(list(range(50)), Budget(0.02)))
    assert len(answers) == 50
    assert all("timed out" in error.reason for error in answers.values())
    assert store.seen["read_many"] == 1
    if hasattr(store, "released"):
        store.released.set()


def test_the_open_breaker_refuses_many_at_once(colour):
    """Each key has its refusal."""
    store = colour.store()
    store.down()
    guard = colour.guard(store, None, policy=Policy(breaker=Breaker(failures=1)))
    with pytest.raises(OperationFailed):
        colour.run(guard.read(1))
    answers = colour.run(guard.read_many([1, 2]))
    assert all("its breaker is open" in error.reason for error in answers.values())
    answers = colour.run(guard.write_many({1: entry(1), 2: entry(2)}))
    assert all("its breaker is open" in error.reason for error in answers.values())
    assert store.seen == {"read": 1}


def test_caches_read_and_write_many_through_it(colour):
    """`get_many` and `set_many` are one operation each, and what was seen of them is remembered."""
    store = colour.store()
    cache = colour.cache(store, policy=Policy(failed=STALE))
    assert colour.run(cache.set_many({"a": 1, "b": 2})) == 2
    assert colour.run(cache.get_many(["a", "b", "c"])) == {"a": 1, "b": 2}
    assert [operation for operation, _ in store.log] == ["write_many", "read_many"]
    assert cache.info().evictions == 3
    store.down("read_many", "read")
    assert colour.run(cache.get_many(["a", "b"])) == {"a": 1, "b": 2}, "what is held is served"
