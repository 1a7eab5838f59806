"""A module that two processes import; each tells what it calls the keys of the same calls."""
# ruff: noqa: D103 - what they are for is told once, above

import dataclasses
import enum
import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.folder import Folder
from shared.kept import AsyncKept, Kept

from memo import cached
from memo.canonical import key_text

#: The folder that processes share, where a test has named one.
FOLDER = os.environ.get("SHARED_FOLDER")
STORE = Kept(None if FOLDER is None else Folder(FOLDER), namespace="app")
ASYNC_STORE = AsyncKept(namespace="app")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0

    @cached(backend=STORE)
    def shifted(self, by: int) -> int:
        return self.x + by


class Account:
    """Instances are told apart by their number, in every process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __cache_key__(self) -> int:
        return self.number

    @cached(backend=STORE)
    def balance(self, day: str = "today") -> int:
        return self.number

    @cached(backend=ASYNC_STORE)
    async def owner(self) -> str:
        return f"owner of {self.number}"

    @cached.many(backend=STORE)
    def payments(self, ids: list[int]) -> dict[int, int]:
        return {one: one * self.number for one in ids}

    @cached(backend=STORE)
    @classmethod
    def count(cls, kind: str) -> int:
        return len(kind)

    @cached(backend=STORE)
    @staticmethod
    def rate(currency: str) -> float:
        return 1.0


class Savings(Account):
    """A class of its own, with the methods of another."""


class Anonymous:
    """Nothing tells its instances apart but where they are in memory."""

    @cached(backend=STORE)
    def value(self) -> int:
        return 1


@cached(backend=STORE)
def f(a: Any, b: Any = 2, *more: Any, **options: Any) -> int:
    return 1


@cached(backend=STORE)
def g(a: Any, b: Any = 2) -> int:
    return 1


@cached(backend=STORE, version=2)
def versioned(a: Any) -> int:
    return 1


@cached(backend=STORE, typed=True)
def typed(a: Any) -> int:
    return 1


@cached(backend=STORE, key=lambda a: str(a).lower())
def keyed(a: Any) -> int:
    return 1


@cached.many(backend=STORE)
def many(ids: list[int], lang: str = "en") -> dict[int, int]:
    return dict.fromkeys(ids, 1)


@cached(backend=ASYNC_STORE)
async def awaited(a: Any) -> int:
    return 1


named = cached(backend=STORE, name="named")(lambda a: 1)


#: A call of each kind, as the function and its arguments.
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "f(1)": (f, (1,), {}),
    "f(1, 2)": (f, (1, 2), {}),
    "f(1, 3)": (f, (1, 3), {}),
    "f(b=2, a=1)": (f, (), {"b": 2, "a": 1}),
    "f(1, 2, 3)": (f, (1, 2, 3), {}),
    "f(1, x=1)": (f, (1,), {"x": 1}),
    "f('1')": (f, ("1",), {}),
    "f(1.0)": (f, (1.0,), {}),
    "f(True)": (f, (True,), {}),
    "f(None)": (f, (None,), {}),
    "f(text)": (f, ("Grüße ☃ \x00 \r\n",), {}),
    "f(list)": (f, ([1, 2],), {}),
    "f(tuple)": (f, ((1, 2),), {}),
    "f(set)": (f, ({"a", "b", "c", "d"},), {}),
    "f(frozenset)": (f, (frozenset("abcd"),), {}),
    "f(dict)": (f, ({"a": [1], "b": {2}},), {}),
    "f(bytes)": (f, (b"1",), {}),
    "f(date)": (f, (date(2024, 2, 29),), {}),
    "f(decimal)": (f, (Decimal("1.10"),), {}),
    "f(uuid)": (f, (UUID(int=7),), {}),
    "f(enum)": (f, (Colour.RED,), {}),
    "f(class)": (f, (Point,), {}),
    "f(point)": (f, (Point(1),), {}),
    "f(account)": (f, (Account(1),), {}),
    "f(savings)": (f, (Savings(1),), {}),
    "g(1)": (g, (1,), {}),
    "versioned(1)": (versioned, (1,), {}),
    "typed(1)": (typed, (1,), {}),
    "typed(1.0)": (typed, (1.0,), {}),
    "keyed('A')": (keyed, ("A",), {}),
    "many(1)": (many, (1,), {}),
    "many(1, de)": (many, (1, "de"), {}),
    "awaited(1)": (awaited, (1,), {}),
    "named(1)": (named, (1,), {}),
    "Point(1).shifted(2)": (Point(1).shifted, (2,), {}),
    "Point(2).shifted(2)": (Point(2).shifted, (2,), {}),
    "Account(1).balance()": (Account(1).balance, (), {}),
    "Account(2).balance()": (Account(2).balance, (), {}),
    "Savings(1).balance()": (Savings(1).balance, (), {}),
    "Account(1).owner()": (Account(1).owner, (), {}),
    "Account(1).payments(5)": (Account(1).payments, (5,), {}),
    "Account.count(a)": (Account.count, ("a",), {}),
    "Savings.count(a)": (Savings.count, ("a",), {}),
    "Account.rate(EUR)": (Account.rate, ("EUR",), {}),
}


def texts() -> dict[str, str]:
    """The text of the key of each call."""
    return {
        name: key_text("app", function.cache_key(*args, **kwargs))
        for name, (function, args, kwargs) in CALLS.items()
    }
