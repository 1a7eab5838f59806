"""Annotated values: decoded to the type that the function names, or refused when written."""

from __future__ import annotations

import enum
import sys
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypeVar,
    Union,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from serializers.samples import (
    FORMATS,
    Access,
    Basket,
    Cat,
    Colour,
    Dog,
    Frozen,
    Level,
    Node,
    Order,
    Point,
    Price,
    Row,
    codecs,
    round_trip,
)

from memo import OperationFailed
from memo.serializers import Codec

T = TypeVar("T")
UserId = NewType("UserId", int)
each_format = pytest.mark.parametrize("format_", FORMATS)


class Box(msgspec.Struct, Generic[T]):
    """A generic struct."""

    content: T


class Quiet(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A struct that is written in other words."""

    long_name: int = 1
    maybe: int | msgspec.UnsetType = msgspec.UNSET


class Rank(enum.Enum):
    """Members by which msgspec can tell them."""

    FIRST = "first"


@dataclass
class Everything:
    """Fields of which msgspec alone would change some."""

    real: float = 0.0
    whole: int = 0
    pair: complex = 0j
    text: str = ""
    when: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    clock: time = time(1)
    span: timedelta = timedelta(0)
    money: Decimal = Decimal(0)
    raw: bytes = b""
    some: frozenset[int] = frozenset()
    extra: Any = None
    rank: Rank = Rank.FIRST
    keyed: dict[int, tuple[str, ...]] = field(default_factory=dict)


BERLIN = ZoneInfo("Europe/Berlin")
AUTUMN = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN)

HELD = [
    (Price, Price(1.5)),
    (Price, Price(1.5, "USD", ["a"], AUTUMN)),
    (Price | None, None),
    (Optional[Price], Price(2.0)),  # noqa: UP045
    (list[Price], [Price(1.0), Price(2.0)]),
    (dict[str, Price], {"a": Price(1.0)}),
    (tuple[Price, ...], (Price(1.0),)),
    (tuple[int, Price], (1, Price(1.0))),
    (Basket, Basket({"a": Price(1.0)}, Level.HIGH, [1, {"b": None}])),
    (Basket, Basket({}, extra=(1, [(2,)], "x", 2j))),
    (Frozen, Frozen(1, (2, 3))),
    (set[Frozen], {Frozen(1), Frozen(2, (3,))}),
    (Point, Point(1, 2)),
    (list[Point], [Point(1)]),
    (dict[Point, str], {Point(1): "a"}),
    (Row, {"id": 1, "name": "a"}),
    (list[Row], [{"id": 1, "name": "a"}]),
    (Order, Order(1, [("a", Decimal("1.00"))])),
    (Node, Node(1, [Node(2), Node(3, [Node(4)])])),
    (Cat | Dog, Cat(9)),
    (Cat | Dog, Dog(3)),
    (list[Cat | Dog | None], [Cat(9), None, Dog(1)]),
    (Price | Frozen, Frozen(1)),
    (Price | Frozen, Price(1.0)),
    (Price | Row | list[int] | tuple[int, ...], (1, 2)),
    (Union[Price, Point, None], Point(1, 2)),  # noqa: UP007
    (Box[int], Box(1)),
    (Box[Price], Box(Price(1.0))),
    (Quiet, Quiet()),
    (Quiet, Quiet(2, 3)),
    (Rank, Rank.FIRST),
    (dict[Rank, int], {Rank.FIRST: 1}),
    (Colour, Colour.BLUE),
    (list[Colour], [Colour.RED]),
    (Access, Access.READ | Access.WRITE),
    (int, 2**70),
    (int, True),
    (float, 3),
    (list[float], [1, 2.5, float("nan"), -0.0]),
    (complex, 2j),
    (str, "\ud800"),
    (bytes, b"\x00"),
    (bytearray, bytearray(b"a")),
    (None, None),
    (type(None), None),
    (list, [(1,), {2}]),
    (dict, {(1,): {2}}),
    (tuple, (1, (2,))),
    (list[int], [1, 2]),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (dict[int, str], {1: "a"}),
    (dict[UUID, date], {UUID(int=1): date(2024, 1, 1)}),
    (dict[str, Any], {"a": (1, 2), "b": Colour.RED}),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], ()),
    (tuple[()], ()),
    (list[tuple[int, tuple[str, float]]], [(1, ("a", 1.5))]),
    (datetime, AUTUMN),
    (datetime, datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))),
    (list[datetime], [datetime(2024, 1, 1, tzinfo=UTC), AUTUMN]),
    (timedelta, timedelta(1, 2, 3)),
    (Decimal, Decimal("1.10")),
    (Literal["a", 1], "a"),
    (Sequence[int], (1, 2)),
    (Sequence[int], [1, 2]),
    (Iterable[str], {"a"}),
    (Collection[Colour], frozenset({Colour.RED})),
    (Mapping[str, Sequence[int]], {"a": (1,)}),
    (Mapping[str, Price], {"a": Price(1.0)}),
    (Any, {(1,): 2}),
    (object, (1,)),
    (T, (1,)),
    (UserId, 5),
    (list[UserId], [5]),
    (Annotated[list[int], "comment"], [1]),
    (Annotated[Price, []], Price(1.0)),
    (Everything, Everything()),
    (Everything, Everything(float("nan"), 2**80, 1j, "\ud800", AUTUMN)),
    (Everything, Everything(when=datetime(2024, 1, 1), clock=time(2, fold=1))),  # noqa: DTZ001
    (Everything, Everything(money=Decimal("1E-400"), raw=b"\xff", some=frozenset({1}))),
    (Everything, Everything(extra=(1, (2,)), keyed={1: ("a", "b")})),
]


@each_format
@pytest.mark.parametrize("number", range(len(HELD)))
def test_an_annotated_value_comes_back_as_it_was(format_, number):
    """Equal, of the named type, and with the same types inside."""
    annotation, value = HELD[number]
    again = round_trip(Codec(format_, annotation=annotation), value)
    assert type(again) is type(value)
    # NaN apart, `repr` tells all of these from what they could be taken for.
    assert repr(again) == repr(value)
    assert again == value or "nan" in repr(value)


class Extended(Price):
    """A subclass that the annotation does not name."""


class Named(NamedTuple):
    """Another named tuple."""

    x: int
    y: int


class Tall(Protocol):
    """What cannot be asked whether something is one."""

    height: int


def touched(price):
    """`price`, with an attribute that is no field."""
    price.added = 1
    return price


LIES = [
    (list[int], (1, 2)),
    (list[int], [1, "2"]),
    (list[int], [1, 2.0]),
    (tuple[int, ...], [1, 2]),
    (tuple[int, int], (1, 2, 3)),
    (set[int], frozenset({1})),
    (set[int], {"a"}),
    (dict[str, int], {1: 1}),
    (dict[str, int], {"a": None}),
    (dict[str, int], OrderedDict(a=1)),
    (list[Any], [OrderedDict(a=1)]),
    (dict, OrderedDict(a=1)),
    (int, "1"),
    (int, 1.0),
    (str, b"a"),
    (bytes, bytearray(b"a")),
    (bytes, "YQ=="),
    (bool, 1),
    (type(None), 0),
    (datetime, "2024-01-01T00:00:00"),
    (date, "2024-01-01"),
    (Decimal, "1.0"),
    (Decimal, 1),
    (UUID, str(UUID(int=1))),
    (Rank, "first"),
    (Level, 1),
    (Colour, "RED"),
    (Literal["a"], "b"),
    (Literal[1], True),
    (Sequence[int], {1}),
    (Sequence[int], ("a",)),
    (Mapping[str, int], {"a": "b"}),
    (Price, {"amount": 1.0, "currency": "EUR", "tags": [], "at": None}),
    (Price, Extended(1.0)),
    (Price, Frozen(1)),
    (Price, Price("1")),
    (Price, Price(1)),  # an int in a float's field would come back as a float
    (Price, Price(1.0, tags=("a",))),
    (Price, touched(Price(1.0))),
    (Price | None, {}),
    (list[Price], [{"amount": 1.0}]),
    (Frozen, Frozen(1, [2])),
    (Frozen, Price(1.0)),
    (Point, (1, 2)),
    (Point, Named(1, 2)),
    (tuple[int, int], Point(1, 2)),
    (Row, {"id": 1}),
    (Row, {"id": 1, "name": "a", "more": 2}),
    (Row, OrderedDict(id=1, name="a")),
    (Order, Order("1", [])),
    (Cat, Dog(1)),
    (Cat | Dog, {"type": "Cat", "lives": 1}),
    (Box[int], Box("a")),
    (Basket, Basket({}, extra=Colour.RED)),
    (Basket, Basket({}, extra=Price(1.0))),
    (Basket, Basket({}, extra={1})),
    (Everything, Everything(some={1})),
    (Everything, Everything(when=date(2024, 1, 1))),
    (object, Price(1.0)),
    (Any, Price(1.0)),
    (Tall, Price(1.0)),
]


@each_format
@pytest.mark.parametrize("number", range(len(LIES)))
def test_what_the_annotation_does_not_say_is_refused(format_, number):
    """When it is written; it is never given back as something else."""
    annotation, value = LIES[number]
    with pytest.raises(OperationFailed, match="cannot be stored") as caught:
        round_trip(Codec(format_, annotation=annotation), value)
    assert caught.value.codec


@each_format
def test_the_message_says_where(format_):
    """Who reads the log finds the field."""
    codec = Codec(format_, annotation=dict[str, Price])
    with pytest.raises(OperationFailed, match=r"result\['tea'\]\.amount: int comes back as float"):
        round_trip(codec, {"tea": Price(1)})


@each_format
@pytest.mark.parametrize(
    "source", ["list[Json] | dict[str, Json] | int", "list[int] | int", "Price"]
)
def test_an_alias_is_what_it_stands_for(format_, source):
    """Also where it names itself (`type X = ...`, from Python 3.12 on)."""
    names = {"Price": Price, "Json": Any}
    if sys.version_info >= (3, 12):
        exec(f"type Json = {source}", names)  # older ones cannot read this
    else:
        names["Json"] = eval(source, names)
    codec = Codec(format_, annotation=names["Json"])
    value = Price(1.5) if source == "Price" else [1, 2]
    assert round_trip(codec, value) == value
    with pytest.raises(OperationFailed):
        round_trip(codec, (1, 2))


@each_format
def test_an_annotation_that_is_not_understood_is_none(format_):
    """Builtins are stored all the same."""

    class Unknown:
        pass

    for annotation in ("Price", "list[Unknown]", T):
        assert round_trip(Codec(format_, annotation=annotation), (1, 2)) == (1, 2)
    for annotation in (Unknown, list[Unknown], dict[str, Unknown]):
        with pytest.raises(OperationFailed):
            round_trip(Codec(format_, annotation=annotation), [Unknown()])


@dataclass
class Lossy:
    """It does not keep what it is given."""

    x: int

    def __post_init__(self):
        self.x = abs(self.x)


@dataclass
class Failing:
    """It cannot be made again."""

    x: int
    made = 0

    def __post_init__(self):
        Failing.made += 1
        if Failing.made > 1:
            raise ConnectionError("no")


@dataclass
class Measured:
    """It computes something when it is first asked for it."""

    x: int

    @cached_property
    def double(self):
        """Twice as much."""
        return 2 * self.x


@dataclass(eq=False)
class Agreeable:
    """It is equal to everything."""

    x: float

    def __eq__(self, other):
        return True

    __hash__ = None


def test_what_a_constructor_changes_is_refused():
    """What comes back is looked at, not what should."""
    for codec in codecs(annotation=Lossy):
        value = Lossy(1)
        assert round_trip(codec, value) == value
        value.x = -1
        with pytest.raises(OperationFailed):
            round_trip(codec, value)
    for codec in codecs(annotation=Failing):
        Failing.made = 0
        value = Failing(1)
        with pytest.raises(OperationFailed):
            round_trip(codec, value)


def test_an_equality_of_ones_own_is_not_asked():
    """It might say yes to anything."""
    for codec in codecs(annotation=Agreeable):
        assert round_trip(codec, Agreeable(1.5)).x == 1.5
        with pytest.raises(OperationFailed):
            round_trip(codec, Agreeable(1))


def test_what_was_computed_from_the_fields_is_no_field():
    """A `cached_property` is computed again."""
    for codec in codecs(annotation=Measured):
        value = Measured(2)
        assert value.double == 4
        again = round_trip(codec, value)
        assert vars(again) == {"x": 2}
        assert again.double == 4
