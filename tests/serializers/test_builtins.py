"""Builtins without an annotation: equal and of the same type, inside as well, or refused."""

from __future__ import annotations

import array
import enum
import io
import struct
import sys
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from serializers.samples import (
    BUILTINS,
    FORMATS,
    Access,
    Colour,
    Level,
    codecs,
    identity,
    round_trip,
)

from memo import OperationFailed
from memo.serializers import Codec

each_format = pytest.mark.parametrize("codec", codecs(), ids=FORMATS)

BERLIN = ZoneInfo("Europe/Berlin")

VALUES = [
    None,
    True,
    0,
    -(2**63),
    -(2**63) - 1,
    2**64 - 1,
    2**64,
    10**5000,
    -0.0,
    float("nan"),
    float("-inf"),
    5e-324,
    complex(-0.0, float("nan")),
    "",
    "héllo \U0001f600",
    "\ud800 alone",
    b"",
    b"\x00\xff",
    bytearray(b"ab"),
    (),
    (1, [2, (3,)], {4}),
    [[], (), {}, set(), frozenset()],
    {1: "a", 1.5: "b", None: "c", b"d": "d", "e": "e"},
    {(1, 2): "a", frozenset({3}): "b", Level.LOW: "c", 2**70: "d", "\udfff": "e"},
    {"$tuple": [1]},
    {"$": None},
    {"$dict": 1, "more": 2},
    {1, "1", (1,), Colour.RED},
    datetime(2024, 5, 1, 12, 30, 0, 5),  # noqa: DTZ001 # naive on purpose, as the next
    datetime(2024, 5, 1, tzinfo=UTC),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=-2, seconds=5, microseconds=7))),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(microseconds=1))),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(0), "UTC")),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2024, 5, 1, fold=1),  # noqa: DTZ001
    datetime.min,  # noqa: DTZ901
    datetime.max,  # noqa: DTZ901
    date(1, 1, 1),
    time(23, 59, 59, 999_999),
    time(2, 30, fold=1),
    time(2, 30, tzinfo=BERLIN),
    time(2, 30, tzinfo=timezone(timedelta(minutes=1))),
    timedelta.min,
    timedelta.max,
    Decimal("1.00"),
    Decimal("-0"),
    Decimal("1E+9999"),
    Decimal("sNaN12"),
    Decimal("-Infinity"),
    uuid.UUID(int=5),
    Colour.RED,
    Level.HIGH,
    Access.READ,
    Access.READ | Access.WRITE,
    Access(0),
]


@given(BUILTINS)
def test_what_comes_back_is_what_was_stored(value):
    """Equal and of the same types, inside as well, in every format."""
    for format_ in FORMATS:
        assert identity(round_trip(Codec(format_), value)) == identity(value)


@each_format
def test_every_supported_type_comes_back(codec):
    """Alone, and within containers."""
    for value in VALUES:
        assert identity(round_trip(codec, value)) == identity(value)
        within = [value, (value,), {"key": value, 2: [value]}]
        assert identity(round_trip(codec, within)) == identity(within)


@each_format
def test_the_order_of_a_dict_is_kept(codec):
    """It is what people see when they go through it."""
    value = dict.fromkeys("zebra", 0)
    assert list(round_trip(codec, value)) == list(value)
    mixed = {(2,): 0, "b": 1, 1: 2}
    assert list(round_trip(codec, mixed)) == list(mixed)


# What is refused.


class Text(str):
    """A str that is more than one."""

    __slots__ = ()


class Number(int):
    """An int that is more than one."""


class Rows(list):
    """A list that is more than one."""


class Moment(datetime):
    """A datetime that is more than one."""


class Zone(tzinfo):
    """A time zone of one's own."""

    def utcoffset(self, _when):
        return timedelta(0)


class Plain:
    """An object."""


def hidden_enum():
    """An Enum that nobody can find by its name."""

    class Hidden(enum.Enum):
        ONE = 1

    return Hidden.ONE


def circle():
    """A list in itself."""
    items = []
    items.append(items)
    return items


def with_a_zone_from_a_file():
    """A datetime in a zone that has a well-known name, and comes from elsewhere."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    rules = b"TZif" + bytes(16) + counts + struct.pack(">lBB", 3600, 0, 0) + b"XYZ\0"
    zone = ZoneInfo.from_file(io.BytesIO(rules), key="Europe/Berlin")
    return datetime(2024, 1, 1, tzinfo=zone)


REFUSED = [
    Text("a"),
    Number(1),
    Rows(),
    OrderedDict(a=1),
    defaultdict(list),
    Counter("a"),
    deque([1]),
    types.MappingProxyType({}),
    types.SimpleNamespace(),
    memoryview(b"a"),
    array.array("b"),
    range(3),
    {}.keys(),
    Moment(2024, 1, 1),
    datetime(2024, 1, 1, tzinfo=Zone()),
    time(1, tzinfo=Zone()),
    with_a_zone_from_a_file(),
    Plain(),
    Plain,
    len,
    lambda: None,
    iter([]),
    Path("a"),
    hidden_enum(),
    circle(),
    ValueError("not raised"),
    object(),
    ...,
    NotImplemented,
]


@each_format
def test_what_would_not_come_back_is_refused(codec):
    """Alone, and wherever in a container; as a codec's error."""
    for value in REFUSED:
        for place in (value, [value], (value,), {"a": value}, [1, {"b": [(value,)]}]):
            with pytest.raises(OperationFailed) as caught:
                round_trip(codec, place)
            assert caught.value.codec


@each_format
def test_a_set_of_what_would_not_come_back_is_refused(codec):
    """A member of a set, and a key of a dict, count as well."""
    for value in ({Text("a")}, frozenset({Plain()}), {Text("a"): 1}, {(Number(1),): 1}):
        with pytest.raises(OperationFailed):
            round_trip(codec, value)


@each_format
def test_the_message_says_what_it_is(codec):
    """Who reads the log finds the type."""
    with pytest.raises(OperationFailed, match=r"cannot be stored.*collections\.OrderedDict"):
        round_trip(codec, [OrderedDict()])


@each_format
def test_a_deep_value_comes_back_or_is_refused(codec):
    """No depth leads to another exception, or to another value."""
    outcomes = set()
    for depth in (10, 100, sys.getrecursionlimit(), 20_000):
        for wrap in (lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: {(1,): v}):
            value = 1
            for _ in range(depth):
                value = wrap(value)
            try:
                assert round_trip(codec, value) == value
                outcomes.add("equal")
            except OperationFailed:
                outcomes.add("refused")
            except RecursionError:
                outcomes.add("equal")  # Python's own `==` gives up first
    assert outcomes == {"equal", "refused"}
