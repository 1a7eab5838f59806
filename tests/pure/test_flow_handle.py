"""What the handle does, decided by hand: get, look, renew, store, delete, clear."""

from __future__ import annotations

import pytest
from pure.by_hand import Heard, Watching, broken, counts, play, rules

from memo import CALL, EVICT, RAISE, SKIP, STALE, Entry, Policy, fallback, raise_as
from memo.entry import Raised
from memo.errors import Expired, Full, Miss
from memo.flow import (
    HELD,
    Clear,
    Delete,
    Evict,
    Followed,
    Join,
    Load,
    Read,
    Refusal,
    Write,
    clear,
    delete,
    get,
    look,
    refused,
    reload,
    renew,
    store,
    untouched,
)
from memo.stats import Stats

OTHER = object()
FRESH = Entry("held", 95.0, 105.0, 105.0)
EXPIRED = Entry("held", 80.0, 90.0, 90.0)
STORED = Entry("value", 100.0, 110.0, 110.0)


class Upstream(Exception):
    """What the function raises."""


class Ours(Exception):
    """What the program would rather see than a cache error."""


def test_get_gives_what_is_fresh():
    """A hit, and nothing is refreshed however late in its life."""
    stats = Stats()
    late = rules(refresh_after=0.1)
    assert play(get("k", late, stats), (Read("k"), FRESH)) == "held"
    assert counts(stats) == {"hits": 1}


def test_get_refuses_what_is_not_there():
    """`CALL` means nothing here: a miss is `Miss`, an expired entry is `Expired`."""
    stats = Stats()
    refusal = play(get("k", rules(), stats), (Read("k"), None))
    assert type(refusal) is Refusal
    assert (type(refusal.error), refusal.error.key) == (Miss, "k")
    refusal = play(get("k", rules(), stats), (Read("k"), EXPIRED))
    assert type(refusal.error) is Expired
    assert (refusal.error.value, refusal.error.age) == ("held", 20.0)
    assert counts(stats) == {"misses": 2, "expirations": 1}


def test_get_obeys_stale_windows_and_raise_as():
    """What a call would serve stale, `get` serves; what it would raise as another type, too."""
    for generous in (rules(Policy(expired=STALE)), rules(stale_while_revalidate=60)):
        stats = Stats()
        assert play(get("k", generous, stats), (Read("k"), EXPIRED)) == "held"
        assert counts(stats) == {"hits": 1, "stale_hits": 1}
    refusal = play(get("k", rules(Policy(miss=raise_as(Ours))), Stats()), (Read("k"), None))
    assert type(refusal.error) is Ours
    assert type(refusal.error.__cause__) is Miss
    refusal = play(get("k", rules(Policy(expired=raise_as(Ours))), Stats()), (Read("k"), EXPIRED))
    assert type(refusal.error) is Ours


def test_get_gives_a_remembered_exception():
    """A fresh negative entry is an answer; an expired one is `Expired`."""
    remembered = Raised(Upstream())
    fresh = Entry(remembered, 95.0, 105.0, 105.0)
    result = play(get("k", rules(cache_exceptions={Upstream: 5}), Stats()), (Read("k"), fresh))
    assert result == remembered
    for policy in (Policy(), Policy(expired=STALE)):
        expired = Entry(remembered, 80.0, 90.0, 90.0)
        negative = rules(policy, cache_exceptions={Upstream: 5})
        refusal = play(get("k", negative, Stats()), (Read("k"), expired))
        assert type(refusal.error) is Expired
        assert refusal.error.value is None


def test_get_refuses_after_a_failed_read():
    """`CALL` is no answer either; the failure is heard once and raised."""
    for failed in (CALL, RAISE, {"write": RAISE}):
        stats, error = Stats(), broken()
        flow = get("k", rules(Policy(failed=failed)), stats)
        assert play(flow, (Read("k"), error), (Heard(error), None)) == Refusal(error)
        assert counts(stats) == {"misses": 1, "failures": 1}
    error = broken()
    flow = get("k", rules(Policy(failed=raise_as(Ours))), Stats())
    refusal = play(flow, (Read("k"), error), (Heard(error), None))
    assert type(refusal.error) is Ours


def test_get_looks_into_what_is_held_and_into_the_fallback():
    """`STALE` and `fallback` have their say after a failed read."""
    stats, error = Stats(), broken()
    flow = get("k", rules(Policy(failed=STALE)), stats)
    assert (
        play(flow, (Read("k"), error), (Heard(error), None), (Read("k", HELD), EXPIRED)) == "held"
    )
    assert counts(stats) == {"hits": 1, "stale_hits": 1, "failures": 1}

    stats, error = Stats(), broken()
    flow = get("k", rules(Policy(failed=STALE)), stats)
    refusal = play(flow, (Read("k"), error), (Heard(error), None), (Read("k", HELD), None))
    assert refusal == Refusal(error)

    stats, error = Stats(), broken()
    flow = get("k", rules(Policy(failed=fallback(OTHER))), stats)
    script = (Read("k"), error), (Heard(error), None)
    assert play(flow, *script, (Read("k", OTHER), FRESH)) == "held"
    assert counts(stats) == {"hits": 1, "failures": 1}

    error = broken()
    flow = get("k", rules(Policy(failed=fallback(OTHER))), Stats())
    refusal = play(flow, (Read("k"), error), (Heard(error), None), (Read("k", OTHER), None))
    assert type(refusal.error) is Miss
    assert refusal.error.__cause__ is error


def test_get_asks_a_callable_once_about_each_error():
    """A policy's callable may count what it is asked."""
    asked = []

    def decide(error):
        asked.append(error)
        return RAISE

    play(get("k", rules(Policy(expired=decide)), Stats()), (Read("k"), EXPIRED))
    assert len(asked) == 1
    asked.clear()
    error = broken()
    flow = get("k", rules(Policy(failed=decide)), Stats())
    play(flow, (Read("k"), error), (Heard(error), None))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("entry", "options", "status", "value", "age"),
    [
        (FRESH, {}, "fresh", "held", 5.0),
        (None, {}, "miss", None, None),
        (EXPIRED, {}, "expired", "held", 20.0),
        (EXPIRED, {"stale_while_revalidate": 11}, "stale", "held", 20.0),
        (EXPIRED, {"stale_while_revalidate": 10}, "expired", "held", 20.0),
        (EXPIRED, {"stale_if_error": 60}, "expired", "held", 20.0),
        (EXPIRED, {"policy": Policy(expired=STALE)}, "stale", "held", 20.0),
        (EXPIRED, {"policy": Policy(expired=RAISE)}, "expired", "held", 20.0),
    ],
)
def test_look_tells_what_is_there(entry, options, status, value, age):
    """An `Outcome`: nothing is raised, counted or refreshed."""
    outcome = play(look("k", rules(**options)), (Read("k"), entry))
    assert (outcome.status, outcome.value, outcome.age) == (status, value, age)
    assert outcome.hit is (status in {"fresh", "stale"})
    wanted = {"miss": Miss, "expired": Expired}.get(status, type(None))
    assert type(outcome.error) is wanted


def test_look_tells_of_a_remembered_exception():
    """Fresh, no value, and the exception as the error."""
    upstream = Upstream()
    entry = Entry(Raised(upstream), 95.0, 105.0, 105.0)
    outcome = play(look("k", rules(cache_exceptions={Upstream: 5})), (Read("k"), entry))
    assert (outcome.status, outcome.value, outcome.error) == ("fresh", None, upstream)


def test_look_tells_of_failures_and_counts_nothing():
    """Without counters a failed read is neither counted nor heard."""
    error = broken()
    outcome = play(look("k", rules(cache_exceptions={Upstream: 5})), (Read("k"), error))
    assert (outcome.status, outcome.error, outcome.hit) == ("failed", error, False)

    error = broken()
    outcome = play(look("k", rules(Policy(failed=RAISE))), (Read("k"), error))
    assert (outcome.status, outcome.error) == ("failed", error)

    held = rules(Policy(failed=STALE))
    outcome = play(look("k", held), (Read("k"), broken()), (Read("k", HELD), EXPIRED))
    assert (outcome.status, outcome.value, outcome.tier) == ("stale", "held", "held")
    outcome = play(look("k", held), (Read("k"), broken()), (Read("k", HELD), None))
    assert outcome.status == "failed"
    outcome = play(look("k", held), (Read("k"), broken()), (Read("k", HELD), broken()))
    assert outcome.status == "failed"

    instead = rules(Policy(failed=fallback(OTHER)))
    outcome = play(look("k", instead), (Read("k"), broken()), (Read("k", OTHER), FRESH))
    assert (outcome.status, outcome.value, outcome.tier) == ("fresh", "held", "fallback")
    outcome = play(look("k", instead), (Read("k"), broken()), (Read("k", OTHER), None))
    assert (outcome.status, outcome.tier) == ("miss", "fallback")


def test_look_survives_a_policy_that_raises():
    """A broken callable is answered as the default would be."""

    def fails(error):
        raise ValueError("hook")

    outcome = play(look("k", rules(Policy(expired=fails))), (Read("k"), EXPIRED))
    assert outcome.status == "expired"


def test_renew_loads_whatever_is_stored():
    """Join, load, write: no read."""
    stats = Stats()
    script = (Join("k"), Watching()), (Load("k"), "value"), (Write("k", STORED), None)
    assert play(renew("k", rules(), stats), *script) == "value"
    assert counts(stats) == {"loads": 1}


def test_renew_waits_for_a_load_under_way():
    """It gets that load's value, its exception, or a twin of its refusal."""
    assert play(renew("k", rules(), Stats()), (Join("k"), Followed("value"))) == "value"
    raised = Raised(Upstream())
    assert play(renew("k", rules(), Stats()), (Join("k"), Followed(raised))) is raised
    error = broken("write")
    refusal = play(renew("k", rules(), Stats()), (Join("k"), Followed(Refusal(error))))
    assert str(refusal.error) == str(error)
    assert refusal.error is not error


def test_a_reload_overtaken_stores_nothing():
    """What runs in the background and has been superseded is dropped."""
    flow = reload("k", rules(), Stats(), Watching(superseded=True))
    assert play(flow, (Load("k"), "value")) == "value"


def test_store_writes_an_entry():
    """`set`: True once it is written, with the cache's own lifetime or another."""
    stats = Stats()
    assert play(store("k", "value", rules(), stats), (Write("k", STORED), None)) is True
    assert counts(stats) == {}
    longer = rules(ttl=50).freshness
    entry = Entry("value", 100.0, 150.0, 150.0)
    flow = store("k", "value", rules(), Stats(), longer)
    assert play(flow, (Write("k", entry), None)) is True


def test_store_says_no_where_nothing_is_stored():
    """`maxsize=0`: False; so does a ttl function that raises, and what is stored is dropped."""
    assert play(store("k", "value", rules(stores=False), Stats())) is False
    stats = Stats()
    flow = store("k", "value", rules(ttl=lambda value: 1 / 0), stats)
    assert play(flow, (Heard(words="ttl raised"), None), (Delete("k"), True)) is False
    assert counts(stats) == {"failures": 1}


def test_what_is_newer_and_not_to_be_stored_drops_what_is_older():
    """`set` and `refresh` of a value with no lifetime, or one `should_cache` does not want."""
    none = rules(ttl=lambda value: 0)
    assert play(store("k", "value", none, Stats()), (Delete("k"), True)) is False
    error = broken("delete")
    script = (Delete("k"), error), (Heard(error), None)
    assert play(store("k", "value", none, Stats()), *script) is False

    unwanted = rules(should_cache=lambda value: False)
    for choice in (none, unwanted):
        script = (Join("k"), Watching()), (Load("k"), "value"), (Delete("k"), True)
        assert play(renew("k", choice, Stats()), *script) == "value"
        script = (Join("k"), Watching(superseded=True)), (Load("k"), "value")
        assert play(renew("k", choice, Stats()), *script) == "value"
    raised = Raised(Upstream())
    assert play(renew("k", none, Stats()), (Join("k"), Watching()), (Load("k"), raised)) is raised


def test_store_does_not_ask_should_cache():
    """Who sets a value has decided already."""
    flow = store("k", "value", rules(should_cache=lambda value: False), Stats())
    assert play(flow, (Write("k", STORED), None)) is True


def test_store_under_every_policy():
    """Absorbed: False; raised: a refusal; evicted or on the fallback: True."""
    write = Write("k", STORED)
    for failed in (CALL, STALE, {"read": RAISE}):
        error = broken("write")
        flow = store("k", "value", rules(Policy(failed=failed)), Stats())
        assert play(flow, (write, error), (Heard(error), None)) is False
    for failed in (RAISE, raise_as(Ours), {"write": RAISE}):
        error = broken("write")
        flow = store("k", "value", rules(Policy(failed=failed)), Stats())
        refusal = play(flow, (write, error), (Heard(error), None))
        assert error in (refusal.error, refusal.error.__cause__)
        assert error.value == "value"

    error = broken("write")
    going = rules(Policy(failed=fallback(OTHER)))
    script = (write, error), (Heard(error), None), (Write("k", STORED, OTHER), None)
    assert play(store("k", "value", going, Stats()), *script) is True
    assert going.standby is OTHER

    assert play(
        store("k", "value", rules(), Stats()), (write, Full("k")), (Evict("k"), 1), (write, None)
    )
    error = Full("k")
    flow = store("k", "value", rules(Policy(full=SKIP)), Stats())
    assert play(flow, (write, error), (Heard(error), None)) is False
    error = Full("k")
    flow = store("k", "value", rules(Policy(full=RAISE)), Stats())
    assert play(flow, (write, error), (Heard(error), None)) == Refusal(error)
    error = Full("k")
    flow = store("k", "value", rules(Policy(full=EVICT)), Stats())
    assert play(flow, (write, error), (Evict("k"), 0), (Heard(error), None)) is False


@pytest.mark.parametrize(
    ("make", "step", "operation"),
    [
        (lambda rules, stats: delete("k", rules, stats), Delete("k"), "delete"),
        (clear, Clear(None), "clear"),
    ],
    ids=["delete", "clear"],
)
class TestDropping:
    def test_it_is_done(self, make, step, operation):
        """The answer is the backend's."""
        for done in (True, False):
            stats = Stats()
            assert play(make(rules(), stats), (step, done)) is done
            assert counts(stats) == {}

    def test_a_failure_is_absorbed(self, make, step, operation):
        """Under `absorb` the answer is False, and the failure is heard."""
        for failed in (CALL, STALE, {"read": RAISE, "write": RAISE}):
            stats, error = Stats(), broken(operation)
            flow = make(rules(Policy(failed=failed)), stats)
            assert play(flow, (step, error), (Heard(error), None)) is False
            assert counts(stats) == {"failures": 1}

    def test_a_failure_can_be_refused(self, make, step, operation):
        """`RAISE` and `raise_as`, for all operations or for this one."""
        for failed in (RAISE, raise_as(Ours), {operation: RAISE}, lambda error: RAISE):
            stats, error = Stats(), broken(operation)
            flow = make(rules(Policy(failed=failed)), stats)
            refusal = play(flow, (step, error), (Heard(error), None))
            assert error in (refusal.error, refusal.error.__cause__)
            assert counts(stats) == {"failures": 1}

    def test_it_is_done_on_the_fallback_too(self, make, step, operation):
        """Whether or not the backend fails, whether or not the fallback is in use."""
        going = rules(Policy(failed=fallback(OTHER)))
        other = type(step)(step.key, OTHER)
        assert play(make(going, Stats()), (step, True), (other, False)) is True
        assert play(make(going, Stats()), (step, False), (other, True)) is True
        error = broken(operation)
        script = (step, error), (Heard(error), None), (other, True)
        assert play(make(going, Stats()), *script) is True

    def test_it_is_done_on_the_fallback_of_one_operation_and_on_the_standby(
        self, make, step, operation
    ):
        """A mapping may name several; one that a callable chose is known once it is written."""
        second = object()
        both = rules(Policy(failed={"read": fallback(OTHER), "write": fallback(second)}))
        others = [(type(step)(step.key, backend), False) for backend in (OTHER, second)]
        assert play(make(both, Stats()), (step, True), *others) is True
        chosen = rules(Policy(failed=lambda error: fallback(OTHER)), standby=OTHER)
        assert play(make(chosen, Stats()), (step, True), others[0]) is True

    def test_a_fallback_that_fails_is_heard(self, make, step, operation):
        """It is counted, and the answer stands."""
        stats, error = Stats(), broken(operation)
        going = rules(Policy(failed=fallback(OTHER)))
        other = type(step)(step.key, OTHER)
        assert play(make(going, stats), (step, True), (other, error), (Heard(error), None)) is True
        assert counts(stats) == {"failures": 1}

    def test_a_refusal_comes_after_the_fallback(self, make, step, operation):
        """What is raised to the caller does not leave the fallback undone."""
        error = broken(operation)
        mixed = rules(Policy(failed={"read": fallback(OTHER), operation: RAISE}))
        script = (step, error), (Heard(error), None), (type(step)(step.key, OTHER), True)
        assert play(make(mixed, Stats()), *script) == Refusal(error)


def test_a_look_without_a_key_is_refused():
    """`get` of arguments that cannot be a key: the error, or what `raise_as` makes of it."""
    for failed in (CALL, STALE, RAISE, fallback(OTHER)):
        stats, error = Stats(), broken("key", None)
        flow = refused(error, rules(Policy(failed=failed)), stats)
        assert play(flow, (Heard(error), None)) == Refusal(error)
        assert counts(stats) == {"misses": 1, "failures": 1}
    error = broken("key", None)
    flow = refused(error, rules(Policy(failed=raise_as(Ours))), Stats())
    assert type(play(flow, (Heard(error), None)).error) is Ours


def test_a_store_or_drop_without_a_key_is_false():
    """`set` and `invalidate` of arguments that cannot be a key: False, or a refusal."""
    for failed in (CALL, STALE, fallback(OTHER), {"write": RAISE}):
        stats, error = Stats(), broken("key", None)
        flow = untouched(error, rules(Policy(failed=failed)), stats)
        assert play(flow, (Heard(error), None)) is False
        assert counts(stats) == {"failures": 1}
    for failed in (RAISE, {"key": RAISE}):
        error = broken("key", None)
        flow = untouched(error, rules(Policy(failed=failed)), Stats())
        assert play(flow, (Heard(error), None)) == Refusal(error)
