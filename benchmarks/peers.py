"""The caches that are measured, each set up as its documentation recommends for the same work.

The work: a lifetime of an hour, room for `MAXSIZE` results, safe between threads, and counted where
the cache can count. What a peer cannot do is said in its `lacks`, and it is measured all the same.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiocache
import async_lru
import cachebox
import cachetools
import cashews
import theine
import wrapt

from memo import cached

__all__ = ["ASYNC", "MAXSIZE", "METHODS", "SYNC", "TTL", "Peer", "by_name", "names"]

MAXSIZE = 4096
TTL = 3600

Decorate = Callable[..., Any]


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
    store = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(store, lock=threading.RLock(), info=True)(function)


def _cachetools_lock(function: Any, maxsize: int) -> Any:
    store = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(store, lock=threading.RLock())(function)


def _cachetools_condition(function: Any, maxsize: int) -> Any:
    store = cachetools.TTLCache(maxsize, TTL)
    return cachetools.cached(store, condition=threading.Condition(), info=True)(function)


def _cachebox(function: Any, maxsize: int) -> Any:
    return cachebox.cached(cachebox.TTLCache(maxsize, TTL))(function)


def _theine(function: Any, maxsize: int) -> Any:
    return theine.Memoize(maxsize, timedelta(seconds=TTL))(function)


def _wrapt(function: Any, maxsize: int) -> Any:
    return wrapt.lru_cache(maxsize=maxsize)(function)


def _async_lru(function: Any, maxsize: int) -> Any:
    return async_lru.alru_cache(maxsize=maxsize, ttl=TTL)(function)


def _aiocache(function: Any, maxsize: int) -> Any:
    return aiocache.cached(ttl=TTL, cache=aiocache.SimpleMemoryCache)(function)


def _aiocache_stampede(function: Any, maxsize: int) -> Any:
    return aiocache.cached_stampede(lease=2, ttl=TTL, cache=aiocache.SimpleMemoryCache)(function)


def _cashews(function: Any, maxsize: int, *, lock: bool = False) -> Any:
    cache = cashews.Cache()
    # The check for expired entries runs in a task of its own; an hour keeps it out of the way.
    cache.setup(f"mem://?size={maxsize}&check_interval={TTL}")
    return cache(ttl=TTL, key=_template(function), lock=lock)(function)


def _cashews_lock(function: Any, maxsize: int) -> Any:
    return _cashews(function, maxsize, lock=True)


def _template(function: Any) -> str:
    code = function.__code__
    return ":".join(["f", *(f"{{{name}}}" for name in code.co_varnames[: code.co_argcount])])


def _cachetools_method(method: Any, maxsize: int) -> Any:
    # The instances of these benchmarks make `store` and `lock` in their `__init__`.
    return cachetools.cachedmethod(lambda self: self.store, lock=lambda self: self.lock)(method)


def _cachebox_method(method: Any, maxsize: int) -> Any:
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
    "`f(a=1)` are two keys",
)
THEINE = Peer(
    "theine",
    "theine",
    _theine,
    "its policy is compiled (Rust); starts threads when it is imported; no caches per instance; "
    "expired values are gone; `f(1)` and `f(a=1)` are two keys",
)
WRAPT = Peer(
    "wrapt.lru_cache",
    "wrapt",
    _wrapt,
    "`functools.lru_cache` made right for methods: no ttl, no coroutines, no single flight",
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
    "coroutines only; no bound on memory; keys are the text of the arguments; a timer of the loop "
    "for each entry; expired values are gone; single flight only with `cached_stampede`",
)
AIOCACHE_STAMPEDE = Peer("aiocache (memory), cached_stampede", "aiocache", _aiocache_stampede)
CASHEWS = Peer(
    "cashews (mem)",
    "cashews",
    _cashews,
    "coroutines only; keys are text made from a template, so that 1 and '1' share one; single "
    "flight only with `lock`",
)
CASHEWS_LOCK = Peer("cashews (mem), lock", "cashews", _cashews_lock)

SYNC = [MEMO, FUNCTOOLS, CACHETOOLS, CACHEBOX, THEINE, WRAPT, NO_CACHE]
ASYNC = [MEMO, CACHEBOX, ASYNC_LRU, AIOCACHE, CASHEWS, THEINE, NO_CACHE]
METHODS = [
    MEMO,
    Peer("wrapt.lru_cache", "wrapt", _wrapt),
    Peer("cachetools.cachedmethod, lock", "cachetools", _cachetools_method),
    Peer("cachebox TTLCache", "cachebox", _cachebox_method),
    FUNCTOOLS,
    NO_CACHE,
]


def class_of(peer: Peer) -> type:
    """A class whose `method` is cached by `peer`."""

    class Service:
        def __init__(self) -> None:
            if peer.package == "cachetools":
                self.store: Any = cachetools.TTLCache(MAXSIZE, TTL)
                self.lock = threading.RLock()
            elif peer.package == "cachebox":
                self.store = cachebox.TTLCache(MAXSIZE, TTL)

        @peer
        def method(self, a: Any) -> Any:
            return a

    return Service


def names(peers: list[Peer]) -> dict[str, Any]:
    """The arguments for `pytest.mark.parametrize` over `peers`."""
    return {"argnames": "peer", "argvalues": peers, "ids": [peer.name for peer in peers]}


def by_name(name: str, peers: list[Peer]) -> Peer:
    """The one of that name."""
    return next(peer for peer in peers if peer.name == name)
