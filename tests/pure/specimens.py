"""Keys of every kind: which are equal, which are not, and which can have no text."""

# Naive moments are keys too.
# ruff: noqa: DTZ001, DTZ901

from __future__ import annotations

import datetime as dt
import enum
import functools
import ipaddress
import math
import multiprocessing
import statistics
import time
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from zoneinfo import ZoneInfo

import msgspec

from memo.keys import _FROZEN, _KEYWORDS, _OMITTED, _TYPES, freeze


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Number(enum.IntEnum):
    ONE = 1


class Letter(enum.StrEnum):
    A = "a"


class OldLetter(str, enum.Enum):  # noqa: UP042
    A = "a"


class Day(dt.date, enum.Enum):
    FIRST = 1, 1, 1


class Permission(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Odd(enum.Flag):
    PAIR = 3


Point = namedtuple("Point", "x y")  # noqa: PYI024


class Name(str):
    __slots__ = ()


class Caseless(str):
    __slots__ = ()

    def __eq__(self, other):
        return self.lower() == other.lower()

    def __hash__(self):
        return hash(self.lower())


@dataclass(frozen=True)
class Item:
    name: object
    price: object = 0
    note: str = field(default="", compare=False)


@dataclass(frozen=True)
class Other:
    name: object
    price: object = 0


class Inheriting(Item):
    pass


@dataclass(unsafe_hash=True)
class Slow:
    name: object


@dataclass(frozen=True)
class ByHand:
    name: str

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


@dataclass(frozen=True)
class HashedByHand:
    name: str

    def __hash__(self):
        return 1


@dataclass(frozen=True, eq=False)
class Unequal:
    name: str


class Struct(msgspec.Struct, frozen=True):
    name: str
    price: int = 0


class Mutable(msgspec.Struct):
    name: str


class Keyed:
    def __init__(self, *parts):
        self.parts = parts

    def __cache_key__(self):
        return list(self.parts)

    def method(self):
        pass


class KeyedToo(Keyed):
    pass


class KeyedTuple(tuple):
    __slots__ = ()

    def __cache_key__(self):
        return "mine"


class Plain:
    def method(self):
        pass

    @classmethod
    def maker(cls):
        pass


BERLIN, UTC = ZoneInfo("Europe/Berlin"), dt.UTC
TWICE = dt.datetime(2024, 10, 27, 2, 30)  # an hour that Berlin has twice
NEVER = dt.datetime(2024, 3, 31, 2, 30)  # and one that it has not


class WithoutKey:
    pass


class Failing:
    def __cache_key__(self):
        raise LookupError("no such thing")


class Nested:
    def __cache_key__(self):
        return self


def local_class():
    """A class that no other process can find."""

    class Local:
        pass

    return Local


def local_dataclass():
    """An instance of one."""

    @dataclass(frozen=True)
    class Local:
        name: str

    return Local("a")


def local_keyed():
    """One that says what it is, but not whose."""

    class Local:
        def __cache_key__(self):
            return 1

    return Local()


@functools.wraps(statistics.mean)
def impostor():
    """Passes for another function."""


class Zone(dt.tzinfo):
    def utcoffset(self, moment):
        raise OSError("no zone data")


class Twofold(dt.tzinfo):
    def utcoffset(self, moment):
        return dt.timedelta(hours=moment.fold)


#: Groups of keys that a dict takes for one.
EQUAL = [
    [1, 1.0, True, Number.ONE, Decimal("1.00"), Fraction(2, 2), 1 + 0j, complex(1, -0.0)],
    [0, -0.0, 0.0, False, Decimal("-0"), Decimal("0E+999999"), 0j],
    [0.1, Fraction(0.1), Decimal(0.1), complex(0.1)],  # noqa: RUF032
    [math.inf, Decimal("Infinity"), complex(math.inf, 0)],
    [-math.inf, Decimal("-Infinity")],
    ["a", Letter.A, OldLetter.A, Name("a")],
    [(1, 2), Point(1, 2), (True, 2.0)],
    [time.gmtime(0), (1970, 1, 1, 0, 0, 0, 3, 1, 0)],
    [frozenset({1, "a", None}), frozenset(["a", None, 1.0])],
    [range(0), range(5, 5), range(3, 1)],
    [range(1, 2), range(1, 3, 2), range(1, 100, 1000)],
    [range(0, 5, 2), range(0, 6, 2)],
    [range(10**30, 10**30 + 3, 2), range(10**30, 10**30 + 4, 2)],
    [dt.date(1, 1, 1), Day.FIRST],
    [dt.datetime(2024, 1, 1, 12, tzinfo=BERLIN), dt.datetime(2024, 1, 1, 11, tzinfo=UTC)],
    [TWICE.replace(tzinfo=BERLIN), TWICE.replace(tzinfo=BERLIN, fold=1)],
    [TWICE, TWICE.replace(fold=1)],
    [dt.time(1, tzinfo=UTC), dt.time(2, tzinfo=dt.timezone(dt.timedelta(hours=1)))],
    [dt.time(1), dt.time(1, fold=1), dt.time(1, tzinfo=BERLIN)],
    [dt.timedelta(days=1), dt.timedelta(hours=24)],
    [UTC, dt.timezone(dt.timedelta(0), "Z")],
    [Path("a/b"), type(Path())("a//b/.")],
    [PureWindowsPath("A/b"), PureWindowsPath("a\\B")],
    [Item("a", 1), Item("a", True, note="b")],
    [Permission.BOTH, Permission.READ | Permission.WRITE],
    [Struct("a", 1), Struct("a", 1)],
]

#: Keys of which it takes no two for one.
DIFFERENT = [
    *(group[0] for group in EQUAL),
    *(None, ..., NotImplemented, "", b"", (), frozenset(), "None", "1", b"1", b"a", (1,), ((1,),)),
    *((1, 2, 3), ("a", "b"), ("ab",), ("a", ("b",)), (("a",), "b"), -1, 2, -0.1, 1j, complex(1, 1)),
    *(Decimal("0.1"), Decimal("NaN"), Fraction(1, 3), complex(math.nan, 0), 2**64, -(2**64)),
    *(16, 0x1F, "é", "e\u0301", "\ud800", "\udcff", "\x00", "i1;", ")", "(i1;)", b"(i1;)"),
    *(frozenset({1}), frozenset({frozenset({1})}), frozenset({1, (1,)}), frozenset({(1, 2)})),
    *(range(3), range(1, 3), range(3, 0, -1), slice(3), slice(1, 3), slice(None, 3, 1)),
    *(dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)),
    *(TWICE.replace(tzinfo=UTC, hour=0), NEVER.replace(tzinfo=BERLIN), NEVER.replace(tzinfo=UTC)),
    *(dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=23))), dt.datetime.min),
    *(dt.time(2), dt.time(2, tzinfo=UTC), dt.timedelta(0), dt.timedelta(microseconds=-1)),
    *(BERLIN, ZoneInfo("UTC"), dt.timezone(dt.timedelta(hours=1)), uuid.UUID(int=1)),
    *(PurePosixPath("A/b"), PurePosixPath("a/B"), PurePosixPath("/a"), PureWindowsPath("a")),
    *(Colour.RED, Colour.GREEN, Permission.READ, Permission.WRITE, Permission(0), Odd.PAIR),
    *(Item("a", 2), Item(("a", 1)), Other("a", 1), Inheriting("a", 1), Slow("a"), Item("note")),
    *(Struct("a", 2), Keyed(), Keyed(1), Keyed([1]), Keyed((1,)), KeyedToo(1), KeyedTuple((1, 2))),
    *(ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("10.0.0.1/32"), Keyed(1).method),
    *(ipaddress.ip_interface("10.0.0.1/8"), ipaddress.ip_interface("10.0.0.1/9")),
    *(ipaddress.ip_address("::1"), ipaddress.ip_address("::1%eth0"), ipaddress.ip_network("::/8")),
    *(int, list, type(None), type(len), Item, Plain, Colour, Plain.method, Plain.maker, len, max),
    *(statistics.mean, math.sin, OrderedDict, defaultdict),
    *(_FROZEN, _TYPES, _KEYWORDS, _OMITTED, (_KEYWORDS, "a", 1), ("keywords", "a", 1)),
    *map(freeze, ([], [1], [[1]], [(1,)], {1}, {1: 1}, {1: [1]}, deque([1]), OrderedDict({1: 1}))),
    *map(freeze, (OrderedDict({1: 1, 2: 2}), OrderedDict({2: 2, 1: 1}), {1: 1, 2: 2}, set(), {})),
    *map(freeze, (defaultdict(int, {1: 1}), Counter({1: 1}), bytearray(b"1"), {1, 2})),
]

#: What no other process could write the same way.
REFUSED = [
    *(WithoutKey(), object(), Caseless("a"), ByHand("a"), HashedByHand("a"), Unequal("a")),
    *(lambda: 1, local_class(), local_class()(), local_dataclass(), local_keyed(), impostor),
    *(Plain().method, [].append, "a".upper, functools.partial(len), memoryview(b"a"), Mutable("a")),
    *(Decimal("1E+10001"), Decimal("1E-10001"), Decimal("1E+999999"), iter(()), ValueError("a")),
    *(dt.datetime(2024, 1, 1, tzinfo=Twofold()), Twofold(), ZoneInfo.from_file, math),
    multiprocessing.get_context(),
]
