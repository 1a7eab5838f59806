"""What type checkers see of decorated methods, bound and unbound, and of their kin.

This file is not run; see check_functions.py.
"""

import abc
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, assert_type

from memo import CacheInfo, Outcome, cached

T = TypeVar("T")


class Base(abc.ABC):
    @cached
    def m(self, a: int, b: str = "") -> float:
        return a + len(b)

    @cached(ttl=60)
    async def co(self, a: int) -> str:
        return str(a)

    @cached
    def none(self) -> list[int]:
        return []

    @cached
    @classmethod
    def class_above(cls, a: int) -> str:
        return cls.__name__ * a

    @classmethod
    @cached(ttl=5)
    def class_below(cls, a: int) -> str:
        return cls.__name__ * a

    @cached
    @classmethod
    async def class_co(cls, a: int) -> str:
        return cls.__name__ * a

    @cached(ttl=5)
    @staticmethod
    def static_above(a: int) -> str:
        return str(a)

    @staticmethod
    @cached
    def static_below(a: int) -> str:
        return str(a)

    @cached
    @staticmethod
    def static_none() -> str:
        return ""

    @cached
    @staticmethod
    async def static_co(a: int) -> str:
        return str(a)

    @property
    @cached(ttl=5)
    def prop(self) -> list[int]:
        return []

    @property
    @cached
    def settable(self) -> int:
        return 1

    @settable.setter
    def settable(self, value: int) -> None:
        assert value

    @cached
    @abc.abstractmethod
    def abstract(self, a: int) -> str: ...


class Derived(Base):
    # To pyright a decorated method is a variable, whose type an override may not change; that the
    # receiver's type is part of it is more than it can see past.
    @cached
    def m(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, a: int, b: str = ""
    ) -> float:
        return super().m(a, b) + 1

    @cached
    def abstract(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, a: int
    ) -> str:
        return str(a)


@dataclass(frozen=True)
class Box(Generic[T]):
    value: T

    @cached
    def get(self) -> T:
        return self.value


def bound(x: Derived) -> None:
    """On an instance the receiver is no argument any more."""
    assert_type(x.m(1), float)
    assert_type(x.m(a=1, b="x"), float)
    assert_type(x.none(), list[int])
    assert_type(x.abstract(1), str)
    assert_type(x.m.get(1), float)
    assert_type(x.m.lookup(1), Outcome)
    assert_type(x.m.set(1.0, 1), bool)
    assert_type(x.m.invalidate(1, b="x"), bool)
    assert_type(x.m.refresh(1), float)
    assert_type(x.m.cache_info(), CacheInfo)
    assert_type(Box(5).get(), int)
    assert_type(Box("x").get.refresh(), str)
    function: Callable[[int], float] = x.m
    function(1)

    x.m()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    x.m("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    x.m(x, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    x.none(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    x.m.get("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    x.m.set(1.0, x, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    x.m.invalidate()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    x.m.invaldate(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    Base()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


def unbound(x: Derived) -> None:
    """Through the class the receiver comes first, in the handle too."""
    assert_type(Base.m(x, 1), float)
    assert_type(Derived.m(x, a=1), float)
    assert_type(Base.m.get(x, 1), float)
    assert_type(Base.m.set(1.0, x, 1), bool)
    assert_type(Base.m.invalidate(x, 1), bool)
    assert_type(Base.m.cache_info(), CacheInfo)

    Base.m(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Base.m.invalidate(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Base.m.get("x", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def coroutines(x: Derived) -> None:
    """Coroutine methods of every kind are awaited, and so are their handles."""
    assert_type(await x.co(1), str)
    assert_type(await Base.co(x, 1), str)
    assert_type(await x.co.get(1), str)
    assert_type(await x.co.invalidate(1), bool)
    assert_type(await Base.co.refresh(x, 1), str)
    assert_type(await Base.class_co(1), str)
    assert_type(await x.class_co(1), str)
    assert_type(await Base.static_co(1), str)
    assert_type(await x.static_co(1), str)
    assert_type(await x.static_co.get(1), str)

    await x.co("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await x.co.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await x.m(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await Base.class_co("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await x.static_co("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def classmethods(x: Derived) -> None:
    """A classmethod is given its class, in either order of the decorators."""
    assert_type(Base.class_above(1), str)
    assert_type(Derived.class_above(a=1), str)
    assert_type(x.class_above(1), str)
    assert_type(Base.class_above.get(1), str)
    assert_type(x.class_above.invalidate(1), bool)
    assert_type(Base.class_below(1), str)
    assert_type(x.class_below(1), str)

    Base.class_above()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Base.class_above("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Base.class_above(Base, 1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Base.class_below("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    x.class_below()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def staticmethods(x: Derived) -> None:
    """A staticmethod is given nothing, in either order of the decorators."""
    assert_type(Base.static_above(1), str)
    assert_type(x.static_above(a=1), str)
    assert_type(x.static_above.get(1), str)
    assert_type(Base.static_above.set("x", 1), bool)
    assert_type(Base.static_below(1), str)
    assert_type(x.static_below(1), str)
    assert_type(Base.static_none(), str)
    assert_type(x.static_none(), str)

    x.static_above()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    x.static_above("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    x.static_none(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Base.static_below("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def properties(x: Derived) -> None:
    """A property has the value's type."""
    assert_type(x.prop, list[int])
    assert_type(x.settable, int)
    x.settable = 5

    x.prop = []  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    x.settable = "x"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    x.prop()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]


class Colour(enum.Enum):
    RED = 1

    @cached
    def label(self, loud: bool = False) -> str:
        return self.name.upper() if loud else self.name


assert_type(Colour.RED.label(), str)
assert_type(Colour.RED.label(loud=True), str)
assert_type(Colour.label(Colour.RED), str)
assert_type(Colour.RED.label.invalidate(loud=True), bool)
