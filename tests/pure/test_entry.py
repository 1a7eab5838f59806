"""Entries, absent values, remembered exceptions and outcomes."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import pytest

from memo.entry import ABSENT, FOREVER, Entry, Outcome, Raised


def test_an_entry_is_a_frozen_record_that_never_expires_unless_told():
    """`Entry(value, created, expires, kept_until, tags)`."""
    entry = Entry("value", 1.0)
    assert entry == ("value", 1.0, FOREVER, FOREVER, ())
    assert entry.expires == math.inf
    with pytest.raises(AttributeError):
        entry.value = "other"
    assert pickle.loads(pickle.dumps(entry)) == entry


def test_absent_is_one_object_and_is_not_none():
    """However it is copied or pickled."""
    assert copy.copy(ABSENT) is ABSENT
    assert copy.deepcopy(ABSENT) is ABSENT
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert not ABSENT
    assert ABSENT is not None
    assert repr(ABSENT) == "ABSENT"


def test_a_remembered_exception_is_raised_anew_each_time():
    """`again` gives twins; two `Raised` are equal if they hold the same exception."""
    error = ValueError("down")
    kept = Raised(error)
    one, other = kept.again(), kept.again()
    assert one is not other
    assert one is not error
    assert (type(one), one.args) == (ValueError, ("down",))
    assert kept == Raised(error)
    assert hash(kept) == hash(Raised(error))
    assert kept != Raised(ValueError("down"))
    assert kept != error
    back = pickle.loads(pickle.dumps(kept))
    assert back.error.args == ("down",)
    assert repr(kept) == "Raised(ValueError('down'))"


def test_the_traceback_of_a_load_is_kept_for_its_followers():
    """`again` ends in the function's own frames where it is known."""
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018 - for what it raises
    kept = Raised(caught.value, caught.value.__traceback__)
    assert kept.again().__traceback__ is kept.traceback


@pytest.mark.parametrize(
    ("status", "hit"),
    [("fresh", True), ("stale", True), ("expired", False), ("miss", False), ("failed", False)],
)
def test_an_outcome_is_a_frozen_value(status, hit):
    """Comparable, keyword-only, and knows whether a call would be answered."""
    outcome = Outcome(status=status)
    assert outcome == Outcome(status=status)
    assert outcome.hit is hit
    assert (outcome.value, outcome.age, outcome.tier, outcome.error) == (None,) * 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.status = "fresh"
    with pytest.raises(TypeError):
        Outcome(status)
