"""The four errors: what they carry, say, match and pickle; and twins of other people's."""

from __future__ import annotations

import pickle
import traceback

import pytest

from memo import CacheError, Expired, Full, Miss, OperationFailed
from memo.errors import shown, twin

ERRORS = [
    Miss("k"),
    Expired("k", value=[1], age=2.5),
    Full("k", value=3, too_large=True),
    OperationFailed("down", operation="read", key="k", backend="redis", value=4),
    OperationFailed("cut short", operation="read", key="k", codec=True),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_errors_pickle_with_all_they_carry(error):
    """Type, arguments and attributes survive, under every protocol."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(error, protocol))
        assert type(back) is type(error)
        assert vars(back) == vars(error)
        assert str(back) == str(error)


def test_errors_match_by_position():
    """`case Miss(key)` and its like."""
    found = []
    for error in ERRORS:
        match error:
            case Miss(key) | Expired(key) | Full(key):
                found.append(key)
            case OperationFailed(reason):
                found.append(reason)
    assert found == ["k", "k", "k", "down", "cut short"]
    assert all(isinstance(error, CacheError) for error in ERRORS)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Miss("k"), "no entry for key 'k'"),
        (Expired("k"), "the entry for key 'k' has expired"),
        (Expired("k", age=2.5), "the entry for key 'k' has expired, stored 2.5 s ago"),
        (Full("k"), "cannot store key 'k': the store is full"),
        (Full("k", too_large=True), "its value is larger than the whole store"),
        (OperationFailed("down"), "cache operation failed: down"),
        (ERRORS[3], "cache read failed on redis for key 'k': down"),
    ],
)
def test_errors_read_as_one_clear_sentence(error, text):
    """What happened, where, to which key, and why."""
    assert text in str(error)
    assert "\n" not in str(error)


def test_a_codecs_error_tells_itself_from_a_stores():
    """Unless it is said, the store has failed; a twin says what the original says."""
    assert OperationFailed("down").codec is False
    error = OperationFailed("cut short", codec=True)
    assert error.codec is True
    assert twin(error).codec is True
    assert str(error) == "cache operation failed: cut short"


def test_a_sentence_is_short_whatever_the_key():
    """A key of a megabyte, or one that cannot be printed, does not spoil the message."""

    class Mute:
        def __repr__(self):
            raise ValueError

    for key in ("x" * 1_000_000, list(range(1_000_000)), Mute(), (Mute(),)):
        for error in (Miss(key), Expired(key), Full(key), OperationFailed("down", key=key)):
            assert len(str(error)) < 500
    assert "Mute" in shown(Mute())


# Twins.


class Plain(Exception):
    """An exception as most are."""


class Picky(Exception):
    """One whose `__init__` wants something else than its arguments."""

    def __init__(self, code, *, detail):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Slotted(Exception):
    """One with slots."""

    __slots__ = ("code", "never_filled")

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Refuses(Exception):
    """One that cannot be made anew."""

    made = 0

    def __new__(cls, *args):
        cls.made += 1
        if cls.made > 1:
            raise ValueError("one is enough")
        return super().__new__(cls, *args)


def fails(error):
    """The frame that a traceback names."""
    raise error


def raised(error):
    """`error`, with a traceback."""
    try:
        fails(error)
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        Plain("a", 1),
        Plain(),
        Picky(404, detail="not here"),
        Slotted(7),
        OSError(2, "No such file", "name.txt"),
        OSError("just a text"),
        PermissionError(13, "No entry", "one.txt", None, "two.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("file", 1, 2, "text")),
        ImportError("no", name="module", path="path"),
        KeyError("k"),
        StopIteration(3),
        SystemExit(4),
        AttributeError("no", name="name", obj=3),
        ExceptionGroup("several", [ValueError(1), KeyError(2)]),
        *ERRORS,
    ],
    ids=repr,
)
def test_a_twin_is_the_same_exception_with_a_traceback_of_its_own(error):
    """Type, arguments, state, text, cause and notes; and no traceback."""
    error.add_note("a note")
    error.__cause__ = ValueError("the cause")
    error.__suppress_context__ = True
    before = raised(error)
    copy = twin(before)
    assert copy is not before
    assert type(copy) is type(before)
    assert copy.args == before.args
    assert str(copy) == str(before)
    assert repr(copy) == repr(before)
    assert copy.__traceback__ is None
    assert before.__traceback__ is not None
    assert copy.__cause__ is before.__cause__
    assert copy.__suppress_context__
    assert copy.__notes__ == ["a note"]
    assert vars(copy) == vars(before)
    for slot in ("code", "errno", "filename", "name", "start", "lineno", "value", "exceptions"):
        assert getattr(copy, slot, None) == getattr(before, slot, None)


def test_a_twin_has_state_of_its_own():
    """A note added to one is not the other's."""
    error = Plain("a")
    error.add_note("first")
    copy = twin(error)
    copy.add_note("second")
    copy.extra = 1
    assert error.__notes__ == ["first"]
    assert not hasattr(error, "extra")


def test_raising_a_twin_lengthens_no_other_traceback():
    """Each raise adds frames to its own exception alone."""
    error = raised(Plain("a"))
    length = len(traceback.extract_tb(error.__traceback__))
    for _ in range(5):
        again = raised(twin(error))
        assert len(traceback.extract_tb(again.__traceback__)) == length
    assert len(traceback.extract_tb(error.__traceback__)) == length


def test_what_cannot_be_made_anew_is_shared_without_its_traceback():
    """Rather the same object than another exception."""
    error = raised(Refuses("a"))
    same = twin(error)
    assert same is error
    assert same.__traceback__ is None


def test_the_users_constructor_is_not_run_again():
    """It may count, log or connect."""
    runs = []

    class Counting(Exception):
        def __init__(self, code):
            runs.append(code)
            super().__init__(code)

    assert twin(Counting(1)).args == (1,)
    assert runs == [1]
