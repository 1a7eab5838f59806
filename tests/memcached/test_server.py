"""What the backend makes of one real server: room, lifetimes, keys, clearing; in both colours."""

import asyncio
import gc
import logging

import pytest
from memcached.colours import both, entry, namespaces, opened
from servers.memcached import Memcached as Server
from servers.process import wait_until

from memo import Full, OperationFailed
from memo.backends.memcached import Memcached
from memo.backends.memcached_rules import keys_of
from memo.serializers import Codec

DAY = 86_400

HOSTILE = {
    "empty": "",
    "space": " ",
    "crlf": "k\r\nset k 0 0 1\r\nx\r\n",
    "nul": "\x00",
    "unicode": "\N{SNOWMAN}\u00e9",
    "long": "x" * 10_000_000,
    "longer": "x" * 10_000_001,
    "over 250": "y" * 251,
    "command": "flush_all",
    "a prefix": "memo:",
}


def test_both_colours_see_each_others_entries(server):
    """What the one stores the other finds, replaces and drops."""
    namespace = namespaces()
    with (
        opened(Memcached, server, namespace=namespace) as plain,
        opened(lambda *a, **k: Memcached(*a, **k).twin, server, namespace=namespace) as twin,
    ):
        plain.write("k", entry("of the plain one"))
        assert twin.read("k").value == "of the plain one"
        twin.write("k", entry("of its twin"))
        assert plain.read("k").value == "of its twin"
        assert plain.delete("k") is True
        assert twin.delete("k") is False


def test_a_unix_socket_will_do():
    """A server that listens on a path is a server like any other."""
    with Server(unix=True) as server, opened(Memcached, server) as plain:
        plain.write("k", entry("value"))
        assert plain.read("k").value == "value"
        assert plain.backend.twin.servers.all == ((server.path, 0),)


def test_hostile_keys_are_keys(backend):
    """Whatever a key is made of, it is told from the others and hurts nobody."""
    for name, key in HOSTILE.items():
        backend.write(key, entry(name))
    assert {name: backend.read(key).value for name, key in HOSTILE.items()} == {
        name: name for name in HOSTILE
    }
    assert len(backend.read_many(HOSTILE.values())) == len(HOSTILE)


def test_what_is_over_the_limit_of_the_server_is_full(backend):
    """A value over 1 MiB is refused, drops what it should have replaced, and harms no other."""
    backend.write("large", entry("outdated"))
    backend.write("other", entry("value"))
    with pytest.raises(Full) as caught:
        backend.write("large", entry(b"\xff" * 1_100_000))
    assert caught.value.too_large
    assert caught.value.key == "large"
    assert backend.read("large") is None
    assert backend.read("other").value == "value"


def test_nearly_a_mebibyte_fits(backend):
    """A value a little below the limit comes back whole."""
    value = bytes(range(256)) * 4000 + b"END\r\nVALUE k 0 1\r\n"
    backend.write("large", entry(value))
    assert backend.read("large").value == value


def test_values_that_look_like_answers_come_back_whole(backend):
    """The server's own words inside of values are values."""
    values = [b"END\r\n" * 100_000, b"\r\n", b"SERVER_ERROR x\r\nSTORED\r\n", b"VALUE k 0 9\r\n"]
    for _ in range(10):
        for number, value in enumerate(values):
            backend.write(number, entry(value))
        assert [backend.read(number).value for number in range(len(values))] == values


@both
def test_a_server_that_does_not_evict_gets_full(colour):
    """Out of memory is Full, which eviction could cure; what was stored stays."""
    with Server("-M", "-m", "4") as server, opened(colour, server) as backend:
        backend.write("first", entry("value"))

        def fill():
            for number in range(1000):
                backend.write(number, entry(b"\xff" * 100_000))

        with pytest.raises(Full) as caught:
            fill()
        assert not caught.value.too_large
        assert backend.read("first").value == "value"


@both
def test_many_at_once_store_what_can_be_stored(colour, server):
    """One value too large among many: Full, and the others are there."""
    with opened(colour, server) as backend:
        many = {f"k{number}": entry(number) for number in range(50)}
        many["k20"] = entry(b"\xff" * 1_100_000)
        with pytest.raises(Full):
            backend.write_many(many)
        found = backend.read_many([*many, "never stored"])
        assert {key: one.value for key, one in found.items()} == {
            key: one.value for key, one in many.items() if key != "k20"
        }


def test_thousands_at_once(backend):
    """More than a server takes in one question, with different lifetimes, and asked for twice."""
    many = {number: entry(number, 60 + number % 3) for number in range(3000)}
    backend.write_many(many)
    found = backend.read_many([*many, *many])
    assert {key: one.value for key, one in found.items()} == {key: key for key in many}
    assert backend.read_many([]) == {}
    backend.write_many({})


@pytest.mark.parametrize("ttl", [0.3, 1, 29.9 * DAY, 30 * DAY, 31 * DAY, 20_000 * DAY, None])
def test_every_lifetime_is_kept(backend, ttl):
    """Times come back as they were; nothing goes early, whatever the server makes of a number."""
    stored = entry("value", ttl)
    backend.write("k", stored)
    found = backend.read("k")
    assert found is not None
    assert (found.expires, found.kept_until) == pytest.approx((stored.expires, stored.kept_until))


def test_the_server_is_told_when_to_drop(backend, server):
    """A second more than is asked for, and the window with it."""
    backend.write("k", entry("value", 100, window=1000))
    name = backend.backend._name("k")
    meta = dict(pair.split("=", 1) for pair in server.ask(f"me {name}").decode().split()[2:])
    assert -1101 <= int(meta["exp"]) <= -1098


def test_what_is_of_no_use_any_more_is_dropped(backend):
    """Storing an entry past its time stores nothing, and drops what it outdates."""
    backend.write("k", entry("old"))
    backend.write("k", entry("past", 10, age=30))
    assert backend.read("k") is None
    backend.write("k", entry("old"))
    backend.write_many({"k": entry("past", 10, age=30), "k2": entry("value")})
    assert backend.read("k") is None
    assert backend.read("k2").value == "value"


def test_clear_drops_a_namespace_and_nothing_else(server):
    """What others have on the server stays, namespaces that look alike included."""
    names = ["app", "app2", "ap", "app:x", ""]
    mark = namespaces()
    backends = [Memcached(server.where, namespace=mark + name) for name in names]
    for one in backends:
        one.write("k", entry(one.namespace))
        one.write(("scope", (1,)), entry(one.namespace))
    server.ask("set foreign 0 0 5", b"value")
    backends[0].clear()
    assert backends[0].read("k") is None
    assert backends[0].read(("scope", (1,))) is None
    for one in backends[1:]:
        assert one.read("k").value == one.read(("scope", (1,))).value == one.namespace
    assert server.ask("get foreign").startswith(b"VALUE foreign 0 5\r\nvalue")
    for one in backends:
        one.close()


def test_clear_of_a_scope_drops_that_scope_alone(backend):
    """Scopes that look alike, and keys without a scope, stay."""
    scopes = ["f", "f2", "f:g", "", "\N{SNOWMAN}"]
    for scope in scopes:
        backend.write((scope, (1,)), entry(scope))
    backend.write("f", entry("no scope"))
    for number, scope in enumerate(scopes):
        backend.clear_scope(scope)
        left = [one for one in scopes if backend.read((one, (1,))) is not None]
        assert left == scopes[number + 1 :]
    assert backend.read("f").value == "no scope"


def test_what_is_written_after_a_clear_is_found(backend):
    """Again and again, by the one who cleared and by others."""
    other = Memcached(str(backend.backend.servers), namespace=backend.namespace)
    for number in range(5):
        backend.write("k", entry(number))
        assert other.read("k").value == number
        other.clear()
        assert backend.read("k") is None
        assert backend.delete("k") is False
    other.close()


def test_lost_tokens_bring_nothing_back(backend, server):
    """When the server evicts what a namespace's or a scope's age is told by, all of it is gone."""
    key = ("scope", (1,))
    for token in keys_of(backend.backend._name(key))[:2]:
        backend.write(key, entry("old"))
        assert backend.read(key).value == "old"
        assert server.ask(f"delete {token.decode()}") == b"DELETED\r\n"
        assert backend.read(key) is None
        backend.write(("scope", (2,)), entry("draws a new token"))
        assert backend.read(key) is None
        assert backend.read(("scope", (2,))) is not None


def test_a_server_without_room_for_tokens_says_so():
    """Where tokens do not stay until they are read, a write fails and tells why."""

    class Forgetful(Memcached):
        pass

    backend = Forgetful("h")
    backend._store._connections.ask = lambda _server, _limit, command, *_: (
        {} if command == "get_many" else False
    )
    with pytest.raises(Exception, match="too small"):
        backend.write("k", entry("value"))


def test_a_read_is_one_question(backend, server):
    """Value and tokens come together; a batch takes one question as well."""
    backend.write_many({number: entry(number) for number in range(10)})
    before = server.stats()
    backend.read(3)
    backend.read_many(range(10))
    after = server.stats()
    assert int(after["cmd_get"]) - int(before["cmd_get"]) == 3 + 12  # keys, as the server counts
    assert int(after["cmd_set"]) == int(before["cmd_set"])


def test_what_is_damaged_on_the_server_is_no_value(backend, server):
    """Cut short, overwritten or moved under another key, it is a miss or a codec's failure."""
    backend.write("k", entry("value"))
    backend.write("other", entry("other"))
    name, other = backend.backend._name("k"), backend.backend._name("other")
    first, second = (server.ask(f"get {key.decode()}") for key in keys_of(name)[:2])
    tokens = first.split(b"\r\n")[1] + second.split(b"\r\n")[1]
    whole = server.ask(f"get {other}").split(b"\r\n", 1)[1].removesuffix(b"\r\nEND\r\n")
    assert whole.startswith(tokens)
    for size in (0, 3, 8, 15):
        server.ask(f"set {name} 0 0 {size}", whole[:size])
        assert backend.read("k") is None
    for data in (whole, whole[:-1], tokens, tokens + b"garbage"):
        server.ask(f"set {name} 0 0 {len(data)}", data)
        with pytest.raises(OperationFailed) as caught:
            backend.read("k")
        assert caught.value.codec
        assert backend.read_many(["k", "other"]).keys() == {"other"}


def test_a_view_shares_all_but_the_codec(backend):
    """The same connections and namespace; each reads what its own codec can."""
    view = backend.backend.using(Codec("json"))
    assert view.origin is backend.backend.origin
    assert view._store is backend.backend._store


def test_the_twin_has_the_same_settings():
    """Servers, namespace, codec and origin; there is one for a backend and its views."""
    backend = Memcached("h1,h2", namespace="n", codec=Codec("json"))
    view = backend.using(Codec())
    assert backend.twin.servers.all == backend.servers.all
    assert backend.twin.namespace == "n"
    assert backend.twin.codec is backend.codec
    assert view.twin.codec is view.codec
    assert view.twin.origin is backend.twin.origin is backend
    assert view.twin._store is backend.twin._store


def test_nothing_is_logged_and_nobody_is_connected_to_early(server, caplog):
    """A backend is made without a word to the server, or to the log."""
    before = server.connections
    with caplog.at_level(logging.DEBUG), opened(Memcached, server) as backend:
        assert server.connections == before
        backend.ping()
        backend.write("k", entry("value"))
        assert server.connections == before + 1
    assert not [record for record in caplog.records if record.name != "asyncio"]


def test_closing_lets_go_of_everything(server):
    """No connection is left, and another call makes a new one."""
    before = server.connections
    for colour in (Memcached, lambda where, **more: Memcached(where, **more).twin):
        with opened(colour, server) as backend:
            backend.write("k", entry("value"))
            backend.close()
            _gone(server, before)
            assert backend.read("k").value == "value"
        _gone(server, before)


def _gone(server, connections):
    """Wait until the server has noticed what was closed."""
    wait_until("all is closed", lambda: server.connections <= connections)


def test_a_backend_that_is_dropped_closes_its_connections(server):
    """Without `close`, and without a warning."""
    before = server.connections
    backend = Memcached(server.where, namespace=namespaces())
    backend.write("k", entry("value"))
    assert asyncio.run(backend.twin.read("k")).value == "value"
    assert server.connections == before + 2
    del backend
    gc.collect()
    _gone(server, before)
