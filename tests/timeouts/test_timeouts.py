"""soft_timeout and hard_timeout: callers leave, and the function goes on."""

from __future__ import annotations

import contextvars
import dataclasses
import gc
import logging
import pickle
import threading
import weakref

import pytest
from timeouts.waiting import LONG, SOON

from memo import STALE, AsyncCache, Cache, LoadTimeout, OperationFailed, Policy, cached
from memo.testing import FakeTimer

STALE_AT_HAND = {"ttl": 10, "stale_if_error": 100}


def test_past_the_soft_timeout_the_stale_value_is_served_and_the_new_one_stored(ways):
    """The caller has the old value; the function ends behind, and the next caller has the new."""

    @ways.run
    async def _():
        values = iter(["old", "new"])
        f = ways.gated(lambda key: next(values), **STALE_AT_HAND, soft_timeout=SOON)
        assert await ways.call(f, 1) == "old"
        ways.timer.advance(20)
        ways.shut()
        assert await ways.call(f, 1) == "old"
        info = f.cache_info()
        assert (info.hits, info.misses, info.stale_hits, info.loads) == (1, 1, 1, 1)
        ways.open()
        await ways.idle(f)
        assert await ways.call(f, 1) == "new"
        info = f.cache_info()
        assert (info.hits, info.misses, info.stale_hits, info.loads) == (2, 1, 1, 2)
        assert ways.runs == [1, 1]


def test_past_the_hard_timeout_the_caller_has_a_timeout_and_the_value_is_stored(ways):
    """It is a `TimeoutError` with key and seconds; later the value is there without another run."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, hard_timeout=SOON)
        ways.shut()
        with pytest.raises(TimeoutError, match=r"within 0\.02 s") as caught:
            await ways.call(f, 1)
        assert type(caught.value) is LoadTimeout
        assert (caught.value.key, caught.value.seconds) == (f.cache_key(1), SOON)
        ways.open()
        await ways.idle(f)
        assert await ways.call(f, 1) == 1
        assert ways.runs == [1]
        info = f.cache_info()
        assert (info.hits, info.misses, info.loads, info.failures) == (1, 1, 1, 0)


def test_a_function_that_is_quick_enough_is_as_ever(ways):
    """Its values, exceptions and counts are those of one without timeouts."""

    @ways.run
    async def _():
        f = ways.gated(lambda key: 1 / key, **STALE_AT_HAND, soft_timeout=30, hard_timeout=LONG)
        assert [await ways.call(f, 2), await ways.call(f, 2)] == [0.5, 0.5]
        with pytest.raises(ZeroDivisionError) as caught:
            await ways.call(f, 0)
        names = [entry.name for entry in caught.traceback]
        assert [name for name in names if name in {"function", "<lambda>"}] == [
            "function",
            "<lambda>",
        ]
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
        info = f.cache_info()
        assert (info.hits, info.misses, info.loads, info.load_failures) == (1, 2, 2, 1)


def test_each_follower_has_a_timeout_of_its_own(ways):
    """Who joins a running load waits from then on, and no longer than it wants."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, hard_timeout=SOON)
        ways.shut()
        callers = [ways.begin(f, 1) for _ in range(5)]
        for caller in callers:
            with pytest.raises(LoadTimeout):
                await ways.ended(caller)
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        ways.open()
        await ways.idle(f)
        assert await ways.call(f, 1) == 1
        assert ways.runs == [1]
        assert f.cache_info().misses == 6


def test_a_later_caller_gets_what_an_abandoned_load_gives(ways):
    """The load goes on as a flight like any other: who comes while it runs is handed its value."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, hard_timeout=SOON)
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        rules = f._self_site.core.rules
        rules.freshness = dataclasses.replace(rules.freshness, hard_timeout=LONG)
        caller = ways.begin(f, 1)
        await ways.until(lambda: waiting_for(f, ways) == 1)
        ways.open()
        assert await ways.ended(caller) == 1
        assert ways.runs == [1]
        await ways.idle(f)


def waiting_for(function, ways):
    """How many wait for the one load of `function` that runs."""
    (flight,) = function._self_site.core.flights._flights.values()
    return len(flight.waiters) if ways.is_async else flight.landed.waiters


def test_stale_if_error_serves_what_is_stale_instead_of_the_hard_timeout(ways):
    """A timeout is covered as any exception is."""

    @ways.run
    async def _():
        f = ways.gated(**STALE_AT_HAND, hard_timeout=SOON)
        await ways.call(f, 1)
        ways.timer.advance(20)
        ways.shut()
        assert await ways.call(f, 1) == 1
        assert f.cache_info().stale_hits == 1
        ways.open()
        await ways.idle(f)


def test_a_mapping_that_leaves_timeouts_out_does_not_cover_them(ways):
    """Only the types it names are."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, stale_if_error={ValueError: 100}, hard_timeout=SOON)
        await ways.call(f, 1)
        ways.timer.advance(20)
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        ways.open()
        await ways.idle(f)


def test_a_function_that_fails_in_time_is_covered(ways):
    """soft_timeout, hard_timeout and stale_if_error are one: an exception needs no timeout."""

    @ways.run
    async def _():
        fails = []

        def make(key):
            if fails:
                raise ConnectionError
            return key

        f = ways.gated(make, **STALE_AT_HAND, soft_timeout=30, hard_timeout=LONG)
        await ways.call(f, 1)
        fails.append(1)
        ways.timer.advance(20)
        assert await ways.call(f, 1) == 1
        info = f.cache_info()
        assert (info.hits, info.stale_hits, info.load_failures, info.failures) == (1, 1, 1, 1)


def test_remembered_exceptions_are_remembered_from_behind(ways):
    """`cache_exceptions` holds for a load that its callers have left."""

    @ways.run
    async def _():
        f = ways.gated(
            lambda key: {}[key], ttl=10, hard_timeout=SOON, cache_exceptions={KeyError: 5}
        )
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        ways.open()
        await ways.idle(f)
        with pytest.raises(KeyError):
            await ways.call(f, 1)
        assert ways.runs == [1]


def test_a_timeout_is_not_remembered(ways):
    """`cache_exceptions` is about what the function raises."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, hard_timeout=SOON, cache_exceptions={TimeoutError: 5})
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        assert f.cache_info().currsize == 0
        ways.open()
        await ways.idle(f)
        assert await ways.call(f, 1) == 1


@pytest.mark.parametrize("covered", [False, True], ids=["bare", "covered"])
def test_what_a_load_raises_after_its_callers_left_is_counted_and_heard(ways, covered, caplog):
    """Nobody is there to catch it: it goes to the counters, `on_error` and the log."""

    @ways.run
    async def _():
        heard = []
        fails = []

        def make(key):
            if fails:
                raise ValueError("too late")
            return key

        f = ways.gated(
            make,
            ttl=10,
            stale_if_error=100 if covered else 0,
            hard_timeout=SOON,
            policy=Policy(on_error=heard.append),
        )
        if covered:
            await ways.call(f, 1)
            ways.timer.advance(20)
        ways.shut()
        fails.append(1)
        with caplog.at_level(logging.WARNING, "memo"):
            if covered:
                assert await ways.call(f, 1) == 1
            else:
                with pytest.raises(LoadTimeout):
                    await ways.call(f, 1)
            ways.open()
            await ways.idle(f)
        info = f.cache_info()
        assert (info.load_failures, info.failures) == (1, 1)
        assert [type(error) for error in heard] == [OperationFailed]
        assert type(heard[0].__cause__) is ValueError
        assert ("stands in for" if covered else "left") in caplog.text
        assert "too late" in caplog.text


def test_what_a_load_raises_while_somebody_waits_is_theirs_alone(ways):
    """It is no failure of the cache: nothing is heard."""

    @ways.run
    async def _():
        heard = []
        f = ways.gated(
            lambda key: 1 / 0, ttl=10, hard_timeout=LONG, policy=Policy(on_error=heard.append)
        )
        ways.shut()
        callers = [ways.begin(f, 1) for _ in range(3)]
        await ways.until(lambda: f._self_site.core.flights and waiting_for(f, ways) == 3)
        ways.open()
        for caller in callers:
            with pytest.raises(ZeroDivisionError):
                await ways.ended(caller)
        assert heard == []
        assert f.cache_info().failures == 0


def test_an_invalidation_wins_over_a_load_behind(ways):
    """What its callers left is not stored after an `invalidate`, and the next call loads anew."""

    @ways.run
    async def _():
        values = iter(["first", "second"])
        f = ways.gated(lambda key: next(values), ttl=10, hard_timeout=SOON)
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        await ways.call(f.invalidate, 1)
        ways.open()
        await ways.until(lambda: len(ways.runs) == 1)
        await settled(ways, f)
        assert f.cache_info().currsize == 0
        assert await ways.call(f, 1) == "second"


async def settled(ways, function):
    """Wait until nothing of `function` runs, in the table of flights or out of it."""
    await ways.idle(function)
    await ways.until(lambda: function._self_site.core.stats.loads == len(ways.runs))


def test_a_refresh_has_the_hard_timeout_and_not_the_soft_one(ways):
    """Who asks for a new value does not want the old one."""

    @ways.run
    async def _():
        f = ways.gated(**STALE_AT_HAND, soft_timeout=SOON, hard_timeout=2 * SOON)
        await ways.call(f, 1)
        ways.timer.advance(20)
        ways.shut()
        with pytest.raises(LoadTimeout, match=r"within 0\.04 s"):
            await ways.call(f.refresh, 1)
        ways.open()
        await ways.idle(f)
        assert f.cache_info().loads == 2


def test_a_first_call_under_a_soft_timeout_runs_in_the_callers_own_thread():
    """With nothing stale at hand there is no limit, and no price for one."""
    seen = []

    @cached(**STALE_AT_HAND, soft_timeout=SOON)
    def f(key):
        seen.append(threading.current_thread())
        return key

    assert f(1) == 1
    assert seen == [threading.current_thread()]


def test_under_the_policy_stale_the_timeouts_have_nothing_to_do(ways):
    """`expired=STALE` serves at once and refreshes behind, which nobody waits for."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, soft_timeout=SOON, policy=Policy(expired=STALE))
        await ways.call(f, 1)
        ways.timer.advance(20)
        assert await ways.call(f, 1) == 1
        assert f.cache_info().stale_hits == 1


def test_the_function_sees_the_context_of_the_caller_that_began_it(ways):
    """Wherever it runs, it has a copy of the caller's context variables."""
    user = contextvars.ContextVar("user", default="nobody")

    @ways.run
    async def _():
        f = ways.gated(lambda key: user.get(), ttl=10, hard_timeout=LONG)
        token = user.set("ann")
        try:
            assert await ways.call(f, 1) == "ann"
        finally:
            user.reset(token)


def test_methods_have_timeouts_too(ways):
    """Of each instance its own, and a function that is left keeps its instance until it ends."""

    @ways.run
    async def _():
        inner = ways.gated()  # waits where it is shut
        if ways.is_async:

            class Client:
                @cached(ttl=10, hard_timeout=SOON)
                async def get(self, key):
                    return await inner(key)
        else:

            class Client:
                @cached(ttl=10, hard_timeout=SOON)
                def get(self, key):
                    return inner(key)

        client = Client()
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(client.get, 1)
        gone = weakref.ref(client)
        del client
        assert gone() is not None
        ways.open()
        await ways.until(lambda: ways.runs == [1])
        await ways.idle(inner)

        def collected():
            gc.collect()
            return gone() is None

        await ways.until(collected)


def test_caches_have_timeouts_for_what_they_are_given_to_load(ways):
    """`get_or_load` waits no longer than `hard_timeout`, and the value is there afterwards."""

    @ways.run
    async def _():
        kind = AsyncCache if ways.is_async else Cache
        cache = kind(ttl=10, hard_timeout=SOON)
        inner = ways.gated()
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(cache.get_or_load, "k", lambda: inner(1))
        ways.open()
        await ways.until(lambda: not cache._core.flights)
        assert await ways.call(cache.get, "k") == 1


def test_without_single_flight_each_caller_has_a_load_of_its_own(ways):
    """And each a timeout."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, hard_timeout=SOON, single_flight=False)
        ways.shut()
        callers = [ways.begin(f, 1) for _ in range(3)]
        for caller in callers:
            with pytest.raises(LoadTimeout):
                await ways.ended(caller)
        assert ways.runs == [1, 1, 1]
        ways.open()
        await ways.idle(f)


def test_a_call_that_has_no_key_has_the_timeout_all_the_same(ways):
    """An argument that cannot be hashed costs the cache, not the limit."""

    @ways.run
    async def _():
        class Unhashable:
            __hash__ = None

        f = ways.gated(ttl=10, hard_timeout=SOON)
        ways.shut()
        with pytest.raises(LoadTimeout) as caught:
            await ways.call(f, Unhashable())
        assert caught.value.key is None
        ways.open()
        f2 = ways.gated(ttl=10, hard_timeout=LONG)
        ways.runs.clear()
        argument = Unhashable()
        assert await ways.call(f2, argument) is argument
        await ways.idle(f)


def test_copies_are_handed_out_of_what_ran_behind(ways):
    """`copy` holds for the caller that waited, and what is stored is nobody's."""

    @ways.run
    async def _():
        f = ways.gated(lambda key: [key], ttl=10, hard_timeout=LONG, copy=list)
        first = await ways.call(f, 1)
        first.append(2)
        assert await ways.call(f, 1) == [1]


def test_maxsize_zero_waits_no_longer_either(ways):
    """Where nothing is stored the function is called each time, for so long at most."""

    @ways.run
    async def _():
        f = ways.gated(maxsize=0, hard_timeout=SOON)
        ways.shut()
        with pytest.raises(LoadTimeout):
            await ways.call(f, 1)
        ways.open()
        await ways.idle(f)
        assert await ways.call(f, 1) == 1


def test_a_timeout_survives_pickling_and_copies():
    """It is an exception like others: key and seconds go along."""
    error = pickle.loads(pickle.dumps(LoadTimeout(("k",), 2.5)))
    assert (type(error), error.key, error.seconds) == (LoadTimeout, ("k",), 2.5)
    match error:
        case LoadTimeout(key):
            assert key == ("k",)


def test_a_stale_value_past_its_window_is_not_served(ways):
    """Once the window is over the caller waits for the hard timeout, and gets it."""

    @ways.run
    async def _():
        f = ways.gated(ttl=10, stale_if_error=5, soft_timeout=SOON, hard_timeout=2 * SOON)
        await ways.call(f, 1)
        ways.timer.advance(15)
        ways.shut()
        with pytest.raises(LoadTimeout, match=r"within 0\.04 s"):
            await ways.call(f, 1)
        ways.open()
        await ways.idle(f)


def test_timers_are_not_what_timeouts_are_measured_by():
    """A test's clock that jumps makes nobody late."""
    timer = FakeTimer()

    @cached(ttl=10, hard_timeout=LONG, timer=timer)
    def f(key):
        timer.advance(10 * LONG)
        return key

    assert f(1) == 1
