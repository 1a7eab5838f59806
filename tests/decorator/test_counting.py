"""`cache_info()`: what is counted as what, and the tuple that it is."""

import contextlib
import copy
import os
import pickle
import threading

import pytest

from memo import STALE, CacheInfo, Miss, Policy, cached
from memo.testing import FakeTimer

MORE = (
    "expirations",
    "stale_hits",
    "evictions",
    "failures",
    "loads",
    "load_failures",
    "load_time",
    "hit_rate",
)


def test_hits_and_misses_are_the_calls(colour, timer) -> None:
    """Each call is one hit or one miss, whatever came of it."""

    @colour.cached(maxsize=2, eviction="lru", ttl=10, timer=timer)
    def f(a):
        if a < 0:
            raise ValueError(a)
        return a

    for made, a in enumerate([1, 1, 2, 3, 1, -1, -1, 3, [1], [1]], 1):
        with contextlib.suppress(ValueError, TypeError):
            colour.run(f(a))
        info = f.cache_info()
        assert info.hits + info.misses == made
    timer.advance(10)
    colour.run(f(3))
    info = f.cache_info()
    assert info.hits + info.misses == made + 1
    assert info.hit_rate == info.hits / (made + 1)


def test_an_expiration_is_a_miss(colour, timer) -> None:
    """A call that finds an entry past its ttl is a miss, and counted as an expiration too."""
    f = colour.cached(ttl=10, timer=timer)(lambda a: a)
    for _ in range(3):
        colour.run(f(1))
        timer.advance(10)
    info = f.cache_info()
    assert (info.hits, info.misses, info.expirations) == (0, 3, 2)


def test_a_stale_answer_is_a_hit(colour, timer) -> None:
    """What is served past its ttl is a hit, and a stale one."""
    f = colour.cached(ttl=10, stale_while_revalidate=10, timer=timer)(lambda a: a)
    colour.run(f(1))
    timer.advance(15)
    colour.run(f(1))
    colour.settle()
    info = f.cache_info()
    assert (info.hits, info.misses, info.stale_hits, info.expirations) == (1, 1, 1, 0)
    assert info.loads == 2


def test_a_stale_answer_instead_of_an_error_is_a_hit(colour, timer) -> None:
    """`stale_if_error` that stands in for an exception is a stale hit, and a failed load."""
    runs = []

    @colour.cached(ttl=10, stale_if_error=10, timer=timer)
    def f():
        runs.append(1)
        if len(runs) > 1:
            raise ValueError
        return 5

    colour.run(f())
    timer.advance(15)
    assert colour.run(f()) == 5
    info = f.cache_info()
    assert (info.hits, info.misses, info.stale_hits) == (1, 1, 1)
    assert (info.loads, info.load_failures) == (2, 1)


def test_a_failed_read_is_a_miss_and_a_failure(colour, failing_mapping) -> None:
    """A call whose read failed runs the function, and counts once on each side."""
    f = colour.cached(backend=failing_mapping())(lambda a: a)
    assert [colour.run(f(1)), colour.run(f(1))] == [1, 1]
    info = f.cache_info()
    assert (info.hits, info.misses, info.failures, info.loads) == (0, 2, 2, 2)


def test_a_failed_write_is_a_failure(colour, failing_mapping) -> None:
    """A call whose write failed is a miss like any other, and a failure."""
    store = failing_mapping(("write",))
    f = colour.cached(backend=store)(lambda a: a)
    assert [colour.run(f(1)), colour.run(f(1))] == [1, 1]
    info = f.cache_info()
    assert (info.hits, info.misses, info.failures, info.currsize) == (0, 2, 2, 0)


def test_followers_are_hits() -> None:
    """Calls that wait for another's running load are hits; the one that runs is the miss."""
    started, go_on = threading.Event(), threading.Event()

    @cached
    def f():
        started.set()
        go_on.wait(10)
        return 5

    results = []
    threads = [threading.Thread(target=lambda: results.append(f())) for _ in range(8)]
    threads[0].start()
    started.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert results == [5] * 8
    assert f.cache_info() == (7, 1, 1024, 1)
    assert f.cache_info().loads == 1


def test_evictions_are_counted(colour) -> None:
    """An entry dropped for want of room is an eviction; an invalidated one is none."""
    f = colour.cached(maxsize=2)(lambda a: a)
    for a in range(5):
        colour.run(f(a))
    assert f.cache_info().evictions == 3
    colour.run(f.invalidate(4))
    assert f.cache_info().evictions == 3


def test_loads_are_counted_and_timed(colour) -> None:
    """Each run of the function for the cache is a load, one that raises a failed one."""

    @colour.cached
    def f(a):
        return 1 / a

    colour.run(f(1))
    colour.run(f(1))
    colour.run(f.refresh(1))
    with pytest.raises(ZeroDivisionError):
        colour.run(f(0))
    info = f.cache_info()
    assert (info.loads, info.load_failures) == (3, 1)
    assert info.load_time > 0


def test_a_remembered_exception_is_a_hit(colour) -> None:
    """Raising a cached exception is a hit, and no load."""

    @colour.cached(cache_exceptions={KeyError: 60})
    def f():
        raise KeyError("no")

    for _ in range(3):
        with pytest.raises(KeyError):
            colour.run(f())
    info = f.cache_info()
    assert (info.hits, info.misses, info.loads, info.load_failures) == (2, 1, 1, 1)


def test_what_the_policy_raises_is_a_miss(colour, timer) -> None:
    """Calls that end in `Miss` or `Expired` are misses, the latter expirations too."""
    f = colour.cached(ttl=10, timer=timer, policy=Policy.cache_only())(lambda a: a)
    with pytest.raises(Miss):
        colour.run(f(1))
    colour.run(f.set(5, 1))
    timer.advance(10)
    with pytest.raises(Exception, match="expired"):
        colour.run(f(1))
    info = f.cache_info()
    assert (info.hits, info.misses, info.expirations, info.loads) == (0, 2, 1, 0)


def test_stale_by_policy_is_a_hit(colour, timer) -> None:
    """Under `expired=STALE` an old value is a stale hit."""
    f = colour.cached(ttl=10, timer=timer, policy=Policy(expired=STALE))(lambda a: a)
    colour.run(f(1))
    timer.advance(1000)
    assert colour.run(f(1)) == 1
    colour.settle()
    info = f.cache_info()
    assert (info.hits, info.misses, info.stale_hits, info.expirations) == (1, 1, 1, 0)


def test_a_value_that_says_until_when_is_not_answered_by_the_fast_path_for_longer() -> None:
    """The moment of expiry is past: `now >= expires` is a miss, a moment before is a hit."""
    timer = FakeTimer()
    f = cached(ttl=10, timer=timer)(lambda: 1)
    f()
    timer.advance(9.999)
    f()
    assert f.cache_info()[:2] == (1, 1)
    timer.advance(0.001)
    f()
    assert f.cache_info()[:2] == (1, 2)


def test_get_counts_and_lookup_does_not(colour) -> None:
    """`get` is a hit or a miss; `lookup` leaves no trace."""
    f = colour.cached(lambda a: a)
    with pytest.raises(Miss):
        colour.run(f.get(1))
    assert f.cache_info()[:2] == (0, 1)
    colour.run(f(1))
    colour.run(f.get(1))
    assert f.cache_info()[:2] == (1, 2)
    before = f.cache_info()
    colour.run(f.lookup(1))
    colour.run(f.lookup(2))
    after = f.cache_info()
    assert after == before
    assert [getattr(after, name) for name in MORE] == [getattr(before, name) for name in MORE]


def test_set_invalidate_and_refresh_are_no_calls(colour) -> None:
    """Only calls and `get` are hits or misses."""
    f = colour.cached(lambda a: a)
    colour.run(f.set(1, 1))
    colour.run(f.refresh(1))
    colour.run(f.invalidate(1))
    assert f.cache_info()[:2] == (0, 0)


def test_clearing_sets_all_counters_to_zero(colour) -> None:
    """After `cache_clear` nothing is held, and every counter starts again."""

    @colour.cached(maxsize=1, should_cache=lambda value: value and 1 / (value - 3))
    def f(a):
        return 1 / a if a == 0 else a

    for a in (1, 1, 2, 3, 0):
        with contextlib.suppress(ZeroDivisionError):
            colour.run(f(a))
    info = f.cache_info()
    assert all([info.hits, info.misses, info.evictions, info.failures, info.load_failures])
    colour.run(f.cache_clear())
    info = f.cache_info()
    assert info == (0, 0, 1, 0)
    assert [getattr(info, name) for name in MORE] == [0] * len(MORE)


def test_hit_rate_is_zero_before_any_call() -> None:
    """No call, no rate, no error."""
    assert cached(abs).cache_info().hit_rate == 0.0
    assert isinstance(cached(abs).cache_info().hit_rate, float)


def test_no_count_is_lost_under_threads() -> None:
    """Hits and misses of many threads add up to their calls, to the last one."""
    f = cached(maxsize=8)(lambda a: a)
    rounds, threads = 3000, 8
    together = threading.Barrier(threads)

    def work(n):
        together.wait(10)
        for i in range(rounds):
            f((i * n) % 11)

    running = [threading.Thread(target=work, args=(n,)) for n in range(1, threads + 1)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    info = f.cache_info()
    assert info.hits + info.misses == rounds * threads
    assert info.currsize <= 8


def test_cache_info_is_a_tuple_of_four() -> None:
    """It unpacks, compares, indexes and prints as functools' does."""
    f = cached(maxsize=5)(abs)
    f(1), f(1)
    info = f.cache_info()
    hits, misses, maxsize, currsize = info
    assert (hits, misses, maxsize, currsize) == (1, 1, 5, 1) == info
    assert len(info) == 4
    assert isinstance(info, tuple)
    assert info._fields == ("hits", "misses", "maxsize", "currsize")
    assert (info[0], info[-1], info.maxsize) == (1, 1, 5)
    assert repr(info) == "CacheInfo(hits=1, misses=1, maxsize=5, currsize=1)"
    assert hash(info) == hash((1, 1, 5, 1))
    assert info._asdict() == {"hits": 1, "misses": 1, "maxsize": 5, "currsize": 1}


def test_more_is_told_beside_the_tuple() -> None:
    """The other counters are attributes outside the sequence, as in `os.stat_result`."""
    info = cached(abs).cache_info()
    assert [getattr(info, name) for name in MORE] == [0] * len(MORE)
    assert info == CacheInfo(0, 0, 1024, 0, failures=7)
    assert CacheInfo(failures=7).failures == 7
    assert len(os.stat_result(range(10))) == 10  # the model
    with pytest.raises(AttributeError):
        info.failures = 5
    with pytest.raises(AttributeError):
        info.hits = 5
    with pytest.raises(TypeError, match="nonsense"):
        CacheInfo(nonsense=5)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda i: pickle.loads(pickle.dumps(i))]
)
def test_cache_info_survives_copying_and_pickling(again) -> None:
    """A copied or pickled `CacheInfo` has all its numbers."""
    info = CacheInfo(1, 2, 3, 4, expirations=5, load_time=0.5)
    twin = again(info)
    assert type(twin) is CacheInfo
    assert twin == info
    assert (twin.expirations, twin.load_time, twin.hit_rate) == (5, 0.5, 1 / 3)


def test_cache_info_is_a_snapshot(colour) -> None:
    """An info that was taken does not change with later calls."""
    f = colour.cached(lambda a: a)
    info = f.cache_info()
    colour.run(f(1))
    assert info == (0, 0, 1024, 0)


def test_cache_parameters_are_those_of_functools() -> None:
    """`cache_parameters()` is a fresh dict of `maxsize` and `typed`."""
    f = cached(maxsize=None, typed=True)(abs)
    assert f.cache_parameters() == {"maxsize": None, "typed": True}
    f.cache_parameters()["maxsize"] = 5
    assert f.cache_parameters() == {"maxsize": None, "typed": True}
