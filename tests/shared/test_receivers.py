"""Methods on stores that other processes see: who an instance is must be said."""

import asyncio
import dataclasses
import gc
import threading
import weakref
from typing import Any

import pytest
from concurrency.watch import Crew, following, until
from shared import programs
from shared.kept import AsyncKept, Kept

from memo import OperationFailed, Policy, cached

STORE = Kept()
ASYNC_STORE = AsyncKept()


class User:
    """An instance says who it is; `loads` counts what was not answered from the store."""

    loads = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __cache_key__(self) -> int:
        return self.number

    @cached(backend=STORE)
    def name(self, lang: str = "en") -> str:
        User.loads += 1
        return f"{lang}{self.number}"

    @cached(backend=ASYNC_STORE)
    async def address(self) -> str:
        User.loads += 1
        return f"street {self.number}"

    @cached.many(backend=STORE)
    def orders(self, ids: list[int]) -> dict[int, str]:
        User.loads += 1
        return {one: f"{self.number}/{one}" for one in ids}


@pytest.fixture(autouse=True)
def emptied() -> None:
    """Nothing is stored, and nothing counted."""
    STORE.held.clear()
    ASYNC_STORE.held.clear()
    User.name.cache_clear()
    User.loads = 0


def test_instances_with_equal_keys_share_entries() -> None:
    """Two objects for one user are one user, as they would be in two processes."""
    assert User(1).name() == "en1"
    assert User(1).name() == "en1"
    assert User(2).name() == "en2"
    assert User(1).name("de") == "de1"
    assert User.loads == 3
    assert User.name(User(1)) == "en1"
    assert User(1).name.get() == "en1"
    assert User(1).name.invalidate()
    assert User(1).name.lookup().status == "miss"
    assert User(2).name.lookup().status == "fresh"


def test_async_methods_share_too() -> None:
    """The same for coroutine methods."""

    async def main() -> None:
        assert await User(1).address() == "street 1"
        assert await User(1).address() == "street 1"
        assert await User(2).address() == "street 2"
        assert User.loads == 2

    asyncio.run(main())


def test_methods_of_many_ids_share_too() -> None:
    """The same for `cached.many`."""
    assert User(1).orders([1, 2]) == {1: "1/1", 2: "1/2"}
    assert User(1).orders([2, 3]) == {2: "1/2", 3: "1/3"}
    assert User(2).orders([1]) == {1: "2/1"}
    assert User.loads == 3
    assert User(1).orders.get(1) == "1/1"
    assert User(1).orders.one(3) == "1/3"


def test_clearing_is_for_the_class() -> None:
    """`A.m.cache_clear()` drops the entries of all instances; on one instance it is refused."""
    User(1).name()
    User(2).name()
    User(1).orders([1])
    with pytest.raises(TypeError, match="cache_clear"):
        User(1).name.cache_clear()
    assert User(1).name.lookup().status == "fresh"
    User.name.cache_clear()
    assert User(1).name.lookup().status == "miss"
    assert User(2).name.lookup().status == "miss"
    assert User(1).orders.lookup(1).status == "fresh"
    assert User.name.cache_info()[:2] == (0, 0)


def test_an_instance_without_a_key_is_a_type_error() -> None:
    """The first call says what to do, also under a policy that absorbs everything."""
    for call in (programs.Anonymous().value, programs.Anonymous().value.get):
        with pytest.raises(TypeError, match="__cache_key__"):
            call()
    with pytest.raises(TypeError, match="__cache_key__"):
        programs.Anonymous.value(programs.Anonymous())


def test_a_key_function_takes_the_place_of_a_cache_key() -> None:
    """With `key=` the user says what tells calls apart, the instance included."""
    loads = []

    class Keyed:
        def __init__(self, number: int) -> None:
            self.number = number

        @cached(backend=Kept(), name="Keyed.value", key=lambda self, x: (self.number, x))
        def value(self, x: int) -> int:
            loads.append(x)
            return self.number * x

    assert Keyed(2).value(3) == Keyed(2).value(3) == 6
    assert Keyed(3).value(3) == 9
    assert len(loads) == 2


def test_frozen_dataclasses_are_known_by_their_fields() -> None:
    """A frozen dataclass needs no `__cache_key__`; one that can change does."""
    assert programs.Point(1, 2).shifted(1) == programs.Point(1, 2).shifted(1)
    assert programs.Point(1, 2).shifted.cache_key(1) == programs.Point(1, 2).shifted.cache_key(1)
    assert programs.Point(1, 2).shifted.cache_key(1) != programs.Point(1, 3).shifted.cache_key(1)

    @dataclasses.dataclass
    class Changing:
        x: int

        @cached(backend=Kept(), name="Changing.value")
        def value(self) -> int:
            return self.x

    with pytest.raises(TypeError, match="__cache_key__"):
        Changing(1).value()


def test_classmethods_are_known_by_their_class() -> None:
    """Each class has entries of its own; nothing has to be said."""
    count = programs.Account.count
    assert count("abc") == 3
    assert programs.Account.count.cache_key("a") != programs.Savings.count.cache_key("a")
    assert programs.Account.count.lookup("abc").status == "fresh"
    assert programs.Savings.count.lookup("abc").status == "miss"


def test_subclasses_do_not_meet_their_base() -> None:
    """Instances of two classes with one key are two receivers."""
    account, savings = programs.Account(7), programs.Savings(7)
    account.balance.set(100)
    assert savings.balance.lookup().status == "miss"
    assert account.balance() == 100


class _Failing:
    def __cache_key__(self) -> Any:
        raise LookupError("not loaded yet")

    @cached(backend=STORE, policy=Policy.strict(timeout=30))
    def strict(self) -> int:
        return 1

    @cached(backend=STORE)
    def absorbed(self) -> int:
        return 2


def test_a_cache_key_that_raises_is_a_failed_key() -> None:
    """The policy decides, as for every key that cannot be made."""
    assert _Failing().absorbed() == 2
    with pytest.raises(OperationFailed, match="key") as caught:
        _Failing().strict()
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_unkeyed_argument_is_a_failed_key() -> None:
    """An object in the place of an argument is no receiver: the call is made, and counted."""
    loads = []

    @cached(backend=Kept(), name="unkeyed")
    def f(a: Any) -> int:
        loads.append(a)
        return 1

    thing = object()
    assert f(thing) == f(thing) == 1
    assert len(loads) == 2
    assert f.cache_info().failures >= 2


def test_instances_are_still_held_weakly() -> None:
    """What is stored goes on after an instance has gone, and nothing holds it."""
    user = User(1)
    user.name()
    ref = weakref.ref(user)
    del user
    gc.collect()
    assert ref() is None
    assert User(1).name.lookup().status == "fresh"
    assert User.name.cache_info().misses == 1


def test_counters_of_a_method_add_up() -> None:
    """`A.m.cache_info()` is the sum over all instances that have been."""
    for _ in range(3):
        for number in (1, 2):
            User(number).name()
    info = User.name.cache_info()
    assert info[:2] == (4, 2)
    assert (info.maxsize, info.currsize) == (None, None)


class _Slow:
    gate = threading.Event()
    loads = 0

    def __cache_key__(self) -> int:
        return 1

    @cached(backend=STORE)
    def value(self) -> int:
        _Slow.loads += 1
        assert _Slow.gate.wait(15)
        return 5


def test_single_flight_holds_for_equal_instances() -> None:
    """Two objects with one key do not load beside each other."""
    _Slow.gate.clear()
    _Slow.loads = 0
    crew = Crew([_Slow().value, _Slow().value, _Slow().value])
    until(lambda: following() == 2)
    _Slow.gate.set()
    assert crew.join() == [5, 5, 5]
    assert _Slow.loads == 1
