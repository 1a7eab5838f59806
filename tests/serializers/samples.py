"""What the tests of codecs share: types, values of every kind, and what "the same" means."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from memo.entry import Entry
from memo.serializers import Codec

NAME = "memo:shop.price:0123456789abcdef"
SECRET = "correct horse battery staple"
FORMATS = ("msgpack", "json")


def round_trip(codec, value, name=NAME):
    """What `codec` gives back for `value`."""
    return codec.decode(name, codec.encode(name, Entry(value, 1.5, 2.5, 3.5))).value


def identity(value: Any) -> Any:
    """What `value` is, bit by bit and type by type, as something that can be compared.

    It shares no code with the codecs.
    """
    kind = type(value)
    if kind is float:
        return "float", "nan" if value != value else struct.pack(">d", value)  # noqa: PLR0124
    if kind is complex:
        return "complex", identity(value.real), identity(value.imag)
    if kind in {list, tuple}:
        return kind.__name__, [identity(item) for item in value]
    if kind in {set, frozenset}:
        return kind.__name__, sorted(repr(identity(item)) for item in value)
    if kind is dict:
        return "dict", [(identity(key), identity(item)) for key, item in value.items()]
    if kind in {datetime, time}:
        return kind.__name__, str(value.replace(tzinfo=None)), value.fold, zone(value.tzinfo)
    if kind is Decimal:
        return "Decimal", value.as_tuple()
    if isinstance(value, enum.Enum):
        return "member", id(value)
    assert kind in {type(None), bool, int, str, bytes, bytearray, date, timedelta, UUID}
    return kind.__name__, hex(value) if kind is int else repr(value)


def zone(info: tzinfo | None) -> Any:
    """What a time zone is; two fixed ones may differ in name alone."""
    if type(info) is timezone:
        return "timezone", info.__getinitargs__()
    return info and ("zone", id(info))


# Values.


class Colour(enum.Enum):
    """Members with values that no format could hold."""

    RED = object()
    BLUE = ("b", 1)


class Level(enum.IntEnum):
    """Members that are integers."""

    LOW = 1
    HIGH = 2


class Access(enum.Flag):
    """Members that are combined."""

    READ = enum.auto()
    WRITE = enum.auto()


_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=8)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**90), 2**90),
    st.floats(),
    st.complex_numbers(),
    _TEXT,
    st.binary(max_size=8),
    st.sampled_from([*Colour, *Level, Access.READ, Access.READ | Access.WRITE, Access(0)]),
    st.decimals() | st.just(Decimal("sNaN7")),
    st.uuids(),
    st.dates(),
    st.timedeltas(),
    st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=True),
    st.datetimes(timezones=st.builds(timezone, st.timedeltas(timedelta(-1), timedelta(hours=9)))),
    st.times(timezones=st.none() | st.timezones()),
)
_HASHABLE = st.recursive(
    _SCALARS.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)

#: Nested builtins of all supported types.
BUILTINS = st.recursive(
    _SCALARS | st.binary(max_size=8).map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(_HASHABLE, max_size=3),
        st.frozensets(_HASHABLE, max_size=3),
        st.dictionaries(_TEXT, inner, max_size=3),
        st.dictionaries(_HASHABLE, inner, max_size=3),
        st.dictionaries(st.sampled_from(["$tuple", "$", "$set", "a"]), inner, max_size=1),
    ),
    max_leaves=12,
)


# Annotated types.


@dataclass
class Price:
    """A dataclass, as most are."""

    amount: float
    currency: str = "EUR"
    tags: list[str] = dataclass_field(default_factory=list)
    at: datetime | None = None


@dataclass
class Basket:
    """A dataclass with others inside."""

    prices: dict[str, Price]
    colour: Level = Level.LOW
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass with slots."""

    x: int
    y: tuple[int, ...] = ()


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: int = 0


class Row(TypedDict):
    """A typed dictionary."""

    id: int
    name: str


class Order(msgspec.Struct):
    """A struct."""

    number: int
    lines: list[tuple[str, Decimal]]


class Node(msgspec.Struct):
    """A struct that contains itself."""

    value: int
    children: list[Node] = []


class Cat(msgspec.Struct, tag=True):
    """One of two tagged structs."""

    lives: int


class Dog(msgspec.Struct, tag=True):
    """The other."""

    age: int


def codecs(**options):
    """A codec for each format."""
    return [Codec(format_, **options) for format_ in FORMATS]
