"""Calls, decided by hand: what a flow wants done, and what its caller gets."""

from __future__ import annotations

import pytest
from pure.by_hand import Heard, Watching, broken, counts, play, rules

from memo import CALL, EVICT, RAISE, SKIP, STALE, Entry, Policy, fallback, raise_as
from memo.entry import Raised
from memo.errors import CacheError, Expired, Full, Miss, OperationFailed
from memo.flow import (
    ALONE,
    HELD,
    Absorb,
    Clear,
    Delete,
    Evict,
    Followed,
    Join,
    Load,
    Read,
    Refresh,
    Refusal,
    Write,
    call,
    unkeyed,
)
from memo.stats import Stats

OTHER = object()

#: Entries as they look at the moment 100.
FRESH = Entry("held", 95.0, 105.0, 105.0)
EXPIRED = Entry("held", 80.0, 90.0, 90.0)
STORED = Entry("value", 100.0, 110.0, 110.0)


class Upstream(Exception):
    """What the function raises."""


class Ours(Exception):
    """What the program would rather see than a cache error."""


def loads(key="k", *, watch=ALONE, again=None, value="value"):
    """The steps of a load that finds nobody else at it."""
    return (Join(key), watch), (Read(key), again), (Load(key), value)


def test_a_fresh_entry_is_the_answer():
    """One read, and nothing else."""
    stats = Stats()
    assert play(call("k", rules(), stats), (Read("k"), FRESH)) == "held"
    assert counts(stats) == {"hits": 1}


def test_a_miss_is_loaded_and_stored():
    """Read, join, read again, load, write; the caller gets the value."""
    stats = Stats()
    flow = call("k", rules(), stats)
    assert play(flow, (Read("k"), None), *loads(), (Write("k", STORED), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1}
    assert stats.load_time >= 0


def test_an_expired_entry_is_loaded_and_replaced():
    """The same with an entry past its lifetime, which is counted."""
    stats = Stats()
    flow = call("k", rules(), stats)
    script = (Read("k"), EXPIRED), *loads(again=EXPIRED), (Write("k", STORED), None)
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "expirations": 1, "loads": 1}


def test_expiry_is_the_first_moment_it_is_not_fresh():
    """`now >= expires` is expired, the moment before is fresh."""
    at = Entry("held", 90.0, 100.0, 100.0)
    assert play(call("k", rules(now=99.999), Stats()), (Read("k"), at)) == "held"
    flow = call("k", rules(now=100.0), Stats())
    assert play(flow, (Read("k"), at), *loads(), (Write("k", STORED), None)) == "value"


def test_none_is_a_value():
    """A cached None is an answer, and a loaded None is stored."""
    assert play(call("k", rules(), Stats()), (Read("k"), Entry(None, 95.0, 105.0))) is None
    flow = call("k", rules(), Stats())
    none = Entry(None, 100.0, 110.0, 110.0)
    assert play(flow, (Read("k"), None), *loads(value=None), (Write("k", none), None)) is None


def test_a_follower_gets_the_leaders_result():
    """Who joins a load under way reads and loads nothing; it is a hit."""
    for result in ("value", None, Raised(Upstream())):
        stats = Stats()
        flow = call("k", rules(), stats)
        assert play(flow, (Read("k"), None), (Join("k"), Followed(result))) == result
        assert counts(stats) == {"hits": 1}


def test_a_follower_of_a_refused_load_gets_a_twin_of_the_error():
    """A cache error for the leader is one for each follower, and no hit."""
    stats = Stats()
    error = broken("write")
    flow = call("k", rules(), stats)
    refusal = play(flow, (Read("k"), None), (Join("k"), Followed(Refusal(error))))
    assert type(refusal) is Refusal
    assert refusal.error is not error
    assert str(refusal.error) == str(error)
    assert counts(stats) == {"misses": 1}


def test_a_load_that_ended_between_read_and_join_is_a_hit():
    """The second look finds what another has stored meanwhile: nothing is loaded."""
    stats = Stats()
    flow = call("k", rules(), stats)
    assert play(flow, (Read("k"), None), (Join("k"), Watching()), (Read("k"), FRESH)) == "held"
    assert counts(stats) == {"hits": 1}


def test_a_second_look_that_fails_is_heard_and_the_load_goes_on():
    """It is not the first read that failed: the value is loaded, and stored."""
    stats = Stats()
    error = broken()
    flow = call("k", rules(), stats)
    script = [(Read("k"), None), (Join("k"), ALONE), (Read("k"), error), (Heard(error), None)]
    assert play(flow, *script, (Load("k"), "value"), (Write("k", STORED), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_a_load_superseded_before_its_write_is_not_stored():
    """An invalidation during the load: the caller has the value, the store has not."""
    flow = call("k", rules(), Stats())
    watch = Watching()

    def superseded():
        watch.superseded = True
        return "value"

    script = (Read("k"), None), (Join("k"), watch), (Read("k"), None), (Load("k"), superseded)
    assert play(flow, *script) == "value"


def test_a_load_superseded_during_its_write_is_deleted_again():
    """An invalidation between the look at the watch and the end of the write."""
    flow = call("k", rules(), Stats())
    watch = Watching()

    def superseded():
        watch.superseded = True

    script = (Read("k"), None), *loads(watch=watch), (Write("k", STORED), superseded)
    assert play(flow, *script, (Delete("k"), True)) == "value"


def test_a_delete_that_fails_after_a_superseded_write_is_heard():
    """It is counted and heard, and the caller has the value."""
    stats = Stats()
    flow = call("k", rules(), stats)
    watch, error = Watching(), broken("delete")

    def superseded():
        watch.superseded = True

    script = (Read("k"), None), *loads(watch=watch), (Write("k", STORED), superseded)
    assert play(flow, *script, (Delete("k"), error), (Heard(error), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_nothing_is_written_where_nothing_is_stored():
    """`maxsize=0`: every call reads and loads."""
    flow = call("k", rules(stores=False), Stats())
    assert play(flow, (Read("k"), None), *loads()) == "value"


def test_should_cache_decides_what_is_stored():
    """A value it does not want is handed out and not written."""
    only_long = rules(should_cache=lambda value: len(value) > 10)
    assert play(call("k", only_long, Stats()), (Read("k"), None), *loads()) == "value"
    longer = "a longer value"
    stored = Entry(longer, 100.0, 110.0, 110.0)
    flow = call("k", only_long, Stats())
    script = (Read("k"), None), *loads(value=longer), (Write("k", stored), None)
    assert play(flow, *script) == longer


@pytest.mark.parametrize("hook", ["should_cache", "ttl"])
def test_a_hook_that_raises_costs_no_value(hook):
    """What `should_cache` or a ttl function raises is counted and heard; nothing is stored."""

    def fails(value):
        raise ValueError("hook")

    stats = Stats()
    flow = call("k", rules(**{hook: fails}), stats)
    assert play(flow, (Read("k"), None), *loads(), (Heard(words="hook"), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


@pytest.mark.parametrize(
    ("ttl", "stored"),
    [
        (lambda value: 7, Entry("value", 100.0, 107.0, 107.0)),
        (lambda value: "1m", Entry("value", 100.0, 160.0, 160.0)),
        (lambda value: None, Entry("value", 100.0)),
        (lambda value: 0, None),
        (lambda value: -3.5, None),
    ],
    ids=["seconds", "text", "for ever", "zero", "negative"],
)
def test_a_lifetime_may_be_taken_from_the_value(ttl, stored):
    """A ttl function's result is the entry's lifetime; zero or less is not stored."""
    script = [(Read("k"), None), *loads()]
    if stored is not None:
        script.append((Write("k", stored), None))
    assert play(call("k", rules(ttl=ttl), Stats()), *script) == "value"


@pytest.mark.parametrize("wrong", ["soon", object(), True, float("nan")])
def test_a_ttl_function_that_gives_no_duration_is_a_failure(wrong):
    """It is counted and heard, the value is handed out and not stored."""
    stats = Stats()
    flow = call("k", rules(ttl=lambda value: wrong), stats)
    assert play(flow, (Read("k"), None), *loads(), (Heard(words="ttl"), None)) == "value"
    assert stats.failures == 1


def test_an_exception_is_handed_on_and_not_stored():
    """What the function raises comes back as it went in."""
    stats = Stats()
    raised = Raised(Upstream("down"))
    flow = call("k", rules(), stats)
    assert play(flow, (Read("k"), None), *loads(value=raised)) is raised
    assert counts(stats) == {"misses": 1, "loads": 1, "load_failures": 1}


def test_chosen_exceptions_are_stored_with_a_lifetime_of_their_own():
    """`cache_exceptions` writes an entry whose value is the exception, and no other type's."""
    negative = rules(cache_exceptions={Upstream: 3})
    flow = call("k", negative, Stats())
    raised = Raised(Upstream("down"))
    next(flow)
    flow.send(None)
    flow.send(ALONE)
    assert flow.send(None) == Load("k")
    write = flow.send(raised)
    assert isinstance(write, Write)
    assert type(write.entry.value) is Raised
    assert write.entry.value.error.args == ("down",)
    assert write.entry.value.error is not raised.error
    assert write.entry[1:4] == (100.0, 103.0, 103.0)
    with pytest.raises(StopIteration) as stop:
        flow.send(None)
    assert stop.value.value is raised

    flow = call("k", negative, Stats())
    other = Raised(ValueError())
    assert play(flow, (Read("k"), None), *loads(value=other)) is other


def test_a_cached_exception_is_a_hit_until_it_expires():
    """While fresh it is the answer; afterwards the function is called, whatever the windows."""
    remembered = Raised(Upstream("down"))
    stats = Stats()
    fresh = Entry(remembered, 99.0, 102.0, 102.0)
    negative = {"cache_exceptions": {Upstream: 3}}
    assert play(call("k", rules(**negative), stats), (Read("k"), fresh)) is remembered
    assert counts(stats) == {"hits": 1}
    expired = Entry(remembered, 90.0, 93.0, 93.0)
    for generous in (
        rules(stale_while_revalidate=60, **negative),
        rules(Policy(expired=STALE), **negative),
        rules(Policy(expired=RAISE), **negative),
    ):
        flow = call("k", generous, Stats())
        assert next(flow) == Read("k")
        assert flow.send(expired) == Join("k")


@pytest.mark.parametrize("kinds", [None, {KeyError: 3}])
def test_an_exception_that_is_not_to_be_remembered_is_no_entry(kinds):
    """Who can write to a shared store cannot raise what he likes: it is loaded, as on a miss."""
    planted = Entry(Raised(Upstream("planted")), 99.0, 102.0, 102.0)
    stats = Stats()
    flow = call("k", rules(cache_exceptions=kinds), stats)
    script = (Read("k"), planted), *loads(again=planted), (Write("k", STORED), None)
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1}
    away = rules(Policy(failed=fallback(OTHER)), cache_exceptions=kinds)
    error = broken()
    flow = call("k", away, Stats())
    next(flow)
    flow.throw(error)
    assert flow.send(None) == Read("k", OTHER)
    assert flow.send(planted) == Join("k")


def test_where_no_load_has_ended_meanwhile_there_is_no_second_look():
    """Whoever answers the join may know that what was read is as it was."""
    flow = call("k", rules(), Stats())
    next(flow)
    join = flow.send(None)
    assert join == Join("k")
    join.unchanged = True
    assert flow.send(ALONE) == Load("k")


def test_within_the_revalidate_window_the_stale_value_is_served_and_refreshed():
    """Up to `expires` plus the window, exclusive."""
    stats = Stats()
    swr = rules(stale_while_revalidate=11)
    flow = call("k", swr, stats)
    assert play(flow, (Read("k"), EXPIRED), (Refresh("k"), None)) == "held"
    assert counts(stats) == {"hits": 1, "stale_hits": 1}
    over = call("k", rules(stale_while_revalidate=10), Stats())
    assert next(over) == Read("k")
    assert over.send(EXPIRED) == Join("k")


def test_a_hit_late_in_its_life_starts_a_refresh():
    """From the given fraction of the lifetime on; such a hit is not stale."""
    stats = Stats()
    ahead = rules(refresh_after=0.5)
    due = Entry("held", 95.0, 105.0, 105.0)
    assert play(call("k", ahead, stats), (Read("k"), due), (Refresh("k"), None)) == "held"
    assert counts(stats) == {"hits": 1}
    early = Entry("held", 95.1, 105.1, 105.1)
    assert play(call("k", ahead, Stats()), (Read("k"), early)) == "held"


def test_within_the_error_window_a_stale_value_covers_an_exception():
    """`stale_if_error`: the exception is counted and heard, and the stale value is the answer."""
    stats = Stats()
    cover = rules(stale_if_error=11)
    flow = call("k", cover, stats)
    raised = Raised(Upstream())
    step = next(flow)
    for wanted, answer in (Read("k"), EXPIRED), *loads(again=EXPIRED, value=raised):
        assert step == wanted
        step = flow.send(answer)
    assert type(step) is Absorb
    assert (step.error.operation, step.error.key) == ("call", "k")
    assert step.error.__cause__ is raised.error
    with pytest.raises(StopIteration) as stop:
        next(flow)
    assert stop.value.value == "held"
    failed = {"loads": 1, "load_failures": 1, "failures": 1}
    assert counts(stats) == {"hits": 1, "stale_hits": 1} | failed


def test_the_error_window_covers_nothing_else():
    """A value that loads replaces; an interrupt, or a time past the window, is not covered."""
    stats = Stats()
    flow = call("k", rules(stale_if_error=11), stats)
    stored = Entry("value", 100.0, 110.0, 121.0)
    script = (Read("k"), EXPIRED), *loads(again=EXPIRED), (Write("k", stored), None)
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "expirations": 1, "loads": 1}

    interrupt = Raised(KeyboardInterrupt())
    flow = call("k", rules(stale_if_error=11), Stats())
    assert play(flow, (Read("k"), EXPIRED), *loads(value=interrupt)) is interrupt

    late = Raised(Upstream())
    flow = call("k", rules(stale_if_error=10), Stats())
    assert play(flow, (Read("k"), EXPIRED), *loads(value=late)) is late


def test_covering_keeps_a_negative_entry_from_being_written():
    """With a stale value at hand the exception is not remembered."""
    flow = call("k", rules(stale_if_error=60, cache_exceptions={Upstream: 5}), Stats())
    join, read, load = loads(value=Raised(Upstream()))
    heard = Heard(words="a stale value stands in for"), None
    assert play(flow, (Read("k"), EXPIRED), join, (read[0], EXPIRED), load, heard) == "held"


# What the policy says about Miss and Expired.


@pytest.mark.parametrize("action", [RAISE, raise_as(Ours), lambda error: RAISE])
def test_a_miss_can_be_refused(action):
    """`RAISE`, `raise_as` and a callable end the flow with the error; nothing is loaded."""
    stats = Stats()
    flow = call("k", rules(Policy(miss=action)), stats)
    refusal = play(flow, (Read("k"), None))
    error = refusal.error.__cause__ if isinstance(refusal.error, Ours) else refusal.error
    assert type(error) is Miss
    assert error.key == "k"
    assert counts(stats) == {"misses": 1}


@pytest.mark.parametrize("action", [RAISE, raise_as(Ours), lambda error: RAISE])
def test_an_expired_entry_can_be_refused(action):
    """The error carries the expired value and its age."""
    stats = Stats()
    flow = call("k", rules(Policy(expired=action)), stats)
    refusal = play(flow, (Read("k"), EXPIRED))
    error = refusal.error.__cause__ if isinstance(refusal.error, Ours) else refusal.error
    assert type(error) is Expired
    assert (error.key, error.value, error.age) == ("k", "held", 20.0)
    assert counts(stats) == {"misses": 1, "expirations": 1}


def test_under_stale_an_expired_value_is_served_and_refreshed():
    """`expired=STALE`, or a callable that says so."""
    for action in (STALE, lambda error: STALE):
        stats = Stats()
        flow = call("k", rules(Policy(expired=action)), stats)
        assert play(flow, (Read("k"), EXPIRED), (Refresh("k"), None)) == "held"
        assert counts(stats) == {"hits": 1, "stale_hits": 1}


def test_a_callable_may_call():
    """A callable that answers `CALL` loads as usual."""
    for policy, found in (
        (Policy(miss=lambda error: CALL), None),
        (Policy(expired=lambda error: CALL), EXPIRED),
    ):
        flow = call("k", rules(policy), Stats())
        assert play(flow, (Read("k"), found), *loads(), (Write("k", STORED), None)) == "value"


@pytest.mark.parametrize("wrong", [EVICT, None, "call", ValueError])
def test_a_callable_with_no_fitting_answer_is_a_failure_and_the_default_holds(wrong):
    """It is counted and heard, and the function is called."""
    stats = Stats()
    flow = call("k", rules(Policy(miss=lambda error: wrong)), stats)
    script = (Read("k"), None), (Heard(words="policy"), None), *loads(), (Write("k", STORED), None)
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_a_callable_that_raises_is_a_failure_and_the_default_holds():
    """The same for one that raises."""

    def fails(error):
        raise ValueError("hook")

    stats = Stats()
    flow = call("k", rules(Policy(expired=fails)), stats)
    heard = (Heard(words="hook"), None)
    join, read, load = loads()
    script = (Read("k"), EXPIRED), heard, join, (read[0], EXPIRED), load, (Write("k", STORED), None)
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "expirations": 1, "loads": 1, "failures": 1}


def test_what_is_dropped_while_a_load_is_joined_covers_nothing():
    """An entry that an invalidation took away between the two reads does not come back."""
    flow = call("k", rules(stale_if_error=60), Stats())
    raised = Raised(Upstream())
    assert play(flow, (Read("k"), EXPIRED), *loads(value=raised)) is raised


def test_raise_as_a_type_that_cannot_be_made_raises_the_cache_error():
    """An exception class that wants more than a text: the caller gets the error itself."""

    class Picky(Exception):
        def __init__(self, one, two):
            super().__init__(one, two)

    refusal = play(call("k", rules(Policy(miss=raise_as(Picky))), Stats()), (Read("k"), None))
    assert type(refusal.error) is Miss


# What the policy says about failed reads.


def test_after_a_failed_read_the_function_is_called_and_nothing_is_written():
    """`CALL`: the failure is heard, the load is a single flight, its write is skipped."""
    stats = Stats()
    error = broken()
    flow = call("k", rules(), stats)
    script = (Read("k"), error), (Heard(error), None), (Join("k"), Watching()), (Load("k"), "value")
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_after_a_failed_read_one_may_follow_too():
    """Single flight holds although the backend does not."""
    stats = Stats()
    error = broken()
    flow = call("k", rules(), stats)
    script = (Read("k"), error), (Heard(error), None), (Join("k"), Followed("value"))
    assert play(flow, *script) == "value"
    assert counts(stats) == {"hits": 1, "failures": 1}


@pytest.mark.parametrize(
    "action",
    [RAISE, raise_as(Ours), lambda error: RAISE, {"read": RAISE}, {"read": raise_as(Ours)}],
)
def test_a_failed_read_can_be_refused(action):
    """The failure is heard and counted, and is the caller's."""
    stats = Stats()
    error = broken()
    flow = call("k", rules(Policy(failed=action)), stats)
    refusal = play(flow, (Read("k"), error), (Heard(error), None))
    assert error in (refusal.error, refusal.error.__cause__)
    assert counts(stats) == {"misses": 1, "failures": 1}


def test_after_a_failed_read_what_is_held_may_be_served():
    """`STALE`: what was last seen, expired or not; with nothing held it is `CALL`."""
    for held, stale in ((FRESH, 0), (EXPIRED, 1)):
        stats = Stats()
        error = broken()
        flow = call("k", rules(Policy(failed=STALE)), stats)
        script = (Read("k"), error), (Heard(error), None), (Read("k", HELD), held)
        assert play(flow, *script) == "held"
        expected = {"hits": 1, "failures": 1}
        assert counts(stats) == (expected | {"stale_hits": 1} if stale else expected)

    error = broken()
    flow = call("k", rules(Policy(failed=STALE)), Stats())
    script = (Read("k"), error), (Heard(error), None), (Read("k", HELD), None)
    assert play(flow, *script, (Join("k"), ALONE), (Load("k"), "value")) == "value"


def test_a_fallback_is_read_and_written_while_the_backend_fails():
    """A value of the fallback's is a hit; a load is written there, and remembered as standby."""
    stats = Stats()
    error = broken()
    going = rules(Policy(failed=fallback(OTHER)))
    script = (Read("k"), error), (Heard(error), None), (Read("k", OTHER), FRESH)
    assert play(call("k", going, stats), *script) == "held"
    assert counts(stats) == {"hits": 1, "failures": 1}
    assert going.standby is None

    error = broken()
    script = (Read("k"), error), (Heard(error), None), (Read("k", OTHER), None)
    load = (Join("k"), ALONE), (Read("k", OTHER), None), (Load("k"), "value")
    assert (
        play(call("k", going, Stats()), *script, *load, (Write("k", STORED, OTHER), None))
        == "value"
    )
    assert going.standby is OTHER


def test_a_fallback_is_left_by_an_answer_of_the_backend_itself_alone():
    """An answer that came from elsewhere, while it is away, does not say that it is back."""
    asked = []

    def away(key):
        asked.append(key)
        return True

    going = rules(Policy(failed=fallback(OTHER)), standby=OTHER, away=away)
    assert play(call("k", going, Stats()), (Read("k"), FRESH)) == "held"
    assert going.standby is OTHER
    assert asked == ["k"]
    going.away = lambda key: False
    script = (Read("k"), FRESH), (Clear("k", OTHER), True)
    assert play(call("k", going, Stats()), *script) == "held"
    assert going.standby is None


def test_a_fallback_that_fails_too_costs_no_value():
    """Both failures are heard; the function is called, and a write is tried on the fallback."""
    stats = Stats()
    first, second, third = broken(), broken(), broken("write")
    going = rules(Policy(failed=fallback(OTHER)))
    script = [
        (Read("k"), first),
        (Heard(first), None),
        (Read("k", OTHER), second),
        (Heard(second), None),
        (Join("k"), ALONE),
        (Read("k", OTHER), None),
        (Load("k"), "value"),
        (Write("k", STORED, OTHER), third),
        (Heard(third), None),
    ]
    assert play(call("k", going, stats), *script) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 3}
    assert going.standby is None


def test_once_the_backend_is_back_the_fallback_is_cleared():
    """The first read that succeeds drops what the fallback holds, before anything is answered."""
    going = rules(Policy(failed=fallback(OTHER)), standby=OTHER)
    assert play(call("k", going, Stats()), (Read("k"), FRESH), (Clear("k", OTHER), True)) == "held"
    assert going.standby is None
    assert play(call("k", going, Stats()), (Read("k"), FRESH)) == "held"


def test_a_fallback_that_cannot_be_cleared_is_cleared_later():
    """A failing clear is heard, and tried again after the next read."""
    stats = Stats()
    error = broken("clear")
    going = rules(Policy(failed=fallback(OTHER)), standby=OTHER)
    script = (Read("k"), FRESH), (Clear("k", OTHER), error), (Heard(error), None)
    assert play(call("k", going, stats), *script) == "held"
    assert going.standby is OTHER
    assert counts(stats) == {"hits": 1, "failures": 1}
    assert play(call("k", going, stats), (Read("k"), FRESH), (Clear("k", OTHER), True)) == "held"
    assert going.standby is None


# What the policy says about failed writes.


def test_a_failed_write_is_absorbed():
    """`CALL`, `STALE` and a mapping without "write": the caller gets the value."""
    for failed in (CALL, STALE, {"read": RAISE}, lambda error: CALL):
        stats = Stats()
        error = broken("write")
        flow = call("k", rules(Policy(failed=failed)), stats)
        script = (Read("k"), None), *loads(), (Write("k", STORED), error), (Heard(error), None)
        assert play(flow, *script) == "value"
        assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


@pytest.mark.parametrize("failed", [RAISE, raise_as(Ours), {"write": RAISE}, lambda error: RAISE])
def test_a_failed_write_raised_carries_the_value(failed):
    """The function has run: its result is the error's `.value`."""
    stats = Stats()
    error = broken("write")
    flow = call("k", rules(Policy(failed=failed)), stats)
    script = (Read("k"), None), *loads(), (Write("k", STORED), error), (Heard(error), None)
    refusal = play(flow, *script)
    assert type(refusal) is Refusal
    assert error in (refusal.error, refusal.error.__cause__)
    assert error.value == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_a_failed_write_goes_to_the_fallback():
    """`fallback(b)`: the entry is written there; if that fails too, both are heard."""
    going = rules(Policy(failed={"write": fallback(OTHER)}))
    error = broken("write")
    script = (Read("k"), None), *loads(), (Write("k", STORED), error), (Heard(error), None)
    assert play(call("k", going, Stats()), *script, (Write("k", STORED, OTHER), None)) == "value"
    assert going.standby is OTHER

    going = rules(Policy(failed={"write": fallback(OTHER)}))
    stats, error, second = Stats(), broken("write"), Full("k")
    script = (Read("k"), None), *loads(), (Write("k", STORED), error), (Heard(error), None)
    more = (Write("k", STORED, OTHER), second), (Heard(second), None)
    assert play(call("k", going, stats), *script, *more) == "value"
    assert going.standby is None
    assert stats.failures == 2


def test_an_exception_that_cannot_be_stored_is_still_the_answer():
    """A failed write of a negative entry never takes the exception's place under `absorb`."""
    error = broken("write")
    raised = Raised(Upstream())
    flow = call("k", rules(cache_exceptions={Upstream: 5}), Stats())
    next(flow)
    flow.send(None)
    flow.send(ALONE)
    flow.send(None)
    assert isinstance(flow.send(raised), Write)
    assert flow.throw(error) == Heard(error)
    with pytest.raises(StopIteration) as stop:
        flow.send(None)
    assert stop.value.value is raised
    assert error.value is None


# What the policy says about Full.


def full_write(error):
    """A miss whose write meets `error`."""
    return (Read("k"), None), *loads(), (Write("k", STORED), error)


def test_a_full_store_is_asked_to_evict_and_written_again():
    """`EVICT`: one eviction, one more try; that is no failure."""
    for full in (EVICT, lambda error: EVICT):
        stats = Stats()
        flow = call("k", rules(Policy(full=full)), stats)
        more = (Evict("k"), 1), (Write("k", STORED), None)
        assert play(flow, *full_write(Full("k")), *more) == "value"
        assert counts(stats) == {"misses": 1, "loads": 1}


def test_a_store_that_stays_full_is_skipped():
    """Nothing evicted, or still full afterwards: heard, counted, and the caller has the value."""
    for more in ([(Evict("k"), 0)], [(Evict("k"), 1), (Write("k", STORED), Full("k"))]):
        stats, error = Stats(), Full("k")
        flow = call("k", rules(), stats)
        assert play(flow, *full_write(error), *more, (Heard(error), None)) == "value"
        assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_an_eviction_that_fails_is_heard_too():
    """Both the failing eviction and the full store are counted."""
    stats, error, second = Stats(), Full("k"), broken("write")
    flow = call("k", rules(), stats)
    more = (Evict("k"), second), (Heard(second), None), (Heard(error), None)
    assert play(flow, *full_write(error), *more) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 2}


def test_a_value_larger_than_the_store_evicts_nothing():
    """`too_large`: no eviction could help, and none is asked for."""
    stats, error = Stats(), Full("k", too_large=True)
    flow = call("k", rules(), stats)
    assert play(flow, *full_write(error), (Heard(error), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_a_full_store_may_be_skipped_at_once():
    """`SKIP`: heard, counted, no eviction."""
    stats, error = Stats(), Full("k")
    flow = call("k", rules(Policy(full=SKIP)), stats)
    assert play(flow, *full_write(error), (Heard(error), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


@pytest.mark.parametrize("full", [RAISE, raise_as(Ours), lambda error: RAISE])
def test_a_full_store_can_be_refused(full):
    """The error is heard, counted, and the caller's, with the function's result in it."""
    stats, error = Stats(), Full("k")
    flow = call("k", rules(Policy(full=full)), stats)
    refusal = play(flow, *full_write(error), (Heard(error), None))
    assert error in (refusal.error, refusal.error.__cause__)
    assert error.value == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_a_callable_for_full_that_raises_evicts():
    """`EVICT` is the default that a broken callable falls back to."""

    def fails(error):
        raise ValueError("hook")

    stats = Stats()
    flow = call("k", rules(Policy(full=fails)), stats)
    more = (Heard(words="hook"), None), (Evict("k"), 1), (Write("k", STORED), None)
    assert play(flow, *full_write(Full("k")), *more) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


# Calls without a key.


def test_a_call_without_a_key_goes_to_the_function():
    """Nothing is read, joined or written."""
    for failed in (CALL, STALE, fallback(OTHER), {"read": RAISE}):
        stats, error = Stats(), broken("key", None)
        flow = unkeyed(error, rules(Policy(failed=failed)), stats)
        assert play(flow, (Heard(error), None), (Load(None), "value")) == "value"
        assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_a_call_without_a_key_can_be_refused():
    """`RAISE` and `raise_as` for the operation "key"."""
    for failed in (RAISE, raise_as(Ours), {"key": RAISE}):
        stats, error = Stats(), broken("key", None)
        flow = unkeyed(error, rules(Policy(failed=failed)), stats)
        refusal = play(flow, (Heard(error), None))
        assert error in (refusal.error, refusal.error.__cause__)
        assert counts(stats) == {"misses": 1, "failures": 1}


def test_every_refusal_is_a_cache_error_or_what_the_program_chose():
    """The four variants, and nothing else, can end a flow."""
    assert {Miss, Expired, Full, OperationFailed} == set(CacheError.__subclasses__())
