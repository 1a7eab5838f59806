"""A SQLite file is a backend: the suite, hostile keys, functions on it, and how it is set up."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from pathlib import Path

import pytest
from backends.sqlite_files import entry, problems, stored

from memo import Full, Policy, cached
from memo.backends.resolve import adopt
from memo.backends.sqlite import Sqlite, from_url
from memo.entry import Entry
from memo.serializers import Codec
from memo.testing import AsyncFaultyBackend, BackendSuite, FakeTimer, FaultyBackend


class TestSqlite(BackendSuite):
    @pytest.fixture
    def backend(self, tmp_path):
        return Sqlite(tmp_path / "cache.db")


class TestSmallSqlite(BackendSuite):
    @pytest.fixture(params=[1, 12])
    def backend(self, request, tmp_path):
        return Sqlite(tmp_path / "cache.db", maxsize=request.param)


class TestSqliteOfFewBytes(BackendSuite):
    room = 500

    @pytest.fixture
    def backend(self, tmp_path):
        return Sqlite(tmp_path / "cache.db", maxsize=None, max_bytes=200_000)


class TestSqliteOtherwise(BackendSuite):
    room = 200

    @pytest.fixture
    def backend(self, tmp_path):
        codec = Codec("pickle", secrets="a secret of some length")
        return Sqlite(tmp_path / "cache.db").using(codec, FakeTimer(1_700_000_000.123456))


class TestFaultySqlite(BackendSuite):
    room = 200

    @pytest.fixture
    def backend(self, tmp_path):
        return FaultyBackend(Sqlite(tmp_path / "cache.db"))


class TestAsyncFaultySqlite(BackendSuite):
    room = 200

    @pytest.fixture
    def backend(self, tmp_path):
        return AsyncFaultyBackend(Sqlite(tmp_path / "cache.db"))


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"


@pytest.fixture
def backend(path):
    """One that is closed in the end."""
    with contextlib.closing(Sqlite(path)) as backend:
        yield backend


# Keys and values.

HUGE = "x" * 10_000_000

HOSTILE = {
    "huge": HUGE,
    "huge-other-end": HUGE + "y",
    "huge-bytes": HUGE.encode(),
    "spaces": "  a  b  ",
    "crlf": "a\r\nb",
    "nul": "a\0b",
    "nul-only": "\0",
    "unicode": "\N{SNOWMAN}\N{CAT FACE WITH TEARS OF JOY}\u0301",
    "lone-surrogate": "\udcff",
    "empty": "",
    "empty-bytes": b"",
    "sql": "'; DROP TABLE data; --",
    "wildcards": "%_*?[]",
}


def test_hostile_keys_are_kept_apart(backend):
    """A key of 10 MB, of spaces, line ends, NULs or nothing is a key like any other."""
    for name, key in HOSTILE.items():
        backend.write(key, Entry(name, 0.0))
    for name, key in HOSTILE.items():
        assert backend.read(key).value == name
        assert backend.read(("scope", key)) is None
    for key in HOSTILE.values():
        assert backend.delete(key)
        assert backend.read(key) is None


NAMES = ["", "a", "a b", "a\r\nb", "a\0b", "\N{SNOWMAN}", "x" * 100_000, "%", "'", ":", "a:", "a:b"]


def test_hostile_namespaces_are_kept_apart(path):
    """Whatever namespaces are called, none sees, counts, bounds or clears what is another's."""
    backends = [Sqlite(path, namespace=name, maxsize=5) for name in NAMES]
    for name, backend in zip(NAMES, backends, strict=True):
        for number in range(5):
            backend.write(("scope", number), Entry(name, 0.0))
    for name, backend in zip(NAMES, backends, strict=True):
        assert backend.currsize == 5
        assert {backend.read(("scope", number)).value for number in range(5)} == {name}
    for number, backend in enumerate(backends):
        backend.clear() if number % 2 else backend.clear_scope("scope")
        assert backend.currsize == 0
        assert [other.currsize for other in backends[number + 1 :]] == [5] * (11 - number)
    for backend in backends:
        backend.close()
    assert problems(path) == []


def test_scopes_are_cleared_alone(backend, path):
    """`clear_scope` drops one function's entries, many or few, and no others."""
    scopes = ["f", "f@2", "ff", "e", "g", "", "f:", "F"]
    backend.write_many({(scope, n): Entry(n, 0.0) for scope in scopes for n in range(150)})
    backend.clear_scope("f")
    assert backend.read_many([("f", n) for n in range(150)]) == {}
    others = [(scope, n) for scope in scopes[1:] for n in range(150)]
    assert set(backend.read_many(others)) == set(others)
    assert backend.currsize == 7 * 150
    assert problems(path) == []


def test_many_at_once_are_as_many_single_ones(backend):
    """`read_many` gives what is there of hundreds; `write_many` stores as many."""
    keys = [("scope", n) for n in range(700)]
    assert backend.read_many([]) == {}
    assert backend.write_many({}) == 0
    assert backend.write_many({key: Entry(key[1], 0.0) for key in keys[::2]}) == 0
    assert {key: found.value for key, found in backend.read_many(keys).items()} == {
        key: key[1] for key in keys[::2]
    }
    assert all((backend.read(key) is not None) == (key[1] % 2 == 0) for key in keys)


def test_one_that_is_too_large_does_not_keep_the_others_from_being_stored(path):
    """Of many, the one that is larger than all may be is Full, and what it outdates is dropped."""
    with contextlib.closing(Sqlite(path, max_bytes=10_000)) as backend:
        backend.write_bytes("large", b"old", entry(), None)
        items = {name: (bytes(size), entry()) for name, size in (("a", 1), ("large", 10_000))}
        with pytest.raises(Full) as caught:
            backend.write_many_bytes({**items, "b": (b"b", entry())}, None)
        assert caught.value.too_large
        assert stored(path) == {"a": bytes(1), "b": b"b"}
        backend.write_bytes("large", b"old", entry(), None)
        with pytest.raises(Full) as caught:
            backend.write("key", Entry(bytes(10_000), 0.0))
        assert (caught.value.key, caught.value.too_large) == ("key", True)


# Functions.


def test_a_function_is_answered_from_the_file(path):
    """A second program finds what the first one stored: the function does not run again."""
    runs = []

    def build(backend):
        @cached(ttl=60, backend=backend, name="double", policy=Policy.strict())
        def double(number: int) -> int:
            runs.append(number)
            return 2 * number

        return double

    first, second = Sqlite(path), Sqlite(path)
    assert [build(first)(n) for n in (1, 2, 1)] == [2, 4, 2]
    double = build(second)
    assert [double(n) for n in (1, 2, 3)] == [2, 4, 6]
    assert runs == [1, 2, 3]
    assert double.cache_info() == (2, 1, 1_000_000, 3)
    double.cache_clear()
    assert build(first)(1) == 2
    assert runs == [1, 2, 3, 1]
    first.close()
    second.close()


def test_an_async_function_is_answered_from_the_file(backend):
    """Coroutine functions use it as well, many at once, in one loop after the other."""
    runs = []

    @cached(ttl=60, backend=backend, name="double", policy=Policy.strict())
    async def double(number: int) -> int:
        runs.append(number)
        return 2 * number

    async def main():
        return await asyncio.gather(*(double(n % 10) for n in range(100)))

    for _ in range(3):
        assert asyncio.run(main()) == [2 * (n % 10) for n in range(100)]
    assert sorted(runs) == list(range(10))


def test_a_function_does_not_notice_that_its_file_fails(tmp_path):
    """Under the default policy a file that cannot be opened costs the caller nothing else."""
    backend = Sqlite(tmp_path / "missing" / "cache.db")

    @cached(ttl=60, backend=backend, name="double")
    def double(number: int) -> int:
        return 2 * number

    assert [double(n) for n in (1, 1, 2)] == [2, 2, 4]
    assert double.cache_info().failures > 0
    assert double.cache_info().currsize is None


# How it is set up.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": b"cache.db"}, r"path=b'cache.db': takes the path"),
        ({"path": None}, r"path=None: takes the path"),
        ({"path": 3}, r"path=3: takes the path"),
        ({"path": ""}, r"path='': takes the path"),
        ({"path": ":memory:"}, r"path=':memory:': takes the path"),
        ({"path": "a\0b"}, r"path='a\\x00b': takes the path"),
        ({"maxsize": 0}, r"maxsize=0: must be at least 1"),
        ({"maxsize": 1.5}, r"maxsize=1.5: takes a whole number"),
        ({"maxsize": True}, r"maxsize=True: takes a whole number"),
        ({"max_bytes": -1}, r"max_bytes=-1: must be at least 1"),
        ({"max_bytes": "1 GB"}, r"max_bytes='1 GB': takes a whole number"),
        ({"namespace": 1}, r"namespace=1: takes a str"),
    ],
)
def test_an_argument_that_cannot_be_is_an_error(arguments, message, tmp_path):
    """The error names the argument, its value, and what is allowed."""
    with pytest.raises((TypeError, ValueError), match=message):
        Sqlite(**{"path": tmp_path / "cache.db", **arguments})


def test_nothing_is_opened_before_it_is_used(path):
    """Making a backend makes no file: a program may only name it."""
    backend = Sqlite(path)
    assert repr(backend) == f"<Sqlite {str(path)!r}, namespace='memo'>"
    assert backend.maxsize == 1_000_000
    assert backend.max_bytes == 2**30
    backend.close()
    assert not path.exists()


def test_a_relative_path_is_of_where_it_was_written(tmp_path, monkeypatch):
    """The file stays the same when the program changes its directory."""
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(Sqlite("cache.db")) as backend:
        monkeypatch.chdir("/")
        backend.write("key", Entry(1, 0.0))
    assert (tmp_path / "cache.db").exists()


@pytest.mark.parametrize("name", ["a b.db", "a%20b?mode=memory#x.db", "\N{SNOWMAN}.db", "a\nb.db"])
def test_a_path_may_have_any_characters(tmp_path, name):
    """What has a meaning in a URI or a URL has none in a path."""
    with contextlib.closing(Sqlite(tmp_path / name)) as backend:
        backend.write("key", Entry(1, 0.0))
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_link_leads_to_the_file(tmp_path, path):
    """Two names of one file are one cache."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with contextlib.closing(Sqlite(link)) as one, contextlib.closing(Sqlite(path)) as other:
        one.write("key", Entry(1, 0.0))
        assert other.read("key").value == 1
    assert link.is_symlink()


def test_a_view_is_of_the_same_file(backend):
    """Another codec on the same backend shares its connections, bounds and entries."""
    view = backend.using(Codec("json"))
    view.write("key", Entry("value", 0.0))
    assert (view.origin, view.currsize, backend.currsize) == (backend, 1, 1)
    assert view.read("key").value == "value"
    assert copy.deepcopy(backend) is backend


# URLs.


@pytest.mark.parametrize(
    ("url", "path", "more"),
    [
        ("sqlite:///relative.db", "relative.db", {}),
        ("sqlite:///in/a/directory.db", "in/a/directory.db", {}),
        ("sqlite:////absolute.db", "/absolute.db", {}),
        ("sqlite:////tmp/a%20b%3F.db", "/tmp/a b?.db", {}),
        (
            "sqlite:///c.db?namespace=app&maxsize=10&max_bytes=100000",
            "c.db",
            {"namespace": "app", "maxsize": 10, "max_bytes": 100_000},
        ),
        (
            "sqlite:///c.db?maxsize=none&max_bytes=none",
            "c.db",
            {"maxsize": None, "max_bytes": None},
        ),
    ],
)
def test_a_url_names_a_file(url, path, more):
    """Three slashes are for a relative path, four for an absolute one; options are in the query."""
    backend = from_url(url)
    assert backend._file.pool.place.path == str(Path(path).resolve())
    assert {name: getattr(backend, name) for name in more} == more
    assert adopt(url) is adopt(url)
    assert isinstance(adopt(url), Sqlite)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "takes a file"),
        ("sqlite:///", "takes a file"),
        ("sqlite://relative.db", "takes a file"),
        ("sqlite:///directory/", "takes a file"),
        ("sqlite://host/relative.db", "takes a file"),
        ("sqlite:///:memory:", "'memory://' is in memory"),
        ("sqlite:///c.db?maxsize=0", "maxsize=0: must be at least 1"),
        ("sqlite:///c.db?maxsize=many", "maxsize='many': takes a whole number, or none"),
        ("sqlite:///c.db?max_bytes=1.5", "max_bytes='1.5': takes a whole number, or none"),
        ("sqlite:///c.db?size=1", "'size' is not known; takes namespace, maxsize, max_bytes"),
        ("sqlite:///a%00b.db", "takes the path of a file"),
    ],
)
def test_a_url_that_names_no_file_is_an_error(url, message):
    """The error shows the URL, the part, and what is allowed."""
    with pytest.raises(ValueError, match=message) as caught:
        from_url(url)
    assert str(caught.value).startswith(f"backend={url.partition('=1')[0]!r}"[:-1])
