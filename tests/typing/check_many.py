"""What type checkers see of functions of many ids, and of many keys of a cache.

This file is not run; see check_functions.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_type

from memo import AsyncCache, Cache, CacheInfo, Outcome, cached


@cached.many
def bare(ids: list[int], lang: str = "en", *, short: bool = False) -> dict[int, str]:
    return {one: lang for one in ids if not short}


@cached.many(ttl=60, maxsize=10)
def with_options(ids: Iterable[str]) -> Mapping[str, list[int]]:
    return {one: [len(one)] for one in ids}


@cached.many
async def co(ids: Sequence[int], lang: str = "en") -> dict[int, str]:
    return dict.fromkeys(ids, lang)


@cached.many(ttl=60)
async def co_with_options(ids: list[int]) -> dict[int, float]:
    return dict.fromkeys(ids, 1.5)


def plain(ids: list[int]) -> dict[int, str]:
    return dict.fromkeys(ids, "")


def functions() -> None:
    """Any iterable of ids goes in, and a dict comes out."""
    assert_type(bare([1, 2]), dict[int, str])
    assert_type(bare(range(3), "de", short=True), dict[int, str])
    assert_type(bare((one for one in (1, 2)), lang="de"), dict[int, str])
    assert_type(with_options({"a"}), dict[str, list[int]])
    assert_type(cached.many(plain)([1]), dict[int, str])
    assert_type(cached.many(ttl=5)(plain)([1]), dict[int, str])
    assert_type(cached.many()(plain)([1]), dict[int, str])

    bare()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare(["a"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    bare([1], 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare([1], longer=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with_options([1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def coroutines() -> None:
    """The same, awaited."""
    assert_type(await co([1]), dict[int, str])
    assert_type(await co([1], lang="de"), dict[int, str])
    assert_type(await co_with_options([1]), dict[int, float])
    co([1]).keys()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await co(["a"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def handle() -> None:
    """The handle takes one id."""
    assert_type(bare.get(1), str)
    assert_type(bare.get(1, "de", short=True), str)
    assert_type(bare.lookup(1), Outcome)
    assert_type(bare.set("x", 1), bool)
    assert_type(bare.invalidate(1, lang="de"), bool)
    assert_type(bare.refresh(1), str)
    assert_type(bare.cache_clear(), None)
    assert_type(bare.cache_parameters(), dict[str, Any])
    info: CacheInfo = bare.cache_info()
    assert info.hits >= 0
    bare.set(5, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def async_handle() -> None:
    """The same, awaited."""
    assert_type(await co.get(1), str)
    assert_type(await co.lookup(1), Outcome)
    assert_type(await co.set("x", 1), bool)
    assert_type(await co.invalidate(1), bool)
    assert_type(await co.refresh(1), str)
    assert_type(await co.cache_clear(), None)


class Shop:
    """Methods have their instance bound."""

    @cached.many
    def prices(self, ids: list[int], currency: str = "EUR") -> dict[int, float]:
        return dict.fromkeys(ids, float(len(currency)))

    @cached.many(ttl=5)
    async def stock(self, ids: list[int]) -> dict[int, int]:
        return dict.fromkeys(ids, 1)


async def methods(shop: Shop) -> None:
    """Bound methods take the ids first."""
    assert_type(shop.prices([1]), dict[int, float])
    assert_type(shop.prices([1], "USD"), dict[int, float])
    assert_type(await shop.stock([1]), dict[int, int])
    assert_type(shop.prices.get(1), float)
    assert_type(shop.prices.invalidate(1, "USD"), bool)
    shop.prices(["a"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    shop.prices([1], 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    shop.prices()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong() -> None:
    """What is no function of many ids."""

    def no_mapping(ids: list[int]) -> list[str]:
        return [str(one) for one in ids]

    def no_ids() -> dict[int, str]:
        return {}

    cached.many(no_mapping)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    cached.many(no_ids)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    cached.many(ttl=[5])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cached.many(plain, tll=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def load(keys: list[str]) -> dict[str, int]:
    return dict.fromkeys(keys, 1)


async def load_async(keys: list[str]) -> dict[str, int]:
    return dict.fromkeys(keys, 1)


def blocking(cache: Cache) -> None:
    """Many keys of a cache."""
    assert_type(cache.get_many(["a"]), dict[str, Any])
    assert_type(cache.get_many({1, 2}), dict[int, Any])
    assert_type(cache.set_many({"a": 1}, ttl="5m"), int)
    assert_type(cache.get_or_load_many(["a"], load), dict[str, int])

    cache.get_many(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.get_many([[1]])  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    cache.set_many([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.get_or_load_many([1], load)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.get_or_load_many(["a"], load_async)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(cache.cached.many(plain)([1]), dict[int, str])


async def awaited(cache: AsyncCache) -> None:
    """The same, awaited."""
    assert_type(await cache.get_many(["a"]), dict[str, Any])
    assert_type(await cache.set_many({"a": 1}), int)
    assert_type(await cache.get_or_load_many(["a"], load_async), dict[str, int])
    await cache.get_or_load_many(["a"], load)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
