"""Each ordering is a `cachetools.Cache` that can be used alone, as the mapping people know."""

import copy
import math
import pickle
import threading

import cachetools
import pytest

from memo.eviction import FIFO, LFU, LRU, Adaptive, Evicting, Random

ORDERINGS = [Adaptive, LRU, LFU, FIFO, Random]

pytestmark = pytest.mark.parametrize("kind", ORDERINGS)


def test_starts_empty(kind):
    """An empty cache says so in every way."""
    cache = kind(10)
    assert isinstance(cache, cachetools.Cache)
    assert isinstance(cache, Evicting)
    assert (len(cache), cache.maxsize, cache.currsize) == (0, 10, 0)
    assert not cache
    assert list(cache) == []
    assert 1 not in cache
    assert cache.getsizeof(None) == 1
    with pytest.raises(KeyError):
        cache.popitem()
    with pytest.raises(KeyError):
        cache.pop_victim()


def test_holds_items_up_to_maxsize(kind):
    """What fits stays; one more pushes one out."""
    cache = kind(3)
    cache.update({1: "a", 2: "b", 3: "c"})
    assert dict(cache) == {1: "a", 2: "b", 3: "c"}
    cache[4] = "d"
    assert len(cache) == cache.currsize == 3
    assert cache[4] == "d"
    assert cache.evictions == 1


def test_replaces_in_place(kind):
    """Another value for a held key takes no more room, and pushes nothing out."""
    cache = kind(2)
    cache[1] = "a"
    cache[2] = "b"
    cache[1] = "c"
    assert dict(cache) == {1: "c", 2: "b"}
    assert cache.evictions == 0


def test_deletes(kind):
    """What is deleted is gone, once."""
    cache = kind(3)
    cache.update({1: 1, 2: 2})
    del cache[1]
    assert dict(cache) == {2: 2}
    assert cache.currsize == 1
    with pytest.raises(KeyError, match="1"):
        del cache[1]
    with pytest.raises(KeyError, match="1"):
        cache[1]


def test_get_pop_and_setdefault(kind):
    """They answer as those of a dict do."""
    cache = kind(3)
    assert cache.get(1) is None
    assert cache.get(1, "absent") == "absent"
    assert cache.setdefault(1, "a") == "a"
    assert cache.setdefault(1, "b") == "a"
    assert cache.get(1) == "a"
    assert cache.pop(1) == "a"
    assert cache.pop(1, None) is None
    with pytest.raises(KeyError, match="1"):
        cache.pop(1)
    assert cache.setdefault(2) is None
    assert 2 in cache


def test_popitem_gives_all(kind):
    """Popping item by item empties the cache, giving each once; the user's popping is no want."""
    cache = kind(5)
    cache.update(zip("abcde", range(5), strict=True))
    popped = [cache.popitem() for _ in range(5)]
    assert sorted(popped) == list(zip("abcde", range(5), strict=True))
    assert cache.currsize == len(cache) == cache.evictions == 0


def test_popitem_is_where_a_subclass_learns_of_evictions(kind):
    """It is documented by cachetools as the method to override for that."""
    seen = []

    class Watching(kind):
        def popitem(self):
            item = super().popitem()
            seen.append(item)
            return item

    cache = Watching(2)
    for number in range(4):
        cache[number] = str(number)
    assert len(seen) == cache.evictions == 2
    assert dict(seen) | dict(cache) == {0: "0", 1: "1", 2: "2", 3: "3"}


def test_missing_supplies_what_is_not_held(kind):
    """`__missing__` is asked as in cachetools: by `[]` alone, and need not store."""

    class Squares(kind):
        def __missing__(self, key):
            if key > 1:
                self[key] = key * key
            return key * key

    cache = Squares(3)
    assert (cache[1], cache[3]) == (1, 9)
    assert list(cache) == [3]
    assert cache.get(2) is None
    assert cache.pop(2, None) is None
    with pytest.raises(KeyError):
        cache.pop(2)


@pytest.mark.parametrize("maxsize", [0, 0.5])
def test_no_room_at_all(kind, maxsize):
    """A cache without room for one entry refuses it, as cachetools does."""
    cache = kind(maxsize)
    with pytest.raises(ValueError, match="value too large"):
        cache[1] = 1
    assert 1 not in cache


def test_room_for_one(kind):
    """The smallest cache that holds anything."""
    cache = kind(1)
    for number in range(10):
        cache[number] = number
        assert dict(cache) == {number: number}
    assert cache.evictions == 9


def test_refuses_a_negative_maxsize(kind):
    """There is no such room."""
    with pytest.raises(ValueError, match="maxsize must be non-negative"):
        kind(-1)


def test_unbounded(kind):
    """With an infinite maxsize nothing ever leaves by itself."""
    cache = kind(math.inf)
    for number in range(1000):
        cache[number] = number
        cache.get(number // 2)
    assert len(cache) == 1000
    assert cache.evictions == 0
    for _ in range(1000):
        cache.popitem()
    assert not cache


def test_sizes(kind):
    """The sum of the sizes stays within maxsize, and is right."""
    cache = kind(10, getsizeof=len)
    cache["a"] = "aaaa"
    cache["b"] = "bbb"
    cache["c"] = "ccc"
    assert cache.currsize == 10
    cache["b"] = ""
    assert cache.currsize == 7
    cache["d"] = "d" * 10
    assert cache["d"] == "d" * 10
    assert cache.currsize == 10
    with pytest.raises(ValueError, match="value too large"):
        cache["e"] = "e" * 11
    with pytest.raises(ValueError, match="value too large"):
        cache["d"] = "e" * 11
    assert cache["d"] == "d" * 10
    assert cache.getsizeof("four") == 4


def test_refuses_a_negative_size(kind):
    """A size below nothing would unsettle every sum."""
    cache = kind(10, getsizeof=lambda value: value)
    with pytest.raises(ValueError, match="non-negative"):
        cache[1] = -1
    assert not cache


def test_sizes_by_a_method(kind):
    """A subclass may say what sizes are."""

    class Sized(kind):
        @staticmethod
        def getsizeof(value):
            return value

    cache = Sized(5)
    cache[1] = 3
    cache[2] = 2
    cache[3] = 1
    assert cache.currsize <= 5
    assert 3 in cache


def test_sizes_that_do_not_add_up(kind):
    """Sums of floats drift; an empty cache holds nothing nevertheless."""
    cache = kind(1.0, getsizeof=lambda value: value)
    for number in range(200):
        cache[number] = 0.1 + number % 7 / 100
    cache[200] = 1.0
    assert dict(cache) == {200: 1.0}
    del cache[200]
    assert cache.currsize == 0


def test_shows_what_it_holds(kind):
    """As cachetools does."""
    cache = kind(2)
    cache[1] = "a"
    assert repr(cache) == f"{kind.__name__}({{1: 'a'}}, maxsize=2, currsize=1)"


def test_clear(kind):
    """Nothing is left, and it can be used on."""
    cache = kind(2)
    cache.update({1: 1, 2: 2})
    cache.clear()
    assert (len(cache), cache.currsize) == (0, 0)
    cache[3] = 3
    assert dict(cache) == {3: 3}


@pytest.mark.parametrize(
    "how",
    [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies(kind, how):
    """A copy holds the same, and from then on the two go their own ways."""
    cache = kind(4, getsizeof=len)
    for key in "abcdefgh":
        cache[key] = key
        cache.get("a")
    twin = how(cache)
    assert type(twin) is kind
    assert dict(twin) == dict(cache)
    assert (twin.maxsize, twin.currsize, twin.evictions) == (4, 4, 4)
    assert twin.getsizeof("four") == 4
    before = dict(cache)
    for key in "vwxyz":
        twin[key] = key
    assert dict(cache) == before
    for key in "ijklm":
        cache[key] = key
    assert len(twin) == len(cache) == 4
    assert not set("vwxyz") & set(cache)
    assert not set("ijklm") & set(twin)


def test_a_copy_shares_keys_and_values(kind):
    """A copy is shallow: no key and no value is copied, whatever it is made of."""

    class Key:
        """Copying it would make another."""

    cache = kind(4)
    keys = [Key(), Key()]
    values = [[], {}]
    for key, value in zip(keys, values, strict=True):
        cache[key] = value
    twin = copy.copy(cache)
    assert list(twin) == keys
    assert all(twin[key] is value for key, value in zip(keys, values, strict=True))


def test_deep_structures_pickle(kind):
    """Pickling does not recurse along the order of what is held."""
    cache = kind(20_000)
    for number in range(20_000):
        cache[number] = number
    assert len(pickle.loads(pickle.dumps(cache))) == 20_000


def test_is_a_store_for_cachetools_decorators(kind):
    """It goes wherever a cache of cachetools' goes."""
    calls = []

    @cachetools.cached(kind(2), lock=threading.Lock(), info=True)
    def double(number):
        calls.append(number)
        return 2 * number

    assert [double(1), double(1), double(2), double(3)] == [2, 2, 4, 6]
    assert calls == [1, 2, 3]
    info = double.cache_info()
    assert (info.hits, info.misses, info.maxsize, info.currsize) == (1, 3, 2, 2)
