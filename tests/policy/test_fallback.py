"""A fallback stands in while the backend fails, and is left when it is back."""

from __future__ import annotations

import pytest
from policy.scripted import Down, colours

from memo import CALL, RAISE, STALE, OperationFailed, Policy, fallback
from memo.backends import Memory
from memo.testing import FakeTimer


class Setting:
    """A function over a backend that fails, with a fallback, and what the function was called."""

    def __init__(self, colour, make=None, **policy):
        self.colour = colour
        self.timer = FakeTimer()
        self.main, self.other = colour.backend(), colour.backend()
        self.executions = []
        self.heard = []
        policy.setdefault("failed", make(self.other) if make else fallback(self.other))
        self.load = colour.cached(
            self.body,
            ttl=10,
            backend=self.main,
            policy=Policy(**policy, on_error=self.heard.append),
            timer=self.timer,
        )

    def body(self, key):
        self.executions.append(key)
        return f"{key} {len(self.executions)}"

    def call(self, key):
        return self.colour.run(self.load(key))

    def break_down(self, *operations):
        self.main.fails = set(operations or ("read", "write", "delete", "clear"))

    def recover(self):
        self.main.fails = set()


@colours
def test_a_fallback_is_written_and_read_while_the_backend_fails(colour):
    """Loads are stored in the fallback, and hits come from it."""
    setting = Setting(colour)
    setting.break_down()
    assert [setting.call("k"), setting.call("k"), setting.call("k")] == ["k 1"] * 3
    assert setting.other.values() == ["k 1"]
    assert setting.main.values() == []
    info = setting.load.cache_info()
    assert (info.hits, info.misses, info.failures) == (2, 1, 3)
    assert [error.operation for error in setting.heard] == ["read"] * 3


@colours
def test_a_fallbacks_entries_expire_too(colour):
    """Freshness is the same in the fallback."""
    setting = Setting(colour)
    setting.break_down()
    assert setting.call("k") == "k 1"
    setting.timer.advance(10)
    assert setting.call("k") == "k 2"
    assert setting.load.cache_info().expirations == 1


@colours
def test_a_fallback_is_dropped_once_the_backend_is_back(colour):
    """What it held may be outdated by the next outage."""
    setting = Setting(colour)
    setting.break_down()
    assert setting.call("k") == "k 1"
    setting.recover()
    assert setting.call("k") == "k 2"
    assert setting.other.values() == []
    assert setting.main.values() == ["k 2"]
    setting.break_down()
    assert setting.call("k") == "k 3"
    setting.recover()
    assert setting.call("k") == "k 2"


@colours
def test_a_healthy_backend_never_touches_the_fallback(colour):
    """No read, write or clear while nothing fails."""
    setting = Setting(colour)
    for _ in range(3):
        setting.call("k")
        setting.timer.advance(6)
    assert not setting.other.seen


@colours
def test_an_invalidation_deletes_in_both(colour):
    """During the outage, and while the backend works."""
    setting = Setting(colour)
    setting.break_down()
    setting.call("k")
    assert colour.run(setting.load.invalidate("k")) is True
    assert setting.other.values() == []
    assert setting.call("k") == "k 2"
    setting.recover()
    setting.call("k")
    assert colour.run(setting.load.invalidate("k")) is True
    assert setting.main.values() == []
    assert setting.other.seen["delete"] == 2


@colours
def test_an_answer_that_is_owed_does_not_drop_the_fallback(colour):
    """A key that was invalidated in the outage is a miss without the backend: it is still away."""
    setting = Setting(colour)
    setting.break_down()
    assert [setting.call("a"), setting.call("b")] == ["a 1", "b 2"]
    colour.run(setting.load.invalidate("a"))
    assert setting.call("a") == "a 3"
    assert setting.call("b") == "b 2", "what the fallback holds is served on"


@colours
def test_a_clear_clears_both(colour):
    """`cache_clear` during the outage."""
    setting = Setting(colour)
    setting.break_down()
    setting.call("k")
    colour.run(setting.load.cache_clear())
    assert setting.other.values() == []


@colours
def test_a_write_that_fails_alone_goes_to_the_fallback(colour):
    """Reads work, writes do not: the value is in the fallback, and dropped by the next read.

    What is owed to the backend stays the value.
    """
    setting = Setting(colour)
    setting.break_down("write")
    assert setting.call("k") == "k 1"
    assert setting.other.values() == ["k 1"]
    setting.recover()
    last = "k 1" if colour.owes else "k 2"
    assert setting.call("k") == last
    assert setting.call("other") == f"other {int(last[-1]) + 1}"
    assert setting.other.values() == []
    assert setting.call("k") == last


@colours
def test_a_fallback_that_fails_too_costs_no_value(colour):
    """The function is called as long as no write of its value is owed; all failures are heard."""
    setting = Setting(colour)
    setting.break_down()
    setting.other.fails = {"read", "write", "delete", "clear"}
    assert [setting.call("k"), setting.call("k")] == ["k 1", "k 1" if colour.owes else "k 2"]
    assert all(isinstance(error.__cause__, Down) for error in setting.heard)
    assert setting.load.cache_info().failures == len(setting.heard) >= 4
    assert colour.run(setting.load.invalidate("k")) is False
    setting.other.fails = set()
    last = "k 2" if colour.owes else "k 3"
    assert setting.call("k") == last
    assert setting.call("k") == last


@colours
def test_a_fallback_for_one_operation(colour):
    """In a mapping; the other operations have their own action."""
    setting = Setting(colour, make=lambda other: {"read": fallback(other), "delete": RAISE})
    setting.break_down()
    assert [setting.call("k"), setting.call("k")] == ["k 1", "k 1"]
    with pytest.raises(OperationFailed):
        colour.run(setting.load.invalidate("k"))
    assert setting.other.values() == []


@colours
def test_a_fallback_chosen_at_run_time(colour):
    """By a callable of the error."""
    setting = Setting(colour, make=lambda other: lambda error: fallback(other))
    setting.break_down()
    assert [setting.call("k"), setting.call("k")] == ["k 1", "k 1"]
    assert colour.run(setting.load.invalidate("k")) is True
    assert setting.call("k") == "k 2"
    setting.recover()
    assert setting.call("k") == ("k 2" if colour.owes else "k 3")
    setting.call("other")
    assert setting.other.values() == []


@colours
def test_get_lookup_and_set_use_the_fallback(colour):
    """The handle sees what a call would."""
    setting = Setting(colour)
    setting.break_down()
    assert colour.run(setting.load.set("set", "k")) is True
    assert colour.run(setting.load.get("k")) == "set"
    outcome = colour.run(setting.load.lookup("k"))
    tier = None if colour.owes else "fallback"
    assert (outcome.status, outcome.value, outcome.tier) == ("fresh", "set", tier)
    assert setting.call("k") == "set"
    assert setting.executions == []


@colours
def test_two_functions_may_share_one_fallback(colour):
    """Their keys do not meet in it, nor does one's recovery drop the other's entries."""
    shared = Memory(None)
    made = []
    for name in ("one", "two"):
        main = colour.backend()
        load = colour.cached(
            lambda key, name=name: (name, key, len(made)),
            ttl=10,
            backend=main,
            policy=Policy(failed=fallback(shared)),
        )
        main.fails = {"read", "write"}
        made.append((main, load))
    (first, one), (_, two) = made
    assert colour.run(one("k"))[0] == "one"
    assert colour.run(two("k"))[0] == "two"
    assert len(shared) == 2
    first.fails = set()
    colour.run(one("k"))
    assert colour.run(two("k"))[0] == "two"
    assert two.cache_info().hits == 1, "the other function's fallback entries are gone"


@colours
def test_held_values_are_dropped_by_invalidation_and_clear(colour):
    """Under `failed=STALE` what is held is no place where an invalidated value survives."""
    for drop in (lambda load: load.invalidate("k"), lambda load: load.cache_clear()):
        setting = Setting(colour, failed=STALE)
        assert setting.call("k") == "k 1"
        setting.break_down()
        assert setting.call("k") == "k 1"
        colour.run(drop(setting.load))
        assert setting.call("k") == "k 2"


@colours
def test_what_is_held_follows_what_is_written_and_read(colour):
    """The newest seen is the one served."""
    setting = Setting(colour, failed=STALE)
    setting.call("k")
    colour.run(setting.load.set("newer", "k"))
    setting.break_down()
    assert setting.call("k") == "newer"
    setting.recover()
    setting.timer.advance(10)
    assert setting.call("k") == "k 2"
    setting.break_down("read")
    assert setting.call("k") == "k 2"


@colours
def test_failures_of_one_operation_leave_the_others_alone(colour):
    """A mapping with `CALL` for reads and `RAISE` for writes does both in one call's life."""
    setting = Setting(colour, failed={"read": CALL, "write": RAISE})
    setting.break_down("write")
    with pytest.raises(OperationFailed) as caught:
        setting.call("k")
    assert caught.value.value == "k 1"
    setting.break_down("read", "write")
    assert setting.call("other") == "other 2"  # after a failed read no write is tried
