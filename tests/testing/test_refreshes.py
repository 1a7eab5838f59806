"""wait_for_refreshes: a test can look at what a refresh in the background stored."""

import threading

import pytest

from memo import cached
from memo.testing import FakeTimer, wait_for_refreshes


def test_waits_for_what_runs_in_the_background():
    """After it returns True, what a stale hit set off has been stored."""
    timer = FakeTimer()
    versions = iter(range(10))

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def version():
        return next(versions)

    assert version() == 0
    timer.advance(15)
    assert version() == 0
    assert wait_for_refreshes("10s")
    assert version() == 1
    assert version.cache_info().stale_hits == 1


def test_gives_up_at_its_timeout():
    """While a refresh still runs when the time is up, it returns False."""
    timer = FakeTimer()
    go = threading.Event()
    calls = []

    @cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def slow():
        calls.append(None)
        if len(calls) > 1:
            go.wait(10)
        return len(calls)

    slow()
    timer.advance(15)
    slow()
    try:
        assert not wait_for_refreshes(0.01)
    finally:
        go.set()
    assert wait_for_refreshes()


def test_there_may_be_nothing_to_wait_for():
    """Without refreshes under way it returns True at once."""
    assert wait_for_refreshes(0)


def test_takes_a_duration():
    """A timeout that is no duration is refused by name."""
    with pytest.raises(TypeError, match="timeout="):
        wait_for_refreshes(None)
