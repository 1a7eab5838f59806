"""Unsigned payloads of somebody who knows the format: no code, no import, no other exception."""

from __future__ import annotations

import builtins
import enum
import random
import sys
import tracemalloc
import types
from collections import Counter

import msgspec
import pytest
from serializers.samples import FORMATS, NAME, Basket, Price, codecs

from memo import OperationFailed
from memo.entry import Entry, Raised
from memo.serializers import Codec

PLAIN, DIRECT, CONVERTED, RAISED = 0, 1, 2, 255


def sealed(codec, payload, form=PLAIN):
    """An entry with a checksum that fits, and this payload."""
    return codec._envelope.sealed(NAME, Entry(None, 1.0, 2.0, 3.0), form, payload)


def refused(codec, payload, form=PLAIN):
    """Why the payload is not taken; nothing but a codec's error may come."""
    with pytest.raises(OperationFailed) as caught:
        codec.decode(NAME, sealed(codec, payload, form))
    assert caught.value.codec
    return caught.value.reason


def extension(code, content):
    """An extension in msgpack."""
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(content)))


def tagged(name, content):
    """An extension in JSON."""
    return msgspec.json.encode({name: content})


def nested(depth):
    """Payloads that are deeper than any stack."""
    within = b"\x01"
    for _ in range(min(depth, 3_000)):
        within = msgspec.msgpack.encode(msgspec.msgpack.Ext(1, within))
    return {
        "msgpack": [b"\x91" * depth + b"\x01", b"\x81\x01" * depth + b"\x01", within],
        "json": [b"[" * depth + b"]" * depth, b'{"$tuple":[' * depth + b"]}" * depth],
    }


@pytest.mark.parametrize("format_", FORMATS)
def test_nesting_is_refused(format_):
    """In every form, also with an annotation."""
    for payload in nested(50_000)[format_]:
        for form in (PLAIN, RAISED):
            refused(Codec(format_), payload, form)
        for form in (PLAIN, DIRECT, CONVERTED):
            refused(Codec(format_, annotation=Basket), payload, form)
            refused(Codec(format_, annotation=list), payload, form)


def test_lengths_that_lie_take_no_memory():
    """An array of four billion in six bytes."""
    lies = [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\x01",
        b"\xdb\xff\xff\xff\xffab",
        b"\xc6\xff\xff\xff\xffab",
        b"\xc9\xff\xff\xff\xff\x01ab",
        extension(1, 2**62),
        extension(11, 2**62),
        extension(11, 2**30),
    ]
    tracemalloc.start()
    try:
        for payload in lies:
            refused(Codec(), payload)
            refused(Codec(annotation=list[int]), payload, DIRECT)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


SENSELESS = {
    "tuple": (1, 5),
    "set": (2, [[1]]),
    "frozenset": (3, [{}]),
    "complex": (4, ["a", 1]),
    "datetime": (5, "yesterday"),
    "date": (6, "2024-13-01"),
    "time": (7, ["01:00:00", 7, None]),
    "timedelta": (8, [10**10, 0, 0]),
    "decimal": (9, "one"),
    "uuid": (10, "1"),
    "bytearray": (11, [256]),
    "enum": (12, ["a", "b"]),
    "dict": (13, [[1]]),
    "int": (14, "0xzz"),
    "str": (15, b"\xff"),
    "bytes": (16, "%"),
    "float": (17, "much"),
    "unheard of": (99, 1),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_senseless_extensions_are_refused(name):
    """Each kind with a content that it cannot have."""
    code, content = SENSELESS[name]
    refused(Codec(), extension(code, content))
    if type(content) is not bytes:
        refused(Codec("json"), tagged(f"${name}", content))


def test_a_zone_that_is_none_is_refused():
    """Whatever it names: no other file is opened."""
    for zone in ("Nowhere/Land", "../../etc/passwd", "/etc/passwd", "", "\0", [9**9, 0, 0]):
        refused(Codec(), extension(5, ["2024-01-01T00:00:00", 0, zone]))


# References.


class Colour(enum.Enum):
    """An Enum that may be referred to."""

    RED = 1


class Watched(types.ModuleType):
    """A module that sees when it is touched, as one does that is imported when it is used."""

    touched = 0

    def __getattribute__(self, name):
        Watched.touched += 1
        return super().__getattribute__(name)


class Touchy:
    """An object that sees when it is asked for its class."""

    asked = 0

    @property
    def __class__(self):
        Touchy.asked += 1
        return enum.EnumMeta


REFERENCES = [
    ("antigravity", "Colour", "RED"),
    ("this", "s", "x"),
    ("os", "system", "true"),
    ("builtins", "eval", "1"),
    ("builtins", "int", "from_bytes"),
    ("builtins", "object", "__subclasses__"),
    ("subprocess", "Popen", "true"),
    ("enum", "Enum", "RED"),
    ("sys", "modules", "os"),
    (__name__, "Colour", "BLUE"),
    (__name__, "Colour", "__class__"),
    (__name__, "Colour", 1),
    (__name__, "Colour.RED", "RED"),
    (__name__, "Colour.__class__", "RED"),
    (__name__, "", "RED"),
    (__name__, "touchy", "RED"),
    ("watched", "Colour", "RED"),
    ("", "", ""),
    (1, 2, 3),
    ([], {}, None),
]


@pytest.fixture(autouse=True)
def _modules(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "touchy", Touchy(), raising=False)
    monkeypatch.setitem(sys.modules, "watched", Watched("watched"))


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_a_reference_reaches_enums_that_are_imported_and_nothing_else(reference):
    """Looking one up imports nothing, calls nothing and touches nothing."""
    before = set(sys.modules)
    Watched.touched = Touchy.asked = 0
    refused(Codec(), extension(12, list(reference)))
    refused(Codec("json"), tagged("$enum", list(reference)))
    module, qualname, args = (reference[0], reference[1], [reference[2]])
    for format_, write in [("msgpack", msgspec.msgpack.encode), ("json", msgspec.json.encode)]:
        refused(Codec(format_), write([module, qualname, args, {}, {}, False, None]), RAISED)
    assert set(sys.modules) == before
    assert Watched.touched == Touchy.asked == 0


class Noisy(Exception):
    """An exception that would be heard."""

    heard = 0

    def __init__(self, *args):
        Noisy.heard += 1
        super().__init__(*args)

    def __setattr__(self, name, value):
        Noisy.heard += 1
        super().__setattr__(name, value)


class Louder(Noisy):
    """One that is made in its own way."""

    def __new__(cls, *args):
        Noisy.heard += 1
        return super().__new__(cls, *args)


def test_an_exception_of_somebody_elses_choice_runs_no_code():
    """It may be chosen among the imported ones; none of its own functions is called."""
    codec = Codec()
    Noisy.heard = 0
    payload = msgspec.msgpack.encode([__name__, "Noisy", ["a"], {"x": 1}, {}, False, None])
    error = codec.decode(NAME, sealed(codec, payload, RAISED)).value.error
    assert (type(error), error.args, vars(error)) == (Noisy, ("a",), {"x": 1})
    for kind, args, members in [
        ("Louder", [], {}),
        ("Noisy", [], {"__class__": 1}),
        ("Noisy", [], {"args": [1]}),
        ("Noisy", 5, {}),
        ("Noisy", [], []),
        ("Colour", ["RED"], {}),
    ]:
        payload = msgspec.msgpack.encode([__name__, kind, args, {}, members, False, None])
        refused(codec, payload, RAISED)
    for members in (
        {"object": 5},
        {"object": "x", "start": -9},
        {"start": 2**40, "end": 2**40 + 1},
    ):
        payload = ["builtins", "UnicodeDecodeError", [], {}, members, False, None]
        refused(codec, msgspec.msgpack.encode(payload), RAISED)
    for kind in ("KeyboardInterrupt", "SystemExit", "GeneratorExit", "BaseException", "int"):
        assert hasattr(builtins, kind)
        payload = msgspec.msgpack.encode(["builtins", kind, [1], {}, {}, False, None])
        refused(codec, payload, RAISED)
    for junk in (b"\x01", b"\xc0", b"\x90", b"\x97" + b"\xc0" * 7):
        refused(codec, junk, RAISED)
    assert Noisy.heard == 0


def test_an_annotation_bounds_what_may_come():
    """Who returns a Price gets one, or nothing."""
    for codec in codecs(annotation=Price):
        write = {"msgpack": msgspec.msgpack, "json": msgspec.json}[codec.serializer].encode
        for content in ({}, {"amount": "1"}, [1], None, 5, {"amount": 1.0, "tags": [1]}):
            for form in (PLAIN, DIRECT, CONVERTED):
                refused(codec, write(content), form)
        for form in (3, 4, 100, 254):
            assert "not known" in refused(codec, write({"amount": 1.0}), form)
        assert "not what Price says" in refused(codec, write({"amount": 1.0}), PLAIN)


@pytest.mark.parametrize("format_", FORMATS)
def test_ten_thousand_random_payloads_raise_nothing_else(format_):
    """Noise, and damaged payloads under a checksum that fits: a value of builtins, or a refusal."""
    dice = random.Random(11)
    kinds = Counter()
    codecs_ = [Codec(format_), Codec(format_, annotation=Basket), Codec(format_, annotation=list)]
    value = [(1, {2: "x"}), Colour.RED, 2**70, {"$a": 1j}, b"y", "z" * 40]
    whole = codecs_[0]._payloads.dump(value)[1]
    raised = codecs_[0]._payloads.dump_builtins(
        ["builtins", "KeyError", ["k"], {}, {}, False, None]
    )
    for _ in range(10_000):
        payload = bytearray(dice.choice([whole, raised, dice.randbytes(dice.randrange(1, 60))]))
        for _ in range(dice.randrange(4)):
            payload[dice.randrange(len(payload))] = dice.randrange(256)
        codec = dice.choice(codecs_)
        try:
            entry = codec.decode(NAME, sealed(codec, bytes(payload), dice.choice([0, 1, 2, 255])))
        except OperationFailed as error:
            kinds[error.codec] += 1
        else:
            assert type(entry.value) in {Raised, Basket, list} or codec is codecs_[0]
    assert set(kinds) == {True}
