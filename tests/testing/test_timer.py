"""FakeTimer: a clock that tests set by hand."""

import math
import threading
from datetime import timedelta

import pytest

from memo import cached
from memo.testing import FakeTimer


def test_stands_still_until_advanced():
    """Two looks at the timer give the same time unless somebody advanced it between them."""
    timer = FakeTimer()
    assert timer() == timer() == 0.0
    assert timer.advance(1.5) == 1.5
    assert timer() == 1.5


def test_starts_where_it_is_told():
    """A timer may start at any moment, a Unix time for instance."""
    assert FakeTimer(1_700_000_000)() == 1_700_000_000.0
    assert FakeTimer(start=-5)() == -5.0


@pytest.mark.parametrize(
    ("step", "seconds"),
    [(3, 3.0), (0.25, 0.25), ("1h30m", 5400.0), ("250ms", 0.25), (timedelta(minutes=2), 120.0)],
)
def test_steps_are_durations(step, seconds):
    """A step is written as every other duration in memo is."""
    timer = FakeTimer(10)
    timer.advance(step)
    assert timer() == 10 + seconds


@pytest.mark.parametrize("step", [-4, -4.0, timedelta(seconds=-4)])
def test_can_be_set_back(step):
    """A negative step sets the clock back."""
    timer = FakeTimer(10)
    timer.advance(step)
    assert timer() == 6.0


def test_steps_add_up_exactly():
    """Eight steps of a tenth reach a lifetime of 0.8, which eight float additions do not."""
    timer = FakeTimer()
    for _ in range(8):
        timer.advance(0.1)
    assert timer() == 0.8


@pytest.mark.parametrize("step", [True, None, [], 1j])
def test_refuses_other_types(step):
    """What is no duration is refused with a TypeError that shows it."""
    with pytest.raises(TypeError, match="seconds="):
        FakeTimer().advance(step)


@pytest.mark.parametrize("step", ["soon", "-5s", math.inf, -math.inf, math.nan, 10**400])
def test_refuses_steps_without_a_length(step):
    """Text that does not parse and steps that are not finite are refused, and nothing moves."""
    timer = FakeTimer(7)
    with pytest.raises(ValueError, match="seconds="):
        timer.advance(step)
    assert timer() == 7.0


def test_refuses_a_start_that_is_no_time():
    """The error for a start that cannot be names `start`."""
    with pytest.raises(ValueError, match="start=inf"):
        FakeTimer(math.inf)


def test_threads_lose_no_step():
    """Steps made by many threads at once all count."""
    timer = FakeTimer()

    def advance():
        for _ in range(500):
            timer.advance(0.5)

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert timer() == 8 * 500 * 0.5


def test_shows_the_time():
    """The repr says where the clock stands."""
    timer = FakeTimer(2)
    timer.advance("500ms")
    assert repr(timer) == "FakeTimer(2.5)"


def test_expires_what_is_cached():
    """A cached function that is given the timer expires by it, at the exact moment."""
    timer = FakeTimer()
    calls = []

    @cached(ttl="1m", timer=timer)
    def double(number):
        calls.append(number)
        return 2 * number

    assert double(2) == 4
    timer.advance(59.999)
    assert double(2) == 4
    assert calls == [2]
    timer.advance("1ms")
    assert double(2) == 4
    assert calls == [2, 2]
