"""Reads without a lock: marked, or recorded and replayed."""

import functools
import random
import threading

import pytest

from memo.eviction import LFU, LRU, NAMES, ordering
from memo.eviction.classic import MAX_READS, MIN_READS


def get(store, key, load=lambda key: key):
    """What a caching function does."""
    node = store.table.get(key)
    if node is not None:
        node.used = True
        return node.value
    value = load(key)
    store.insert(store.node_type(key, value))
    return value


@pytest.mark.parametrize("maxsize", [1, 2, 5, 50])
def test_lru_is_exact(maxsize):
    """Call for call it misses when `functools.lru_cache` does."""
    calls = []
    theirs = functools.lru_cache(maxsize)(calls.append)
    ours = []
    store = LRU(maxsize)
    dice = random.Random(maxsize)
    for _ in range(5000):
        key = int(dice.paretovariate(0.7)) % (3 * maxsize)
        theirs(key)
        get(store, key, ours.append)
    assert ours == calls
    assert store.evictions == len(calls) - maxsize


@pytest.mark.parametrize(("maxsize", "remembered"), [(4, MIN_READS), (100, 400)])
def test_reads_remembered(maxsize, remembered):
    """The order is exact for as many reads as are promised; of more, the oldest are forgotten."""
    assert remembered <= MAX_READS
    for reads, survivor in [(remembered, 0), (remembered + 1, 1)]:
        store = LRU(maxsize)
        for key in range(maxsize):
            store[key] = key
        store.drain()
        assert store[0] == 0
        for _ in range(reads - 1):
            assert store[maxsize - 1] == maxsize - 1
        store["new"] = "new"
        assert (0 in store) == (survivor == 0)


def test_drain_replays():
    """After `drain` older reads are in order, and new ones have the buffer to themselves."""
    store = LFU(3)
    store.update(dict.fromkeys("abc"))
    for key in "aab":
        get(store, key)
    store.drain()
    assert [store.popitem()[0] for _ in range(3)] == ["c", "b", "a"]


def test_a_read_of_what_has_left_is_nothing():
    """A reader may hold a node that has been dropped meanwhile."""
    for name in NAMES:
        store = ordering(name, 2)
        first, second, third = (store.node_type(key, key) for key in "abc")
        store.insert(first)
        store.insert(second)
        store.remove(first)
        first.used = True
        store.insert(third)
        first.used = True
        store.drain()
        assert set(store) == {"b", "c"}


def test_a_node_can_have_more_slots():
    """A store builds nodes of a subclass of the ordering's own, and gets them back."""
    for name in NAMES:
        store = ordering(name, 1)

        class Held(store.node_type):
            __slots__ = ("expires",)

        for number in range(3):
            node = Held(number, None)
            node.expires = number
            victims = store.insert(node)
        assert [victim.expires for victim in victims] == [1]
        assert store.pop_victim().expires == 2


@pytest.mark.parametrize("name", NAMES)
def test_readers_beside_a_writer(name):
    """Readers without a lock see right values, and nothing they do unsettles the writer."""
    store = ordering(name, 50)
    wrong = []
    stop = threading.Event()

    def read():
        dice = random.Random(1)
        while not stop.is_set():
            key = dice.randrange(200)
            node = store.table.get(key)
            if node is not None:
                if node.value != key:
                    wrong.append((key, node.value))
                node.used = True

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(20_000):
            key = number * 7919 % 200
            node = store.table.get(key)
            if node is None:
                store.insert(store.node_type(key, key))
            elif number % 5 == 0:
                store.remove(node)
            assert store.currsize == len(store.table) <= 50
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert not wrong
