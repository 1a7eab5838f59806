"""What type checkers see of decorated functions: right calls pass, and wrong ones do not.

This file is not run. Each `type: ignore` (mypy) and `pyright: ignore` stands where the checker must
object; one that silences nothing is an error itself.
"""

import functools
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, assert_type

from memo import (
    AsyncCachedFunction,
    CachedFunction,
    CacheInfo,
    Outcome,
    Policy,
    bypass,
    cached,
    configure,
)


@cached
def bare(a: int, b: str = "", *, c: bool = False) -> float:
    return a + len(b) + c


@cached(ttl=60, maxsize=10)
def with_options(a: int, /, *rest: str) -> list[str]:
    return [str(a), *rest]


@cached()
def with_none(**others: bytes) -> None:
    assert others is not None


@cached
async def co(a: int) -> str:
    return str(a)


@cached(ttl=60)
async def co_with_options(a: int, *, b: str = "") -> dict[int, str]:
    return {a: b}


def plain(a: int) -> str:
    return str(a)


async def plain_co(a: int) -> str:
    return str(a)


def use(*things: object) -> None: ...


def functions() -> None:
    """The call, and its type."""
    assert_type(bare(1), float)
    assert_type(bare(1, "x", c=True), float)
    assert_type(bare(a=1, b="x"), float)
    assert_type(with_options(1, "x", "y"), list[str])
    assert_type(with_none(x=b"1"), None)
    assert_type(bare.__name__, str)
    decorated: CachedFunction[[int], str] = cached(plain)
    assert_type(decorated(1), str)
    assert_type(cached(ttl=5)(plain)(1), str)
    assert_type(cached(lambda: 5)(), int)
    assert_type(cached(len)("abc"), int)
    assert_type(cached(functools.partial(plain, 1))(), str)

    bare()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare(1, "x", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare(1, d=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with_options(a=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with_options(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with_none(x=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare(1).upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def as_arguments() -> None:
    """A decorated function is what it was to those who take functions."""
    sync: Callable[[int], float] = bare
    asynchronous: Callable[[int], Awaitable[str]] = co
    coroutine: Callable[[int], Coroutine[Any, Any, str]] = co
    assert_type(list(map(bare, [1])), list[float])
    assert_type(sorted([1], key=bare), list[int])

    wrong: Callable[[str], float] = bare  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    colour: Callable[[int], str] = co  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    use(sync, asynchronous, coroutine, wrong, colour)


async def coroutines() -> None:
    """A coroutine function gives something to await, and what comes of that."""
    coroutine: Coroutine[Any, Any, str] = co(1)
    assert_type(await coroutine, str)
    assert_type(await co(1), str)
    assert_type(await co_with_options(1, b="x"), dict[int, str])
    decorated: AsyncCachedFunction[[int], str] = cached(plain_co)
    assert_type(await decorated(1), str)

    await co("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await co()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await bare(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    co(1).upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def handle() -> None:
    """The handle takes the function's arguments and gives the function's values."""
    assert_type(bare.get(1, b="x"), float)
    assert_type(bare.refresh(1), float)
    assert_type(bare.lookup(1), Outcome)
    assert_type(bare.lookup(1).hit, bool)
    assert_type(bare.set(1.0, 1, "x"), bool)
    assert_type(bare.invalidate(1), bool)
    assert_type(bare.cache_info(), CacheInfo)
    assert_type(bare.cache_info().hits, int)
    assert_type(bare.cache_info().hit_rate, float)
    assert_type(bare.prewarm([(1,), (2, "x")]).loaded, int)
    bare.cache_clear()
    bare.cache_key(1)

    bare.get("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare.lookup(1, c=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare.set()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare.set(1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare.set(1.0, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare.invalidate(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare.refresh(d=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare.prewarm([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    bare.invaldate(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def async_handle() -> None:
    """On a coroutine function what may wait is awaited, and the rest is plain."""
    assert_type(await co.get(1), str)
    assert_type(await co.refresh(1), str)
    assert_type(await co.lookup(1), Outcome)
    assert_type(await co.set("x", 1), bool)
    assert_type(await co.invalidate(1), bool)
    assert_type((await co.prewarm([(1,)])).loaded, int)
    assert_type(co.cache_info(), CacheInfo)
    await co.cache_clear()

    await co.get("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await co.set("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await co.cache_info()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await bare.get(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    co.get(1).upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def unsaid(a):  # type: ignore[no-untyped-def]
    """A function without annotations, which is a plain one."""
    return a


def anything(a: int) -> Any:
    """A plain function of no particular result."""
    return a


async def anything_later(a: int) -> Any:
    """A coroutine function of no particular result."""
    return a


async def any_results() -> None:
    """What says nothing of its result is as plain, or as much a coroutine function, as it is."""
    assert_type(cached(anything)(1), Any)
    cached(anything, ttl=5).invalidate(1).bit_length()
    cached(ttl=5)(anything).cache_info()
    cached(unsaid).invalidate(1).bit_length()
    await cached(anything_later)(1)
    (await cached(ttl=5)(anything_later).invalidate(1)).bit_length()


def options() -> None:
    """Options have types, and there are no others."""
    cached(ttl="5m", jitter=0.5, refresh_after=0.9, stale_while_revalidate=timedelta(seconds=5))
    cached(ttl=lambda value: 5 if value else None, should_cache=bool, copy=list)
    cached(key=lambda a, b: (a, b), name="f", version=2, single_flight=False)
    cached(ignore="a", typed=True, policy=Policy.strict(), backend={}, timer=lambda: 0.0)
    cached(ignore=("a", "b"), cache_exceptions={KeyError: 5, ValueError: "1m"}, maxsize=None)
    cached(ttl=5, stale_if_error={OSError: "1h", ValueError: 0}, retry_after=5, soft_timeout="1s")
    cached(ttl=5, stale_if_error="1h", hard_timeout=timedelta(seconds=2))
    assert_type(cached(plain, ttl=5)(1), str)
    configure(enabled=False)
    with bypass():
        pass

    cached(tll=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    cached(ttl=[5])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached(hard_timeout=[5])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    cached(typed="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached(policy="strict")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached(maxsize="big")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached(key="a")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached(copy=True)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    configure(enabled="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
