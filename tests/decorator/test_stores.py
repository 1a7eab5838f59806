"""Stores that people already have: any mutable mapping, any `cachetools.Cache`."""

import collections
import shelve
import threading
import weakref

import cachetools
import pytest

from memo import Full, OperationFailed, Policy, cached

MAPPINGS = {
    "dict": dict,
    "OrderedDict": collections.OrderedDict,
    "UserDict": collections.UserDict,
    "ChainMap": collections.ChainMap,
    "defaultdict": lambda: collections.defaultdict(lambda: 1 / 0),
}
CACHES = {
    "LRUCache": lambda: cachetools.LRUCache(100),
    "LFUCache": lambda: cachetools.LFUCache(100),
    "FIFOCache": lambda: cachetools.FIFOCache(100),
    "RRCache": lambda: cachetools.RRCache(100),
    "TTLCache": lambda: cachetools.TTLCache(100, 1000),
    "Cache": lambda: cachetools.Cache(100),
}

each_store = pytest.mark.parametrize(
    "make", [*MAPPINGS.values(), *CACHES.values()], ids=[*MAPPINGS, *CACHES]
)
each_cache = pytest.mark.parametrize("make", CACHES.values(), ids=CACHES)


@each_store
def test_any_of_them_can_be_the_store(colour, make) -> None:
    """Calls, handle and counting work on every mapping and every `cachetools.Cache`."""
    store = make()
    f = colour.cached(backend=store)(lambda a, b=2: [a, b])
    first = colour.run(f(1))
    assert colour.run(f(1)) is colour.run(f(a=1, b=2)) is first
    assert len(store) == 1
    assert colour.run(f.get(1)) is first
    assert colour.run(f.lookup(1)).status == "fresh"
    assert colour.run(f.set("set", 1)) is True
    assert colour.run(f(1)) == "set"
    assert colour.run(f.invalidate(1)) is True
    assert colour.run(f.invalidate(1)) is False
    assert len(store) == 0
    colour.run(f.refresh(5))
    assert f.cache_info()[:2] == (4, 1)
    assert f.cache_info().currsize == 1
    colour.run(f.cache_clear())
    assert len(store) == 0
    assert colour.run(f(1)) == [1, 2]


@each_store
def test_two_functions_share_a_store_and_meet_in_nothing(colour, make) -> None:
    """Functions on one store have their own keys, and clearing one leaves the other."""
    store = make()
    f = colour.cached(backend=store)(lambda a: ("f", a))
    g = colour.cached(backend=store)(lambda a: ("g", a))
    for _ in range(2):
        for a in range(5):
            assert colour.run(f(a)) == ("f", a)
            assert colour.run(g(a)) == ("g", a)
    assert len(store) == 10
    assert f.cache_info()[:2] == g.cache_info()[:2] == (5, 5)
    colour.run(f.invalidate(1))
    assert colour.run(g.lookup(1)).status == "fresh"
    colour.run(f.cache_clear())
    assert len(store) == 5
    assert colour.run(f.lookup(2)).status == "miss"
    assert colour.run(g.lookup(2)).status == "fresh"


def test_others_data_in_a_shared_mapping_is_left_alone(colour) -> None:
    """What somebody else keeps in the mapping survives calls and `cache_clear`."""
    store = {"theirs": 1, (1,): 2, ("f", 1): 3}
    f = colour.cached(backend=store)(lambda a: a)
    colour.run(f(1))
    colour.run(f.cache_clear())
    assert store == {"theirs": 1, (1,): 2, ("f", 1): 3}


def test_a_functions_entries_survive_being_decorated_again(colour) -> None:
    """One function decorated twice on one mapping is one cache: module reloads cost nothing."""
    store = {}
    runs = []

    @colour
    def f(a):
        runs.append(a)
        return a

    one, other = cached(backend=store)(f), cached(backend=store)(f)
    assert [colour.run(one(1)), colour.run(other(1))] == [1, 1]
    assert runs == [1]
    colour.run(one.invalidate(1))
    assert colour.run(other.lookup(1)).status == "miss"


@each_cache
def test_the_cache_bounds_itself(colour, make) -> None:
    """`maxsize` is the cache's own, shown by `cache_info`, and evictions are counted."""
    store = make()
    f = colour.cached(backend=store)(lambda a: a)
    for a in range(150):
        assert colour.run(f(a)) == a
    info = f.cache_info()
    assert (info.maxsize, info.currsize) == (100, 100)
    assert info.evictions == 50
    assert f.cache_parameters()["maxsize"] == 100


def test_the_order_of_the_cache_is_kept(colour) -> None:
    """On an `LRUCache` a hit saves an entry, as it does there."""
    f = colour.cached(backend=cachetools.LRUCache(2))(lambda a: a)
    for a in (1, 2, 1, 3):
        colour.run(f(a))
    assert colour.run(f.lookup(2)).status == "miss"
    assert colour.run(f.lookup(1)).status == "fresh"


def test_a_mapping_without_a_bound_says_so(colour) -> None:
    """`maxsize` of a plain mapping is None."""
    f = colour.cached(backend={})(lambda a: a)
    for a in range(2000):
        colour.run(f(a))
    assert f.cache_info() == (0, 2000, None, 2000)


def test_ttl_on_a_mapping(colour, timer) -> None:
    """Lifetimes are ours, whatever the store knows of time."""
    f = colour.cached(backend={}, ttl=10, timer=timer)(lambda: [1])
    first = colour.run(f())
    timer.advance(9)
    assert colour.run(f()) is first
    timer.advance(1)
    assert colour.run(f()) is not first
    assert f.cache_info().expirations == 1


def test_a_value_too_large_for_the_cache(colour) -> None:
    """What `cachetools` says is too large is `Full`: skipped, or raised with the value."""
    store = cachetools.LRUCache(10, getsizeof=lambda entry: len(entry.value))
    f = colour.cached(backend=store)(lambda n: "x" * n)
    assert colour.run(f(11)) == "x" * 11
    assert colour.run(f.lookup(11)).status == "miss"
    assert f.cache_info().failures == 1
    assert colour.run(f(10)) == "x" * 10
    assert f.cache_info().currsize == 10
    g = colour.cached(backend=store, policy=Policy.strict())(lambda n: "x" * n)
    with pytest.raises(Full) as caught:
        colour.run(g(11))
    assert caught.value.too_large
    assert caught.value.value == "x" * 11


def test_a_mapping_that_fails(colour, failing_mapping) -> None:
    """Its exceptions become `OperationFailed` with the operation, or are absorbed."""
    f = colour.cached(backend=failing_mapping())(lambda: 5)
    assert colour.run(f()) == 5
    g = colour.cached(backend=failing_mapping(), policy=Policy.strict())(lambda: 5)
    with pytest.raises(OperationFailed) as caught:
        colour.run(g())
    assert (caught.value.operation, caught.value.backend) == ("read", "mapping")
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_dict_subclass_sees_its_reads(colour) -> None:
    """A dict that orders itself by use is read through its own `__getitem__`."""

    class Recent(collections.OrderedDict):
        def __getitem__(self, key):
            value = super().__getitem__(key)
            self.move_to_end(key)
            return value

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            if len(self) > 2:
                self.popitem(last=False)

    f = colour.cached(backend=Recent())(lambda a: a)
    for a in (1, 2, 1, 3):
        colour.run(f(a))
    assert colour.run(f.lookup(1)).status == "fresh"
    assert colour.run(f.lookup(2)).status == "miss"


def test_a_strangers_value_is_a_failure_and_not_an_answer(colour) -> None:
    """What was put under our key by others is not handed out."""
    store = {}
    f = colour.cached(backend=store)(lambda: 5)
    colour.run(f())
    store[next(iter(store))] = "a stranger's"
    assert colour.run(f()) == 5
    assert f.cache_info().failures == 1


def test_a_store_that_refuses_our_keys(colour, tmp_path) -> None:
    """A shelf takes texts as keys alone: calls are answered all the same, and counted."""
    with shelve.open(str(tmp_path / "shelf")) as shelf:
        f = colour.cached(backend=shelf)(lambda a: a)
        assert [colour.run(f(1)), colour.run(f(1))] == [1, 1]
        assert f.cache_info().failures >= 2


def test_a_weak_mapping_forgets_by_itself(colour) -> None:
    """A store may lose entries at any time: that is a miss."""
    store = {}
    f = colour.cached(backend=store)(lambda: [1])
    colour.run(f())
    store.clear()
    assert colour.run(f()) == [1]
    assert f.cache_info()[:2] == (0, 2)


def test_the_store_lives_as_long_as_its_functions(colour) -> None:
    """A store is held by the functions on it, and by nothing else of ours."""
    store = collections.UserDict()
    ref = weakref.ref(store)
    f = colour.cached(backend=store)(lambda: 1)
    del store
    colour.run(f())
    assert ref() is not None
    assert len(ref()) == 1


def test_threads_on_one_cachetools_cache() -> None:
    """Functions on one cache take turns at it: no cachetools structure is corrupted."""
    store = cachetools.LRUCache(8)
    functions = [cached(backend=store)(lambda a, n=n: (n, a)) for n in range(3)]
    wrong = []

    def work(start):
        for i in range(start, start + 1500):
            n, a = i % 3, i % 7
            if functions[n](a) != (n, a):
                wrong.append((n, a))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store) <= 8
    assert all(f.cache_info().failures == 0 for f in functions)
