"""How long a value answers: ttl, jitter, refresh ahead, and the stale windows."""

import asyncio
import contextvars
import math
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from memo import STALE, Expired, Policy, cached
from memo.background import background
from memo.testing import FakeTimer


def counter():
    """A function of nothing that gives 1, then 2, and so on."""
    runs = []

    def f():
        runs.append(1)
        return len(runs)

    return f


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        (timedelta(minutes=2), 120),
        (timedelta(milliseconds=1), 0.001),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("250ms", 0.25),
        ("1.5h", 5400),
    ],
)
def test_ttl_has_many_forms(colour, timer, ttl, seconds) -> None:
    """Seconds, a timedelta and text mean the same, and the value is fresh for exactly so long."""
    f = colour.cached(ttl=ttl, timer=timer)(counter())
    assert colour.run(f()) == 1
    timer.advance(seconds * 0.99)
    assert colour.run(f()) == 1
    timer.advance(seconds * 0.02)
    assert colour.run(f()) == 2


def test_a_value_is_expired_at_the_moment_of_its_expiry(colour, timer) -> None:
    """`now >= expires` is expired."""
    f = colour.cached(ttl=8, timer=timer)(counter())
    colour.run(f())
    timer.advance(7.75)
    assert colour.run(f()) == 1
    timer.advance(0.25)
    assert colour.run(f()) == 2


@pytest.mark.parametrize("ttl", [None, math.inf, 10**400])
def test_without_a_ttl_nothing_expires(colour, timer, ttl) -> None:
    """No ttl, or an infinite one, is for ever."""
    f = colour.cached(ttl=ttl, timer=timer)(counter())
    colour.run(f())
    timer.advance(10**12)
    assert colour.run(f()) == 1


def test_a_hit_does_not_make_younger(colour, timer) -> None:
    """The lifetime runs from the moment of storing, however often the value is used."""
    f = colour.cached(ttl=10, timer=timer)(counter())
    seen = []
    for _ in range(12):
        seen.append(colour.run(f()))
        timer.advance(2)
    assert seen == [1] * 5 + [2] * 5 + [3] * 2


@pytest.mark.parametrize(
    "form",
    [float, lambda s: timedelta(seconds=s), lambda s: f"{s}s"],
    ids=["seconds", "timedelta", "text"],
)
def test_ttl_can_come_from_the_value(colour, timer, form) -> None:
    """A function of the value gives the lifetime, in any form that an option takes."""

    @colour.cached(ttl=lambda token: form(token.expires_in), timer=timer)
    def token(user, expires_in):
        return SimpleNamespace(expires_in=expires_in)

    short, long = colour.run(token("a", 5)), colour.run(token("a", 50))
    timer.advance(6)
    assert colour.run(token("a", 5)) is not short
    assert colour.run(token("a", 50)) is long
    timer.advance(44)
    assert colour.run(token("a", 50)) is not long


@pytest.mark.parametrize(
    ("given", "stored"), [(None, True), (0, False), (-5, False), ("0s", False)]
)
def test_a_lifetime_from_the_value_may_be_none_or_nothing(colour, timer, given, stored) -> None:
    """None is for ever; zero or less means: do not store."""
    f = colour.cached(ttl=lambda value: given, timer=timer)(counter())
    colour.run(f())
    timer.advance(10**9)
    assert colour.run(f()) == (1 if stored else 2)
    assert f.cache_info().failures == 0


@pytest.mark.parametrize("given", [timedelta(0), timedelta(seconds=-5)])
def test_a_timedelta_of_nothing_or_less_means_do_not_store(colour, timer, given) -> None:
    """`expires_at - now` may well be over: that is a lifetime of none, and no failure."""
    f = colour.cached(ttl=lambda value: given, timer=timer)(counter())
    assert [colour.run(f()), colour.run(f())] == [1, 2]
    assert f.cache_info().failures == 0


@pytest.mark.parametrize("given", ["soon", object(), True, math.nan])
def test_a_lifetime_that_is_none_costs_the_entry_alone(colour, given) -> None:
    """A `ttl` function that gives nonsense leaves the value, and counts a failure."""
    f = colour.cached(ttl=lambda value: given)(counter())
    assert [colour.run(f()), colour.run(f())] == [1, 2]
    assert f.cache_info().failures == 2


def test_an_infinite_lifetime_of_the_value_is_for_ever(colour, timer) -> None:
    """`math.inf` from a `ttl` function is a lifetime like None."""
    f = colour.cached(ttl=lambda value: math.inf, jitter=0.5, timer=timer)(counter())
    colour.run(f())
    timer.advance(10**9)
    assert colour.run(f()) == 1


def test_jitter_takes_a_part_of_the_ttl_off(timer) -> None:
    """Entries stored together expire apart, none before `ttl * (1 - jitter)`, none after `ttl`."""
    f = cached(ttl=100, jitter=0.5, timer=timer, maxsize=None)(lambda a: timer())
    for a in range(300):
        f(a)
    timer.advance(49.9)
    assert f.cache_info().misses == 300
    assert all(f(a) == 0 for a in range(300))
    lifetimes = []
    timer.advance(0.1)
    for a in range(300):
        outcome = f.lookup(a)
        lifetimes.append(outcome.status)
    timer.advance(25)
    halfway = sum(f.lookup(a).status == "expired" for a in range(300))
    assert 75 < halfway < 225
    timer.advance(25)
    assert all(f.lookup(a).status == "expired" for a in range(300))


def test_refresh_after_recomputes_ahead_of_expiry(colour, timer) -> None:
    """A hit late in the lifetime answers at once and starts one recomputation behind it."""
    f = colour.cached(ttl=10, refresh_after=0.5, timer=timer)(counter())
    colour.run(f())
    timer.advance(4)
    assert colour.run(f()) == 1
    colour.settle()
    assert f.cache_info().loads == 1
    timer.advance(1)
    assert colour.run(f()) == 1
    colour.settle()
    assert colour.run(f()) == 2
    assert f.cache_info().loads == 2
    timer.advance(4)
    assert colour.run(f()) == 2
    colour.settle()
    assert f.cache_info().loads == 2
    info = f.cache_info()
    assert (info.hits, info.misses, info.expirations, info.stale_hits) == (4, 1, 0, 0)


def test_a_refresh_ahead_that_fails_leaves_the_value(colour, timer) -> None:
    """Where recomputing ahead raises, the value answers until it expires."""
    runs = []

    @colour.cached(ttl=10, refresh_after=0.5, timer=timer)
    def f():
        runs.append(1)
        if len(runs) == 2:
            raise ValueError("not now")
        return len(runs)

    colour.run(f())
    timer.advance(6)
    assert colour.run(f()) == 1
    colour.settle()
    timer.advance(3)
    assert colour.run(f()) == 1
    colour.settle()
    assert colour.run(f()) == 3
    assert f.cache_info().load_failures == 1


def test_stale_while_revalidate_answers_at_once(colour, timer) -> None:
    """Past its ttl a value is served for the window, while it is recomputed behind."""
    f = colour.cached(ttl=10, stale_while_revalidate=5, timer=timer)(counter())
    colour.run(f())
    timer.advance(12)
    assert colour.run(f()) == 1
    colour.settle()
    assert colour.run(f()) == 2
    timer.advance(15)
    assert colour.run(f()) == 3
    assert f.cache_info().loads == 3


def test_a_stale_value_is_recomputed_once(timer) -> None:
    """Many stale hits while the recomputation runs start no second one."""
    go_on = threading.Event()
    runs = []

    @cached(ttl=10, stale_while_revalidate=5, timer=timer)
    def f():
        runs.append(1)
        if len(runs) > 1:
            go_on.wait(10)
        return len(runs)

    f()
    timer.advance(12)
    assert [f() for _ in range(20)] == [1] * 20
    go_on.set()
    assert background.wait(10)
    assert f() == 2
    assert runs == [1, 1]


def test_a_stale_value_is_recomputed_once_in_a_loop(timer) -> None:
    """The same for tasks: the stale value is served until the recomputation has ended."""
    runs = []

    async def main():
        go_on = asyncio.Event()

        @cached(ttl=10, stale_while_revalidate=5, timer=timer)
        async def f():
            runs.append(1)
            if len(runs) > 1:
                await go_on.wait()
            return len(runs)

        await f()
        timer.advance(12)
        for _ in range(20):
            assert await f() == 1
            await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        assert await f() == 2

    asyncio.run(main())
    assert runs == [1, 1]


def test_a_background_refresh_has_the_callers_context(colour, timer) -> None:
    """What recomputes behind a caller sees that caller's context variables."""
    user = contextvars.ContextVar("user", default="nobody")

    @colour.cached(ttl=10, stale_while_revalidate=10, timer=timer)
    def f():
        return user.get()

    assert colour.run(f()) == "nobody"
    timer.advance(15)
    token = user.set("ann")
    try:
        colour.run(f())
    finally:
        user.reset(token)
    colour.settle()
    assert colour.run(f()) == "ann"


def test_a_newer_value_is_not_overwritten_by_a_refresh(timer) -> None:
    """What was set, or dropped, while a refresh ran stays so."""
    for newer in ("set", "invalidate", "cache_clear"):
        started, go_on = threading.Event(), threading.Event()
        runs = []

        @cached(ttl=10, stale_while_revalidate=10, timer=timer)
        def f(runs=runs, started=started, go_on=go_on):
            runs.append(1)
            if len(runs) == 2:
                started.set()
                go_on.wait(10)
            return len(runs)

        f()
        timer.advance(15)
        f()
        assert started.wait(10)
        if newer == "set":
            f.set("newer")
        elif newer == "invalidate":
            f.invalidate()
        else:
            f.cache_clear()
        go_on.set()
        assert background.wait(10)
        if newer == "set":
            assert f.get() == "newer"
        else:
            assert f.lookup().status == "miss"


def test_stale_if_error_stands_in_for_an_exception(colour, timer) -> None:
    """Within the window a value past its ttl answers where recomputing raises; after it, not."""
    broken = []

    @colour.cached(ttl=10, stale_if_error=20, timer=timer)
    def f():
        if broken:
            raise ValueError("down")
        return "old"

    colour.run(f())
    broken.append(1)
    timer.advance(15)
    assert colour.run(f()) == "old"
    assert colour.run(f()) == "old"
    timer.advance(15)
    with pytest.raises(ValueError, match="down"):
        colour.run(f())


def test_stale_if_error_does_not_stand_in_for_a_value(colour, timer) -> None:
    """Where recomputing works, the new value is the answer."""
    f = colour.cached(ttl=10, stale_if_error=20, timer=timer)(counter())
    colour.run(f())
    timer.advance(15)
    assert colour.run(f()) == 2


def test_both_windows_work_together(colour, timer) -> None:
    """First served while revalidated, then recomputed with the old value to fall back on."""
    broken = []

    @colour.cached(ttl=10, stale_while_revalidate=10, stale_if_error=30, timer=timer)
    def f():
        if broken:
            raise ValueError("down")
        return "old"

    colour.run(f())
    broken.append(1)
    timer.advance(15)
    assert colour.run(f()) == "old"
    colour.settle()
    assert f.cache_info().load_failures == 1
    timer.advance(10)
    assert colour.run(f()) == "old"
    assert f.cache_info().load_failures == 2
    timer.advance(15)
    with pytest.raises(ValueError, match="down"):
        colour.run(f())


def test_a_ttl_from_the_value_goes_with_the_windows(colour, timer) -> None:
    """Windows, refresh ahead and jitter work on lifetimes that values give."""
    f = colour.cached(
        ttl=lambda value: 10, stale_while_revalidate="5s", refresh_after=0.9, timer=timer
    )(counter())
    colour.run(f())
    timer.advance(12)
    assert colour.run(f()) == 1
    colour.settle()
    assert colour.run(f()) == 2


def test_an_expired_value_can_be_told_from_none(colour, timer) -> None:
    """In memory an expired entry is kept until its room is needed: `Expired`, with the value."""
    f = colour.cached(ttl=10, timer=timer)(counter())
    colour.run(f())
    timer.advance(15)
    with pytest.raises(Expired) as caught:
        colour.run(f.get())
    assert (caught.value.value, caught.value.age) == (1, 15)
    outcome = colour.run(f.lookup())
    assert (outcome.status, outcome.value, outcome.age) == ("expired", 1, 15)


def test_stale_by_policy_has_no_end(colour, timer) -> None:
    """Under `expired=STALE` a value is served and refreshed behind, however old."""
    f = colour.cached(ttl=10, timer=timer, policy=Policy(expired=STALE))(counter())
    colour.run(f())
    timer.advance(10**6)
    assert colour.run(f()) == 1
    colour.settle()
    assert colour.run(f()) == 2


def test_a_timer_is_any_callable(colour) -> None:
    """A lambda over a list is a clock."""
    now = [0]
    f = colour.cached(ttl=10, timer=lambda: now[0])(counter())
    colour.run(f())
    now[0] = 9
    assert colour.run(f()) == 1
    now[0] = 10
    assert colour.run(f()) == 2


def test_a_timer_that_fails_costs_no_answer(colour) -> None:
    """A clock that raises leaves the function's value and its type."""
    timer = FakeTimer()
    broken = []

    def clock():
        if broken:
            raise OSError("no clock")
        return timer()

    f = colour.cached(ttl=10, timer=clock)(counter())
    assert colour.run(f()) == 1
    broken.append(1)
    assert isinstance(colour.run(f()), int)
    broken.clear()
    assert isinstance(colour.run(f()), int)
    assert f.cache_info().failures > 0


def test_a_clock_set_back_makes_nothing_live_for_ever(colour, timer) -> None:
    """After a step back a value lives longer by no more than that step."""
    f = colour.cached(ttl=10, timer=timer)(counter())
    timer.advance(100)
    colour.run(f())
    timer.advance(-5)
    assert colour.run(f()) == 1
    timer.advance(15)
    assert colour.run(f()) == 2
