"""What type checkers see of `Cache`, `AsyncCache`, `Policy` and the errors.

This file is not run; see check_functions.py.
"""

from typing import Any, assert_type

from memo import (
    CALL,
    RAISE,
    STALE,
    AsyncCache,
    AsyncCachedFunction,
    Cache,
    CachedFunction,
    CacheError,
    CacheInfo,
    Expired,
    Full,
    Miss,
    OperationFailed,
    Outcome,
    Policy,
    fallback,
    raise_as,
)


async def load_async() -> list[int]:
    return [1]


def load() -> list[int]:
    return [1]


def blocking(cache: Cache) -> None:
    """`get_or_load` gives what the load gives; the others say whether it was done."""
    assert_type(cache.get_or_load("k", load), list[int])
    assert_type(cache.get_or_load(("k", 1), lambda: 5), int)
    assert_type(cache.get("k"), Any)
    assert_type(cache.get("k", None), Any)
    assert_type(cache.set("k", 1, ttl="5m"), bool)
    assert_type(cache.delete("k"), bool)
    assert_type(cache.info(), CacheInfo)
    with Cache({}, namespace="n", ttl=5, maxsize=None, copy=list) as own:
        assert_type(own, Cache)

    cache.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache.get(["k"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.set("k", 1, 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache.set("k", 1, ttl=[5])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.get_or_load("k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache.get_or_load("k", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.get_or_load("k", len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Cache(tll=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Cache(namespace=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Cache(policy="strict")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaited(cache: AsyncCache) -> None:
    """The async twin is awaited, and takes coroutine functions."""
    assert_type(await cache.get_or_load("k", load_async), list[int])
    assert_type(await cache.get("k"), Any)
    assert_type(await cache.get("k", None), Any)
    assert_type(await cache.set("k", 1), bool)
    assert_type(await cache.delete("k"), bool)
    assert_type(cache.info(), CacheInfo)
    async with AsyncCache(ttl=5) as own:
        assert_type(own, AsyncCache)

    await cache.get_or_load("k", load)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await cache.set("k", 1, 5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await cache.info()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    with cache:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


def decorating(cache: Cache, other: AsyncCache) -> None:
    """`cache.cached` keeps signatures as `cached` does."""

    @cache.cached
    def f(a: int) -> str:
        return str(a)

    @cache.cached(ttl=5)
    def g(a: int) -> str:
        return str(a)

    @other.cached(ttl=5)
    async def h(a: int) -> str:
        return str(a)

    sync: CachedFunction[[int], str] = f
    asynchronous: AsyncCachedFunction[[int], str] = h
    assert_type(f(1), str)
    assert_type(g.get(1), str)
    assert_type(sync(1), str)
    asynchronous.cache_info()

    f("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    g()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    h("x")  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
    cache.cached(tll=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def policies() -> None:
    """Actions fit their fields as far as types can tell."""
    assert_type(Policy.strict(), Policy)
    Policy(miss=RAISE, expired=STALE, failed={"read": CALL, "write": RAISE})
    Policy(failed=fallback({}), miss=raise_as(KeyError), expired=lambda error: STALE)

    Policy(RAISE)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Policy(miss="raise")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Policy(mis=RAISE)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    raise_as("KeyError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Policy().miss = RAISE  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def errors(error: CacheError, outcome: Outcome) -> str:
    """Errors match by position, and by type."""
    match error:
        case Miss(key) | Expired(key) | Full(key):
            return str(key)
        case OperationFailed(reason):
            return assert_type(reason, str)
    if outcome.status == "fersh":  # type: ignore[comparison-overlap]
        return ""
    return str(outcome.value)
