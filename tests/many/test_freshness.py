"""Lifetimes, id by id: expired ones are loaded again, stale ones are served and refreshed."""

import threading
from typing import Any

import pytest

from memo import STALE, Policy, cached
from memo.testing import wait_for_refreshes


def test_only_expired_ids_are_loaded_again(colour: Any, source: Any, timer: Any) -> None:
    """Each id has its own age."""
    f = colour.many(ttl=10, timer=timer)(source)
    colour.run(f([1]))
    timer.advance(6)
    colour.run(f([1, 2]))
    timer.advance(6)
    colour.run(f([1, 2]))
    assert source.asked == [[1], [2], [1]]
    assert f.cache_info().expirations == 1


def test_a_lifetime_taken_from_the_value_is_each_value_s_own(colour: Any, timer: Any) -> None:
    """`ttl` as a function is asked for each value by itself; zero means not to store it."""
    asked = []
    f = colour.many(ttl=lambda value: value, timer=timer)(
        lambda ids: asked.append(ids) or {one: one * 10 for one in ids}
    )
    colour.run(f([0, 1, 2]))
    timer.advance(10)
    assert colour.run(f([0, 1, 2])) == {0: 0, 1: 10, 2: 20}
    assert asked == [[0, 1, 2], [0, 1]]


def test_jitter_is_drawn_for_each_id(colour: Any, source: Any, timer: Any) -> None:
    """Ids that were loaded together do not expire together."""
    f = colour.many(ttl=100, jitter=0.5, timer=timer)(source)
    colour.run(f(range(50)))
    timer.advance(75)
    colour.run(f(range(50)))
    assert 0 < len(source.asked[1]) < 50


def test_stale_ids_are_served_and_refreshed_behind(colour: Any, source: Any, timer: Any) -> None:
    """Within `stale_while_revalidate` the answer comes at once, and new values follow."""
    f = colour.many(ttl=10, stale_while_revalidate=20, timer=timer)(source)
    colour.run(f([1, 2]))
    timer.advance(5)
    colour.run(f([3]))
    timer.advance(5)
    source.prefix = "w"
    assert colour.run(f([1, 2, 3])) == {1: "v1", 2: "v2", 3: "v3"}
    colour.settle()
    assert colour.run(f([1, 2, 3])) == {1: "w1", 2: "w2", 3: "v3"}
    assert f.cache_info().stale_hits == 2
    timer.advance(31)
    source.prefix = "x"
    assert colour.run(f([1, 3])) == {1: "x1", 3: "x3"}


def test_stale_ids_are_refreshed_together(colour: Any, source: Any, timer: Any) -> None:
    """What is refreshed behind one call is loaded by one call of the function."""
    f = colour.many(ttl=10, stale_while_revalidate=20, timer=timer)(source)
    colour.run(f(range(20)))
    timer.advance(10)
    colour.run(f(range(20)))
    colour.settle()
    assert [sorted(ids) for ids in source.asked] == [list(range(20))] * 2


def test_stale_calls_start_one_refresh_however_long_it_waits(source: Any, timer: Any) -> None:
    """Refreshes that wait for a thread are not queued once more by every call."""
    gate = threading.Event()

    @cached(ttl=10, stale_while_revalidate=20, timer=timer)
    def busy(number: int) -> int:
        if timer() >= 10:
            assert gate.wait(15)
        return number

    f = cached.many(ttl=10, stale_while_revalidate=20, timer=timer)(source)
    f([1, 2])
    for number in range(8):
        busy(number)
    timer.advance(10)
    for number in range(8):  # as many as there are threads
        busy(number)
    for _ in range(20):
        assert f([1, 2]) == {1: "v1", 2: "v2"}
    gate.set()
    assert wait_for_refreshes()
    assert source.asked == [[1, 2], [1, 2]]


def test_refresh_ahead(colour: Any, source: Any, timer: Any) -> None:
    """`refresh_after`: a hit late in an entry's life starts a load of that id behind."""
    f = colour.many(ttl=10, refresh_after=0.5, timer=timer)(source)
    colour.run(f([1]))
    timer.advance(5)
    colour.run(f([1, 2]))
    colour.settle()
    timer.advance(6)
    assert colour.run(f.lookup(1)).status == "fresh"
    assert colour.run(f.lookup(2)).status == "fresh"
    assert source.asked == [[1], [2], [1]]


def test_an_id_that_is_gone_is_dropped_by_its_refresh(colour: Any, source: Any, timer: Any) -> None:
    """A refresh that finds no value ends the stale one."""
    f = colour.many(ttl=10, stale_while_revalidate=20, timer=timer)(source)
    colour.run(f([1, 2]))
    timer.advance(10)
    source.missing = {1}
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    colour.settle()
    assert colour.run(f([1, 2])) == {2: "v2"}
    assert colour.run(f.lookup(1)).status == "miss"


def test_a_refresh_that_fails_leaves_the_stale_value(colour: Any, source: Any, timer: Any) -> None:
    """It is counted, and the callers notice nothing within the window."""
    f = colour.many(ttl=10, stale_while_revalidate=20, timer=timer)(source)
    colour.run(f([1]))
    timer.advance(10)
    source.fails = ConnectionError("down")
    assert colour.run(f([1])) == {1: "v1"}
    colour.settle()
    assert colour.run(f([1])) == {1: "v1"}
    colour.settle()
    assert f.cache_info().load_failures >= 1


def test_a_refresh_is_overtaken_by_an_invalidation(colour: Any, source: Any, timer: Any) -> None:
    """An entry dropped while it is refreshed stays dropped until somebody asks for it."""
    dropping = []

    def load(ids: Any) -> Any:
        if dropping:
            dropping.pop()()
        return source(ids)

    f = colour.many(ttl=10, stale_while_revalidate=20, timer=timer)(load)
    colour.run(f([1]))
    timer.advance(10)
    dropping.append(lambda: f.one._self_site.core.flights.supersede(f.cache_key(1)))
    colour.run(f([1]))
    colour.settle()
    assert colour.run(f.lookup(1)).status == "stale"


def test_stale_values_stand_in_for_an_exception(colour: Any, source: Any, timer: Any) -> None:
    """`stale_if_error`: where every id has a stale value, the caller gets these."""
    f = colour.many(ttl=10, stale_if_error=100, timer=timer)(source)
    colour.run(f([1, 2]))
    timer.advance(10)
    source.fails = ConnectionError("down")
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert f.cache_info().stale_hits == 2
    with pytest.raises(ConnectionError):
        colour.run(f([1, 2, 3]))
    timer.advance(100)
    with pytest.raises(ConnectionError):
        colour.run(f([1]))


def test_an_id_without_a_value_is_no_error(colour: Any, source: Any, timer: Any) -> None:
    """`stale_if_error` does not bring an id back that the function says has no value."""
    f = colour.many(ttl=10, stale_if_error=100, timer=timer)(source)
    colour.run(f([1, 2]))
    timer.advance(10)
    source.missing = {1}
    assert colour.run(f([1, 2])) == {2: "v2"}
    assert f.cache_info().load_failures == 0
    assert colour.run(f.lookup(1)).status == "miss"
    with pytest.raises(KeyError):
        colour.run(f.one(1))


def test_one_does_not_bring_a_missing_id_back_either(colour: Any, source: Any, timer: Any) -> None:
    """`f.one(id)` of an expired id that is gone is a KeyError, not its old value."""
    f = colour.many(ttl=10, stale_if_error=100, timer=timer)(source)
    colour.run(f([1]))
    timer.advance(10)
    source.missing = {1}
    with pytest.raises(KeyError):
        colour.run(f.one(1))
    assert colour.run(f.lookup(1)).status == "miss"


def test_policy_may_serve_what_has_expired(colour: Any, source: Any, timer: Any) -> None:
    """`expired=STALE` answers from what is held, and refreshes behind."""
    f = colour.many(ttl=10, policy=Policy(expired=STALE), timer=timer)(source)
    colour.run(f([1]))
    timer.advance(1000)
    source.prefix = "w"
    assert colour.run(f([1, 2])) == {1: "v1", 2: "w2"}
    colour.settle()
    assert colour.run(f([1, 2])) == {1: "w1", 2: "w2"}


def test_bounds_hold(colour: Any, source: Any) -> None:
    """More ids than there is room for are all answered, and no more than `maxsize` are kept."""
    f = colour.many(maxsize=5)(source)
    assert len(colour.run(f(range(50)))) == 50
    assert f.cache_info().currsize == 5
    assert f.cache_info().evictions == 45
    none = colour.many(maxsize=0)(source)
    assert colour.run(none([1])) == {1: "v1"}
    assert none.cache_info().currsize == 0
