"""Lifetimes: durations, windows, jitter, refresh ahead, and remembered exceptions."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memo import LoadTimeout
from memo.entry import FOREVER, Entry, Raised
from memo.freshness import Freshness, Pauses, seconds

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
numbers = st.floats(0, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0, 0.0),
        (90, 90.0),
        (0.25, 0.25),
        (timedelta(minutes=5), 300.0),
        (timedelta(milliseconds=1), 0.001),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        (" 1d ", 86400.0),
        ("2w", 1209600.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("1m30s", 90.0),
        (math.inf, math.inf),
        (10**400, math.inf),
    ],
)
def test_durations_in_seconds(given, expected):
    """Numbers, timedeltas and texts."""
    assert seconds("ttl", given) == expected
    assert type(seconds("ttl", given)) is float


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ("", ValueError),
        ("5", ValueError),
        ("m", ValueError),
        ("5 minutes", ValueError),
        ("-5m", ValueError),
        ("1h-30m", ValueError),
        ("1e3s", ValueError),
        ("5m;", ValueError),
        ("\N{ARABIC-INDIC DIGIT FIVE}m", ValueError),
        (-1, ValueError),
        (-0.001, ValueError),
        (math.nan, ValueError),
        (timedelta(seconds=-1), ValueError),
        (True, TypeError),
        (False, TypeError),
        (None, TypeError),
        (b"5m", TypeError),
        ([5], TypeError),
        (5j, TypeError),
    ],
)
def test_what_is_no_duration_is_told(wrong, kind):
    """One error that names the option and the value."""
    with pytest.raises(kind, match="ttl="):
        seconds("ttl", wrong)


@given(numbers)
def test_a_number_is_itself(number):
    """Seconds in, seconds out."""
    assert seconds("ttl", number) == number


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_timedelta_is_its_seconds(delta):
    """Exactly."""
    assert seconds("ttl", delta) == delta.total_seconds()


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(list(UNITS))), min_size=1))
def test_a_text_is_the_sum_of_its_parts(parts):
    """Written as `1h30m`, with or without spaces, in any order."""
    expected = sum(number * UNITS[unit] for number, unit in parts)
    for text in (
        "".join(f"{number}{unit}" for number, unit in parts),
        " ".join(f"{number} {unit}" for number, unit in parts),
    ):
        assert seconds("ttl", text) == pytest.approx(expected)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text):
    """Nothing else comes out."""
    try:
        assert seconds("ttl", text) >= 0
    except ValueError as error:
        assert "ttl=" in str(error)  # noqa: PT017 - either is right


# Options.


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"ttl": 0}, ValueError, "ttl=0: must be greater than 0"),
        ({"ttl": "0s"}, ValueError, "greater than 0"),
        ({"ttl": -1}, ValueError, "ttl=-1: must not be negative, must be greater than 0"),
        ({"ttl": math.nan}, ValueError, "ttl=nan: must not be negative"),
        ({"ttl": "soon"}, ValueError, "ttl='soon'"),
        ({"ttl": True}, TypeError, "ttl=True"),
        ({"ttl": None, "stale_while_revalidate": 1}, ValueError, "needs a ttl"),
        ({"ttl": None, "stale_if_error": 1}, ValueError, "stale_if_error needs a ttl"),
        ({"ttl": None, "refresh_after": 0.5}, ValueError, "refresh_after needs a ttl"),
        ({"ttl": math.inf, "jitter": 0.1}, ValueError, "jitter needs a ttl"),
        ({"ttl": 1, "stale_if_error": "x"}, ValueError, "stale_if_error='x'"),
        ({"ttl": 1, "stale_while_revalidate": -1}, ValueError, "stale_while_revalidate=-1"),
        ({"ttl": 1, "refresh_after": 0}, ValueError, "refresh_after=0"),
        ({"ttl": 1, "refresh_after": 1}, ValueError, "refresh_after=1"),
        ({"ttl": 1, "refresh_after": math.nan}, ValueError, "refresh_after=nan"),
        ({"ttl": 1, "refresh_after": "half"}, TypeError, "refresh_after='half'"),
        ({"ttl": 1, "refresh_after": True}, TypeError, "refresh_after=True"),
        ({"ttl": 1, "jitter": -0.1}, ValueError, "jitter=-0.1"),
        ({"ttl": 1, "jitter": 1.1}, ValueError, "jitter=1.1"),
        ({"ttl": 1, "jitter": math.nan}, ValueError, "jitter=nan"),
        ({"ttl": 1, "jitter": "some"}, TypeError, "jitter='some'"),
        ({"ttl": 1, "cache_exceptions": [ValueError]}, TypeError, "cache_exceptions="),
        ({"ttl": 1, "cache_exceptions": {3: 1}}, TypeError, "3 is no subclass of Exception"),
        ({"ttl": 1, "cache_exceptions": {KeyboardInterrupt: 1}}, TypeError, "no subclass"),
        ({"ttl": 1, "cache_exceptions": {ValueError: 0}}, ValueError, r"\[ValueError\]"),
        ({"ttl": 1, "cache_exceptions": {ValueError: "x"}}, ValueError, r"\[ValueError\]='x'"),
        ({"ttl": 1, "stale_if_error": [OSError]}, TypeError, "or a mapping from exception types"),
        ({"ttl": 1, "stale_if_error": {3: 1}}, TypeError, "stale_if_error: 3 is no subclass"),
        ({"ttl": 1, "stale_if_error": {SystemExit: 1}}, TypeError, "no subclass of Exception"),
        ({"ttl": 1, "stale_if_error": {OSError: -1}}, ValueError, r"stale_if_error\[OSError\]=-1"),
        ({"ttl": None, "stale_if_error": {OSError: 1}}, ValueError, "stale_if_error needs a ttl"),
        ({"ttl": 1, "hard_timeout": 0}, ValueError, r"hard_timeout=0: .*\(None: no limit\)"),
        ({"ttl": 1, "hard_timeout": -1}, ValueError, "hard_timeout=-1: must not be negative"),
        ({"ttl": 1, "hard_timeout": "soon"}, ValueError, "hard_timeout='soon': takes seconds"),
        ({"ttl": 1, "hard_timeout": True}, TypeError, "hard_timeout=True"),
        ({"ttl": 1, "stale_if_error": 1, "soft_timeout": 0}, ValueError, "soft_timeout=0"),
        ({"ttl": 1, "soft_timeout": 1}, ValueError, "soft_timeout=1 needs stale_if_error"),
        ({"ttl": None, "soft_timeout": 1}, ValueError, "soft_timeout needs a ttl"),
        (
            {"ttl": 1, "stale_if_error": 1, "soft_timeout": "2s", "hard_timeout": 2},
            ValueError,
            "soft_timeout='2s' beside hard_timeout=2: must be less",
        ),
        ({"ttl": 1, "retry_after": 5}, ValueError, "retry_after=5 needs stale_if_error"),
        ({"ttl": None, "retry_after": 5}, ValueError, "retry_after needs a ttl"),
        ({"ttl": 1, "stale_if_error": 1, "retry_after": -5}, ValueError, "retry_after=-5"),
    ],
)
def test_wrong_options_are_told(options, kind, words):
    """One error that names the option, the value and what is allowed."""
    with pytest.raises(kind, match=words):
        Freshness.of(**options)


def half():
    """A random number that is not."""
    return 0.5


def test_an_entry_has_its_times():
    """Created now, expires after the ttl, kept for the longest window."""
    fresh = Freshness.of(ttl="10s", stale_while_revalidate=5, stale_if_error="1m")
    assert fresh.window == 60
    assert fresh.entry("value", 100.0, half) == Entry("value", 100.0, 110.0, 170.0)
    assert Freshness.of(ttl=10).entry("value", 100.0, half) == Entry("value", 100.0, 110.0, 110.0)


@pytest.mark.parametrize(
    "ttl",
    [None, math.inf, lambda value: None, lambda value: math.inf],
    ids=["None", "inf", "gives None", "gives inf"],
)
def test_without_a_ttl_entries_are_for_ever(ttl):
    """Recognisably so."""
    entry = Freshness.of(ttl=ttl).entry("value", 100.0, half)
    assert entry.expires is FOREVER
    assert entry.kept_until == FOREVER


@pytest.mark.parametrize("given", [0, -1, 0.0, timedelta(0), timedelta(seconds=-3), "0s"])
def test_a_lifetime_of_nothing_is_not_stored(given):
    """A ttl function may say so of a value, in whatever form."""
    assert Freshness.of(ttl=lambda value: given).entry("value", 100.0, half) is None


@given(st.floats(1e-3, 1e9), st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_jitter_takes_at_most_its_fraction_off(ttl, jitter, random, now):
    """And never adds."""
    fresh = Freshness.of(ttl=ttl, jitter=jitter)
    lifetime = fresh.entry("value", 0.0, lambda: random).expires
    assert ttl * (1 - jitter) * (1 - 1e-9) <= lifetime <= ttl
    assert fresh.entry("value", now, lambda: random).expires >= now


def test_without_jitter_nothing_is_random():
    """The random source is not asked."""

    def asked():
        raise AssertionError

    assert Freshness.of(ttl=10).entry("value", 0.0, asked).expires == 10


@given(st.floats(1e-3, 1e6), st.floats(0.01, 0.99), st.floats(0, 1e6))
def test_refresh_ahead_begins_at_its_fraction_of_the_lifetime(ttl, fraction, now):
    """Between creation and expiry."""
    fresh = Freshness.of(ttl=ttl, refresh_after=fraction)
    entry = fresh.entry("value", now, half)
    assert entry.created <= fresh.refresh_at(entry) <= entry.expires
    assert fresh.refresh_at(entry) == pytest.approx(now + ttl * fraction)


def test_without_refresh_ahead_it_begins_at_expiry():
    """So that a reader has one deadline to look at."""
    entry = Entry("value", 0.0, 10.0)
    assert Freshness.of(ttl=10).refresh_at(entry) == 10.0
    assert Freshness.of(ttl=10, refresh_after=0.5).refresh_at(Entry("value", 0.0)) is FOREVER


def test_exceptions_are_remembered_by_type():
    """The nearest type in the exception's line counts; others are not remembered."""
    fresh = Freshness.of(ttl=10, cache_exceptions={LookupError: 5, KeyError: "1m"})
    for error, lifetime in ((KeyError("k"), 60), (IndexError(), 5), (LookupError(), 5)):
        entry = fresh.entry_for_exception(error, 100.0)
        assert type(entry.value) is Raised
        assert type(entry.value.error) is type(error)
        assert entry.value.error is not error
        assert entry[1:4] == (100.0, 100.0 + lifetime, 100.0 + lifetime)
    for error in (ValueError(), KeyboardInterrupt()):
        assert fresh.entry_for_exception(error, 100.0) is None
    assert Freshness.of(ttl=10).entry_for_exception(KeyError(), 100.0) is None


def fails():
    """The frame that a traceback would keep."""
    raise ValueError("down")


def test_a_remembered_exception_keeps_no_frames():
    """The function's locals do not live as long as the entry."""
    fresh = Freshness.of(ttl=10, cache_exceptions={ValueError: 5})
    with pytest.raises(ValueError, match="down") as caught:
        fails()
    entry = fresh.entry_for_exception(caught.value, 0.0)
    assert entry.value.error.__traceback__ is None
    assert entry.value.traceback is None


# A function that fails or takes long.


def test_timeouts_and_pauses_are_in_seconds():
    """In every form of a duration; an infinite timeout is none."""
    of = Freshness.of(
        ttl=1,
        stale_if_error="1h",
        soft_timeout="200ms",
        hard_timeout=timedelta(seconds=2),
        retry_after="5s",
    )
    assert (of.soft_timeout, of.hard_timeout, of.retry_after) == (0.2, 2.0, 5.0)
    never = Freshness.of(ttl=1, stale_if_error=1, soft_timeout=math.inf, hard_timeout=10**400)
    assert (never.soft_timeout, never.hard_timeout, never.retry_after) == (None, None, 0.0)
    assert Freshness.of(ttl=None, hard_timeout=5).hard_timeout == 5.0


@pytest.mark.parametrize(
    "way", [{"stale_if_error": 1}, {"stale_while_revalidate": 1}, {"keep_stale": math.inf}]
)
def test_a_soft_timeout_needs_some_way_to_serve_what_is_stale(way):
    """A window of either kind, or a policy that serves stale values."""
    assert Freshness.of(ttl=1, soft_timeout=1, **way).soft_timeout == 1.0


def test_only_what_leaves_nothing_to_think_of_is_fixed():
    """A timeout is something to think of, also where nothing gets stale."""
    assert Freshness.of(ttl=1).fixed
    assert Freshness.of(ttl=None).fixed
    assert not Freshness.of(ttl=None, hard_timeout=1).fixed
    assert not Freshness.of(ttl=1, stale_if_error={OSError: 1}).fixed


def test_a_duration_covers_every_exception_and_nothing_else():
    """An interrupt is none."""
    of = Freshness.of(ttl=1, stale_if_error=60)
    assert of.covering(ValueError()) == of.covering(LoadTimeout("k")) == 60.0
    assert of.covering(KeyboardInterrupt()) == 0.0
    assert Freshness.of(ttl=1).covering(ValueError()) == 0.0


def test_a_mapping_covers_by_type():
    """The nearest type in the exception's line counts; the longest of all is the window."""
    of = Freshness.of(ttl=1, stale_if_error={OSError: "1m", ConnectionError: 5, TimeoutError: 0})
    assert of.window == of.stale_if_error == 60.0
    assert of.covering(FileNotFoundError()) == 60.0
    assert of.covering(ConnectionResetError()) == 5.0
    assert of.covering(TimeoutError()) == of.covering(LoadTimeout("k")) == 0.0
    assert of.covering(ValueError()) == of.covering(KeyboardInterrupt()) == 0.0
    assert Freshness.of(ttl=1, stale_if_error={}).window == 0.0


def test_a_mapping_is_read_once():
    """What becomes of the user's own afterwards is of no matter."""
    given = {OSError: 60}
    of = Freshness.of(ttl=1, stale_if_error=given)
    given.clear()
    assert of.covering(OSError()) == 60.0


def test_pauses_end():
    """When their time is up, when they are ended, when all are."""
    pauses = Pauses(5.0)
    pauses.begin("k", 100.0, 60.0)
    assert pauses.window("k", 100.0) == pauses.window("k", 104.9) == 60.0
    assert pauses.window("k", 105.0) is None
    assert pauses.window("other", 100.0) is None
    pauses.end("k")
    assert pauses.window("k", 100.0) is None
    pauses.end("k")
    for key in range(3):
        pauses.begin(key, 100.0, 60.0)
    pauses.clear()
    assert len(pauses) == 0


def test_pauses_are_bounded():
    """The key that has failed longest ago is forgotten; failing again makes a key the youngest."""
    pauses = Pauses(5.0, most=3)
    for key in ("a", "b", "c", "a", "d"):
        pauses.begin(key, 100.0, 60.0)
    assert len(pauses) == 3
    assert [key for key in "abcd" if pauses.window(key, 100.0)] == ["a", "c", "d"]
