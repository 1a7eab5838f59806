"""Methods of many ids: every instance has entries of its own, and is held weakly."""

import asyncio
import copy
import gc
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from memo import cached


class Shop:
    """A class that a module knows, so that its instances and methods pickle."""

    def __init__(self, prefix: str = "p") -> None:
        self.prefix = prefix
        self.asked: list[list[int]] = []

    @cached.many(maxsize=4)
    def prices(self, ids: Any, currency: str = "EUR") -> dict[int, str]:
        """Prices of articles."""
        self.asked.append(ids)
        return {one: f"{self.prefix}{one}{currency}" for one in ids}

    @cached.many
    async def stock(self, ids: Any) -> dict[int, str]:
        self.asked.append(ids)
        return {one: f"{self.prefix}{one}" for one in ids}


def test_each_instance_has_entries_of_its_own() -> None:
    """What one instance has loaded is no other's."""
    a, b = Shop("a"), Shop("b")
    assert a.prices([1, 2]) == {1: "a1EUR", 2: "a2EUR"}
    assert b.prices([1]) == {1: "b1EUR"}
    assert a.prices([1, 2]) == {1: "a1EUR", 2: "a2EUR"}
    assert (a.asked, b.asked) == ([[1, 2]], [[1]])
    assert a.prices.cache_info()[:4] == (2, 2, 4, 2)
    assert b.prices.cache_info()[:4] == (0, 1, 4, 1)
    assert a.prices([1], "USD") == a.prices(ids=[1], currency="USD") == {1: "a1USD"}


def test_equal_instances_are_told_apart() -> None:
    """Instances count by identity, whatever their `__eq__` says, and need no hash."""

    @dataclass
    class Point:
        x: int

        @cached.many
        def scaled(self, ids: Any) -> dict[int, int]:
            return {one: self.x * one for one in ids}

    a, b = Point(1), Point(1)
    a.scaled([2])
    b.x = 10
    assert b.scaled([2]) == {2: 20}
    assert a.scaled([2]) == {2: 2}


def test_through_the_class_it_is_the_same_cache() -> None:
    """`A.m(a, ids)` and `a.m(ids)` share entries; `A.m.cache_info()` sums up all instances."""
    a, b = Shop("a"), Shop("b")
    before = Shop.prices.cache_info()
    Shop.prices(a, [1])
    assert a.prices([1]) == {1: "a1EUR"}
    assert Shop.prices(a, ids=[1]) == {1: "a1EUR"}
    b.prices([1])
    assert a.asked == [[1]]
    after = Shop.prices.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (2, 2)


def test_the_handle_of_a_bound_method_is_the_instance_s() -> None:
    """Every part of the handle works on an instance, for one id."""
    a, b = Shop("a"), Shop("b")
    a.prices([1, 2])
    b.prices([1])
    assert a.prices.get(1) == "a1EUR"
    assert a.prices.lookup(2).status == "fresh"
    assert a.prices.one(1) == "a1EUR"
    assert a.prices.one(7) == "a7EUR"
    assert a.prices.set("mine", 1)
    assert a.prices([1]) == {1: "mine"}
    assert b.prices([1]) == {1: "b1EUR"}
    assert a.prices.refresh(1) == "a1EUR"
    assert a.prices.invalidate(1)
    assert not a.prices.invalidate(1)
    assert a.prices.lookup(1).status == "miss"
    assert a.prices.cache_key(1, "EUR") == Shop.prices.cache_key(a, 1)
    assert a.prices.cache_parameters() == {"maxsize": 4, "typed": False}
    a.prices.cache_clear()
    assert a.prices.cache_info()[:4] == (0, 0, 4, 0)
    assert b.prices.lookup(1).status == "fresh"
    assert Shop.prices.invalidate(b, 1)


def test_a_handle_without_its_instance_is_a_type_error() -> None:
    """Through the class, the handle wants the instance first, as for plain cached methods."""
    for handle in ("get", "lookup", "invalidate", "refresh", "cache_key"):
        with pytest.raises(TypeError, match="instance"):
            getattr(Shop.prices, handle)(1)


def test_a_call_without_its_instance_is_a_type_error() -> None:
    """A list of ids is no instance."""
    with pytest.raises(TypeError):
        Shop.prices([1])


def test_instances_are_held_weakly(no_collection: None) -> None:
    """An instance goes when nobody holds it, with all that was loaded for it."""
    a = Shop()
    bound = a.prices
    bound([1])
    ref = weakref.ref(a)
    del a
    assert ref() is not None
    assert bound([1]) == {1: "p1EUR"}
    del bound
    assert ref() is None


def test_async_instances_are_held_weakly(no_collection: None, runner: asyncio.Runner) -> None:
    """The task in which a call runs leaves nothing behind that holds the instance."""
    a = Shop()
    assert runner.run(a.stock([1, 2])) == {1: "p1", 2: "p2"}
    assert runner.run(a.stock([2])) == {2: "p2"}
    ref = weakref.ref(a)
    del a
    assert ref() is None


def test_an_exception_leaves_no_cycle(no_collection: None) -> None:
    """After a call that raised, the instance dies with its last reference, not at a collection."""

    class Failing:
        @cached.many
        def values(self, ids: Any) -> Any:
            raise ConnectionError("down")

    one = Failing()
    with pytest.raises(ConnectionError):
        one.values([1])
    ref = weakref.ref(one)
    del one
    assert ref() is None


def test_an_exception_in_a_task_leaves_no_cycle(
    no_collection: None, runner: asyncio.Runner
) -> None:
    """The same for coroutine methods."""

    class Failing:
        @cached.many
        async def values(self, ids: Any) -> Any:
            raise ConnectionError("down")

    async def main() -> Any:
        one = Failing()
        with pytest.raises(ConnectionError):
            await one.values([1])
        ref = weakref.ref(one)
        del one
        await asyncio.sleep(0)  # the task of the call is done with, too
        return ref()

    assert runner.run(main()) is None


def test_a_temporary_lives_as_long_as_its_call() -> None:
    """`A().m(ids)` works: the bound method holds the instance."""
    assert Shop("t").prices([1]) == {1: "t1EUR"}


def test_async_methods_are_bound_too(runner: asyncio.Runner) -> None:
    """A coroutine method has instances with entries of their own, and a handle to await."""
    a, b = Shop("a"), Shop("b")
    assert runner.run(a.stock([1])) == {1: "a1"}
    assert runner.run(b.stock([1, 2])) == {1: "b1", 2: "b2"}
    assert runner.run(Shop.stock(a, [1])) == {1: "a1"}
    assert runner.run(a.stock.get(1)) == "a1"
    assert runner.run(a.stock.one(3)) == "a3"
    assert runner.run(a.stock.invalidate(1))
    assert runner.run(a.stock([1])) == {1: "a1"}
    assert a.asked == [[1], [3], [1]]
    runner.run(a.stock.cache_clear())
    assert a.stock.cache_info()[:2] == (0, 0)


def test_bound_methods_compare_copy_and_pickle() -> None:
    """A bound method is equal to another of the same instance, and pickles by its name."""
    a = Shop("a")
    assert a.prices == a.prices
    assert a.prices != Shop("a").prices
    assert hash(a.prices) == hash(a.prices)
    assert copy.copy(a.prices) == copy.deepcopy(a.prices) == a.prices
    assert a.prices.__self__ is a
    assert a.prices.__func__ is Shop.prices
    assert a.prices.__wrapped__([1]) == {1: "a1EUR"}
    assert a.prices.__doc__ == "Prices of articles."
    again = pickle.loads(pickle.dumps(a.prices))
    assert again([1]) == {1: "a1EUR"}
    assert again.__self__ is not a


def test_nothing_is_kept_of_instances_that_are_gone() -> None:
    """A thousand short-lived instances leave no entries, only their counts."""
    before = Shop.prices.cache_info()
    for _ in range(1000):
        Shop().prices([1, 2])
    gc.collect()
    after = Shop.prices.cache_info()
    assert after.misses - before.misses == 2000
    assert after.currsize == 0 or after.currsize <= before.currsize
