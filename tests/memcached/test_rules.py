"""What memcached makes of servers, times and prefixes; nothing here asks a server."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memo.backends.memcached import Memcached, from_url
from memo.backends.memcached_async import AsyncMemcached
from memo.backends.memcached_rules import (
    Server,
    Servers,
    exptime,
    full,
    keys_of,
    opened,
    sealed,
)
from memo.canonical import key_text, namespace_text, scope_text

DAY = 86_400
NOW = 1_700_000_000.25


@pytest.mark.parametrize(
    ("given_as", "servers"),
    [
        ("h1", [("h1", 11211)]),
        ("h1:2,H2", [("h1", 2), ("h2", 11211)]),
        ("memcached://h1:2,[::1]:3", [("h1", 2), ("::1", 3)]),
        (["h1:2", ("h2", 3), ("::1", 4)], [("h1", 2), ("h2", 3), ("::1", 4)]),
        ("/run/m.sock", [("/run/m.sock", 0)]),
        (["/run/m.sock", "h"], [("/run/m.sock", 0), ("h", 11211)]),
        ("memcached:///run/m%20x.sock", [("/run/m x.sock", 0)]),
        (Servers("a,b").all, [("a", 11211), ("b", 11211)]),
    ],
)
def test_servers_can_be_named_in_many_ways(given_as, servers):
    """A text, a URL, or a list of texts and pairs, with and without ports."""
    assert [*Servers(given_as).all] == servers


@pytest.mark.parametrize(
    "wrong", [[], "", ",", "h:0", "h:99999", "h:x", "h1,h1:11211", [("h", 0)], ["h 1"], "::1"]
)
@pytest.mark.parametrize("colour", [Memcached, AsyncMemcached])
def test_what_names_no_server_is_refused(colour, wrong):
    """No server, a port that is none and a server named twice are ValueErrors."""
    with pytest.raises(ValueError, match=r"server|host|port"):
        colour(wrong)


@pytest.mark.parametrize("wrong", [None, 11211, [None], [("h",)], [("h", "1")], b"h"])
def test_what_is_no_text_is_a_type_error(wrong):
    """Neither None nor a number nor bytes name a server."""
    with pytest.raises(TypeError, match="server"):
        Memcached(wrong)


def test_a_url_names_servers_and_a_namespace():
    """Each part of a URL arrives."""
    backend = from_url("memcached://h1:1,h2?namespace=shop")
    assert str(backend.servers) == "h1:1,h2:11211"
    assert backend.namespace == backend.twin.namespace == "shop"
    assert from_url("memcached://h1").namespace == "memo"
    assert from_url("memcached:///run/m.sock").servers.all == (Server("/run/m.sock", 0),)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memcached://", "names no server"),
        ("memcached:///", "names no server"),
        ("memcached://h/0", "no databases"),
        ("memcached://user:secret@h", "no users and passwords"),
        ("memcached://h?ttl=5", "takes namespace"),
        ("memcached://h?timeout", "takes namespace"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_with_it(url, why):
    """The error names the URL without its password, and what is allowed."""
    with pytest.raises(ValueError, match=why) as caught:
        from_url(url)
    assert "backend='memcached://" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_where_a_key_belongs_depends_on_nothing_but_names():
    """The same in every process and release, whatever the order of the servers."""
    servers = Servers("h1,h2,h3")
    names = [f"n:{number}" for number in range(8)]
    where = [servers.of(name).host for name in names]
    assert where == ["h3", "h1", "h2", "h2", "h3", "h2", "h3", "h2"]
    turned = Servers("h3,H1:11211,h2")
    assert [turned.of(name).host for name in names] == where


def test_keys_are_spread_evenly_and_a_server_less_moves_its_own_only():
    """A third each; without one server, the keys of the others stay where they are."""
    three, two = Servers("h1,h2,h3"), Servers("h1,h3")
    names = [f"memo:f:{number}" for number in range(3000)]
    counts = collections.Counter(three.of(name).host for name in names)
    assert all(900 < count < 1100 for count in counts.values()), counts
    assert all(two.of(name) == three.of(name) for name in names if three.of(name).host != "h2")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, 0),
        (0.3, 2),
        (1, 2),
        (1.5, 3),
        (30 * DAY - 1, 30 * DAY),
        (30 * DAY, 1_700_000_000 + 31 * DAY + 1),
        (31 * DAY, 1_700_000_000 + 32 * DAY + 1),
        (100 * 365 * DAY, 0),
        (1e300, 0),
    ],
)
def test_a_server_is_told_whole_seconds_or_a_moment(seconds, told):
    """Rounded up, and one more; beyond thirty days a moment of Unix time; beyond 2038 for ever."""
    assert exptime(seconds, NOW) == told


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_a_server_never_drops_what_is_still_good(seconds):
    """Whatever is told, the server counts it from a tick of at most a second ago."""
    told = exptime(seconds, NOW)
    if told > 30 * DAY:
        told -= NOW
    assert told == 0 or told - 1 >= seconds


@given(st.text(max_size=80), st.text(max_size=80), st.integers())
def test_what_a_key_depends_on_are_the_prefixes_that_are_cleared(namespace, scope, number):
    """The keys of the tokens are the texts that `clear` and `clear_scope` are about."""
    prefixes = namespace_text(namespace).encode(), scope_text(namespace, scope).encode()
    name = key_text(namespace, (scope, (number,)))
    assert keys_of(name) == (*prefixes, name.encode())
    loose = key_text(namespace, number)
    assert keys_of(loose) == (prefixes[0], prefixes[0] + b":", loose.encode())


def test_stored_bytes_count_while_both_tokens_are_the_same():
    """A token that is missing or another one makes a miss of it; so does a cut."""
    name = key_text("n", ("s", (1,)))
    keys = first, second, _ = keys_of(name)
    data = sealed((b"AAAAAAAA", b"BBBBBBBB"), b"data")
    found = {first: b"AAAAAAAA", second: b"BBBBBBBB", name.encode(): data}
    assert opened(keys, found) == b"data"
    for key in found:
        assert opened(keys, {one: found[one] for one in found if one != key}) is None
        assert opened(keys, found | {key: b"CCCCCCCC"}) is None
    assert opened(keys, found | {name.encode(): data[:12]}) is None


def test_only_a_lack_of_room_is_full():
    """What a server says of a value too large, or of no memory, and nothing else."""
    assert full("b'object too large for cache'").too_large
    assert not full("out of memory storing object").too_large
    assert full("out of luck") is None
