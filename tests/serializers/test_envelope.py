"""The envelope: whose an entry is, its times and tags, and that it is as it was written."""

from __future__ import annotations

import json
import math
import random
import struct
from decimal import Decimal
from typing import Any

import pytest
from serializers.samples import FORMATS, NAME, SECRET, Point, Price, codecs, identity

from memo import OperationFailed
from memo.entry import FOREVER, Entry
from memo.serializers import Codec

ANY_OF = dict[str, Any] | list[Any] | int
SIGNED = {"secrets": SECRET}
MODES = {
    "msgpack": Codec(),
    "msgpack, annotated": Codec(annotation=ANY_OF),
    "msgpack, signed": Codec(**SIGNED),
    "msgpack, compressed": Codec(compress=0),
    "msgpack, compressed, signed": Codec(compress=0, **SIGNED),
    "json": Codec("json"),
    "json, signed": Codec("json", **SIGNED),
    "json, compressed": Codec("json", compress=0),
    "pickle": Codec("pickle", **SIGNED),
    "pickle, compressed": Codec("pickle", compress=0, **SIGNED),
}
each_mode = pytest.mark.parametrize("codec", MODES.values(), ids=list(MODES))

VALUE = {"id": 17, "name": "tea", "prices": [9.99, (1, 2), Decimal("1.50")], "more": "x" * 200}
ENTRY = Entry(VALUE, 1_700_000_000.25, 1_700_000_300.5, 1_700_086_400.75, ("tea", "päge"))


def refused(codec, data, name=NAME):
    """Why `codec` does not take `data`; nothing but a codec's error may come."""
    with pytest.raises(OperationFailed) as caught:
        codec.decode(name, data)
    assert caught.value.codec
    return caught.value.reason


@each_mode
def test_an_entry_comes_back_whole(codec):
    """Value, times and tags."""
    back = codec.decode(NAME, codec.encode(NAME, ENTRY))
    assert type(back) is Entry
    assert back == ENTRY
    assert identity(back.value) == identity(VALUE)


@each_mode
def test_for_ever_is_for_ever(codec):
    """And is the one object that the rest of the house compares with."""
    back = codec.decode(NAME, codec.encode(NAME, Entry(1, 5.0)))
    assert back.expires is FOREVER
    assert back.kept_until is FOREVER
    assert back.tags == ()
    back = codec.decode(NAME, codec.encode(NAME, Entry(1, 5, 6)))
    assert back[1:] == (5.0, 6.0, FOREVER, ())
    back = codec.decode(NAME, codec.encode(NAME, Entry(1, -5.0, 0.0)))
    assert back[1:3] == (-5.0, 0.0)


@each_mode
def test_times_that_cannot_be_are_refused(codec):
    """NaN is before and after everything."""
    for times in [
        (math.nan,),
        (1.0, math.nan),
        (1.0, 2.0, math.nan),
        (math.inf,),
        (1.0, -math.inf),
    ]:
        with pytest.raises(OperationFailed, match="times"):
            codec.encode(NAME, Entry(1, *times))


def test_times_that_cannot_be_are_refused_when_they_are_read():
    """Somebody may have written them with a checksum that fits."""
    codec = Codec()
    data = codec.encode(NAME, Entry(1, 1.0, 2.0, 3.0))
    for place, time in [(17, math.nan), (17, math.inf), (25, math.nan), (33, -math.inf)]:
        changed = data[:place] + struct.pack(">d", time) + data[place + 8 : -8]
        assert "times" in refused(codec, changed + codec._envelope._mark(changed))


@each_mode
def test_an_entry_answers_for_no_other_key(codec):
    """Also when it was signed: the name is part of what is."""
    data = codec.encode(NAME, ENTRY)
    for other in ("memo:shop.price:other", NAME + "0", NAME[:-1], "", NAME.upper()):
        assert "another key" in refused(codec, data, other)


@each_mode
def test_names_and_tags_may_be_any_text(codec):
    """The empty one, and those beyond ASCII."""
    for name in ("", "ä" * 300, "with spaces\r\n\0", "\U0001f600"):
        for tags in ((), ("",), ("a", "a", "\U0001f600" * 100), tuple(map(str, range(500)))):
            entry = ENTRY._replace(tags=tags)
            assert codec.decode(name, codec.encode(name, entry)) == entry


@each_mode
def test_what_an_envelope_cannot_hold_is_refused(codec):
    """As a codec's error, like everything else."""
    entries = [ENTRY._replace(tags=("\ud800",)), ENTRY._replace(tags=(1,))]
    for name, entry in [("\ud800", ENTRY), *((NAME, entry) for entry in entries)]:
        with pytest.raises(OperationFailed) as caught:
            codec.encode(name, entry)
        assert caught.value.codec


@each_mode
def test_ten_thousand_damaged_payloads_give_no_value(codec):
    """Flipped bits, cut ends, things in between: each is noticed (a tenth of them in each mode)."""
    dice = random.Random(repr(codec))
    data = codec.encode(NAME, ENTRY)
    assert codec.decode(NAME, data) == ENTRY
    for _ in range(1_000):
        changed = damaged(data, dice)
        assert changed != data
        refused(codec, changed)


def damaged(data, dice):
    """`data` with something wrong in it."""
    place = dice.randrange(len(data))
    other = dice.randrange(len(data))
    return dice.choice(
        [
            lambda: flipped(data, place, 1 << dice.randrange(8)),
            lambda: flipped(data, place, dice.randrange(1, 256)),
            lambda: flipped(flipped(data, place, 1), other, 2),
            lambda: data[:place],
            lambda: data[place + 1 :],
            lambda: data[:place] + data[place + 1 :],
            lambda: data[:place] + b"\x00" + data[place:],
            lambda: data + dice.randbytes(dice.randrange(1, 9)),
            lambda: data[:place] + bytes(len(data) - place) + b"\x00",
        ]
    )()


def flipped(data, place, mask):
    """`data` with the bits of `mask` flipped at `place`."""
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


@each_mode
def test_every_single_bit_counts(codec):
    """There is no place where a flipped bit goes unnoticed."""
    data = codec.encode(NAME, Entry([1, (2,)], 1.0, 2.0, 3.0, ("t",)))
    for place in range(len(data)):
        for bit in range(8):
            refused(codec, flipped(data, place, 1 << bit))


@each_mode
def test_what_is_no_entry_at_all_is_refused(codec):
    """Whatever else is found under a key of ours."""
    for data in (b"", b"memo", b"x" * 10_000, b"{}", b'{"memo":1}', bytes(200), "text", 5, None):
        refused(codec, data)


@pytest.mark.parametrize("format_", FORMATS)
def test_bytes_may_come_in_any_guise(format_):
    """Drivers give bytes, bytearrays and memoryviews."""
    codec = Codec(format_)
    data = codec.encode(NAME, ENTRY)
    for guise in (bytearray(data), memoryview(data)):
        assert codec.decode(NAME, guise) == ENTRY


def test_no_codec_takes_what_another_wrote():
    """Neither another serializer's, nor with another kind of seal, nor for another type."""
    writers = [*MODES.values(), *codecs(annotation=list[int]), Codec(secrets="another" * 5)]
    plain = [codec for codec in writers if codec.compress is None]
    for writer in plain:
        data = writer.encode(NAME, Entry([1], 1.0))
        for reader in plain:
            if reader is writer:
                assert reader.decode(NAME, data).value == [1]
            else:
                refused(reader, data)


def test_the_reason_says_what_does_not_fit():
    """Who reads the log knows what to do."""
    data = Codec().encode(NAME, Entry(1, 1.0))
    assert "not written by memo" in refused(Codec(), b"\x80" + data[1:])
    assert "another version" in refused(Codec(), data[:4] + b"\x09" + data[5:])
    assert "another serializer" in refused(Codec("pickle", **SIGNED), data)
    assert "is not signed" in refused(Codec(**SIGNED), data)
    signed = Codec(**SIGNED).encode(NAME, Entry(1, 1.0))
    assert "it is signed" in refused(Codec(), signed)
    assert "another secret" in refused(Codec(secrets="another secret 16"), signed)
    assert "annotation has changed" in refused(Codec(annotation=int), data)
    assert "cut or changed" in refused(Codec(), data[:-1])


def test_the_envelope_is_small():
    """Below 100 bytes with a short key, and little more with a signature."""
    name = "memo:shop.price:0123456789abcdef"
    assert len(Codec().encode(name, Entry("", 1.0, 2.0, 3.0))) < 100
    assert len(Codec(**SIGNED).encode(name, Entry("", 1.0, 2.0, 3.0))) < 124


def test_people_can_read_json():
    """An entry is one JSON object with all of it."""
    for codec in (MODES["json"], MODES["json, signed"]):
        shown = json.loads(codec.encode(NAME, ENTRY))
        assert shown["memo"] == 1
        assert shown["key"] == NAME
        assert shown["created"] == ENTRY.created
        assert shown["expires"] == ENTRY.expires
        assert shown["kept_until"] == ENTRY.kept_until
        assert shown["tags"] == list(ENTRY.tags)
        assert shown["value"]["name"] == "tea"
        assert shown["value"]["prices"] == [9.99, {"$tuple": [1, 2]}, {"$decimal": "1.50"}]
    typed = json.loads(Codec("json", annotation=Price).encode(NAME, Entry(Price(1.5), 1.0)))
    assert typed["value"] == {"amount": 1.5, "currency": "EUR", "tags": [], "at": None}
    assert json.loads(Codec("json", annotation=Point).encode(NAME, Entry(Point(1), 1.0)))
    assert json.loads(MODES["json, compressed"].encode(NAME, ENTRY))["key"] == NAME
