"""The caches that are measured, each set up as its documentation recommends for the same work.

The work: a lifetime of an hour, room for `MAXSIZE` results, safe between threads, and counted where
the cache can count. What a peer cannot do is said in its `lacks`, and it is measured all the same.
Where its documentation offers a choice, the quicker one is taken.

A package is imported when its cache is made: one that cannot be imported fails alone, and a
process that measures one peer holds nothing of the others.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from memo import cached

__all__ = [
    "ASYNC",
    "ASYNC_HITS",
    "ASYNC_METHODS",
    "MAXSIZE",
    "METHODS",
    "SYNC",
    "SYNC_HITS",
    "TTL",
    "Peer",
    "async_class_of",
    "by_name",
    "class_of",
    "closing",
    "names",
]

MAXSIZE = 4096
TTL = 3600

Decorate = Callable[..., Any]

#: What ends the threads and timers of the caches that a benchmark has made; called at its end.
closing: list[Callable[[], Any]] = []


@dataclass(frozen=True)
class Peer:
    """One cache.

    Attributes:
        name: what tables and plots call it.
        package: the distribution whose version is told; None for the standard library.
        decorate: `decorate(function, maxsize)` is the cached function.
        lacks: what it does not do of what memo does, in the terms of the work measured.
    """

    name: str
    package: str | None
    decorate: Decorate
    lacks: str = ""

    def __call__(self, function: Any, maxsize: int = MAXSIZE) -> Any:
        """`function` with this cache, of its own."""
        return self.decorate(function, maxsize)


def _memo(function: Any, maxsize: int) -> Any:
    return cached(ttl=TTL, maxsize=maxsize)(function)


def _nothing(function: Any, maxsize: int) -> Any:
    return function


def _functools(function: Any, maxsize: int) -> Any:
    return functools.lru_cache(maxsize=maxsize)(function)


def _cachetools(function: Any, maxsize: int) -> Any:
    import cachetools

    store = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(store, lock=threading.RLock(), info=True)(function)


def _cachetools_lock(function: Any, maxsize: int) -> Any:
    import cachetools

    store = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(store, lock=threading.RLock())(function)


def _cachetools_condition(function: Any, maxsize: int) -> Any:
    import cachetools

    store = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(store, condition=threading.Condition(), info=True)(function)


def _cachebox(function: Any, maxsize: int) -> Any:
    import cachebox

    return cachebox.cached(cachebox.TTLCache(maxsize, TTL))(function)


def _cachebox_as_is(function: Any, maxsize: int) -> Any:
    import cachebox

    return cachebox.cached(cachebox.TTLCache(maxsize, TTL), postprocess=None)(function)


def _theine(function: Any, maxsize: int) -> Any:
    import theine

    f = theine.Memoize(maxsize, timedelta(seconds=TTL))(function)
    f.key(_key_of(function))
    closing.append(f._cache.close)  # a task of its own looks for expired entries each second
    return f


def _key_of(function: Any) -> Any:
    """A function of the same parameters that gives the argument, or a tuple of them."""
    parameters = ", ".join(_parameters(function))
    return eval(f"lambda {parameters}: ({parameters})")


def _parameters(function: Any) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount]  # type: ignore[no-any-return]


def _wrapt(function: Any, maxsize: int) -> Any:
    import wrapt

    return wrapt.lru_cache(maxsize=maxsize)(function)


def _dogpile(function: Any, maxsize: int) -> Any:
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.memory", expiration_time=TTL)
    return region.cache_on_arguments()(function)


def _async_lru(function: Any, maxsize: int) -> Any:
    import async_lru

    return async_lru.alru_cache(maxsize=maxsize, ttl=TTL)(function)


def _aiocache(function: Any, maxsize: int) -> Any:
    import aiocache

    # Without a time limit for the store, which in memory nobody needs: nine times as quick.
    options = {"ttl": TTL, "cache": aiocache.SimpleMemoryCache, "timeout": 0}
    return aiocache.cached(**options)(function)


def _aiocache_stampede(function: Any, maxsize: int) -> Any:
    import aiocache

    options = {"ttl": TTL, "cache": aiocache.SimpleMemoryCache, "timeout": 0}
    return aiocache.cached_stampede(lease=2, **options)(function)


def _cashews(function: Any, maxsize: int, *, lock: bool = False) -> Any:
    import cashews

    cache = cashews.Cache()
    # The check for expired entries runs in a task of its own; an hour keeps it out of the way.
    cache.setup(f"mem://?size={maxsize}&check_interval={TTL}")
    template = ":".join(["f", *(f"{{{name}}}" for name in _parameters(function))])
    return cache(ttl=TTL, key=template, lock=lock)(function)


def _cashews_lock(function: Any, maxsize: int) -> Any:
    return _cashews(function, maxsize, lock=True)


def _cachetools_method(method: Any, maxsize: int) -> Any:
    import cachetools

    # The instances of these benchmarks make `store` and `lock` in their `__init__`.
    return cachetools.cachedmethod(lambda self: self.store, lock=lambda self: self.lock)(method)


def _cachebox_method(method: Any, maxsize: int) -> Any:
    import cachebox

    return cachebox.cached(lambda self: self.store)(method)


MEMO = Peer("memo", "memo-cache", _memo)
NO_CACHE = Peer("no cache", None, _nothing, "anything: the function by itself, for scale")
FUNCTOOLS = Peer(
    "functools.lru_cache",
    None,
    _functools,
    "no ttl, no coroutines; a key missed by several threads at once is loaded by each of them; "
    "`f(1)` and `f(a=1)` are two keys; on a method it keeps instances alive",
)
CACHETOOLS = Peer(
    "cachetools TTLCache, lock, info",
    "cachetools",
    _cachetools,
    "no coroutines; a key missed by several threads at once is loaded by each of them, or with "
    "`condition` by one; expired values are gone; `f(1)` and `f(a=1)` are two keys",
)
CACHETOOLS_LOCK = Peer("cachetools TTLCache, lock", "cachetools", _cachetools_lock)
CACHETOOLS_CONDITION = Peer(
    "cachetools TTLCache, condition, info", "cachetools", _cachetools_condition
)
CACHEBOX = Peer(
    "cachebox TTLCache",
    "cachebox",
    _cachebox,
    "compiled (Rust); first in, first out: no eviction by use; expired values are gone; `f(1)` and "
    "`f(a=1)` are two keys. It copies dicts, lists and sets that it hands out",
)
CACHEBOX_AS_IS = Peer(
    "cachebox TTLCache, no copies",
    "cachebox",
    _cachebox_as_is,
    "the same with `postprocess=None`: hands out the value that is stored, as memo does",
)
THEINE = Peer(
    "theine",
    "theine",
    _theine,
    "its policy is compiled (Rust); starts threads when it is imported; no caches per instance; "
    "expired values are gone; measured with a key function, as it recommends",
)
WRAPT = Peer(
    "wrapt.lru_cache",
    "wrapt",
    _wrapt,
    "`functools.lru_cache` made right for methods: no ttl, no coroutines, no single flight",
)
DOGPILE = Peer(
    "dogpile.cache (memory)",
    "dogpile.cache",
    _dogpile,
    "no coroutines, no keywords; no bound on memory, and what has expired stays; no counters; keys "
    "are the text of the arguments, so that 1 and '1' share one",
)
ASYNC_LRU = Peer(
    "async-lru",
    "async-lru",
    _async_lru,
    "coroutines only; one event loop at a time, no threads; a timer of the loop for each entry; "
    "expired values are gone; `f(1)` and `f(a=1)` are two keys",
)
AIOCACHE = Peer(
    "aiocache (memory)",
    "aiocache",
    _aiocache,
    "coroutines only; no bound on memory, no counters; keys are the text of the arguments; a timer "
    "of the loop for each entry; expired values are gone; single flight only with "
    "`cached_stampede`. Measured with `timeout=0`; its default takes nine times as long",
)
AIOCACHE_STAMPEDE = Peer("aiocache (memory), cached_stampede", "aiocache", _aiocache_stampede)
CASHEWS = Peer(
    "cashews (mem)",
    "cashews",
    _cashews,
    "coroutines only; keys are text made from a template, so that 1 and '1' share one; no "
    "counters; single flight only with `lock`",
)
CASHEWS_LOCK = Peer("cashews (mem), lock", "cashews", _cashews_lock)

SYNC = [MEMO, FUNCTOOLS, CACHETOOLS, CACHEBOX, THEINE, WRAPT, DOGPILE, NO_CACHE]
SYNC_HITS = [*SYNC, CACHEBOX_AS_IS]
ASYNC = [MEMO, CACHEBOX, ASYNC_LRU, AIOCACHE, CASHEWS, THEINE, NO_CACHE]
ASYNC_HITS = [*ASYNC, CACHEBOX_AS_IS]
METHODS = [
    MEMO,
    WRAPT,
    Peer("cachetools.cachedmethod, lock", "cachetools", _cachetools_method),
    Peer("cachebox TTLCache", "cachebox", _cachebox_method),
    FUNCTOOLS,
    NO_CACHE,
]
ASYNC_METHODS = [MEMO, Peer("cachebox TTLCache", "cachebox", _cachebox_method), ASYNC_LRU, NO_CACHE]


def class_of(peer: Peer) -> type:
    """A class whose methods are cached by `peer`."""

    class Service(_Stores):
        caches = peer.package

        @peer
        def method(self, a: Any) -> Any:
            return a

        @peer
        def pair(self, a: Any, b: Any) -> Any:
            return a

    return Service


def async_class_of(peer: Peer) -> type:
    """The same with coroutine functions."""

    class Service(_Stores):
        caches = peer.package

        @peer
        async def method(self, a: Any) -> Any:
            return a

        @peer
        async def pair(self, a: Any, b: Any) -> Any:
            return a

    return Service


class _Stores:
    """An instance makes the stores that some peers want it to have."""

    caches: str | None = None

    def __init__(self) -> None:
        if self.caches == "cachetools":
            import cachetools

            self.store: Any = cachetools.TTLCache(MAXSIZE, TTL)
            self.lock = threading.RLock()
        elif self.caches == "cachebox":
            import cachebox

            self.store = cachebox.TTLCache(MAXSIZE, TTL)


def names(peers: list[Peer]) -> dict[str, Any]:
    """The arguments for `pytest.mark.parametrize` over `peers`."""
    return {"argnames": "peer", "argvalues": peers, "ids": [peer.name for peer in peers]}


def by_name(name: str, peers: list[Peer]) -> Peer:
    """The one of that name."""
    return next(peer for peer in peers if peer.name == name)
