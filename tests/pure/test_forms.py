"""One text for keys that are equal in a dict, another for each that is not, or a clear refusal."""

from __future__ import annotations

import datetime as dt
import inspect
import itertools
import math
from collections import OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pure import specimens
from pure.specimens import (
    BERLIN,
    NEVER,
    TWICE,
    UTC,
    Colour,
    Item,
    Letter,
    Name,
    Number,
    Other,
    Permission,
    Point,
)

from memo.canonical import key_text
from memo.errors import OperationFailed
from memo.keys import Keys, freeze


def text(key):
    """The text of a key in some scope."""
    return key_text("memo", ("scope", key))


@pytest.mark.parametrize("group", specimens.EQUAL)
def test_equal_keys_have_one_text(group):
    """Whatever their types: a dict would find each under any of the others."""
    for one in group[1:]:
        assert {one: 1}.get(group[0]) == 1
    assert len({text(one) for one in group}) == 1
    assert len({text((one,)) for one in group}) == 1
    assert len({key_text("memo", one) for one in group}) == 1


def test_different_keys_have_different_texts():
    """No two of these many have one in common, alone, in a tuple or as another's field."""
    for wrap in (lambda key: key, lambda key: (key,), Item, lambda key: Item("a", key)):
        seen = {}
        for key in specimens.DIFFERENT:
            assert seen.setdefault(text(wrap(key)), key) is key


def test_a_container_has_the_text_of_what_stands_for_it():
    """What `__cache_key__()` or a field holds need not be hashable."""
    for value in ([1, [2]], {1: [2]}, {1, 2}, deque([1]), OrderedDict(a=1), bytearray(b"1")):
        assert text(value) == text(freeze(value))
        assert text((value,)) == text((freeze(value),))


SMALL = st.integers(-3, 3)
ZONES = st.sampled_from([UTC, BERLIN, ZoneInfo("America/New_York"), None]) | st.builds(
    dt.timezone, st.integers(-3, 3).map(lambda hours: dt.timedelta(hours=hours))
)
MOMENTS = st.builds(
    lambda base, minutes, zone, fold: (base + dt.timedelta(minutes=minutes)).replace(
        tzinfo=zone, fold=fold
    ),
    st.sampled_from([TWICE, NEVER, dt.datetime(2024, 1, 1)]),  # noqa: DTZ001
    st.integers(-12, 12).map(lambda quarters: 15 * quarters),
    ZONES,
    st.sampled_from([0, 1]),
)
NUMBERS = st.one_of(
    SMALL,
    st.booleans(),
    SMALL.map(float),
    st.floats(allow_nan=False),
    st.integers(),
    st.decimals(allow_nan=False, places=2),
    SMALL.map(Decimal),
    st.builds(Fraction, SMALL, st.integers(1, 4)),
    st.builds(complex, SMALL, SMALL),
    st.sampled_from([0.25, Decimal("0.25"), Fraction(1, 4), math.inf, Decimal("inf"), -0.0]),
)
WORDS = st.text("ab:1;()é\ud800", max_size=3)
OTHERS = st.one_of(
    WORDS,
    WORDS.map(Name),
    st.binary(max_size=1),
    st.none(),
    st.sampled_from([*Colour, *Letter, *Permission, Permission(0), Number.ONE, int, float, len]),
    st.builds(range, SMALL, SMALL, st.sampled_from([-2, -1, 1, 2])),
    SMALL.map(lambda minutes: dt.timedelta(minutes=minutes)),
    st.sampled_from("aAbB/.").map(PurePosixPath) | st.sampled_from("aAbB/").map(PureWindowsPath),
)
FEW = st.sampled_from([0, -0.0, False, 1, True, 1.5, "a", Name("a"), Letter.A, None, b"a", TWICE])
NESTED = st.recursive(
    FEW,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Item, inner, inner, st.sampled_from("ab")),
        st.builds(Other, inner),
        st.lists(inner, max_size=2).map(freeze),
        st.dictionaries(inner, inner, max_size=2).map(freeze),
    ),
    max_leaves=6,
)
KINDS = [NUMBERS, MOMENTS, MOMENTS.map(dt.datetime.timetz), ZONES, OTHERS, NESTED]


@pytest.mark.parametrize("kind", range(len(KINDS) + 1))
@given(st.data())
def test_texts_are_the_same_just_where_a_dict_finds_the_other(kind, data):
    """For any two: equal with equal hashes is the same text, and nothing else is."""
    values = KINDS[kind] if kind < len(KINDS) else st.one_of(KINDS)
    several = data.draw(st.lists(values, min_size=2, max_size=12))
    for one, other in itertools.combinations(several, 2):
        found = {one: 1}.get(other) == 1
        assert (text(one) == text(other)) == found
        assert (key_text("n", one) == key_text("n", other)) == found


def test_the_keys_of_calls_have_texts():
    """With keywords, with types and with containers; and types tell 1 from 1.0."""

    def function(a, b=2, *rest, c=3, **others):
        pass

    calls = [((1,), {}), ((1.0,), {}), ((1,), {"c": 4}), ((1,), {"x": [1]}), (([1],), {})]
    for typed, expected in ((False, 4), (True, 5)):
        keys = Keys(inspect.signature(function), typed=typed)
        assert len({text(keys.make(args, kwargs)) for args, kwargs in calls}) == expected


@pytest.mark.parametrize("place", range(len(specimens.REFUSED)))
def test_what_has_no_stable_form_is_refused(place):
    """By an error that shows it, alone and inside of other keys."""
    value = specimens.REFUSED[place]
    for key in (value, ("scope", (value,)), Item(value)):
        with pytest.raises(OperationFailed, match="no stable form on a shared backend") as caught:
            key_text("n", key)
        assert caught.value.operation == "key"
        assert str(caught.value).startswith("cache key failed: key cannot be made: ")


def test_the_error_says_what_to_do():
    """In one sentence."""
    with pytest.raises(OperationFailed) as caught:
        text((1, specimens.WithoutKey()))
    assert caught.value.reason.startswith("key cannot be made: <")
    assert caught.value.reason.endswith(
        "has no stable form on a shared backend; give its class __cache_key__(), or use key="
    )
    assert "WithoutKey" in caught.value.reason


def test_what_the_users_code_raises_is_the_cause():
    """Of the one error that callers get."""
    with pytest.raises(
        OperationFailed, match=r"Failing\.__cache_key__\(\) raised LookupErr"
    ) as one:
        text(specimens.Failing())
    assert isinstance(one.value.__cause__, LookupError)
    with pytest.raises(OperationFailed, match="OSError: no zone data") as other:
        text(dt.datetime(2024, 1, 1, tzinfo=specimens.Zone()))
    assert isinstance(other.value.__cause__, OSError)


def test_depth_and_cycles_are_refused():
    """With the same error, in a moment."""
    deep = ()
    for _ in range(100_000):
        deep = (deep,)
    cycle = []
    cycle.append(cycle)
    loop = {}
    loop[1] = loop
    for key in (deep, cycle, loop, (cycle,), specimens.Nested(), Item(deep)):
        with pytest.raises(OperationFailed, match="nested too deeply, or contains itself"):
            text(key)
    fine = ()
    for _ in range(90):
        fine = (fine,)
    assert text(fine)
