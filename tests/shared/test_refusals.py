"""Functions that no other process could tell apart do not get onto a store that is shared."""

import functools
import warnings
from typing import Any

import pytest
from shared.kept import AsyncKept, Kept

import memo
import memo.testing
from memo import cached


class Service:
    def load(self, number: int) -> int:
        return number

    def __call__(self, number: int) -> int:
        return number


def _power(base: int, exponent: int) -> int:
    return base**exponent


def _local() -> Any:
    def local(number: int) -> int:
        return number

    return local


def _awaited() -> Any:
    async def awaited(number: int) -> int:
        return number

    return awaited


NAMELESS = {
    "lambda": lambda number: number,
    "local": _local(),
    "partial": functools.partial(_power, 2),
    "bound method": Service().load,
    "object": Service(),
}

each_nameless = pytest.mark.parametrize("function", NAMELESS.values(), ids=NAMELESS.keys())


@each_nameless
def test_without_a_name_they_are_refused_at_decoration(function: Any) -> None:
    """Two closures of one function must never answer for each other."""
    with pytest.raises(ValueError, match="name="):
        cached(backend=Kept())(function)
    with pytest.raises(ValueError, match="name="):
        cached.many(backend=Kept())(function)


@each_nameless
def test_with_a_name_they_are_cached(function: Any) -> None:
    """`name=` is their identity."""
    f = cached(backend=Kept(), name="mine")(function)
    assert f(3) == f(3)
    assert f.cache_info()[:2] == (1, 1)
    assert f.cache_key(3)[0].endswith("|mine")


def test_async_ones_are_refused_too() -> None:
    """The same for coroutine functions."""
    with pytest.raises(ValueError, match="name="):
        cached(backend=AsyncKept())(_awaited())


@each_nameless
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_under_a_configured_backend_they_stay_in_memory(function: Any, many: bool) -> None:
    """Code that was written without a backend works on, with one warning that says why."""
    store = Kept()
    memo.configure(backend=store)
    decorate = cached.many if many else cached
    f = decorate(function)
    one = f.one if many else f
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            one.cache_key(3)
        if not many:
            assert f(3) == f(3)
    assert [warning.category for warning in caught] == [UserWarning]
    message = str(caught[0].message)
    assert "in memory" in message
    assert "name=" in message
    assert store.held == {}


def test_functions_that_have_a_name_go_to_the_configured_backend() -> None:
    """A function of a module is known everywhere, and needs nothing."""
    store = Kept()
    memo.configure(backend=store)
    f = cached(_power)
    g = cached(name="mine")(lambda number: number)
    f(2, 3)
    g(1)
    assert len(store.held) == 2
    assert f.cache_info().maxsize is None


def test_maxsize_is_ignored_under_a_configured_backend() -> None:
    """With one warning for each function: the store bounds itself."""
    memo.configure(backend=Kept())
    f = cached(maxsize=10, name="bounded")(_power)
    with pytest.warns(UserWarning, match="maxsize is ignored"):
        f(2, 3)
    f(2, 4)
    assert f.cache_info().maxsize is None
    never = cached(maxsize=0, name="never")(_power)
    never(2, 5)
    assert never.lookup(2, 5).status == "miss"


def test_maxsize_beside_a_written_backend_is_an_error() -> None:
    """There, somebody has contradicted himself."""
    with pytest.raises(ValueError, match="maxsize=10 beside backend="):
        cached(maxsize=10, backend=Kept())


def test_an_async_store_cannot_serve_plain_functions() -> None:
    """Written, that is an error at decoration; configured, at the first use."""
    with pytest.raises(TypeError, match="async"):
        cached(backend=AsyncKept())(_power)
    memo.configure(backend=AsyncKept())
    f = cached(_power)
    with pytest.raises(TypeError, match="async"):
        f(2, 3)


def test_a_configured_fallback_needs_names_too() -> None:
    """A shared store in the policy is one in which functions must be told apart."""
    spare = Kept()
    policy = memo.Policy(failed=memo.fallback(spare), breaker=None, timeout=30)
    broken = memo.testing.FaultyBackend()
    f = cached(backend=broken, policy=policy)(_power)
    g = cached(backend=broken, policy=policy, name="other")(_power)
    with broken.fail():
        assert f(2, 3) == 8
        assert g(2, 3) == 8
        assert (f(2, 3), f.cache_info().hits) == (8, 1)
    assert sorted(name.split(":")[1] for name in spare.held) == [
        f"{__name__}|_power",
        f"{__name__}|other",
    ]


def test_every_way_to_say_name_wrongly() -> None:
    """A name is text that is not empty."""
    for name in (5, b"f", ""):
        with pytest.raises((TypeError, ValueError), match="name="):
            cached(backend=Kept(), name=name)(_power)
