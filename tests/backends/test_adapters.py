"""Adapters: any mapping and any cachetools cache is a backend."""

import collections
import gc
import threading
import weakref

import cachetools
import pytest

from memo import Entry, Full, OperationFailed, cached
from memo.backends import CachetoolsBackend, MappingBackend, Memory, Null
from memo.backends.adapters import adapted
from memo.backends.base import in_scope, is_async, name_of
from memo.backends.resolve import adopt
from memo.testing import AsyncFaultyBackend

ENTRY = Entry("value", 1.0, 2.0, 3.0)


def test_a_mapping_holds_entries():
    """What is written is in the mapping itself, for everybody to see."""
    mapping = {}
    backend = MappingBackend(mapping)
    backend.write("k", ENTRY)
    assert mapping == {"k": ENTRY}
    assert backend.currsize == 1
    mapping.clear()
    assert backend.read("k") is None


def test_what_others_put_there_is_no_entry():
    """Reading a value that memo did not store fails, and is no hit."""
    backend = MappingBackend({"k": "somebody else's"})
    with pytest.raises(OperationFailed, match="holds a str that was not stored by memo"):
        backend.read("k")


def test_a_mapping_with_strange_values_costs_the_caller_nothing():
    """A cached function over a mapping full of other things gives its own values."""
    mapping = collections.defaultdict(lambda: "surprise")

    @cached(backend=mapping)
    def double(number):
        return 2 * number

    assert double(2) == 4
    assert double(2) == 4


def test_mappings_without_order_or_speed_will_do():
    """Any MutableMapping is enough: only get, set, delete, iterate and clear are used."""

    class Minimal(collections.abc.MutableMapping):
        def __init__(self):
            self.kept = {}

        def __getitem__(self, key):
            return self.kept[key]

        def __setitem__(self, key, value):
            self.kept[key] = value

        def __delitem__(self, key):
            del self.kept[key]

        def __iter__(self):
            return iter(self.kept)

        def __len__(self):
            return len(self.kept)

    backend = MappingBackend(Minimal())
    backend.write(("s", 1), ENTRY)
    backend.write(("t", 1), ENTRY)
    backend.clear_scope("s")
    assert backend.read(("s", 1)) is None
    assert backend.read(("t", 1)) == ENTRY
    assert backend.delete(("t", 1)) is True
    backend.clear()
    assert backend.currsize == 0


def test_evictions_of_cachetools_are_counted():
    """A write to a full cache says how many entries that cost."""
    backend = CachetoolsBackend(cachetools.LRUCache(2))
    assert [backend.write(key, ENTRY) for key in "abbc"] == [0, 0, 0, 1]
    assert backend.maxsize == 2
    assert backend.currsize == 2


def test_sizes_are_of_entries():
    """The cache's own getsizeof is given the entry, and its refusal is Full."""
    backend = CachetoolsBackend(cachetools.LRUCache(5, getsizeof=lambda entry: len(entry.value)))
    backend.write("k", ENTRY)
    assert backend.currsize == 5
    with pytest.raises(Full) as caught:
        backend.write("k", ENTRY._replace(value="longer"))
    assert caught.value.too_large
    assert backend.read("k") is None


def test_an_error_that_is_not_about_size_is_none_about_size():
    """A getsizeof that raises is a failure, and not Full."""

    def getsizeof(_entry):
        raise ValueError("no idea")

    with pytest.raises(ValueError, match="no idea"):
        CachetoolsBackend(cachetools.LRUCache(5, getsizeof=getsizeof)).write("k", ENTRY)


@pytest.mark.parametrize(
    "made",
    [
        lambda: cachetools.LRUCache(4),
        lambda: cachetools.LFUCache(4),
        lambda: cachetools.FIFOCache(4),
        lambda: cachetools.RRCache(4),
        lambda: cachetools.TTLCache(4, ttl=1000),
    ],
    ids=["lru", "lfu", "fifo", "random", "ttl"],
)
def test_eviction_takes_expired_ones_and_then_by_order(made):
    """Asked for room, the adapter drops what has expired, then the cache's own victims."""
    backend = CachetoolsBackend(made())
    now = backend.timer()
    for number, ttl in enumerate((1000, -1, 1000, -1)):
        backend.write(number, Entry(number, now - 10, now + ttl, now + ttl))
    assert backend.evict(2) == 2
    assert [backend.read(number) is not None for number in range(4)] == [True, False, True, False]
    assert backend.evict(10) == 2
    assert backend.evict(10) == 0


def test_eviction_looks_do_not_count_as_use():
    """Looking for expired entries does not change whose turn it is to go."""
    backend = CachetoolsBackend(cachetools.LRUCache(3))
    now = backend.timer()
    for key in "abc":
        backend.write(key, Entry(key, now, now + 1000, now + 1000))
    backend.read("a")
    assert backend.evict(1) == 1
    assert backend.read("b") is None
    assert backend.read("a") is not None


def test_one_mapping_is_one_backend():
    """Whoever hands in the same mapping gets the same lock; equal mappings are not the same."""
    mapping = {}
    assert adapted(mapping) is adapted(mapping)
    assert adapted(mapping) is not adapted({})
    assert type(adapted(cachetools.LRUCache(1))) is CachetoolsBackend


def test_adapters_do_not_keep_mappings():
    """An adapter that nobody uses goes, and so does its mapping."""

    class Weak(dict):
        pass

    mapping = Weak()
    gone = threading.Event()
    weakref.finalize(mapping, gone.set)
    adapted(mapping).write("k", ENTRY)
    del mapping
    gc.collect()
    assert gone.is_set()


def test_threads_share_a_cache_that_would_break():
    """A cachetools cache, which is not safe by itself, is so behind the adapter."""
    backend = CachetoolsBackend(cachetools.LRUCache(20))
    problems = []

    def use(offset):
        try:
            for number in range(1_500):
                key = (number * 7 + offset) % 40
                backend.write(key, ENTRY._replace(value=key))
                found = backend.read((key + 3) % 40)
                if found is not None and found.value != (key + 3) % 40:
                    problems.append(found)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert backend.currsize <= 20


def test_adopts_what_is_a_backend_or_can_be_one():
    """Backends are taken as they are, mappings adapted, URLs followed."""
    memory = Memory()
    assert adopt(memory) is memory
    assert type(adopt({})) is MappingBackend
    assert type(adopt(cachetools.TTLCache(3, 5))) is CachetoolsBackend
    assert type(adopt("memory://")) is Memory
    assert type(adopt("null://")) is Null


@pytest.mark.parametrize("wrong", [3, object(), [], Memory, lambda: None, None])
def test_refuses_what_is_no_backend(wrong):
    """What cannot be a backend is a TypeError that says what can."""
    with pytest.raises(TypeError, match="takes a backend"):
        adopt(wrong)


def test_refuses_unknown_urls():
    """A URL that names nothing says which ones there are."""
    with pytest.raises(ValueError, match="known are memcached://, memory://"):
        adopt("carrier-pigeon://loft")


def test_colours_are_not_mixed():
    """A backend is blocking or async; one that is both by halves is refused."""

    class Mixed(Memory):
        async def read(self, key):
            return None

    assert not is_async(Memory())
    assert is_async(AsyncFaultyBackend())
    with pytest.raises(TypeError, match="all plain methods or all coroutine functions"):
        is_async(Mixed())


def test_names_and_scopes():
    """A backend is called by its `name`, else by its type; a scope is the first of a tuple."""
    assert name_of(Memory()) == "memory"
    assert name_of(object()) == "object"
    scope = object()
    assert in_scope((scope, 1), scope)
    assert in_scope(("name", 1), "name")
    assert not in_scope((), scope)
    assert not in_scope([scope], scope)
    assert not in_scope((1, 2), 1.0)


def test_null_keeps_nothing():
    """Null takes every write and answers every read with a miss."""
    null = Null()
    assert null.write("k", ENTRY) is None
    assert null.read("k") is None
    assert null.delete("k") is False
    null.clear()
    assert (null.maxsize, null.currsize) == (0, 0)
