"""Backends by URL: which one it is, one for each URL, and clear words where there is none."""

from pathlib import Path
from typing import Any

import pytest
from shared.kept import Kept

import memo
from memo import AsyncCache, Cache, Policy, cached, fallback
from memo.backends import Memory, Null
from memo.backends.resolve import adopt

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is configured from outside."""
    monkeypatch.delenv("MEMO_BACKEND", raising=False)


def _double(number: int) -> int:
    return 2 * number


def test_memory_is_a_memory_for_each_who_asks() -> None:
    """`memory://` does not make functions share their entries or their bound."""
    first, second = adopt("memory://"), adopt("memory://")
    assert type(first) is type(second) is Memory
    assert first is not second
    bounded = adopt("memory://?maxsize=3&eviction=lru")
    assert bounded.maxsize == 3
    assert adopt("memory://?maxsize=none").maxsize is None
    f = cached(backend="memory://")(_double)
    g = cached(backend="memory://")(_double)
    f(1)
    assert g.lookup(1).status == "miss"


def test_null_keeps_nothing() -> None:
    """`null://` runs the function each time."""
    assert type(adopt("null://")) is Null
    f = cached(backend="null://")(_double)
    assert f(1) == f(1) == 2
    assert f.cache_info().misses == 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis", ["takes a URL", "redis://"]),
        ("", ["takes a URL"]),
        ("/var/cache.db", ["takes a URL"]),
        ("redsi://localhost", ["redsi", "known are", "redis://", "sqlite://", "memcached://"]),
        ("http://localhost", ["http", "known are"]),
        ("memory://?maxsize=many", ["maxsize", "many"]),
        ("memory://?maxsize=-1", ["maxsize"]),
        ("memory://?size=3", ["size", "maxsize", "eviction"]),
        ("memory://?eviction=best", ["eviction", "best", "lru"]),
        ("memory://host", ["memory://", "options only"]),
        ("null://host", ["null://"]),
        ("null://?maxsize=3", ["null://"]),
        ("redis://localhost?timeoutt=3", ["timeoutt"]),
        ("redis://localhost:port/0", ["port"]),
        ("memcached://localhost?namespace=a&namespace=b", ["namespace", "twice"]),
        ("sqlite:///x.db?nonsense=1", ["nonsense"]),
    ],
)
def test_a_url_that_cannot_be_says_what_is_wrong(url: str, words: list[str]) -> None:
    """A ValueError with the URL, the part, and what is allowed, where the URL is written."""
    for take in (
        adopt,
        lambda url: cached(backend=url),
        Cache,
        AsyncCache,
        lambda url: memo.configure(backend=url),
        lambda url: cached(policy=Policy(failed=fallback(url))),
    ):
        with pytest.raises(ValueError, match="backend=") as caught:
            take(url)
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redsi://user:hunter2@localhost/0",
        "redis://user:hunter2@localhost/0?nonsense=1",
        "redis://user:hunter2@localhost:port/0",
        "redis://:hunter2@localhost/nonsense",
        "memory://user:hunter2@localhost",
        "null://user:hunter2@localhost",
        "memcached://user:hunter2@localhost?nonsense=1",
        "rediss://user:hunter2/hunter2@localhost",
        "redis://localhost?password=hunter2&nonsense=1",
    ],
)
def test_no_message_shows_a_password(url: str) -> None:
    """Neither the error nor what it is from has it."""
    with pytest.raises(ValueError, match="backend=") as caught:
        adopt(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("url", [b"redis://localhost", 5, object()])
def test_what_is_no_url_is_a_type_error(url: Any) -> None:
    """A backend is text, a backend or a mapping."""
    with pytest.raises(TypeError, match="backend="):
        adopt(url)


def test_the_scheme_may_be_in_capitals() -> None:
    """As in every URL (RFC 3986, 3.1)."""
    assert type(adopt("MEMORY://")) is Memory
    assert type(adopt("Null://")) is Null


def test_a_backend_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MEMO_BACKEND is asked when a function is first used, and names what is wrong with it."""
    f = cached(maxsize=5)(_double)
    monkeypatch.setenv("MEMO_BACKEND", "nonsense://user:hunter2@localhost")
    for _ in range(2):
        with pytest.raises(ValueError, match="MEMO_BACKEND: backend='nonsense://") as caught:
            f(1)
        assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("MEMO_BACKEND", "null://")
    with pytest.warns(UserWarning, match="maxsize"):
        f(1)
    f(1)
    assert f.cache_info()[:2] == (0, 2)
    monkeypatch.setenv("MEMO_BACKEND", "memory://")
    g = cached(maxsize=5)(_double)
    g(1)
    assert g.cache_info() == (0, 1, 5, 1)
    f(1)
    assert f.cache_info().misses == 3
    written = cached(backend={})(_double)
    written(1)
    assert written.cache_info().currsize == 1


def test_configure_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once something is configured the environment is not asked, None included."""
    monkeypatch.setenv("MEMO_BACKEND", "null://")
    memo.configure(backend=None)
    f = cached(_double)
    f(1)
    assert f.get(1) == 2
    store = Kept()
    memo.configure(backend=store)
    g = cached(_double)
    g(1)
    assert len(store.held) == 1
