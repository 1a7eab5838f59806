"""Counters, and the `cache_info()` they are shown as."""

from __future__ import annotations

import copy
import functools
import pickle

import pytest

from memo import CacheInfo
from memo.stats import Stats


def test_an_info_is_the_tuple_of_functools():
    """Four fields: unpacking, comparing and indexing see no more."""

    @functools.lru_cache(maxsize=3)
    def theirs(key):
        return key

    theirs(1)
    theirs(1)
    ours = CacheInfo(1, 1, 3, 1, loads=7)
    assert ours == theirs.cache_info()
    assert hash(ours) == hash(theirs.cache_info())
    hits, misses, maxsize, currsize = ours
    assert (hits, misses, maxsize, currsize) == (1, 1, 3, 1)
    assert len(ours) == 4
    assert ours._fields == theirs.cache_info()._fields
    assert repr(ours) == repr(theirs.cache_info())


def test_an_info_has_more_to_tell_beside_the_tuple():
    """As attributes, which do not count in comparing, and survive pickling and copying."""
    info = CacheInfo(3, 1, None, None, expirations=1, loads=2, load_time=0.5)
    assert (info.expirations, info.loads, info.load_time, info.evictions) == (1, 2, 0.5, 0)
    assert info == CacheInfo(3, 1)
    for back in (pickle.loads(pickle.dumps(info)), copy.copy(info), copy.deepcopy(info)):
        assert back == info
        assert (back.expirations, back.load_time) == (1, 0.5)
    with pytest.raises(AttributeError):
        info.hits = 3
    with pytest.raises(AttributeError):
        info.loads = 3
    with pytest.raises(TypeError, match="CacheInfo has no field lodes"):
        CacheInfo(lodes=3)


@pytest.mark.parametrize(("hits", "misses", "rate"), [(0, 0, 0.0), (1, 0, 1.0), (1, 3, 0.25)])
def test_the_hit_rate_is_hits_per_call(hits, misses, rate):
    """0.0 before any call."""
    assert CacheInfo(hits, misses).hit_rate == rate


def test_counters_add_reset_and_show():
    """Every counter, by name."""
    one, other = Stats(), Stats()
    names = [name for name in Stats.__slots__ if name != "errors"]
    one.errors["Full", None] = 1
    other.errors |= {("Full", None): 2, ("OperationFailed", "read"): 3}
    for number, name in enumerate(names, 1):
        assert getattr(one, name) == 0
        setattr(one, name, number)
        setattr(other, name, 100)
    one.add(other)
    info = one.info(10, 5)
    for number, name in enumerate(names, 1):
        assert getattr(info, name) == 100 + number
    assert info.failures_by == {("Full", None): 3, ("OperationFailed", "read"): 3}
    assert (info.maxsize, info.currsize) == (10, 5)
    one.reset()
    assert one.info(None, None) == CacheInfo()
    assert all(getattr(one, name) == 0 for name in names)
    assert one.errors == {}
    assert info.failures_by["Full", None] == 3, "what has been told does not change"
