"""Serializers of other people: any object with `dumps` and `loads`."""

from __future__ import annotations

import functools
import json
import marshal
import pickle
import types

import pytest
from serializers.samples import NAME, SECRET, Price

from memo import OperationFailed
from memo.entry import Entry, Raised
from memo.serializers import Codec


class Json:
    """A serializer as people write one."""

    def dumps(self, value):
        """Bytes of a value."""
        return json.dumps(value).encode()

    def loads(self, data):
        """A value of bytes."""
        return json.loads(data)


class Array:
    """A value whose `==` gives no yes or no, as NumPy's does."""

    def __init__(self, *items):
        self.items = items

    def __eq__(self, other):
        return Array(*(one == two for one, two in zip(self.items, other.items, strict=True)))

    __hash__ = None

    def __bool__(self):
        raise ValueError("ambiguous")


def functions(dumps, loads):
    """A serializer of two functions."""
    return types.SimpleNamespace(dumps=dumps, loads=loads)


def round_trip(serializer, value):
    """What comes back."""
    codec = Codec(serializer)
    return codec.decode(NAME, codec.encode(NAME, Entry(value, 1.0, 2.0, 3.0, ("t",))))


def test_any_object_with_dumps_and_loads_serves():
    """Times and tags are the envelope's affair."""
    assert round_trip(Json(), {"a": [1]}) == Entry({"a": [1]}, 1.0, 2.0, 3.0, ("t",))


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        (Json(), (1, 2)),
        (Json(), {1: 2}),
        (Json(), {"a": {1}}),
        (Json(), Price(1.0)),
        (functions(json.dumps, json.loads), {}),
        (functions(lambda _: b"1", lambda _: True), 1),
        (functions(lambda _: b"1", lambda _: 1), 2),
        (functions(lambda _: bytearray(b"1"), lambda _: 1), 1),
        (functions(lambda _: b"1", lambda _: 1 / 0), 1),
    ],
    ids=range(9),
)
def test_what_does_not_come_back_is_refused(serializer, value):
    """It is read again when it is written: equal, and of the same type."""
    with pytest.raises(OperationFailed, match="cannot be stored") as caught:
        round_trip(serializer, value)
    assert caught.value.codec


def test_arrays_are_compared_by_what_is_written():
    """Where `==` gives no yes or no."""
    good = functions(
        lambda array: json.dumps(array.items).encode(), lambda data: Array(*json.loads(data))
    )
    assert round_trip(good, Array(1, 2)).value.items == (1, 2)
    bad = functions(good.dumps, lambda data: Array(*json.loads(data), 3))
    bad.loads = lambda data: Array(*json.loads(data)[::-1])
    with pytest.raises(OperationFailed):
        round_trip(bad, Array(1, 2))


def test_what_a_serializer_raises_is_a_codecs_error():
    """With its own as the cause."""
    codec = Codec(functions(lambda _: b"1", lambda _: 1))
    data = codec.encode(NAME, Entry(1, 1.0))
    broken = Codec(functions(lambda _: 1 / 0, lambda _: 1 / 0))
    with pytest.raises(OperationFailed, match="ZeroDivisionError") as caught:
        broken.encode(NAME, Entry(1, 1.0))
    assert type(caught.value.__cause__) is ZeroDivisionError
    with pytest.raises(OperationFailed, match="ZeroDivisionError") as caught:
        broken.decode(NAME, data)
    assert caught.value.codec


def test_cached_exceptions_go_by_reference():
    """As a list, which the serializer writes."""
    back = round_trip(Json(), Raised(KeyError("k", 1))).value.error
    assert type(back) is KeyError
    assert back.args == ("k", 1)
    with pytest.raises(OperationFailed):
        round_trip(Json(), Raised(KeyError((1, 2))))


def test_another_serializers_entries_are_not_read():
    """They are told apart by the name of the class or module."""
    data = Codec(Json()).encode(NAME, Entry(1, 1.0))
    assert Codec(Json()).decode(NAME, data).value == 1
    for other in (Codec(functions(json.dumps, json.loads)), Codec(), Codec("json")):
        with pytest.raises(OperationFailed):
            other.decode(NAME, data)


@pytest.mark.parametrize(
    "serializer",
    [
        pickle,
        marshal,
        functions(pickle.dumps, pickle.loads),
        functions(str.encode, functools.partial(pickle.loads, encoding="ascii")),
        functions(pickle.dumps, pickle._loads),
    ],
    ids=["pickle", "marshal", "functions", "partial", "in Python"],
)
def test_pickle_under_another_name_must_be_signed_as_well(serializer, monkeypatch):
    """Nothing unsigned is ever unpickled."""
    monkeypatch.delenv("MEMO_SECRET", raising=False)
    with pytest.raises(ValueError, match="needs a secret"):
        Codec(serializer)
    assert Codec(serializer, secrets=SECRET)
    monkeypatch.setenv("MEMO_SECRET", SECRET)
    assert Codec(serializer).secrets is not None
