"""What a backend is owed: what answers meanwhile, in which order it goes, and what is lost."""

from __future__ import annotations

import os

import pytest
from concurrency.watch import forked

import memo.recovery
from memo import OperationFailed
from memo.entry import ABSENT, Entry
from memo.recovery import Recovery
from memo.testing import FakeTimer


class Debtor:
    """A guard, as far as what is owed asks for one."""

    def __init__(self, scope=None, clears_scope=None, in_loop=False, codec=None):
        self.backend = self
        self.scope = scope
        self.clears_scope = scope is not None if clears_scope is None else clears_scope
        self.in_loop = in_loop
        self.timer = FakeTimer()
        self.told = []
        if codec is not None:
            self.codec = codec

    def heard(self, error):
        self.told.append(error)


def entry(value, kept_until=1e9):
    """An entry of that value."""
    return Entry(value, 0.0, kept_until, kept_until)


@pytest.fixture
def recovery():
    """Nothing is owed yet."""
    return Recovery("store")


def owe(recovery, by, key, value=ABSENT):
    """A write of `value`, or a drop, has failed."""
    recovery.missed(by, recovery.begin(by, key, made(value)), key, made(value))


def made(value):
    """The entry of a value; None of none."""
    return None if value is ABSENT else entry(value)


def taken(recovery, most=100, *, in_loop=False):
    """What is to be carried out, as pairs of key and value."""
    ready = recovery.take(most, in_loop=in_loop)
    for one in ready:
        recovery.put_back(one)
    return [(one.key, None if one.entry is None else one.read().value) for one in ready]


CLEAR = (memo.recovery.ALL, None)


def test_nothing_owed_answers_nothing(recovery):
    """The backend is to say."""
    assert not recovery.active
    assert recovery.answer(None, "k") is ABSENT
    assert recovery.begin(Debtor(), "k", entry(1)) is None
    assert recovery.counts() == (0, 0)


def test_an_owed_write_answers_with_its_entry(recovery):
    """And an owed drop as a miss; other keys are the backend's."""
    by = Debtor()
    owe(recovery, by, "k", 1)
    owe(recovery, by, "gone")
    assert recovery.active
    assert recovery.answer(None, "k") == entry(1)
    assert recovery.answer(None, "gone") is None
    assert recovery.answer(None, "other") is ABSENT
    assert recovery.counts() == (2, 0)


def test_the_last_per_key_wins(recovery):
    """A drop over a write, a write over a drop; carried out once, in the order of the last ones."""
    by = Debtor()
    owe(recovery, by, "a", 1)
    owe(recovery, by, "b", 1)
    owe(recovery, by, "a")
    owe(recovery, by, "b", 2)
    owe(recovery, by, "a", 3)
    assert taken(recovery) == [("b", 2), ("a", 3)]
    assert recovery.counts() == (2, 0)


def test_what_was_carried_out_is_owed_no_more(recovery):
    """And the backend answers again."""
    by = Debtor()
    owe(recovery, by, "k", 1)
    (one,) = recovery.take(9, in_loop=False)
    assert recovery.answer(None, "k") == entry(1), "until it is there"
    recovery.carried_out(one)
    assert recovery.answer(None, "k") is ABSENT
    assert not recovery.active


def test_what_failed_again_stays_owed(recovery):
    """In its place."""
    by = Debtor()
    owe(recovery, by, "a", 1)
    owe(recovery, by, "b", 1)
    (one,) = recovery.take(1, in_loop=False)
    assert recovery.failed(one, OperationFailed("down"), final=False) is True
    assert taken(recovery) == [("a", 1), ("b", 1)]


def test_what_is_under_way_is_not_taken_twice(recovery):
    """Neither by another thread, nor while its own caller tries it."""
    by = Debtor()
    owe(recovery, by, "a", 1)
    owe(recovery, by, "b", 1)
    first = recovery.take(1, in_loop=False)
    assert taken(recovery) == [("b", 1)]
    tried = recovery.begin(by, "b", entry(2))
    assert taken(recovery) == []
    recovery.put_back(first[0])
    recovery.missed(by, tried, "b", entry(2))
    assert taken(recovery) == [("a", 1), ("b", 2)]


def test_a_newer_one_that_lands_cancels_what_is_owed(recovery):
    """A write or a drop that its caller brought to the backend himself."""
    by = Debtor()
    for newer in (entry(2), None):
        owe(recovery, by, "k", 1)
        tried = recovery.begin(by, "k", newer)
        recovery.landed(tried)
        assert not recovery.active


def test_a_newer_one_is_carried_out_after_an_older_that_was_under_way(recovery):
    """Both are on their way to the backend, in whatever order: the newer one goes once more."""
    by = Debtor()
    owe(recovery, by, "k", 1)
    (old,) = recovery.take(9, in_loop=False)
    tried = recovery.begin(by, "k", None)
    recovery.landed(tried)
    assert recovery.answer(None, "k") is None, "the old value may be there by now"
    recovery.carried_out(old)
    assert taken(recovery) == [("k", None)]


def test_of_two_that_failed_together_a_drop_wins(recovery):
    """Which of them came later nobody can say."""
    by = Debtor()
    first = recovery.begin(by, "k", entry("old"))
    second = recovery.begin(by, "k", None)
    recovery.missed(by, second, "k", None)
    recovery.missed(by, first, "k", entry("old"))
    assert taken(recovery) == [("k", None)]


def test_a_key_in_doubt_is_a_miss_and_waits(recovery):
    """A write that was given up may still land: what is done meanwhile stays owed until it has."""
    by = Debtor()
    recovery.doubt(by, ["k"])
    recovery.missed(by, None, "k", entry("late"))
    tried = recovery.begin(by, "k", None)
    recovery.landed(tried)
    assert recovery.answer(None, "k") is None
    assert taken(recovery) == []
    recovery.settle(["k"])
    assert taken(recovery) == [("k", None)]


def test_a_key_in_doubt_twice_waits_for_both(recovery):
    """Two writes were given up."""
    by = Debtor()
    recovery.doubt(by, ["k", "k"])
    owe(recovery, by, "k")
    recovery.settle(["k"])
    assert taken(recovery) == []
    recovery.settle(["k"])
    assert taken(recovery) == [("k", None)]


def test_a_clear_takes_the_place_of_all_before_it(recovery):
    """In its scope; it is carried out first, and what came later waits for it."""
    mine, theirs = Debtor("mine"), Debtor("theirs")
    owe(recovery, mine, ("mine", 1), 1)
    owe(recovery, theirs, ("theirs", 1), 1)
    recovery.missed_clear(mine, None)
    assert recovery.answer("mine", ("mine", 1)) is None
    assert recovery.answer("mine", ("mine", 2)) is None
    assert recovery.answer("theirs", ("theirs", 1)) == entry(1)
    assert recovery.answer("theirs", ("theirs", 2)) is ABSENT
    later = recovery.begin(mine, ("mine", 3), entry(3))
    assert later.waits
    assert recovery.answer("mine", ("mine", 3)) == entry(3)
    assert taken(recovery) == [CLEAR]
    (clear,) = recovery.take(9, in_loop=False)
    assert taken(recovery) == [(("theirs", 1), 1)]
    recovery.carried_out(clear)
    assert taken(recovery) == [(("theirs", 1), 1), (("mine", 3), 3)]


def test_a_drop_after_an_owed_clear_needs_nothing(recovery):
    """The clear drops it; what was written after the clear is forgotten."""
    mine = Debtor("mine")
    recovery.missed_clear(mine, None)
    recovery.begin(mine, ("mine", 1), entry(1))
    assert recovery.begin(mine, ("mine", 1), None).waits
    assert recovery.answer("mine", ("mine", 1)) is None
    assert recovery.counts() == (1, 0)


@pytest.mark.parametrize("owed", [True, False], ids=["owed", "tried"])
def test_a_drop_while_a_clear_is_carried_out_comes_after_it(recovery, owed):
    """The clear may have passed by its key, which others may have written to since."""
    mine, theirs = Debtor("mine"), Debtor("theirs")
    if owed:
        recovery.missed_clear(mine, None)
        (clear,) = recovery.take(9, in_loop=False)
    else:
        clear = recovery.begin_clear(mine)
    assert recovery.begin(mine, ("mine", 1), None).waits
    assert recovery.begin(theirs, ("theirs", 1), None) is None
    assert recovery.answer("mine", ("mine", 1)) is None
    (recovery.carried_out if owed else recovery.landed)(clear)
    assert recovery.answer("mine", ("mine", 1)) is None
    assert taken(recovery) == [(("mine", 1), None)]


def test_without_scopes_a_clear_is_of_everything(recovery):
    """Where the backend cannot tell keys apart, what is owed for others goes, too."""
    whole, other = Debtor("whole", clears_scope=False), Debtor("other")
    owe(recovery, other, ("other", 1), 1)
    recovery.missed_clear(other, None)
    recovery.missed_clear(whole, None)
    assert recovery.answer("other", ("other", 1)) is None
    assert recovery.answer(None, "plain") is None
    assert taken(recovery) == [CLEAR]
    assert recovery.counts() == (1, 0)


def test_a_write_that_failed_behind_a_clear_is_dropped(recovery):
    """It had begun before the clear."""
    mine = Debtor("mine")
    before = recovery.begin(mine, ("mine", 1), entry("old"))
    recovery.missed_clear(mine, None)
    recovery.missed(mine, before, ("mine", 1), entry("old"))
    assert recovery.answer("mine", ("mine", 1)) is None
    assert recovery.counts() == (1, 0)


def test_a_clear_waits_for_what_is_in_doubt(recovery):
    """A write that may still land would survive it."""
    mine = Debtor("mine")
    recovery.doubt(mine, [("mine", 1)])
    tried = recovery.begin_clear(mine)
    recovery.landed(tried)
    assert recovery.answer("mine", ("mine", 2)) is None
    assert taken(recovery) == []
    recovery.settle([("mine", 1)])
    assert taken(recovery) == [CLEAR]


def test_a_clear_waits_for_an_older_one_under_way(recovery):
    """Or that would drop what was written after the newer one."""
    mine = Debtor("mine")
    recovery.missed_clear(mine, None)
    (old,) = recovery.take(9, in_loop=False)
    newer = recovery.begin_clear(mine)
    recovery.landed(newer)
    assert recovery.begin(mine, ("mine", 1), entry(1)).waits
    assert taken(recovery) == []
    recovery.carried_out(old)
    assert taken(recovery) == [CLEAR]
    (again,) = recovery.take(9, in_loop=False)
    recovery.carried_out(again)
    assert taken(recovery) == [(("mine", 1), 1)]


def test_a_clear_that_lands_cancels_what_is_owed(recovery):
    """By its caller himself."""
    mine = Debtor("mine")
    owe(recovery, mine, ("mine", 1))
    recovery.landed(recovery.begin_clear(mine))
    assert not recovery.active


def test_a_write_past_its_time_becomes_a_drop(recovery):
    """Its value is of no use any more, but neither is the older one at the backend."""
    by = Debtor()
    recovery.missed(by, None, "k", entry(1, kept_until=10.0))
    assert taken(recovery) == [("k", 1)]
    by.timer.advance(10)
    assert taken(recovery) == [("k", None)]


def test_what_never_can_be_stored_is_dropped_there(recovery):
    """A write that turned out to be too large: what it replaces must go; a drop is given up."""
    by = Debtor()
    owe(recovery, by, "k", 1)
    (one,) = recovery.take(9, in_loop=False)
    assert recovery.failed(one, OperationFailed("codec"), final=True) is False
    assert taken(recovery) == [("k", None)]
    (one,) = recovery.take(9, in_loop=False)
    assert recovery.failed(one, OperationFailed("key"), final=True) is False
    assert not recovery.active
    assert "cannot be carried out" in by.told[0].reason


def test_a_write_refused_for_good_leaves_a_drop(recovery):
    """The owed one before it had been replaced, and the older value must not come back."""
    by = Debtor()
    owe(recovery, by, "k")
    tried = recovery.begin(by, "k", entry("too large"))
    recovery.spoilt(tried)
    assert recovery.answer(None, "k") is None
    assert taken(recovery) == [("k", None)]


def test_an_interrupted_one_stays_owed(recovery):
    """Nobody knows whether it has reached the backend."""
    by = Debtor()
    owe(recovery, by, "k", 1)
    tried = recovery.begin(by, "k", None)
    recovery.left(tried)
    assert taken(recovery) == [("k", None)]


def test_writes_beyond_the_bound_become_drops(recovery, monkeypatch):
    """The oldest first; each is counted and heard of."""
    monkeypatch.setattr(memo.recovery, "MOST_WRITES", 3)
    by = Debtor()
    for key in "abcde":
        owe(recovery, by, key, key)
    assert recovery.counts() == (5, 2)
    assert [error.key for error in by.told] == ["a", "b"]
    assert "more than 3 writes are owed" in by.told[0].reason
    assert recovery.answer(None, "a") is None
    assert taken(recovery) == [("a", None), ("b", None), ("c", "c"), ("d", "d"), ("e", "e")]


def test_keys_beyond_the_bound_collapse_into_a_clear(recovery, monkeypatch):
    """Of the scope of the oldest: no drop is ever lost, and others keep theirs."""
    monkeypatch.setattr(memo.recovery, "MOST_KEYS", 5)
    mine, theirs = Debtor("mine"), Debtor("theirs")
    owe(recovery, mine, ("mine", 0), "written")
    owe(recovery, theirs, ("theirs", 0))
    for number in range(1, 5):
        owe(recovery, mine, ("mine", number))
    assert taken(recovery) == [CLEAR]
    assert recovery.counts() == (2, 1)
    assert "more than 5 keys are owed" in mine.told[0].reason
    for number in range(9):
        assert recovery.answer("mine", ("mine", number)) is None
    assert recovery.answer("theirs", ("theirs", 0)) is None
    assert recovery.answer("theirs", ("theirs", 1)) is ABSENT


def test_each_colour_takes_its_own(recovery):
    """And a clear of the one holds back the writes of the other."""
    threads, loop = Debtor("scope"), Debtor("scope", in_loop=True)
    owe(recovery, threads, ("scope", 1), 1)
    owe(recovery, loop, ("scope", 2), 2)
    assert taken(recovery) == [(("scope", 1), 1)]
    assert taken(recovery, in_loop=True) == [(("scope", 2), 2)]
    assert recovery.owes(in_loop=True)
    recovery.missed_clear(loop, None)
    assert not recovery.owes(in_loop=False)
    recovery.begin(threads, ("scope", 3), entry(3))
    assert taken(recovery) == []
    assert taken(recovery, in_loop=True) == [CLEAR]


def test_a_batch_is_bounded(recovery):
    """So that others have their turn."""
    by = Debtor()
    for number in range(10):
        owe(recovery, by, number, number)
    assert taken(recovery, 3) == [(0, 0), (1, 1), (2, 2)]


class Codec:
    """Keeps the text of a value."""

    @staticmethod
    def encode(name, entry):
        if entry.value == "unspeakable":
            raise OperationFailed("no")
        return repr(entry.value).encode()

    @staticmethod
    def decode(name, data):
        if b"broken" in data:
            raise OperationFailed("no")
        return entry(eval(data.decode()))


def test_where_values_are_encoded_each_answer_is_a_value_of_its_own(recovery):
    """What a caller does to one shows neither in the next answer nor at the backend."""
    by = Debtor(codec=Codec())
    value = [1]
    owe(recovery, by, "k", value)
    value.append(2)
    first = recovery.answer(None, "k")
    first.value.append(3)
    assert recovery.answer(None, "k").value == [1]
    assert taken(recovery) == [("k", [1])]


def test_what_cannot_be_encoded_is_a_drop(recovery):
    """It could never be stored; nor may the older value be served."""
    by = Debtor(codec=Codec())
    owe(recovery, by, "k", "unspeakable")
    assert recovery.answer(None, "k") is None
    assert taken(recovery) == [("k", None)]
    owe(recovery, by, "k", "broken")
    assert recovery.answer(None, "k") is None


def test_forgetting_is_heard_of(recovery):
    """A cache is closed; what others owe to the same backend is still owed."""
    by, other = Debtor("scope"), Debtor("other")
    owe(recovery, other, ("other", 1))
    owe(recovery, by, ("scope", 1), 1)
    owe(recovery, by, ("scope", 2))
    recovery.forget(by)
    assert taken(recovery) == [(("other", 1), None)]
    assert recovery.counts() == (1, 1)
    assert "was owed 1 drops" in by.told[0].reason
    recovery.forget(by)
    assert len(by.told) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forgets_what_the_parent_owes(recovery):
    """The parent carries it out."""
    by = Debtor()
    owe(recovery, by, "k")
    recovery.doubt(by, ["other"])

    def child():
        answers = [recovery.answer(None, key) is ABSENT for key in ("k", "other")]
        return recovery.active, recovery.counts(), answers

    assert forked(child) == "(False, (0, 0), [True, True])"
    assert recovery.active
    assert recovery.answer(None, "k") is None


def test_what_is_owed_is_kept_by_itself():
    """Where nobody else has it any more, it still is carried out."""
    import gc
    import weakref

    recovery = Recovery("store")
    by = Debtor()
    owe(recovery, by, "k")
    (one,) = recovery.take(9, in_loop=False)
    kept = weakref.ref(recovery)
    del recovery
    gc.collect()
    assert kept() is not None
    kept().carried_out(one)
    gc.collect()
    assert kept() is None
