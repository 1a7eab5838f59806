"""Keys whose `__hash__` or `__eq__` raises or calls back leave an ordering consistent."""

import contextlib
import gc
import weakref

import pytest

from memo.eviction import FIFO, LFU, LRU, Adaptive, Random
from memo.eviction.ring import members

ORDERINGS = [Adaptive, LRU, LFU, FIFO, Random]

pytestmark = pytest.mark.parametrize("kind", ORDERINGS)


class BadKeyError(Exception):
    pass


class Key:
    """A key that does what it is told when hashed or compared."""

    def __init__(self, number, *, on_hash=None, on_eq=None):
        self.number, self.on_hash, self.on_eq = number, on_hash, on_eq

    def __hash__(self):
        if self.on_hash:
            self.on_hash()
        return self.number // 1000  # the same for all that are not meant to differ

    def __eq__(self, other):
        if not isinstance(other, Key):
            return NotImplemented
        for key in (self, other):
            if key.on_eq:
                key.on_eq()
        return self.number == other.number


def fail():
    """What a hostile key does."""
    raise BadKeyError


def nodes_in_order(cache):
    """The nodes the ordering itself holds, apart from the table."""
    if hasattr(cache, "_order"):
        return list(cache._order)
    return members(cache._hot) + members(cache._cold) + members(cache._demoted)


def assert_consistent(cache):
    """Table and ordering hold the same nodes, and their sizes add up."""
    held = list(cache.table.values())
    assert {id(node) for node in held} == {id(node) for node in nodes_in_order(cache)}
    assert len(held) == len(nodes_in_order(cache))
    assert cache.currsize == sum(node.size for node in held) <= cache.maxsize


def test_unhashable_key(kind):
    """It is refused with Python's own error, and nothing has changed."""
    cache = kind(2)
    cache.update({1: 1, 2: 2})
    with pytest.raises(TypeError, match="unhashable"):
        cache[[]] = 1
    with pytest.raises(TypeError, match="unhashable"):
        cache.insert(cache.node_type([], 1))
    assert_consistent(cache)


@pytest.mark.parametrize("moment", ["on_hash", "on_eq"])
def test_key_that_raises_on_insertion(kind, moment):
    """The error is the caller's; the ordering holds what it held, or less, and goes on."""
    cache = kind(4)
    for number in range(4):
        cache[Key(number)] = number
    for number in range(4, 30):
        key = Key(number, **{moment: fail})
        with pytest.raises(BadKeyError):
            cache.insert(cache.node_type(key, None))
        assert all(node.key is not key for node in cache.table.values())
        assert_consistent(cache)
        cache[Key(number)] = number
        assert_consistent(cache)


@pytest.mark.parametrize("moment", ["on_hash", "on_eq"])
def test_key_that_raises_when_it_is_to_leave(kind, moment):
    """It stays, nothing is lost, and the bound holds; the error is the writer's who met it."""
    cache = kind(4)
    keys = [Key(number) for number in range(4)]
    for key in keys:
        cache[key] = key.number
    for key in keys:
        setattr(key, moment, fail)
    failures = 0
    for number in range(4, 30):
        try:
            cache.insert(cache.node_type(Key(number), number))
        except BadKeyError:
            failures += 1
        assert_consistent(cache)
    assert failures
    for key in keys:
        setattr(key, moment, None)
    for number in range(30, 40):
        cache[Key(number)] = number
        assert_consistent(cache)
    assert len(cache) == 4


def test_clear_asks_no_key(kind):
    """Whatever keys have become, `clear` needs none of them."""
    cache = kind(4)
    keys = [Key(number) for number in range(4)]
    for key in keys:
        cache[key] = key.number
    for key in keys:
        key.on_hash = key.on_eq = fail
    cache.clear()
    assert_consistent(cache)
    assert len(cache) == 0
    cache[1] = 1
    assert dict(cache) == {1: 1}


def test_key_whose_hash_changes(kind):
    """It cannot be found again, so it cannot leave; the bound holds, and `clear` mends it."""
    cache = kind(3)
    keys = [Key(number) for number in range(3)]
    for key in keys:
        cache[key] = key.number
    keys[1].number += 1000
    for number in range(10, 40):
        with contextlib.suppress(KeyError):
            cache[Key(number)] = number
        assert_consistent(cache)
    cache.clear()
    assert_consistent(cache)


@pytest.mark.parametrize("deed", ["insert", "clear", "pop"])
def test_key_that_calls_back(kind, deed):
    """A comparison that uses the same cache again finds it in order, and leaves it so."""
    cache = kind(5)
    fresh = iter(range(1000, 100_000))
    due = []

    def call_back():
        if not due:
            return
        due.pop()
        if deed == "insert":
            for _ in range(3):
                number = next(fresh)
                cache[number] = number
        elif deed == "clear":
            cache.clear()
        elif cache:
            cache.popitem()

    for number in range(200):
        # At the first comparison, or a later one: when looked up, put in, or thrown out.
        due[:] = [True] * (1 + number % 3)
        with contextlib.suppress(KeyError):  # what it meant to drop was gone when it came back
            cache[Key(number, on_eq=call_back)] = number
        assert_consistent(cache)


def test_what_is_held_calls_back_when_it_dies(kind):
    """A value's destructor may use the cache again, even while it is cleared."""
    cache = kind(4)

    class Value:
        def __del__(self):
            cache[object()] = None

    for number in range(20):
        cache[number] = Value()
    cache.clear()
    assert_consistent(cache)


def test_what_leaves_can_die(kind):
    """Evicted, deleted, cleared, or with the cache itself: nothing keeps a value alive for long."""

    class Value:
        pass

    gc.disable()
    try:
        cache = kind(4)
        values = [Value() for _ in range(10)]
        alive = [weakref.ref(value) for value in values]
        for number, value in enumerate(values):
            cache[number] = value
            cache.get(number)
        del values, value
        assert sum(ref() is not None for ref in alive) == 4
        del cache[next(iter(cache))]
        assert sum(ref() is not None for ref in alive) == 3
        cache.popitem()
        assert sum(ref() is not None for ref in alive) == 2
        if kind is not LFU:  # cachetools' own order is a cycle
            del cache
        else:
            cache.clear()
        assert sum(ref() is not None for ref in alive) == 0
    finally:
        gc.enable()
