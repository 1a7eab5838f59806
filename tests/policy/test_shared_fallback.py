"""A fallback that other processes use too: keys and values as they are everywhere else on it."""

from __future__ import annotations

import pytest
from policy.scripted import Scripted, colours

from memo import Cache, Policy, cached, fallback
from memo.serializers import Codec


class SharedStore(Scripted):
    """Stands for a server: its keys begin with a text, and its values are encoded."""

    shared = True

    def __init__(self):
        super().__init__()
        self.views = []

    def using(self, codec, timer=None):
        view = SharedStore()
        view.held, view.codec, view.origin = self.held, codec, self
        self.views.append(view)
        return view


def price(item):
    """Stands for a function of a module, which has a name that other processes know."""
    return len(item)


@pytest.fixture
def failing():
    """A backend that fails, in this process."""
    backend = Scripted()
    backend.fails = {"read", "write", "delete", "clear"}
    return backend


def test_keys_begin_with_the_functions_name(failing):
    """As they would if the store were the function's own backend."""
    store = SharedStore()
    load = cached(ttl=60, backend=failing, policy=Policy(failed=fallback(store)))(price)
    assert [load("apple"), load("apple")] == [5, 5]
    ((scope, _),) = store.held
    assert isinstance(scope, str)
    assert "price" in scope
    own = SharedStore()
    cached(ttl=60, backend=own)(price)("apple")
    assert set(own.held) == set(store.held)


def test_values_are_encoded_by_the_functions_codec(failing):
    """By way of a view of the store."""
    store = SharedStore()
    load = cached(ttl=60, backend=failing, policy=Policy(failed=fallback(store)))(price)
    load("apple")
    (view,) = store.views
    assert isinstance(view.codec, Codec)
    assert view.seen["write"] == 1


def test_a_function_without_a_name_is_an_error_that_is_absorbed(failing):
    """Two closures of one function would answer for each other: no fallback, and it is heard."""
    heard = []
    store = SharedStore()
    policy = Policy(failed=fallback(store), on_error=heard.append)
    load = cached(ttl=60, backend=failing, policy=policy)(lambda item: 5)
    assert [load("apple"), load("apple")] == [5, 5]
    assert store.held == {}
    assert "key" in {error.operation for error in heard}
    assert any("name=" in error.reason for error in heard)


def test_a_cache_uses_its_namespace(failing):
    """Which is a text already."""
    store = SharedStore()
    cache = Cache(failing, namespace="shop", policy=Policy(failed=fallback(store)))
    assert cache.set("apple", 5) is True
    assert cache.get("apple") == 5
    assert set(store.held) == {("shop", "apple")}
    assert cache.delete("apple") is True
    assert store.held == {}


@colours
def test_a_fallback_in_memory_has_objects_for_scopes(colour):
    """No text is asked for where none is needed."""
    backend = colour.backend()
    backend.fails = {"read", "write"}
    other = Scripted()
    load = colour.cached(len, ttl=60, backend=backend, policy=Policy(failed=fallback(other)))
    assert [colour.run(load("apple")), colour.run(load("apple"))] == [5, 5]
    assert len(other.held) == 1
