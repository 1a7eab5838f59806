"""The codec itself: its options, its identity, and its use from many threads."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
import threading
from dataclasses import FrozenInstanceError, replace

import pytest
from serializers.samples import FORMATS, NAME, SECRET, Basket, Price, codecs

from memo import OperationFailed
from memo.entry import ABSENT, Entry
from memo.serializers import Codec, codec_of
from memo.serializers.typed import schema_of


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"serializer": "yaml"}, ValueError, "serializer='yaml': takes \"msgpack\""),
        ({"serializer": None}, TypeError, "serializer=None: takes"),
        ({"serializer": object()}, TypeError, "an object with dumps and loads"),
        ({"serializer": dict}, TypeError, "an object with dumps and loads"),
        ({"compress": True}, ValueError, "compress=True: takes the bytes"),
        ({"compress": -1}, ValueError, "compress=-1"),
        ({"compress": 1.5}, ValueError, r"compress=1\.5"),
        ({"max_inflated": 0}, ValueError, "max_inflated=0: takes bytes"),
        ({"max_inflated": None}, ValueError, "max_inflated=None"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_an_error_that_names_it(options, error, words):
    """When the codec is made."""
    with pytest.raises(error, match=words):
        Codec(**options)


def test_codecs_are_compared_by_their_settings():
    """And are as frozen as those."""
    assert Codec() == Codec("msgpack")
    assert Codec(annotation=Price, secrets=SECRET) == Codec(annotation=Price, secrets=[SECRET])
    different = [
        Codec(),
        Codec("json"),
        Codec(annotation=int),
        Codec(compress=1),
        Codec(secrets=SECRET),
        Codec(max_inflated=1),
    ]
    for one in different:
        assert [one == other for other in different].count(True) == 1
    assert len({hash(codec) for codec in (Codec(), Codec(annotation=int))}) == 1
    assert hash(Codec(secrets=SECRET)) == hash(Codec(secrets=SECRET))
    assert copy.copy(Codec()) == Codec()
    assert replace(Codec(secrets=SECRET), annotation=int).secrets == Codec(secrets=SECRET).secrets
    with pytest.raises(FrozenInstanceError):
        Codec().compress = 5


def test_a_codec_prints_as_it_is_written():
    """All but the secrets."""
    assert repr(Codec("json", compress=10)) == (
        f"Codec(serializer='json', annotation=ABSENT, compress=10, secrets=None, "
        f"max_inflated={64 * 2**20})"
    )


def test_codec_of_takes_what_the_decorator_takes():
    """A name, a serializer, or a codec; the annotation is the function's, unless it has one."""
    assert codec_of(None) == codec_of("msgpack") == Codec()
    assert codec_of("json", Price) == Codec("json", annotation=Price)
    codec = Codec("json", compress=5, secrets=SECRET)
    assert codec_of(codec, Price) == Codec("json", annotation=Price, compress=5, secrets=SECRET)
    assert codec_of(codec) is codec
    typed = Codec(annotation=int)
    assert codec_of(typed, Price) is typed
    assert codec_of(typed, ABSENT) is typed
    with pytest.raises(ValueError, match="serializer='xml'"):
        codec_of("xml")


def test_decoders_are_shared():
    """A thousand functions that return a Price have one."""
    for format_ in FORMATS:
        assert schema_of(format_, Price) is schema_of(format_, Price)
    assert schema_of("msgpack", Price) is not schema_of("json", Price)


def test_eight_threads_use_one_codec():
    """Each gets what it has written, and refusals are its own."""
    basket = Basket({"a": Price(1.5), "b": Price(2.5)}, extra=(1, (2,)))
    shared = [
        *((codec, basket) for codec in codecs(annotation=Basket)),
        *((codec, [1, (2, {3: "x"}), "y" * 50]) for codec in codecs(secrets=SECRET, compress=0)),
        (Codec("pickle", secrets=[SECRET, "b" * 16]), {"a": (1, 2)}),
    ]
    begin = threading.Barrier(8)
    failures = []

    def work(number):
        begin.wait()
        try:
            for turn in range(150):
                for codec, value in shared:
                    name = f"{NAME}:{number}:{turn}"
                    entry = Entry(value, float(number), float(turn))
                    data = codec.encode(name, entry)
                    assert codec.decode(name, data) == entry
                    with pytest.raises(OperationFailed):
                        codec.decode(f"{NAME}:{number + 1}:{turn}", data)
                with pytest.raises(OperationFailed):
                    shared[0][0].encode(NAME, Entry(number, 1.0))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def run(program):
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout.split()


def test_nothing_is_imported_before_it_is_used():
    """Neither msgspec, nor pickle, nor what signs or compresses."""
    program = textwrap.dedent("""
        import sys
        import memo
        from memo.entry import Entry
        before = set(sys.modules)
        from memo.serializers import Codec
        names = {"msgspec", "pickle", "hmac", "zlib", "backports.zstd", "zoneinfo", "uuid"}
        print("first", *names & (set(sys.modules) - before))
        Codec("pickle", secrets="a" * 16)
        print("pickle", *names & set(sys.modules) & {"msgspec"})
        Codec("msgpack").encode("k", Entry(1, 1.0))
        print("msgpack", *names & set(sys.modules) & {"msgspec", "backports.zstd"})
    """)
    assert run(program) == ["first", "pickle", "msgpack", "msgspec"]


def test_a_missing_msgspec_is_said_with_what_to_install():
    """When the codec is made."""
    program = textwrap.dedent("""
        import sys
        sys.modules["msgspec"] = None
        from memo.entry import Entry
        from memo.serializers import Codec
        for name in ("msgpack", "json"):
            try:
                Codec(name)
            except ImportError as error:
                print("needs" in str(error) and "pip install" in str(error))
        print(Codec("pickle", secrets="a" * 16).encode("k", Entry(1, 1.0))[:4])
    """)
    assert run(program) == ["True", "True", "b'memo'"]
