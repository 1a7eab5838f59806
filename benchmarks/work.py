"""The functions that are cached, and the loops that call them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["burst", "burst_async"]
__all__ += ["five", "five_async", "one", "one_async", "two", "two_async"]


def one(a: Any) -> Any:
    """A function that costs nothing."""
    return a


async def one_async(a: Any) -> Any:
    """The same, to be awaited."""
    return a


def two(a: Any, b: Any) -> Any:
    """One with two parameters."""
    return a


async def two_async(a: Any, b: Any) -> Any:
    """The same, to be awaited."""
    return a


def five(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """One with five parameters."""
    return a


async def five_async(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """The same, to be awaited."""
    return a


def burst(f: Any, keys: Iterable[Any]) -> None:
    """Call `f` with each of `keys`."""
    for a in keys:
        f(a)


async def burst_async(f: Any, keys: Iterable[Any]) -> None:
    """The same, awaiting each."""
    for a in keys:
        await f(a)
