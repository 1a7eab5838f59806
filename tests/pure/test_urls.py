"""A backend's URL is taken apart exactly, and no error shows a password."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memo.backends.urls import hidden, parts
from memo.freshness import seconds


def even(text):
    """A converter of a backend's own."""
    if int(text) % 2:
        raise ValueError("takes an even number")
    return int(text)


def refused(url):
    """The error that `url` is refused with, or its parts."""
    try:
        return parts(url, ALLOWED)
    except ValueError as error:
        return error


ALLOWED = {
    "namespace": str,
    "size": int,
    "ratio": float,
    "tls": bool,
    "timeout": seconds,
    "even": even,
    "tls_password": str,
    "secret": int,
}


@pytest.mark.parametrize(
    ("url", "hosts", "path", "login"),
    [
        ("redis://", (), "", (None, None)),
        ("redis://localhost", (("localhost", None),), "", (None, None)),
        ("REDIS://localhost:6379/0", (("localhost", 6379),), "/0", (None, None)),
        ("redis://user:word@h:1/0", (("h", 1),), "/0", ("user", "word")),
        ("redis://:word@h", (("h", None),), "", (None, "word")),
        ("redis://user@h", (("h", None),), "", ("user", None)),
        ("redis://user:@h", (("h", None),), "", ("user", "")),
        ("redis://u%3A:a%40%2Fb+%C3%A9@h", (("h", None),), "", ("u:", "a@/b+é")),
        ("redis://u:a@b:c@h:1", (("h", 1),), "", ("u", "a@b:c")),
        ("memcached://a:1,b,[::1]:2", (("a", 1), ("b", None), ("::1", 2)), "", (None, None)),
        ("redis://[::1]", (("::1", None),), "", (None, None)),
        ("redis://u:p@[fe80::1%25eth0]:7", (("fe80::1%eth0", 7),), "", ("u", "p")),
        ("sqlite:///a/b c.db", (), "/a/b c.db", (None, None)),
        ("sqlite:////a%3Fb.db", (), "//a?b.db", (None, None)),
        ("sqlite:///a@b#c:d.db", (), "/a@b#c:d.db", (None, None)),
        ("redis+unix:///run/x.sock", (), "/run/x.sock", (None, None)),
        ("redis+sentinel://u:p@a:1,b:2/name/3", (("a", 1), ("b", 2)), "/name/3", ("u", "p")),
    ],
)
def test_the_parts_of_a_url(url, hosts, path, login):
    """Several hosts, IPv6, percent-encoding, and what is missing."""
    found = parts(url, {})
    assert found.scheme == url.partition(":")[0].lower()
    assert found.hosts == hosts
    assert found.path == path
    assert (found.username, found.password) == login
    assert found.options == {}
    again = parts(f"{url}?namespace=a", ALLOWED)
    assert (again.hosts, again.path, again.options) == (hosts, path, {"namespace": "a"})


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("namespace=", {"namespace": ""}),
        ("namespace=a%26b%3Dc+d%C3%A9=", {"namespace": "a&b=c+dé="}),
        ("name%73pace=a", {"namespace": "a"}),
        ("size=-3&ratio=0.5&", {"size": -3, "ratio": 0.5}),
        ("tls=true", {"tls": True}),
        ("tls=0", {"tls": False}),
        ("timeout=0.25", {"timeout": 0.25}),
        ("timeout=5m", {"timeout": 300.0}),
        ("even=4", {"even": 4}),
        ("namespace=a@b/c?d:e", {"namespace": "a@b/c?d:e"}),
    ],
)
def test_options_are_converted(query, options):
    """Each by its own converter, with percent-encoding undone."""
    found = parts(f"redis://h/0?{query}", ALLOWED).options
    assert found == options
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in options.items()
    }


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis", "'redis': takes a URL such as"),
        ("://h", "takes a URL such as"),
        ("1redis://h", "takes a URL such as"),
        ("redis://h\n", "control characters"),
        ("redis://h:0", "a port is a number from 1 to 65535"),
        ("redis://h:65536", "a port is a number"),
        ("redis://h:", "a port is a number"),
        ("redis://::1", "an IPv6 address is in brackets"),
        ("redis://[::1", "in brackets"),
        ("redis://[h]:1", r"\[h\] is no IPv6 address"),
        ("redis://:1", "':1' has no host"),
        ("redis://a,", "'' has no host"),
        ("redis://a b", "'a b' has no host"),
        ("redis://u:p@", None),
        ("redis://%ff", "the host is no UTF-8"),
        ("redis://h/%ff", "the path is no UTF-8"),
        ("redis://h:1/a@b", "write @ as %40"),
        ("redis://h?size=1&size=1", "the option size is given twice"),
        ("redis://h?size", "the option size has no value; write size="),
        ("redis://h?size=x", "size='x': takes a whole number"),
        ("redis://h?size=1_000", "size='1_000': takes a whole number"),
        ("redis://h?size=1.0", "size='1.0': takes a whole number"),
        ("redis://h?ratio=nan", "ratio='nan': takes a number"),
        ("redis://h?tls=yes", "tls='yes': takes true, false, 1 or 0"),
        ("redis://h?timeout=5x", "timeout='5x': takes seconds"),
        ("redis://h?timeout=-5", "timeout='-5': must not be negative"),
        ("redis://h?timeout=inf", "timeout='inf': takes seconds"),
        ("redis://h?even=3", "even='3': takes an even number"),
        ("redis://h?colour=red", "the option 'colour' is not known; takes namespace, size, ratio"),
    ],
)
def test_what_cannot_be_is_one_clear_error(url, says):
    """It names the URL, the part, its value and what is allowed."""
    if says is None:
        assert parts(url, ALLOWED).hosts == ()
        return
    with pytest.raises(ValueError, match=says) as caught:
        parts(url, ALLOWED)
    assert str(caught.value).startswith("backend='")


def test_a_url_without_options_says_so():
    """Where nothing is allowed, there is nothing to list."""
    with pytest.raises(ValueError, match="the option 'a' is not known; takes no options"):
        parts("null://?a=1", {})


@pytest.mark.parametrize(
    ("url", "fit"),
    [
        ("redis://user:word@h:1/0?size=1", "redis://user:***@h:1/0?size=1"),
        ("redis://:word@h", "redis://:***@h"),
        ("redis://user@h:1", "redis://user@h:1"),
        ("redis://u:a@b:c/d@h/0", "redis://u:***@h/0"),
        ("redis://u:a?b@h/0", "redis://u:***@..."),
        ("redis://user:word", "redis://user:***"),
        ("redis://a:1,user:word/0", "redis://a:***"),
        ("user:word@h", "user:***@h"),
        ("redis:user:word@h", "redis:***@h"),
        ("user:w://ord@h", "user:***@h"),
        (
            "redis://h?tls_password=word&secret=4&size=2",
            "redis://h?tls_password=***&secret=***&size=2",
        ),
        ("redis://h?pasword=word&size=2", "redis://h?pasword=***&size=2"),
        ("redis://h?secret=wo&rd&size=2", "redis://h?secret=***&***&size=2"),
        ("redis://h?%73ecret=4", "redis://h?%73ecret=***"),
        ("redis://[::1]:2/0", "redis://[::1]:2/0"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("memory", "memory"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url(url, fit):
    """All of it but what is, or could be, a password."""
    assert hidden(url, ALLOWED) == fit


def quoted(text):
    """With all that can be percent-encoded."""
    return quote(text, safe="")


WORD = "HUNTER2"
#: What people put into passwords, most of it to be percent-encoded.
PASSWORDS = [
    WORD + end + WORD for end in ("", "@", "/", "?", ":", "#", "&", "=", ",", "[", "]", "%")
]
PASSWORDS += [
    WORD + end + WORD for end in ("://", "@/", "/@", "?a=", "?size=1&", " ", "\n", "%ff", "é")
]
PLACES = [
    "redis://user:{}@host:6379/0",
    "redis://:{}@host/0?size=1",
    "redis://user:{}@",
    "redis://user:{}@h:1,[::1]:x/0",
    "redis://user:{}@host/0?size=x",
    "redis://user:{}@host/0?size=1&size=2",
    "redis://user:{}@host?colour=red&namespace=a@b",
    "redis://user:{}",
    "redis:user:{}@host",
    "user:{}@host",
    "redis://host/0?tls_password={}",
    "redis://host:1/0?secret={}",
    "redis://host/0?password={}",
    "redis://host/0?size=1&pasword={}",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encode", [str, quote, quoted])
def test_no_error_shows_a_password(place, encode):
    """Not in the message, not in what it was caused by, not in what is shown of a good URL."""
    for password in map(encode, PASSWORDS):
        if "@" in password and "@" not in place:
            continue  # what comes behind is a host indeed
        url = place.format(password)
        assert WORD not in hidden(url, ALLOWED)
        found = refused(url)
        if isinstance(found, ValueError):
            assert WORD not in "".join(traceback.format_exception(found))
        else:
            assert WORD not in repr(found)
            assert WORD not in found.hidden
            assert WORD not in f"{found.hosts}{found.path}{found.username}"


@given(st.text("ab:/?@&=,%[]#", max_size=20), st.sampled_from(["redis://", "", "redis:"]))
def test_any_text_is_taken_apart_or_refused(text, scheme):
    """With no error but ValueError, and always fit to be shown."""
    found = refused(scheme + text)
    if isinstance(found, ValueError):
        assert str(found).startswith("backend=")
    else:
        assert found.scheme == "redis"
    assert isinstance(hidden(scheme + text), str)


@given(st.text(min_size=1), st.text(), st.text(), st.sampled_from(["h", "[::1]:7"]))
def test_what_is_percent_encoded_comes_back(username, password, namespace, host):
    """Whatever it is."""
    username, password, namespace = (
        text.encode("utf-8", "ignore").decode() for text in (username, password, namespace)
    )
    name, word, space = (quote(text, safe="") for text in (username, password, namespace))
    found = parts(f"redis://{name}:{word}@{host}/{space}?namespace={space}", ALLOWED)
    assert found.username == (username or None)
    assert found.password == password
    assert found.path == f"/{namespace}"
    assert found.options == {"namespace": namespace}
