"""Signatures: nothing unsigned is unpickled, and nothing signed is another's."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import random
import types

import pytest
from serializers.samples import NAME, SECRET, Price

from memo import OperationFailed
from memo.entry import Entry, Raised
from memo.serializers import Codec, signing

SERIALIZERS = ("msgpack", "json", "pickle")
each_serializer = pytest.mark.parametrize("serializer", SERIALIZERS)

OLD = "the secret of last year, 32 bytes"
NEW = b"the secret of this year, 32 byte"
ENTRY = Entry([1, (2, 3)], 1.0, 2.0, 3.0)

executed = []


def execute(number):
    """What the poison does; it can be seen."""
    executed.append(number)


class Poison:
    """What runs code when it is unpickled."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return execute, (self.number,)


class PoisonedError(Exception):
    """An exception that runs code when it is unpickled."""

    def __reduce__(self):
        return execute, ("exception",)


def poisoned(dice, number):
    """What somebody may leave under a key who can write to the server, and knows this code."""
    poison = pickle.dumps(Poison(number), dice.choice([0, 2, 5]))
    ours = Codec("pickle", secrets=SECRET)
    data = ours.encode(NAME, Entry("harmless", 1.0, 2.0, 3.0))
    head = data[: data.index(b"\x80\x05")]
    other = Codec("pickle", secrets="a guess of theirs")
    return dice.choice(
        [
            lambda: poison,
            lambda: b"memo" + poison,
            lambda: head + poison,
            lambda: head + poison + data[-32:],
            lambda: head + poison + hashlib.sha256(head + poison).digest(),
            lambda: head + poison + bytes(32),
            lambda: head + poison + hmac.digest(b"", head + poison, "sha256"),
            lambda: with_length(head, poison) + data[-32:],
            lambda: signed_by(other, with_length(head, poison)),
            lambda: checksummed(with_length(head, poison)),
            lambda: data[:6] + b"\x00" + data[7:-32] + poison,
        ]
    )()


class Thing:
    """An object, with no equality of its own."""

    def __init__(self, number):
        self.number = number


def with_length(head, payload):
    """The head of an entry for another payload."""
    name = NAME.encode()
    assert head.endswith(name)
    return head[: -len(name) - 4] + len(payload).to_bytes(4, "big") + name + payload


def signed_by(codec, data):
    """`data` with the signature of `codec`."""
    return data + codec._envelope._mark(data)


def checksummed(data):
    """`data` as one that is not signed, with a checksum that fits."""
    data = data[:6] + b"\x08" + data[7:]
    return data + hashlib.sha256(data).digest()[:8]


def test_a_thousand_poisoned_pickles_are_not_unpickled():
    """None is executed, under whatever guise it comes, and none is accepted."""
    dice = random.Random(7)
    codec = Codec("pickle", secrets=[SECRET, OLD])
    executed.clear()
    for number in range(1_000):
        with pytest.raises(OperationFailed) as caught:
            codec.decode(NAME, poisoned(dice, number))
        assert caught.value.codec
    assert executed == []


def test_the_poison_works():
    """Or the test above would show nothing: signed with our secret, it does run."""
    executed.clear()
    codec = Codec("pickle", secrets=SECRET)
    data = codec.encode(NAME, Entry("harmless", 1.0, 2.0, 3.0))
    head = data[: data.index(b"\x80\x05")]
    codec.decode(NAME, signed_by(codec, with_length(head, pickle.dumps(Poison(1), 5))))
    assert executed == [1]


def test_a_cached_exception_is_not_pickled_itself():
    """It goes by reference under pickle as well."""
    executed.clear()
    codec = Codec("pickle", secrets=SECRET)
    entry = codec.decode(NAME, codec.encode(NAME, Entry(Raised(PoisonedError(1)), 1.0)))
    assert entry.value.error.args == (1,)
    assert executed == []


@each_serializer
def test_a_signed_entry_under_another_name_is_refused(serializer):
    """Who can write may copy entries from key to key."""
    codec = Codec(serializer, secrets=SECRET)
    data = codec.encode("memo:admin:1", ENTRY)
    assert codec.decode("memo:admin:1", data) == ENTRY
    with pytest.raises(OperationFailed, match="another key"):
        codec.decode("memo:guest:1", data)


@each_serializer
def test_the_first_secret_signs_and_all_verify(serializer):
    """Secrets are exchanged without emptying the cache."""
    before = Codec(serializer, secrets=OLD)
    during = Codec(serializer, secrets=[NEW, OLD])
    after = Codec(serializer, secrets=(NEW,))
    old, new = before.encode(NAME, ENTRY), during.encode(NAME, ENTRY)
    assert during.decode(NAME, old) == during.decode(NAME, new) == after.decode(NAME, new) == ENTRY
    for codec, data in [(after, old), (before, new)]:
        with pytest.raises(OperationFailed, match="another secret"):
            codec.decode(NAME, data)


@each_serializer
def test_signed_and_unsigned_entries_do_not_mix(serializer):
    """The kind of seal is the reader's setting, not the data's."""
    signed = Codec(serializer, secrets=SECRET)
    if serializer == "pickle":
        unsigned = Codec(types.SimpleNamespace(dumps=pickle.dumps, loads=str), secrets=OLD)
    else:
        unsigned = Codec(serializer)
    for writer, reader in [(signed, unsigned), (unsigned, signed)]:
        with pytest.raises(OperationFailed):
            reader.decode(NAME, writer.encode(NAME, Entry("1", 1.0)) if writer is signed else b"1")


def test_the_signature_is_hmac_sha256_of_all_that_comes_before():
    """As anybody can check who has the secret."""
    for serializer in ("msgpack", "pickle"):
        data = Codec(serializer, secrets=SECRET).encode(NAME, ENTRY)
        assert data[-32:] == hmac.digest(SECRET.encode(), data[:-32], "sha256")
        assert NAME.encode() in data[:-32]


def test_marks_are_compared_in_constant_time(monkeypatch):
    """And before anything is unpickled or inflated."""
    compared = []

    def compare_digest(one, other):
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    stand_in = types.SimpleNamespace(
        compare_digest=compare_digest, new=hmac.new, HMAC=hmac.HMAC, digest=hmac.digest
    )
    monkeypatch.setattr(signing, "hmac", stand_in)
    codec = Codec("pickle", secrets=SECRET)
    data = codec.encode(NAME, ENTRY)
    codec.decode(NAME, data)
    assert compared == [(data[-32:], data[-32:])]


# Secrets.


def test_pickle_needs_a_secret(monkeypatch):
    """When the codec is made, not when the first entry is read."""
    for value in (None, "", "  , "):
        if value is None:
            monkeypatch.delenv("MEMO_SECRET", raising=False)
        else:
            monkeypatch.setenv("MEMO_SECRET", value)
        with pytest.raises(ValueError, match=r"'pickle'.*needs a secret.*MEMO_SECRET"):
            Codec("pickle")


def test_pickle_takes_its_secrets_from_the_environment(monkeypatch):
    """One, or several with commas between them; what is given comes first."""
    monkeypatch.setenv("MEMO_SECRET", "a" * 32)
    data = Codec("pickle").encode(NAME, ENTRY)
    assert Codec("pickle", secrets="a" * 32).decode(NAME, data) == ENTRY
    monkeypatch.setenv("MEMO_SECRET", f"{'b' * 32}, {'a' * 32}")
    assert Codec("pickle").decode(NAME, data) == ENTRY
    assert Codec("pickle").encode(NAME, ENTRY) == Codec("pickle", secrets="b" * 32).encode(
        NAME, ENTRY
    )
    with pytest.raises(OperationFailed):
        Codec("pickle", secrets="c" * 32).decode(NAME, data)
    assert Codec().secrets is None  # the environment makes nobody else sign
    monkeypatch.setenv("MEMO_SECRET", "short")
    with pytest.raises(ValueError, match="MEMO_SECRET: one has 5 bytes; takes 16 or more"):
        Codec("pickle")


@each_serializer
@pytest.mark.parametrize(
    ("secrets", "error", "words"),
    [
        ("hunter2", ValueError, "7 bytes; takes 16 or more"),
        (b"hunter2", ValueError, "7 bytes; takes 16 or more"),
        ([SECRET, "hunter2"], ValueError, "7 bytes; takes 16 or more"),
        ("", ValueError, "0 bytes"),
        ([], ValueError, "none given"),
        ((), ValueError, "none given"),
        (5, TypeError, "takes a str, bytes, or a sequence"),
        ({"hunter2 hunter2 hunter2"}, TypeError, "takes a str, bytes, or a sequence"),
        ([5], TypeError, "each is a str or bytes"),
        ([[SECRET]], TypeError, "each is a str or bytes"),
    ],
    ids=str,
)
def test_a_secret_that_is_none_is_an_error(serializer, secrets, error, words):
    """Which does not show it."""
    with pytest.raises(error, match=words) as caught:
        Codec(serializer, secrets=secrets)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown():
    """Neither a codec nor an error prints one."""
    codec = Codec("pickle", secrets=[SECRET, OLD])
    assert repr(codec.secrets) == "<2 secrets>"
    with pytest.raises(OperationFailed) as caught:
        codec.decode(NAME, b"memo")
    for text in (repr(codec), str(codec), f"{codec.secrets}", repr(caught.value)):
        assert "correct horse" not in text
        assert "last year" not in text


def test_a_secret_is_the_same_as_text_and_as_bytes():
    """A str is taken as UTF-8."""
    data = Codec(secrets="sécret sécret sécret").encode(NAME, ENTRY)
    again = Codec(secrets="sécret sécret sécret".encode())
    assert again.decode(NAME, data) == ENTRY
    assert again == Codec(secrets=["sécret sécret sécret"])


# Pickle.


def test_pickle_holds_what_the_others_refuse():
    """Objects of any class."""
    codec = Codec("pickle", secrets=SECRET)
    value = {"error": ValueError(1), "prices": {Price}, "x": [Thing(3)], 1: range(3)}
    back = codec.decode(NAME, codec.encode(NAME, Entry(value, 1.0))).value
    assert back["prices"] == {Price}
    assert back["x"][0].number == 3
    assert back["error"].args == (1,)


def test_what_cannot_be_pickled_is_refused():
    """Also what can be pickled and not be unpickled, or becomes something else."""
    codec = Codec("pickle", secrets=SECRET)

    class Stubborn(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    for value in (lambda: None, Stubborn, (i for i in ()), Poison(1)):
        with pytest.raises(OperationFailed, match="cannot be stored") as caught:
            codec.encode(NAME, Entry(value, 1.0))
        assert caught.value.codec
    executed.clear()
