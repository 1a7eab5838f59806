"""Functions that fail or take long, decided by hand: what is served, raised, tried again."""

from __future__ import annotations

import pytest
from pure.by_hand import Heard, Watching, broken, counts, play, rules

from memo import CALL, RAISE, STALE, Entry, LoadTimeout, Policy, fallback
from memo.entry import Raised
from memo.errors import OperationFailed
from memo.flow import (
    ALONE,
    HELD,
    LATE,
    Admit,
    Clear,
    Covered,
    Delete,
    Followed,
    Join,
    Load,
    LoadBehind,
    Read,
    Refresh,
    Refusal,
    Write,
    call,
    clear,
    delete,
    get,
    look,
    reload,
    renew,
    store,
    unkeyed,
)
from memo.stats import Stats

OTHER = object()

#: Entries as they look at the moment 100.
FRESH = Entry("held", 95.0, 105.0, 105.0)
EXPIRED = Entry("held", 80.0, 90.0, 90.0)
STORED = Entry("value", 100.0, 110.0, 110.0)


#: Hears of an exception that a stale value stands in for.
COVERED = Heard(words="a stale value stands in for"), None


class Upstream(Exception):
    """What the function raises."""


class Down(Upstream):
    """A kind of it."""


def first(flow, *answers):
    """The step that `flow` wants after these answers."""
    step = next(flow)
    for answer in answers:
        step = flow.send(answer)
    return step


def ends(flow, answer):
    """What `flow` returns when it is given its last answer."""
    with pytest.raises(StopIteration) as stop:
        flow.send(answer)
    return stop.value.value


# How long a call waits.


def test_with_a_hard_timeout_a_load_runs_behind():
    """The caller waits for so long at most, and gets what the load behind gave."""
    stats = Stats()
    flow = call("k", rules(hard_timeout=2), stats)
    script = [(Read("k"), None), (Join("k", 2), ALONE), (Read("k"), None)]
    assert play(flow, *script, (LoadBehind("k", 2), Followed("value"))) == "value"
    assert counts(stats) == {"misses": 1}


def test_what_runs_behind_loads_and_stores():
    """It is the load that the caller would have made itself."""
    stats = Stats()
    step = first(call("k", rules(hard_timeout=2), stats), None, ALONE, None)
    assert play(step.flow, (Load("k"), "value"), (Write("k", STORED), None)) == "value"
    assert stats.loads == 1


def test_where_it_cannot_run_behind_the_caller_loads():
    """The answer None: the function is to be called here."""
    stats = Stats()
    flow = call("k", rules(hard_timeout=2), stats)
    script = [(Read("k"), None), (Join("k", 2), ALONE), (Read("k"), None)]
    script += [(LoadBehind("k", 2), None), (Load("k"), "value"), (Write("k", STORED), None)]
    assert play(flow, *script) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1}


@pytest.mark.parametrize("entry", [None, EXPIRED], ids=["nothing", "expired"])
@pytest.mark.parametrize("leads", [True, False])
def test_past_the_hard_timeout_the_caller_gets_a_timeout(entry, leads):
    """Leader or follower, with nothing that may be served: `LoadTimeout`, a miss, no failure."""
    stats = Stats()
    flow = call("k", rules(hard_timeout=2), stats)
    script = [(Read("k"), entry), (Join("k", 2), ALONE if leads else LATE)]
    if leads:
        script += [(Read("k"), entry), (LoadBehind("k", 2), LATE)]
    refusal = play(flow, *script)
    assert type(refusal) is Refusal
    assert type(refusal.error) is LoadTimeout
    assert (refusal.error.key, refusal.error.seconds) == ("k", 2)
    assert isinstance(refusal.error, TimeoutError)
    assert counts(stats) == {"misses": 1} | ({"expirations": 1} if entry else {})


def test_no_policy_is_asked_about_a_timeout():
    """It is the caller's own wish: neither absorbed nor exchanged."""

    def asked(error):
        raise AssertionError

    policy = Policy(failed=asked, full=asked)
    flow = call("k", rules(policy, hard_timeout=2), Stats())
    refusal = play(flow, (Read("k"), None), (Join("k", 2), LATE))
    assert type(refusal.error) is LoadTimeout


@pytest.mark.parametrize("leads", [True, False])
def test_past_the_soft_timeout_the_stale_value_is_served(leads):
    """With something stale at hand the shorter timeout counts; the answer is a stale hit."""
    stats = Stats()
    flow = call("k", rules(stale_if_error=60, soft_timeout=0.5, hard_timeout=2), stats)
    script = [(Read("k"), EXPIRED), (Join("k", 0.5), ALONE if leads else LATE)]
    if leads:
        script += [(Read("k"), EXPIRED), (LoadBehind("k", 0.5), LATE)]
    assert play(flow, *script) == "held"
    assert counts(stats) == {"hits": 1, "stale_hits": 1}


def test_without_something_stale_the_soft_timeout_does_not_count():
    """Nothing there, past every window, or a remembered exception: the hard one counts, or none."""
    past = Entry("held", 10.0, 20.0, 20.0)
    raised = Entry(Raised(Upstream()), 80.0, 90.0, 90.0)
    for entry in (None, past, raised):
        both = rules(stale_if_error=60, soft_timeout=0.5, hard_timeout=2)
        assert first(call("k", both, Stats()), entry) == Join("k", 2)
        soft = rules(stale_if_error=60, soft_timeout=0.5)
        assert first(call("k", soft, Stats()), entry) == Join("k", None)
        assert first(call("k", soft, Stats()), entry, ALONE, entry) == Load("k")


def test_with_a_mapping_the_soft_timeout_serves_in_the_longest_window():
    """What is kept for any kind of failure may be served for slowness."""
    mapping = rules(stale_if_error={Down: 5, Upstream: 60}, soft_timeout=0.5)
    assert first(call("k", mapping, Stats()), EXPIRED) == Join("k", 0.5)


@pytest.mark.parametrize(
    ("covered", "served"),
    [
        (60, True),
        ({TimeoutError: 60}, True),
        ({LoadTimeout: 60}, True),
        ({OSError: 60, LoadTimeout: 0}, False),
        ({Upstream: 60}, False),
        ({Upstream: 60, TimeoutError: 5}, False),
    ],
)
@pytest.mark.parametrize("leads", [True, False])
def test_stale_if_error_covers_a_hard_timeout_as_it_covers_an_exception(covered, served, leads):
    """By its types, `LoadTimeout` and `TimeoutError`, and within their window."""
    stats = Stats()
    flow = call("k", rules(stale_if_error=covered, hard_timeout=2), stats)
    script = [(Read("k"), EXPIRED), (Join("k", 2), ALONE if leads else LATE)]
    if leads:
        script += [(Read("k"), EXPIRED), (LoadBehind("k", 2), LATE)]
    answer = play(flow, *script)
    if served:
        assert answer == "held"
        assert counts(stats) == {"hits": 1, "stale_hits": 1}
    else:
        assert type(answer.error) is LoadTimeout
        assert counts(stats) == {"misses": 1, "expirations": 1}


def test_a_failure_behind_is_covered_as_one_here():
    """What runs behind ends with the stale value, which is a stale hit for who waits."""
    stats = Stats()
    flow = call("k", rules(stale_if_error=60, hard_timeout=2), stats)
    step = first(flow, EXPIRED, ALONE, EXPIRED)
    assert play(step.flow, (Load("k"), Raised(Upstream())), COVERED) == Covered(EXPIRED)
    assert ends(flow, Followed(Covered(EXPIRED))) == "held"
    failed = {"loads": 1, "load_failures": 1, "failures": 1}
    assert counts(stats) == {"hits": 1, "stale_hits": 1} | failed


def test_a_failure_behind_that_is_not_covered_is_the_callers():
    """It is a miss, with the exception itself."""
    stats = Stats()
    flow = call("k", rules(stale_if_error={Down: 60}, hard_timeout=2), stats)
    raised = Raised(Upstream())
    first(flow, EXPIRED, ALONE, EXPIRED)
    assert ends(flow, Followed(raised)) is raised
    assert counts(stats) == {"misses": 1, "expirations": 1}


def test_a_follower_with_something_stale_covers_for_itself():
    """Where the leader had nothing to stand in for the exception, its follower may have."""
    stats = Stats()
    flow = call("k", rules(stale_if_error=60), stats)
    script = (Read("k"), EXPIRED), (Join("k"), Followed(Raised(Upstream())))
    assert play(flow, *script) == "held"
    assert counts(stats) == {"hits": 1, "stale_hits": 1}


def test_a_refresh_waits_no_longer_than_the_hard_timeout():
    """`f.refresh()` asks for a new value: what is stale is not served instead."""
    both = rules(stale_if_error=60, soft_timeout=0.5, hard_timeout=2)
    for script in (
        [(Join("k", 2), LATE)],
        [(Join("k", 2), ALONE), (LoadBehind("k", 2), LATE)],
    ):
        refusal = play(renew("k", both, Stats()), *script)
        assert type(refusal.error) is LoadTimeout
    script = (Join("k", 2), ALONE), (LoadBehind("k", 2), Followed("value"))
    assert play(renew("k", both, Stats()), *script) == "value"


def test_a_call_without_a_key_waits_no_longer_either():
    """The hard timeout is about the function, whatever the cache does."""
    error = broken("key", None)
    script = (Heard(error), None), (LoadBehind(None, 2), LATE)
    refusal = play(unkeyed(error, rules(hard_timeout=2), Stats()), *script)
    assert type(refusal.error) is LoadTimeout


@pytest.mark.parametrize("leads", [True, False])
def test_after_a_failed_read_a_call_waits_no_longer_either(leads):
    """The same where the backend is away."""
    error = broken()
    stats = Stats()
    script = [(Read("k"), error), (Heard(error), None), (Join("k", 2), ALONE if leads else LATE)]
    if leads:
        script.append((LoadBehind("k", 2), LATE))
    refusal = play(call("k", rules(hard_timeout=2), stats), *script)
    assert type(refusal.error) is LoadTimeout
    assert counts(stats) == {"misses": 1, "failures": 1}


# Which exceptions a stale value stands in for.


@pytest.mark.parametrize(
    ("error", "served"),
    [
        (Upstream(), True),
        (Down(), False),
        (LookupError(), True),
        (KeyError(), True),
        (ValueError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_a_mapping_says_for_which_exceptions_the_stale_value_is_served(error, served):
    """The nearest type in the exception's line counts; 0, or nothing said, is never."""
    chosen = rules(stale_if_error={Upstream: 60, Down: 0, LookupError: "1m"})
    stats = Stats()
    raised = Raised(error)
    script = [(Read("k"), EXPIRED), (Join("k"), ALONE), (Read("k"), EXPIRED), (Load("k"), raised)]
    answer = play(call("k", chosen, stats), *script, *[COVERED] * served)
    assert answer == "held" if served else answer is raised
    assert stats.stale_hits == stats.failures == served


def test_each_exception_has_the_window_that_the_mapping_gives_it():
    """An entry is kept for the longest window, and served in its own."""
    chosen = rules(stale_if_error={Upstream: 60, Down: 5}, now=100.0)
    assert chosen.freshness.entry("value", 100.0, lambda: 0.5).kept_until == 170.0
    for error, served in ((Down(), False), (Upstream(), True)):
        raised = Raised(error)
        script = [(Read("k"), EXPIRED), (Join("k"), ALONE), (Read("k"), EXPIRED)]
        script += [(Load("k"), raised), *[COVERED] * served]
        answer = play(call("k", chosen, Stats()), *script)
        assert answer == "held" if served else answer is raised


def test_an_exception_that_is_not_covered_may_be_remembered():
    """`cache_exceptions` and the mapping share the exceptions out between them."""
    both = rules(stale_if_error={Upstream: 60, Down: 0}, cache_exceptions={Upstream: 5})
    flow = call("k", both, Stats())
    assert first(flow, EXPIRED, ALONE, EXPIRED, Raised(Upstream())) == COVERED[0]
    assert ends(flow, None) == "held"
    flow = call("k", both, Stats())
    write = first(flow, EXPIRED, ALONE, EXPIRED, Raised(Down()))
    assert type(write) is Write
    assert type(write.entry.value.error) is Down


# Not tried again at once.


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def failed_once(error=None, **options):
    """A clock, and rules under which the load of "k" has failed at 100 and was covered."""
    clock = Clock()
    given = {"stale_if_error": 60, "retry_after": 5} | options
    pausing = rules(timer=clock, **given)
    script = [(Read("k"), EXPIRED), (Join("k"), ALONE), (Read("k"), EXPIRED)]
    script += [(Load("k"), Raised(error or Upstream())), COVERED]
    assert play(call("k", pausing, Stats()), *script) == "held"
    return clock, pausing


def test_after_a_covered_failure_the_stale_value_is_served_at_once():
    """Until `retry_after` is over no load is tried; each such answer is a stale hit."""
    clock, pausing = failed_once()
    for clock.now in (100.0, 104.9):
        stats = Stats()
        assert play(call("k", pausing, stats), (Read("k"), EXPIRED)) == "held"
        assert counts(stats) == {"hits": 1, "stale_hits": 1}
    clock.now = 105.0
    assert first(call("k", pausing, Stats()), EXPIRED) == Join("k")


def test_a_pause_is_of_one_key():
    """Other keys are tried."""
    _, pausing = failed_once()
    assert first(call("other", pausing, Stats()), EXPIRED) == Join("other")


def test_without_retry_after_each_call_tries_again():
    """The default."""
    _, pausing = failed_once(retry_after=0)
    assert pausing.pauses is None
    assert first(call("k", pausing, Stats()), EXPIRED) == Join("k")


def test_a_pause_serves_no_longer_than_the_window_of_what_was_raised():
    """Past the window that the mapping gives that exception, the function is called."""
    clock, pausing = failed_once(Down(), stale_if_error={Upstream: 60, Down: 12})
    clock.now = 101.9
    assert play(call("k", pausing, Stats()), (Read("k"), EXPIRED)) == "held"
    clock.now = 102.0
    assert first(call("k", pausing, Stats()), EXPIRED) == Join("k")


def test_with_nothing_stale_the_function_is_called_in_a_pause():
    """A pause needs something to serve meanwhile; what is fresh is served in any case."""
    _, pausing = failed_once()
    assert first(call("k", pausing, Stats()), None) == Join("k")
    assert play(call("k", pausing, Stats()), (Read("k"), FRESH)) == "held"


def a_success(pausing):
    """The key has been loaded again."""
    script = (Join("k"), ALONE), (Load("k"), "value"), (Write("k", stored(pausing)), None)
    play(renew("k", pausing, Stats()), *script)


def stored(pausing):
    """The entry of "value", stored at 100."""
    return pausing.freshness.entry("value", 100.0, pausing.random)


ENDS = {
    "a success": a_success,
    "set": lambda pausing: play(
        store("k", "value", pausing, Stats()), (Write("k", stored(pausing)), None)
    ),
    "invalidate": lambda pausing: play(delete("k", pausing, Stats()), (Delete("k"), True)),
    "clear": lambda pausing: play(clear(pausing, Stats()), (Clear(None), True)),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_pause_is_ended_by_a_value_and_by_a_drop(end):
    """Whoever sets, drops or loads the key knows more than the failure did."""
    _, pausing = failed_once()
    end(pausing)
    assert len(pausing.pauses) == 0
    assert first(call("k", pausing, Stats()), EXPIRED) == Join("k")


@pytest.mark.parametrize(
    ("options", "entry", "policy"),
    [
        ({"stale_while_revalidate": 60}, EXPIRED, Policy()),
        ({"refresh_after": 0.3}, FRESH, Policy()),
        ({"stale_while_revalidate": 1}, EXPIRED, Policy(expired=STALE)),
    ],
    ids=["revalidate", "ahead", "STALE"],
)
def test_a_refresh_that_failed_is_not_begun_again_in_the_pause(options, entry, policy):
    """Served while revalidated, or ahead of expiry, or by policy: one attempt per pause."""
    clock = Clock()
    pausing = rules(policy, timer=clock, retry_after=4, **options)
    behind = reload("k", pausing, Stats(), ALONE, replaces=True)
    assert first(behind) == Load("k")
    assert type(ends(behind, Raised(Upstream()))) is Raised
    assert play(call("k", pausing, Stats()), (Read("k"), entry)) == "held"
    clock.now = 104.0
    script = (Read("k"), entry), (Refresh("k"), None)
    assert play(call("k", pausing, Stats()), *script) == "held"


def test_what_is_overtaken_pauses_nothing():
    """An invalidation during the load has the last word."""
    watch = Watching()
    pausing = rules(stale_if_error=60, retry_after=5)

    def superseded():
        watch.superseded = True
        return Raised(Upstream())

    script = [(Read("k"), EXPIRED), (Join("k"), watch), (Read("k"), EXPIRED)]
    answer = play(call("k", pausing, Stats()), *script, (Load("k"), superseded))
    assert type(answer) is Raised
    assert len(pausing.pauses) == 0


def test_a_clock_that_is_set_back_prolongs_no_pause():
    """A pause is over for who finds it longer than any is."""
    clock, pausing = failed_once()
    clock.now = 99.9
    assert first(call("k", pausing, Stats()), EXPIRED) == Join("k")


# What a store that is well cannot encode or decode.


def undecodable(operation="read"):
    """An error as a codec's guard raises it."""
    error = broken(operation)
    error.codec = True
    return error


@pytest.mark.parametrize("failed", [CALL, STALE, fallback(OTHER)], ids=repr)
def test_what_cannot_be_decoded_is_loaded_and_replaced(failed):
    """The store is well: no fallback is asked, and the bad payload is written over."""
    stats = Stats()
    error = undecodable()
    flow = call("k", rules(Policy(failed=failed)), stats)
    script = [(Read("k"), error), (Heard(error), None)]
    if failed is STALE:
        script.append((Read("k", HELD), None))
    script += [(Join("k"), ALONE), (Read("k"), undecodable())]  # the same error, heard once
    assert play(flow, *script, (Load("k"), "value"), (Write("k", STORED), None)) == "value"
    assert counts(stats) == {"misses": 1, "loads": 1, "failures": 1}


def test_under_stale_what_was_last_seen_stands_in_for_what_cannot_be_decoded():
    """`failed=STALE` is about this failure, too."""
    error = undecodable()
    script = (Read("k"), error), (Heard(error), None), (Read("k", HELD), EXPIRED)
    assert play(call("k", rules(Policy(failed=STALE)), Stats()), *script) == "held"


def test_what_another_has_replaced_meanwhile_is_a_hit():
    """The payload is looked at again before the load."""
    stats = Stats()
    error = undecodable()
    script = (Read("k"), error), (Heard(error), None), (Join("k"), ALONE), (Read("k"), FRESH)
    assert play(call("k", rules(), stats), *script) == "held"
    assert counts(stats) == {"hits": 1, "failures": 1}


def test_what_is_loaded_and_not_to_be_stored_leaves_no_bad_payload():
    """What cannot be decoded is dropped where nothing takes its place."""
    error = undecodable()
    script = [(Read("k"), error), (Heard(error), None), (Join("k"), ALONE), (Read("k"), None)]
    script += [(Load("k"), "value"), (Delete("k"), True)]
    flow = call("k", rules(should_cache=lambda value: False), Stats())
    assert play(flow, *script) == "value"


def test_the_policy_may_refuse_what_cannot_be_decoded():
    """`RAISE` raises it, and nothing is loaded."""
    error = undecodable()
    flow = call("k", rules(Policy(failed=RAISE)), Stats())
    assert play(flow, (Read("k"), error), (Heard(error), None)) == Refusal(error)


def test_a_look_at_what_cannot_be_decoded_asks_no_fallback():
    """`get` and `lookup` say that it failed."""
    away = rules(Policy(failed=fallback(OTHER)))
    error = undecodable()
    outcome = play(look("k", away), (Read("k"), error))
    assert (outcome.status, outcome.error) == ("failed", error)
    refusal = play(get("k", away, Stats()), (Read("k"), error), (Heard(error), None))
    assert refusal == Refusal(error)


@pytest.mark.parametrize("failed", [CALL, fallback(OTHER), RAISE], ids=repr)
def test_a_value_that_cannot_be_encoded_drops_the_one_it_outdates(failed):
    """Whatever the policy says: the old value is wrong now. A fallback is not asked."""
    stats = Stats()
    error = undecodable("write")
    flow = renew("k", rules(Policy(failed=failed)), stats)
    script = [(Join("k"), ALONE), (Load("k"), "value"), (Write("k", STORED), error)]
    answer = play(flow, *script, (Heard(error), None), (Delete("k"), True))
    assert answer == (Refusal(error) if failed is RAISE else "value")
    assert error.value == "value"
    assert counts(stats) == {"loads": 1, "failures": 1}


def test_a_set_that_cannot_be_encoded_drops_the_value_it_outdates():
    """`set` says False, and the old value is gone."""
    error = undecodable("write")
    script = (Write("k", STORED), error), (Heard(error), None), (Delete("k"), True)
    assert play(store("k", "value", rules(), Stats()), *script) is False


def test_an_exception_that_cannot_be_encoded_drops_nothing():
    """It does not outdate the value that is stored."""
    error = undecodable("write")
    raised = Raised(Upstream())
    flow = renew("k", rules(cache_exceptions={Upstream: 5}), Stats())
    write = first(flow, ALONE, raised)
    assert type(write) is Write
    assert flow.throw(error) == Heard(error)
    assert ends(flow, None) is raised


def test_a_store_that_is_away_is_not_asked_to_drop():
    """A write that failed otherwise is as it was."""
    error = broken("write")
    script = (Write("k", STORED), error), (Heard(error), None)
    assert play(store("k", "value", rules(), Stats()), *script) is False


# How many load at once.


def test_where_loads_are_limited_each_asks_to_be_admitted():
    """Before the function is called, here or behind, by a call or in the background."""
    limited = rules(Policy(max_loads_while_open=3))
    assert first(call("k", limited, Stats()), None, ALONE, None) == Admit("k", 3)
    assert first(renew("k", limited, Stats()), ALONE) == Admit("k", 3)
    assert first(reload("k", limited, Stats(), ALONE, replaces=True)) == Admit("k", 3)
    behind = rules(Policy(max_loads_while_open=3), hard_timeout=2)
    step = first(call("k", behind, Stats()), None, ALONE, None)
    assert step == LoadBehind("k", 2)
    assert first(step.flow) == Admit("k", 3)
    script = (Admit("k", 3), None), (Load("k"), "value"), (Write("k", STORED), None)
    assert play(reload("k", limited, Stats(), ALONE), *script) == "value"


def test_what_a_hook_raises_is_said_of_that_hook():
    """`should_cache` and `ttl` are told apart."""

    def fails(value):
        raise ValueError("hook")

    for hook in ("should_cache", "ttl"):
        flow = reload("k", rules(**{hook: fails}), Stats(), ALONE)
        assert play(flow, (Load("k"), "value"), (Heard(words=f" {hook} raised "), None)) == "value"
    failure = OperationFailed("ttl raised ValueError", operation="call")
    assert str(failure) == "cache call failed: ttl raised ValueError"
