"""Compression: off unless asked for, and bounded when it is read."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
import zlib

import pytest
from serializers.samples import FORMATS, NAME, SECRET, codecs

from memo import OperationFailed
from memo.entry import Entry, Raised
from memo.serializers import Codec, compression

VALUE = {"text": "tea " * 1000}
ENTRY = Entry(VALUE, 1.0, 2.0, 3.0)
each_method = pytest.mark.parametrize("method", ["zlib", "zstd"])


@pytest.fixture
def use(monkeypatch):
    """Chooses what there is for compression."""

    def choose(method):
        module = compression._zstd()
        assert module is not None, "install backports.zstd"
        monkeypatch.setattr(compression, "_zstd", lambda: module if method == "zstd" else None)

    return choose


def written(codec, payload, form):
    """An entry of `codec` with this payload, whatever that is."""
    return codec._envelope.sealed(NAME, ENTRY, form, payload)


def test_payloads_are_not_compressed_unless_asked():
    """What is written is what msgspec writes."""
    data = Codec().encode(NAME, ENTRY)
    assert VALUE["text"].encode() in data


@each_method
def test_payloads_are_compressed_from_a_size_on(use, method):
    """Small ones are left alone, and so are those that would grow."""
    use(method)
    for codec in (*codecs(compress=100), Codec("pickle", compress=100, secrets=SECRET)):
        large = codec.encode(NAME, ENTRY)
        assert len(large) < 400
        assert codec.decode(NAME, large) == ENTRY
        small = ENTRY._replace(value="tea" * 10)
        assert b"teatea" in codec.encode(NAME, small)
        assert codec.decode(NAME, codec.encode(NAME, small)) == small
        noise = ENTRY._replace(value=random.Random(1).randbytes(200))
        unpressed = Codec(codec.serializer, secrets=codec.secrets).encode(NAME, noise)
        if codec.serializer != "json":
            assert codec.encode(NAME, noise) == unpressed
        assert codec.decode(NAME, codec.encode(NAME, noise)) == noise


@each_method
def test_exceptions_and_typed_values_are_compressed_alike(use, method):
    """Whatever form a payload has."""
    use(method)
    for codec in codecs(compress=0, annotation=dict[str, str]):
        assert codec.decode(NAME, codec.encode(NAME, ENTRY)) == ENTRY
        raised = Entry(Raised(KeyError("tea" * 1000)), 1.0)
        data = codec.encode(NAME, raised)
        assert len(data) < 400
        assert codec.decode(NAME, data).value.error.args == ("tea" * 1000,)


@each_method
def test_who_does_not_compress_reads_what_others_compressed(use, method):
    """Machines are not changed all at once."""
    use(method)
    for format_ in FORMATS:
        data = Codec(format_, compress=0).encode(NAME, ENTRY)
        assert Codec(format_).decode(NAME, data) == ENTRY


def test_a_method_that_is_not_there_is_a_miss_that_says_so(use):
    """Another machine may have Zstandard where this one has not."""
    use("zstd")
    data = Codec(compress=0).encode(NAME, ENTRY)
    use("zlib")
    with pytest.raises(OperationFailed, match=r"install backports\.zstd"):
        Codec().decode(NAME, data)


def bombs(size):
    """For each method, its number and `size` zeros in a few bytes."""
    zeros = bytes(size)
    zstd = compression._zstd()
    modest = {zstd.CompressionParameter.window_log: 10}
    press = zstd.ZstdCompressor(options=modest)
    return [
        (0x100, zlib.compress(zeros, 9)),
        (0x200, zstd.compress(zeros)),
        (0x200, zstd.compress(zeros, options=modest)),
        (0x200, press.compress(zeros) + press.flush()),  # which does not say how large it is
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_bomb_is_not_inflated(number):
    """What comes out is bounded, and so is the memory that it takes."""
    form, bomb = bombs(100_000_000)[number]
    assert len(bomb) < 500_000
    data = written(Codec(), bomb, form)
    codec = Codec(max_inflated=1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(OperationFailed, match="more than 1000000 bytes"):
            codec.decode(NAME, data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@each_method
def test_the_bound_is_exact(use, method):
    """As many bytes as allowed pass, and one more does not."""
    use(method)
    data = Codec(compress=0).encode(NAME, ENTRY)
    size = (
        len(Codec().encode(NAME, ENTRY)) - len(Codec().encode(NAME, ENTRY._replace(value=""))) + 1
    )
    assert Codec(max_inflated=size).decode(NAME, data) == ENTRY
    with pytest.raises(OperationFailed, match="inflates to more"):
        Codec(max_inflated=size - 1).decode(NAME, data)
    # What could not be read back is not compressed.
    assert Codec(compress=0, max_inflated=size - 1).encode(NAME, ENTRY) == Codec().encode(
        NAME, ENTRY
    )


def test_what_is_cut_or_followed_by_something_is_refused():
    """Although its checksum fits."""
    for form, whole in bombs(1000):
        for payload in (whole[:-1], whole + b"x", whole + whole, b"", whole[:5], b"junk" * 10):
            for codec in (Codec(), Codec("json")):
                with pytest.raises(OperationFailed) as caught:
                    codec.decode(NAME, written(codec, payload, form))
                assert caught.value.codec


def test_a_method_that_nobody_knows_is_refused():
    """It may be a later version's."""
    with pytest.raises(OperationFailed, match="unknown method"):
        Codec().decode(NAME, written(Codec(), b"x", 0x700))
    with pytest.raises(OperationFailed, match="a form that is not known"):
        Codec().decode(NAME, written(Codec(), b"x", 77))


def test_nothing_is_inflated_before_the_signature_is_checked(monkeypatch):
    """Who has no secret does not reach the inflater."""
    inflated = []
    monkeypatch.setattr(compression, "inflated", lambda *args: inflated.append(args))
    theirs = Codec(secrets="a guess of theirs", compress=0).encode(NAME, ENTRY)
    with pytest.raises(OperationFailed, match="another secret"):
        Codec(secrets=SECRET).decode(NAME, theirs)
    unsigned = Codec(compress=0).encode(NAME, ENTRY)
    with pytest.raises(OperationFailed, match="not signed"):
        Codec(secrets=SECRET).decode(NAME, unsigned)
    changed = bytearray(unsigned)
    changed[-9] ^= 1
    with pytest.raises(OperationFailed, match="cut or changed"):
        Codec().decode(NAME, bytes(changed))
    assert inflated == []
    assert hashlib.sha256(unsigned[:-8]).digest()[:8] == unsigned[-8:]
