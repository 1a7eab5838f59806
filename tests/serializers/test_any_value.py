"""Whatever a function returns, and whatever it says it does: what comes back is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from serializers.samples import (
    BUILTINS,
    FORMATS,
    NAME,
    Basket,
    Colour,
    Frozen,
    Level,
    Node,
    Order,
    Point,
    Price,
    Row,
    identity,
)

from memo import OperationFailed
from memo.entry import Entry
from memo.serializers import Codec


class Mixed(msgspec.Struct):
    """A struct whose fields say little."""

    anything: Any = None
    number: float = 0.0
    when: datetime | None = None
    pair: tuple[int, str] | None = None
    keyed: dict[int, set[str]] | None = None


class Pair(NamedTuple):
    """A named tuple whose fields say little."""

    one: Any
    other: object = None


ANNOTATIONS = st.recursive(
    st.sampled_from(
        [
            *(None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set),
            *(frozenset, date, datetime, time, timedelta, Decimal, UUID, Any, object),
            *(Colour, Level, Price, Basket, Frozen, Node, Order, Point, Row, Mixed, Pair),
        ]
    ),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),
        inner.map(lambda kind: tuple[kind, ...]),
        inner.map(lambda kind: set[kind]),
        inner.map(lambda kind: Sequence[kind]),
        inner.map(lambda kind: Mapping[str, kind]),
        st.tuples(inner, inner).map(lambda kinds: tuple[kinds]),
        st.tuples(inner, inner).map(lambda kinds: dict[kinds]),
        st.tuples(inner, inner).map(lambda kinds: union(*kinds)),
    ),
    max_leaves=4,
)


def union(one, other):
    """A union, or the one where there is none."""
    try:
        return one | other
    except TypeError:
        return one


def maker(kind, *names):
    """Instances with builtins in some fields, whatever those are said to hold."""
    return st.builds(kind, **dict.fromkeys(names, BUILTINS))


VALUES = st.recursive(
    st.one_of(
        BUILTINS,
        maker(Price, "amount"),
        maker(Price, "amount", "currency", "at"),
        maker(Basket, "prices", "extra"),
        st.builds(Basket, st.dictionaries(st.text(max_size=2), maker(Price, "amount"), max_size=2)),
        maker(Frozen, "x", "y"),
        maker(Mixed, "anything"),
        maker(Mixed, "number", "when"),
        maker(Mixed, "pair", "keyed"),
        st.builds(Mixed, when=st.datetimes(timezones=st.none() | st.timezones())),
        maker(Pair, "one", "other"),
        maker(Node, "value"),
        st.builds(Order, st.integers(), st.just([("a", Decimal("1.0"))])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=3,
)


def parts(value):
    """What `value` is, bit by bit and type by type, also where it has fields."""
    kind = type(value)
    if is_dataclass(kind):
        return kind, [parts(getattr(value, field.name)) for field in fields(kind)], vars_of(value)
    if isinstance(value, msgspec.Struct):
        return kind, [parts(getattr(value, name)) for name in kind.__struct_fields__]
    if kind in {list, tuple, Point, Pair}:
        return kind, [parts(item) for item in value]
    if kind is dict:
        return kind, [(parts(key), parts(item)) for key, item in value.items()]
    return identity(value)


def vars_of(value):
    """The names of its attributes."""
    return sorted(getattr(value, "__dict__", {}))


def same_or_refused(annotation, value):
    """Whether it is stored; what is stored can be read, and is what it was."""
    stored = 0
    for format_ in FORMATS:
        codec = Codec(format_, annotation=annotation)
        try:
            data = codec.encode(NAME, Entry(value, 1.0))
        except OperationFailed:
            continue
        assert parts(codec.decode(NAME, data).value) == parts(value)
        stored += 1
    return stored


@given(ANNOTATIONS, VALUES)
def test_whatever_comes_back_is_what_was_stored(annotation, value):
    """Equal and of the same types, under whatever annotation, or refused when it is written."""
    same_or_refused(annotation, value)


@given(VALUES)
def test_fields_may_hold_anything(value):
    """Under the value's own type, alone and in containers."""
    kind = type(value)
    for annotation, thing in [
        (kind, value),
        (union(kind, None), value),
        (list[kind], [value, value]),
        (dict[str, Any], {"a": value}),
        (tuple[int, kind], (1, value)),
    ]:
        same_or_refused(annotation, thing)


def test_some_of_it_is_stored():
    """Or the tests above would show nothing."""
    for value in [
        Price(1.5, "USD"),
        Mixed((1, {"a": 2j}), 1.5, None, (1, "a"), {1: {"b"}}),
        Pair((1,), {2: [3]}),
        Frozen(1, (2,)),
        Node(1, [Node(2)]),
    ]:
        assert same_or_refused(type(value), value) == len(FORMATS)
