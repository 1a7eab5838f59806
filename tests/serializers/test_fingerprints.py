"""Fingerprints: a type that has changed has another, and a process has none of its own."""

from __future__ import annotations

import enum
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import msgspec
import pytest
from serializers.samples import FORMATS, NAME, SECRET, Basket, Frozen, Node, Price

from memo import OperationFailed
from memo.entry import ABSENT, Entry
from memo.serializers import Codec
from memo.serializers.fingerprints import SIZE, description, fingerprint


def dataclass_of(*fields):
    """A dataclass that is called `Thing`."""
    return make_dataclass("Thing", fields, namespace={"__module__": "shop"})


def enum_of(**members):
    """An Enum that is called `Thing`."""
    return enum.Enum("Thing", members, module="shop")


def struct_of(*fields, **options):
    """A struct that is called `Thing`."""
    return msgspec.defstruct("Thing", fields, module="shop", **options)


def typed_dict_of(**options):
    """A TypedDict that is called `Thing`."""
    return TypedDict("Thing", {"a": int}, **options)


def named_tuple_of(*fields):
    """A named tuple that is called `Thing`."""
    made = NamedTuple("Thing", fields)
    made.__module__ = "shop"
    return made


DIFFERENT = [
    dataclass_of(("a", int)),
    dataclass_of(("a", str)),
    dataclass_of(("b", int)),
    dataclass_of(("a", int), ("b", int)),
    dataclass_of(("b", int), ("a", int)),
    dataclass_of(("a", int | None)),
    dataclass_of(("a", list[int])),
    dataclass_of(("a", dataclass_of(("a", int)))),
    dataclass_of(("a", dataclass_of(("a", str)))),
    struct_of(("a", int), ("b", int)),
    struct_of(("a", int), ("b", int), rename="upper"),
    struct_of(("a", int), ("b", int), tag=True),
    struct_of(("a", int), ("b", int), tag="thing"),
    struct_of(("a", int), ("b", int), array_like=True),
    struct_of(("a", int, 1), omit_defaults=True),
    struct_of(("a", int, 2), omit_defaults=True),
    struct_of(("a", int, None), omit_defaults=True),
    struct_of(("a", list, []), omit_defaults=True),
    struct_of(("a", Decimal, Decimal(1)), omit_defaults=True),
    struct_of(("a", Decimal, Decimal(2)), omit_defaults=True),
    struct_of(("a", frozenset, frozenset({1})), omit_defaults=True),
    struct_of(("a", frozenset, frozenset({2})), omit_defaults=True),
    struct_of(("a", Frozen, Frozen(1)), omit_defaults=True),
    struct_of(("a", Frozen, Frozen(2)), omit_defaults=True),
    enum_of(ONE=1),
    enum_of(ONE=2),
    enum_of(TWO=1),
    enum_of(ONE=1, TWO=2),
    named_tuple_of(("a", int)),
    named_tuple_of(("a", str)),
    typed_dict_of(),
    typed_dict_of(total=False),
    int,
    str,
    None,
    ABSENT,
    Any,
    list,
    list[int],
    list[str],
    set[int],
    tuple[int],
    tuple[int, ...],
    tuple[int, int],
    tuple[()],
    dict[str, int],
    dict[int, str],
    Sequence[int],
    int | None,
    int | str,
    list[int | None],
    Literal[1],
    Literal["1"],
    Literal[True],
    Literal[1, 2],
    TypeVar("T"),
    "Thing",
    Price,
    Basket,
    Node,
]


def test_different_types_have_different_fingerprints():
    """A field more, less, of another name, type or order; a member, a default, a tag."""
    found = {}
    for annotation in DIFFERENT:
        mark = fingerprint(annotation)
        assert len(mark) == SIZE
        assert mark not in found, (annotation, found.get(mark))
        found[mark] = annotation


def test_the_same_type_has_the_same_fingerprint():
    """However it is written, and how often it was defined."""
    for one, other in [
        (dataclass_of(("a", int)), dataclass_of(("a", int))),
        (struct_of(("a", int, 1)), struct_of(("a", int, 2))),  # both are written
        (enum_of(ONE=1), enum_of(ONE=1)),
        (int | str, str | int),
        (Price | Basket, Basket | Price),
        (Optional[int], int | None),  # noqa: UP045
        (Union[Price, None], Price | None),  # noqa: UP007
        (Annotated[int, object()], int),
        (NewType("Id", int), int),
        (None, type(None)),
    ]:
        assert fingerprint(one) == fingerprint(other)


def test_the_serializer_is_a_part_of_it():
    """What one has written means nothing to another."""
    assert fingerprint(int, "msgpack") != fingerprint(int, "json")


def test_no_address_and_no_hash_is_in_it():
    """Three processes with other hashes come to the same."""
    program = textwrap.dedent("""
        import enum
        from dataclasses import dataclass, field
        from typing import Any, Literal
        import msgspec
        from memo.serializers.fingerprints import fingerprint

        class Colour(enum.Enum):
            RED = object()

        class Struct(msgspec.Struct, omit_defaults=True):
            a: object = object()
            b: list = msgspec.field(default_factory=list)
            c: Colour = Colour.RED
            d: frozenset = frozenset({"a", "b", "c"})

        @dataclass
        class Thing:
            some: set[str] = field(default_factory=lambda: {"a", "b"})
            more: "dict[str, Struct | Literal['x', 1] | None]" = None
            unknown: "Nowhere" = None

        print(fingerprint(dict[str, Thing | int | Struct | Any]).hex())
    """)
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 2 * SIZE


def test_the_words_are_short_where_a_type_contains_itself():
    """Each type is described once."""
    assert description(Node).count("value: builtins.int") == 1
    assert len(description(dict[str, list[Node] | Basket])) < 2_000


@pytest.mark.parametrize("serializer", [*FORMATS, "pickle"])
def test_an_entry_of_a_type_that_has_changed_is_a_miss_that_says_so(serializer):
    """After a field was added, what was written before is no value any more."""

    @dataclass
    class Thing:
        a: int

    before = Thing

    @dataclass
    class Thing:
        a: int
        b: int = 0

    secrets = SECRET if serializer == "pickle" else None
    old, new = (Codec(serializer, annotation=kind, secrets=secrets) for kind in (before, Thing))
    value = 1 if serializer == "pickle" else before(1)
    data = old.encode(NAME, Entry(value, 1.0))
    assert type(old.decode(NAME, data).value) is type(value)
    with pytest.raises(OperationFailed, match="annotation has changed"):
        new.decode(NAME, data)
