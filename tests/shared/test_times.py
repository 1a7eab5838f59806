"""Lifetimes on a store that other machines see: Unix time, whatever becomes of the clocks."""

import time
from typing import Any

import pytest
from shared.kept import Kept

from memo import STALE, Cache, Policy, cached
from memo.backends.encoded import SKEW
from memo.testing import FakeTimer, wait_for_refreshes

YEAR = 365 * 86_400


def _value(number: int) -> int:
    _value.calls += 1  # type: ignore[attr-defined]
    return number


@pytest.fixture(autouse=True)
def counted() -> None:
    """No call has been made yet."""
    _value.calls = 0  # type: ignore[attr-defined]


def test_times_are_unix_time() -> None:
    """What is stored says when it was made in seconds since 1970, as every machine counts them."""
    store = Kept()
    cache = Cache(store, ttl=60)
    before = time.time()
    cache.set("k", 1)
    entry = store.read("k")
    assert entry is not None
    assert before <= entry.created <= time.time()
    assert entry.expires == pytest.approx(entry.created + 60)


def test_two_programs_agree_on_what_is_fresh() -> None:
    """An entry that one stored expires for the other at the same moment."""
    store, clock = Kept(), FakeTimer(1_000_000.0)
    f, g = (cached(backend=store, ttl=60, timer=clock)(_value) for _ in range(2))
    f(1)
    clock.advance(59)
    assert g.lookup(1).status == "fresh"
    clock.advance(1)
    assert g.lookup(1).status == "expired"
    assert g(1) == 1
    assert f.lookup(1).status == "fresh"


def test_windows_count_there_too() -> None:
    """Stale values are served for as long as the window is, and refreshed behind."""
    store, clock = Kept(), FakeTimer(1_000_000.0)
    f = cached(backend=store, ttl=60, stale_while_revalidate=60, timer=clock)(_value)
    f(1)
    clock.advance(60)
    assert f(1) == 1
    assert wait_for_refreshes()
    assert (_value.calls, f.cache_info().stale_hits) == (2, 1)  # type: ignore[attr-defined]
    clock.advance(120)
    assert f.lookup(1).status == "expired"


def test_a_clock_that_was_a_year_ahead_makes_nothing_live_for_ever() -> None:
    """What claims to come from the future is dropped, and made anew."""
    store, clock = Kept(), FakeTimer(1_000_000.0 + YEAR)
    f = cached(backend=store, ttl=60, timer=clock)(_value)
    f(1)
    clock.advance(-YEAR)
    assert f.lookup(1).status == "miss"
    assert f(1) == 1
    assert _value.calls == 2  # type: ignore[attr-defined]
    clock.advance(60)
    assert f.lookup(1).status == "expired"


def test_a_clock_that_was_a_year_behind_makes_nothing_live_for_ever() -> None:
    """When it is put right, what it wrote has expired."""
    store, clock = Kept(), FakeTimer(1_000_000.0)
    f = cached(backend=store, ttl=60, timer=clock)(_value)
    f(1)
    clock.advance(YEAR)
    assert f.lookup(1).status == "expired"


@pytest.mark.parametrize(("ahead", "found"), [(SKEW - 1, "fresh"), (SKEW + 1, "miss")])
def test_machines_may_be_a_minute_apart(ahead: float, found: str) -> None:
    """An entry of a clock that is a little ahead is good; from further ahead it is not."""
    store, clock = Kept(), FakeTimer(1_000_000.0 + ahead)
    f = cached(backend=store, ttl=YEAR, timer=clock)(_value)
    f(1)
    clock.advance(-ahead)
    assert f.lookup(1).status == found


def test_the_store_keeps_an_entry_as_long_as_it_may_be_served() -> None:
    """What has no use any more is not written; `set` with a short ttl replaces a longer one."""
    store, clock = Kept(), FakeTimer(1_000_000.0)
    cache = Cache(store, ttl=60, timer=clock)
    cache.set("k", 1)
    cache.set("k", 2, ttl=1)
    assert cache.get("k") == 2
    clock.advance(1)
    assert cache.get("k", None) is None
    cache.set("k", 3, ttl=0)
    assert store.held == {}


def test_expired_entries_are_kept_where_the_policy_serves_them() -> None:
    """`expired=STALE` finds the old value, and refreshes it behind."""
    store, clock = Kept(), FakeTimer(1_000_000.0)
    f = cached(backend=store, ttl=60, policy=Policy(expired=STALE, timeout=30), timer=clock)(_value)
    f(1)
    clock.advance(3600)
    assert f(1) == 1
    assert f.cache_info().stale_hits == 1
    assert wait_for_refreshes()


def test_two_caches_on_one_store_may_have_clocks_of_their_own() -> None:
    """A timer is the cache's, not the store's."""
    store, clock = Kept(), FakeTimer(1_000_000.0)
    cached(backend=store, ttl=60, timer=clock)(_value)(1)
    assert store.timer is Kept.timer
    now: Any = cached(backend=store, ttl=60)(_value)
    assert now.lookup(1).status == "expired"
