"""What the default promises, on small synthetic loads with fixed seeds."""

import gc
import random
import sys
import weakref

import pytest

from memo.eviction import FIFO, LRU, Adaptive


def hit_ratio(store, keys):
    """The share of hits, in percent, from an empty store."""
    hits = count = 0
    for key in keys:
        count += 1
        node = store.table.get(key)
        if node is not None:
            node.used = True
            hits += 1
        else:
            store.insert(store.node_type(key, key))
    return 100 * hits / count


def zipf(dice, keys, alpha, count):
    """`count` keys, the nth as often as n to the power of minus `alpha`."""
    weights = [1 / rank**alpha for rank in range(1, keys + 1)]
    return dice.choices(range(keys), weights, k=count)


@pytest.mark.parametrize(("maxsize", "least"), [(50, 45), (90, 85), (99, 95)])
def test_a_loop_slightly_larger_than_the_cache(maxsize, least):
    """A part as large as the cache stays, where LRU has no hit at all."""
    loop = list(range(100)) * 50
    assert hit_ratio(LRU(maxsize), loop) == 0
    assert hit_ratio(Adaptive(maxsize), loop) > least - 3


def test_a_scan_does_not_flush():
    """What is in steady use survives keys that come once, however many."""
    dice = random.Random(5)
    store = Adaptive(100)
    hit_ratio(store, [dice.randrange(80) for _ in range(4000)])
    for number in range(5000):
        store.insert(store.node_type(("once", number), None))
        if number % 10 == 0:  # use goes on meanwhile, but slowly
            key = dice.randrange(80)
            if key in store.table:
                store.table[key].used = True
    assert sum(key in store.table for key in range(80)) > 70


def test_a_scan_between_skewed_use():
    """With scans in between it keeps more than LRU does."""
    dice = random.Random(6)
    load = []
    for scan in range(20):
        load += zipf(dice, 1000, 0.9, 2000)
        load += [(scan, number) for number in range(600)]
    assert hit_ratio(Adaptive(200), load) > hit_ratio(LRU(200), load) + 5


@pytest.mark.parametrize("maxsize", [16, 50, 150])
def test_skew(maxsize):
    """Under a steady skew it beats LRU."""
    load = zipf(random.Random(7), 2000, 0.9, 30_000)
    assert hit_ratio(Adaptive(maxsize), load) > hit_ratio(LRU(maxsize), load) + 3


@pytest.mark.parametrize("maxsize", [80, 100, 120, 150])
def test_a_working_set_that_moves_on(maxsize):
    """Where LRU is good it stays close to LRU."""
    dice = random.Random(8)
    load = [phase * 50 + dice.randrange(100) for phase in range(80) for _ in range(600)]
    assert hit_ratio(Adaptive(maxsize), load) > hit_ratio(LRU(maxsize), load) - 1.5


def test_recent_use():
    """Keys that are used a while and never again: close to LRU, far from FIFO."""
    dice = random.Random(9)
    load = [int(moment / 20 + dice.gauss(0, 40)) for moment in range(40_000)]
    ours, lru = hit_ratio(Adaptive(100), load), hit_ratio(LRU(100), load)
    assert ours > lru - 1.2
    assert ours > hit_ratio(FIFO(100), load)


def test_no_pattern_at_all():
    """Of uniformly drawn keys each policy keeps a share as large as the cache."""
    dice = random.Random(10)
    load = [dice.randrange(500) for _ in range(40_000)]
    assert hit_ratio(Adaptive(250), load) == pytest.approx(50, abs=1.5)


def test_a_change_of_load():
    """After a loop it soon does well under recency; and of a loop after that, a part stays."""
    dice = random.Random(11)
    loop = [("loop", number) for number in range(130)] * 60
    drift = [int(moment / 20 + dice.gauss(0, 30)) for moment in range(8000)]
    store = Adaptive(100)
    hit_ratio(store, loop)
    assert hit_ratio(store, drift) > hit_ratio(LRU(100), drift) - 3
    assert hit_ratio(store, loop) > hit_ratio(LRU(100), loop) + 10


def test_memory_stays_flat():
    """Any number of distinct keys leaves nothing behind but what is held."""
    store = Adaptive(500)
    hit_ratio(store, range(20_000))

    def footprint():
        return (
            len(store.table),
            sys.getsizeof(store.table),
            len(store._marks),
            len(store._tested) < 3 * 64 + 2,
        )

    before = footprint()
    hit_ratio(store, range(20_000, 200_000))
    assert footprint() == before
    assert store._testing <= 2 * 500 + 500 // 64


def test_ghosts_keep_no_key_alive():
    """What is remembered of an evicted key is a number."""

    class Key:
        pass

    store = Adaptive(10)
    gc.disable()
    try:
        keys = [Key() for _ in range(100)]
        alive = [weakref.ref(key) for key in keys]
        for key in keys:
            store[key] = None
        del keys, key
        assert sum(ref() is not None for ref in alive) == 10
    finally:
        gc.enable()


def test_an_unused_store_is_small():
    """There may be one for each of very many objects: ghosts come with the first eviction."""
    store = Adaptive(1_000_000)
    for number in range(100):
        store[number] = number
    assert len(store._marks) == 0


def test_ghosts_grow_with_the_store():
    """Of sized entries there may be few at the first eviction, and many later."""
    store = Adaptive(1000, getsizeof=lambda value: value)
    for number in range(20):
        store[number] = 100
    few = len(store._marks)
    for number in list(store):
        del store[number]
    for number in range(20, 4000):
        store[number] = 1
    assert len(store) == 1000
    assert len(store._marks) > 10 * few


def test_sized_entries():
    """It resists a loop of entries whose sizes differ."""
    dice = random.Random(12)
    sizes = [dice.randint(1, 9) for _ in range(100)]
    store = Adaptive(0.8 * sum(sizes), getsizeof=sizes.__getitem__)
    hits = 0
    for turn in range(40):
        for key in range(100):
            if key in store:
                hits += turn >= 10
                assert store[key] == key
            else:
                store[key] = key
    assert hits / 3000 > 0.6


def test_keys_that_fall_on_one_place():
    """Whoever finds out where ghosts lie can make them forgotten, and that is all."""
    store = Adaptive(50)
    hit_ratio(store, range(200))
    places = len(store._marks)
    assert hit_ratio(store, [number * places for number in range(1000)] * 3) >= 0
    assert len(store) == 50
    assert len(store._marks) == places
