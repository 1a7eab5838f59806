"""Whose entries are whose: applications, caches and functions on one store."""

import asyncio
from typing import Any

import pytest
from shared.kept import AsyncKept, Kept

import memo
from memo import AsyncCache, Cache, cached


def _one(number: int) -> str:
    return f"one {number}"


def _two(number: int) -> str:
    return f"two {number}"


def _in(held: dict[str, bytes], namespace: str) -> Any:
    return cached(backend=Kept(held, namespace=namespace))(_one)


def test_applications_do_not_meet() -> None:
    """The same function in two namespaces is two functions; each clears its own."""
    held: dict[str, bytes] = {}
    a, b, ab = (_in(held, name) for name in ("a", "b", "a:b"))
    for f in (a, b, ab):
        f(1)
        assert f.cache_info()[:2] == (0, 1)
    assert len(held) == 3
    a.cache_clear()
    assert len(held) == 2
    assert b.get(1) == ab.get(1) == "one 1"
    Kept(held, namespace="b").clear()
    assert [name.split(":")[0] for name in held] == ["a%3Ab"]


@pytest.mark.parametrize("namespace", ["", " ", "a b", "ü", "x" * 300, "*", "a\r\nb", ":"])
def test_any_text_is_a_namespace(namespace: str) -> None:
    """Whatever it is called, it is one namespace, and no other is inside it."""
    held: dict[str, bytes] = {}
    f, other = _in(held, namespace), _in(held, "other")
    f(1)
    other(1)
    assert f.get(1) == "one 1"
    f.cache_clear()
    assert f.lookup(1).status == "miss"
    assert other.get(1) == "one 1"
    assert len({_in(held, one).cache_key(1) for one in (namespace, "other")}) == 1
    assert all(name.isascii() and " " not in name and len(name) <= 200 for name in held)


@pytest.mark.parametrize("namespace", [5, None, b"a"])
def test_a_namespace_is_text(namespace: Any) -> None:
    """Whatever else is refused where it is written."""
    with pytest.raises(TypeError, match="namespace="):
        Kept(namespace=namespace)


def test_functions_clear_their_own_entries() -> None:
    """`f.cache_clear()` leaves everybody else's alone, that of other versions included."""
    store = Kept()
    f = cached(backend=store)(_one)
    newer = cached(backend=store, version=2)(_one)
    g = cached(backend=store)(_two)
    for function in (f, newer, g):
        function(1)
        function(2)
    f.cache_clear()
    assert len(store.held) == 4
    assert f.lookup(1).status == "miss"
    assert newer.get(1) == "one 1"
    assert g.get(2) == "two 2"


def test_a_function_whose_name_begins_like_another_s_is_left_alone() -> None:
    """Scopes end where they end."""
    store = Kept()
    short, long = (cached(backend=store, name=name)(_one) for name in ("f", "f2"))
    short(1)
    long(1)
    short.cache_clear()
    assert long.get(1) == "one 1"


def test_decorating_twice_is_one_cache() -> None:
    """Two decorations of one function on one store share entries, and not counters."""
    store = Kept()
    f, again = cached(backend=store)(_one), cached(backend=store)(_one)
    f(1)
    assert again(1) == "one 1"
    assert (f.cache_info()[:2], again.cache_info()[:2]) == ((0, 1), (1, 0))


def test_caches_with_a_namespace_keep_to_themselves() -> None:
    """Two caches on one store, each with its keys; `clear` drops one cache's."""
    store = Kept()
    users, orders = Cache(store, namespace="users"), Cache(store, namespace="orders")
    f = cached(backend=store)(_one)
    users.set(1, "Ann")
    orders.set(1, "tea")
    f(1)
    assert (users.get(1), orders.get(1)) == ("Ann", "tea")
    assert users.get_many([1, 2]) == {1: "Ann"}
    users.clear()
    assert users.get(1, None) is None
    assert orders.get(1) == "tea"
    assert f.get(1) == "one 1"
    assert Cache(store, namespace="orders").get(1) == "tea"


def test_a_cache_without_a_namespace_uses_keys_as_they_are() -> None:
    """Two such caches on one store are one; its `clear` leaves what has a scope alone."""
    store = Kept()
    cache, same = Cache(store), Cache(store)
    cache.set(("a", 1), "value")
    assert same.get(("a", 1)) == "value"
    assert same.get_or_load_many([("a", 1), "b"], lambda keys: dict.fromkeys(keys, "new")) == {
        ("a", 1): "value",
        "b": "new",
    }


def test_async_caches_have_namespaces_too() -> None:
    """The same for the async twin, on the same bytes."""

    async def main() -> None:
        held: dict[str, bytes] = {}
        users = AsyncCache(AsyncKept(held), namespace="users")
        orders = AsyncCache(AsyncKept(held), namespace="orders")
        await users.set(1, "Ann")
        assert await orders.get(1, None) is None
        await orders.set(1, "tea")
        await users.clear()
        assert await orders.get(1) == "tea"
        assert Cache(Kept(held), namespace="orders").get(1) == "tea"

    asyncio.run(main())


def test_caches_without_a_namespace_do_not_meet_on_a_configured_store() -> None:
    """Written without a backend, each had a memory of its own: it must not be shared now."""
    memo.configure(backend=Kept())
    with pytest.warns(UserWarning, match="namespace"):
        users = Cache()
    orders = Cache()
    users.set(1, "Ann")
    assert orders.get(1, None) is None
    named = Cache(namespace="users")
    named.set(1, "Ann")
    assert Cache(namespace="users").get(1) == "Ann"
