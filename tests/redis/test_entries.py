"""What the backend makes of one real server: room, lifetimes, keys, clearing; in both colours."""

import math

import pytest
from servers.using_redis import both, entry, namespaces, opened
from servers.valkey import Valkey

from memo import Full, OperationFailed
from memo.backends.redis import Redis
from memo.entry import FOREVER, Entry
from memo.serializers import Codec

DAY = 86_400

HOSTILE = {
    "empty": "",
    "space": " ",
    "crlf": "k\r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "nul": "\x00",
    "unicode": "\N{SNOWMAN}\u00e9",
    "long": "x" * 10_000_000,
    "longer": "x" * 10_000_001,
    "glob": "*",
    "slot": "{k}",
}


def test_both_colours_see_each_others_entries(server):
    """What the one stores the other finds, replaces and drops."""
    with (
        opened(Redis, server.url) as plain,
        opened(lambda *_, **__: plain.backend.twin, server.url) as twin,
    ):
        plain.write("k", entry("of the plain one"))
        assert twin.read("k").value == "of the plain one"
        twin.write("k", entry("of its twin"))
        assert plain.read("k").value == "of its twin"
        assert plain.delete("k") is True
        assert twin.delete("k") is False


def test_a_twin_is_one_with_its_backend(server):
    """The twin stands for the same server: one origin, and the codec and clock of the view."""
    with opened(Redis, server.url) as plain:
        backend = plain.backend
        codec = Codec("json")
        view = backend.using(codec, lambda: 1.0)
        assert view.twin.origin is backend.origin is backend
        assert view.twin.codec is codec
        assert view.twin.timer() == 1.0
        assert view.twin.namespace == backend.namespace
        assert backend.twin.codec is backend.codec


def test_hostile_keys_are_keys(backend):
    """Whatever a key is made of, it is told from the others and hurts nobody."""
    for name, key in HOSTILE.items():
        backend.write(key, entry(name))
    assert {name: backend.read(key).value for name, key in HOSTILE.items()} == {
        name: name for name in HOSTILE
    }
    assert len(backend.read_many(HOSTILE.values())) == len(HOSTILE)


def test_values_that_look_like_replies_come_back_whole(backend):
    """The protocol's own words inside of values are values."""
    values = [b"$-1\r\n", b"\r\n", b"-OOM x\r\n+OK\r\n", b"*1\r\n$1\r\nx\r\n" * 50_000, b""]
    for number, value in enumerate(values):
        backend.write(number, entry(value))
    assert [backend.read(number).value for number in range(len(values))] == values
    assert [one.value for one in backend.read_many(range(len(values))).values()] == values


@pytest.mark.parametrize(
    ("lifetimes", "seconds"),
    [
        ({"ttl": 90}, 90),
        ({"ttl": 90, "window": 3600}, 3690),
        ({"ttl": 90.4996}, 90.5),
        ({"ttl": 90, "window": FOREVER}, DAY + 90),
        ({"ttl": None}, None),
        ({"ttl": 1e14}, None),
    ],
    ids=["ttl", "window", "fraction", "endless window", "for ever", "too long"],
)
def test_the_server_drops_what_is_of_no_use(backend, server, lifetimes, seconds):
    """An entry's expiry is set on the server, for the whole of its stale window."""
    stored = entry("v", **lifetimes)
    view = backend.using(Codec(), lambda: stored.created)

    def milliseconds_left():
        return server.ask("PTTL", backend.name("k"))

    backend.backend = view
    for write in (backend.write, lambda key, one: backend.write_many({key: one})):
        server.ask("SET", backend.name("k"), "x", "EX", 5)
        write("k", stored)
        if seconds is None:
            assert milliseconds_left() == -1
        else:
            assert (seconds - 30) * 1000 < milliseconds_left() <= seconds * 1000


def test_what_is_of_no_use_already_is_not_stored(backend, server):
    """Storing what is past its window drops what was there."""
    for write in (backend.write, lambda key, one: backend.write_many({key: one})):
        backend.write("k", entry("before"))
        write("k", entry("past", 10, age=30))
        assert backend.read("k") is None
        assert server.ask("EXISTS", backend.name("k")) == 0


def test_clear_leaves_what_is_of_others(server):
    """A clear drops its own namespace or scope and nothing that only looks like it."""
    name = namespaces() + "*[a]?"
    with (
        opened(Redis, server.url, namespace=name) as own,
        opened(Redis, server.url, namespace=name + "x") as other,
    ):
        kept = [f"{name}", name.replace("*", "z"), name[:-5] + "abc:k"]
        for key in kept:
            server.ask("SET", key, "kept")
        other.write("k", entry("kept"))
        for number in range(2500):
            own.write(("scope", number), entry(number))
        own.write(("scopes", 1), entry("kept"))
        own.clear_scope("scope")
        assert own.read(("scope", 7)) is None
        assert own.read(("scopes", 1)).value == "kept"
        own.clear()
        assert own.read(("scopes", 1)) is None
        assert other.read("k").value == "kept"
        assert [server.ask("GET", key) for key in kept] == [b"kept"] * 3
        server.ask("DEL", *kept)


def test_something_else_under_the_name_of_a_key_is_a_failure(backend, server):
    """What is no text, or was not stored by us, is refused, and can be replaced or deleted."""
    server.ask("LPUSH", backend.name("list"), "x")
    server.ask("SET", backend.name("text"), "x")
    with pytest.raises(Exception, match="WRONGTYPE"):
        backend.read("list")
    with pytest.raises(OperationFailed) as caught:
        backend.read("text")
    assert caught.value.codec
    assert backend.read_many(["list", "text", "none"]) == {}
    for key in ("list", "text"):
        backend.write(key, entry("value"))
        assert backend.read(key).value == "value"


@pytest.fixture(scope="module")
def small():
    """A server that is full soon and evicts nothing."""
    with Valkey(maxmemory="6mb", maxmemory_policy="noeviction") as server:
        yield server


@both
def test_a_server_out_of_memory_is_full(colour, small):
    """OOM is Full, which an eviction could cure; what it should have replaced is gone."""
    with opened(colour, small.url) as backend:
        backend.write("outdated", entry("value"))
        backend.write("other", entry("value"))

        def fill():
            for number in range(1000):
                backend.write(number, entry(b"\xff" * 100_000))

        with pytest.raises(Full) as caught:
            fill()
        assert not caught.value.too_large
        assert "maxmemory" in str(caught.value.__cause__)
        with pytest.raises(Full) as caught:
            backend.write("outdated", entry(b"\xff" * 100_000))
        assert caught.value.key == "outdated"
        assert backend.read("outdated") is None
        assert backend.read("other").value == "value"
        with pytest.raises(Full):
            backend.write_many({n: entry(b"\xff" * 100_000) for n in range(3)})
        backend.clear()
        backend.write("outdated", entry("value"))
        assert backend.read("outdated").value == "value"


@both
def test_what_no_server_takes_is_too_large(colour, server, monkeypatch):
    """A value over the server's limit is Full, and not even sent."""
    monkeypatch.setattr("memo.backends.redis_commands._LARGEST", 1000)
    with opened(colour, server.url) as backend:
        with pytest.raises(Full) as caught:
            backend.write("k", entry(b"\xff" * 1100))
        assert caught.value.too_large
        backend.write("k", entry(b"\xff" * 100))


def test_many_at_once(backend):
    """Many keys are read and written in a few requests, those that are there are found."""
    many = {("scope", n): entry(n) for n in range(1000)}
    backend.write_many(many)
    found = backend.read_many([*many, "none"])
    assert {key: one.value for key, one in found.items()} == {
        key: one.value for key, one in many.items()
    }
    backend.clear_scope("scope")
    assert backend.read_many(many) == {}
    assert backend.read_many([]) == {}
    backend.write_many({})


def test_ping(backend):
    """A ping of a server that is well says nothing."""
    assert backend.ping() is None


def test_an_entry_from_the_future_is_none(backend):
    """What claims to have been made by a clock far ahead is as good as nothing."""
    made = entry("value").created
    backend.write("k", Entry("value", made + 3600, math.inf))
    assert backend.read("k") is None
