"""`@cached`."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Coroutine,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Never,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from .cache import AsyncCache, Cache
from .entry import ABSENT
from .errors import shown
from .freshness import Duration
from .functions import AsyncCachedFunction, CachedFunction, binding
from .keys import check_keys
from .options import Options
from .policy import Policy
from .site import Site

__all__ = ["cached"]

P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")

if TYPE_CHECKING:
    from .many import AsyncCachedMany, CachedMany

    class _Decorator(Protocol):
        """`cached(...)` with options and without a function: decorates one."""

        # `Any` is a `Never`, and not a coroutine: a function that says nothing is a plain one.
        @overload
        def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
            self, func: Callable[P, Never], /
        ) -> CachedFunction[P, Any]: ...
        @overload
        def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
            self, func: Callable[P, Coroutine[Any, Any, R]], /
        ) -> AsyncCachedFunction[P, R]: ...
        @overload
        def __call__(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...

    class _ManyDecorator(Protocol):
        """`cached.many(...)` with options and without a function: decorates one."""

        @overload
        def __call__(
            self, func: Callable[Concatenate[Any, P], Coroutine[Any, Any, Mapping[K, V]]], /
        ) -> AsyncCachedMany[K, P, V]: ...
        @overload
        def __call__(
            self, func: Callable[Concatenate[Any, P], Mapping[K, V]], /
        ) -> CachedMany[K, P, V]: ...

    class _Options(TypedDict, total=False):
        """The options of `cached`, for type checkers; `_Cached.__call__` says what each means."""

        ttl: Duration | Callable[[Any], Duration | None] | None
        maxsize: float | None
        backend: Any
        policy: Policy | None
        key: Callable[..., Hashable] | None
        ignore: str | Iterable[str]
        typed: bool
        eviction: str
        getsizeof: Callable[[Any], float] | None
        stale_while_revalidate: Duration
        stale_if_error: Duration | Mapping[type[BaseException], Duration]
        retry_after: Duration
        soft_timeout: Duration | None
        hard_timeout: Duration | None
        refresh_after: float | None
        jitter: float
        should_cache: Callable[[Any], object] | None
        cache_exceptions: Mapping[type[BaseException], Duration] | None
        serializer: Any
        copy: Callable[[Any], Any] | None
        single_flight: bool
        timer: Callable[[], float] | None
        name: str | None
        version: Any


class _Cached:
    """Memoize a function or method, sync or async.

    Args:
        func: the function; without it, a decorator with these options is returned.
        ttl: how long a value is fresh: seconds, a timedelta, text ("90s", "5m", "1h30m"), or a
            function of the value giving one of these. None: for ever.
        maxsize: the most entries kept, 1024 unless said otherwise; with `getsizeof` the largest
            sum of sizes. None: no bound; 0: nothing is ever stored. Of a method: per instance.
        backend: where entries are kept: a backend, its URL ("sqlite:///cache.db",
            "redis://localhost:6379/0", "memcached://localhost"), a `cachetools.Cache` or a mutable
            mapping. None: what `configure` or MEMO_BACKEND says, else a memory of the function's
            own.
        policy: what is done about each cache error (`Policy`). None: `Policy.absorb()`.
        key: makes the key from the call's arguments, the receiver of a method included.
        ignore: names of parameters that do not count for the key.
        typed: whether arguments of different types are different although equal, as 1 and 1.0.
        eviction: which entry goes when there is no room, one of `memo.backends.EVICTIONS`;
            "none": a value that does not fit is not stored (`Full`).
        getsizeof: the size of a value, in the unit of `maxsize`.
        stale_while_revalidate: for how long past its ttl a value is served at once while it is
            recomputed in the background (RFC 5861).
        stale_if_error: for how long past its ttl a value is served if recomputing it raises
            (RFC 5861); or a mapping from exception types to that, for these alone.
        retry_after: for how long after a load that failed an expired value is served without
            trying again.
        soft_timeout: how long a call waits for the function where an expired value is at hand that
            may be served; that is served then, and the function goes on and is stored.
        hard_timeout: how long a call waits otherwise: then it raises `memo.LoadTimeout`, a
            `TimeoutError`, and the function goes on and is stored.
        refresh_after: fraction of the ttl after which a hit starts a recomputation in the
            background.
        jitter: up to this fraction of the ttl is taken off at random.
        should_cache: whether a value is to be stored.
        cache_exceptions: exception types that are remembered, each with its lifetime.
        serializer: how values become bytes on a backend that keeps bytes: "msgpack" (the default),
            "json", "pickle" (signed, with a secret), a `memo.serializers.Codec`, or an object with
            `dumps` and `loads`.
        copy: applied to each value handed out, for callers that change what they get.
        single_flight: whether calls wait for a running call with the same key.
        timer: gives seconds; the clock of all of the above. None: monotonic time.
        name: what messages call the function, and on shared backends its identity within its
            module; lambdas and functions within functions need one there.
        version: changes the function's identity on a store it shares with others; on shared
            backends text or a whole number.

    Raises:
        TypeError, ValueError: an option that cannot be; the message names it, its value, and
            what is allowed. Generator functions cannot be cached.
    """

    __name__ = "cached"

    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, func: Callable[P, Never], /, **options: Unpack[_Options]
    ) -> CachedFunction[P, Any]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, func: Callable[P, Coroutine[Any, Any, R]], /, **options: Unpack[_Options]
    ) -> AsyncCachedFunction[P, R]: ...
    @overload
    def __call__(
        self, func: Callable[P, R], /, **options: Unpack[_Options]
    ) -> CachedFunction[P, R]: ...
    @overload
    def __call__(self, func: None = None, /, **options: Unpack[_Options]) -> _Decorator: ...
    def __call__(
        self,
        func: Any = None,
        /,
        *,
        ttl: Duration | Callable[[Any], Duration | None] | None = None,
        maxsize: float | None = ABSENT,
        backend: Any = None,
        policy: Policy | None = None,
        key: Callable[..., Hashable] | None = None,
        ignore: str | Iterable[str] = (),
        typed: bool = False,
        eviction: str = ABSENT,
        getsizeof: Callable[[Any], float] | None = None,
        stale_while_revalidate: Duration = 0,
        stale_if_error: Duration | Mapping[type[BaseException], Duration] = 0,
        retry_after: Duration = 0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
        refresh_after: float | None = None,
        jitter: float = 0,
        should_cache: Callable[[Any], object] | None = None,
        cache_exceptions: Mapping[type[BaseException], Duration] | None = None,
        serializer: Any = None,
        copy: Callable[[Any], Any] | None = None,
        single_flight: bool = True,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
        version: Any = None,
    ) -> Any:
        """Decorate `func`, or return a decorator with these options; see `cached`."""
        options = Options.of(
            ttl=ttl,
            maxsize=maxsize,
            backend=backend,
            policy=policy,
            eviction=eviction,
            getsizeof=getsizeof,
            stale_while_revalidate=stale_while_revalidate,
            stale_if_error=stale_if_error,
            retry_after=retry_after,
            soft_timeout=soft_timeout,
            hard_timeout=hard_timeout,
            refresh_after=refresh_after,
            jitter=jitter,
            should_cache=should_cache,
            cache_exceptions=cache_exceptions,
            serializer=serializer,
            copy=copy,
            single_flight=single_flight,
            timer=timer,
        )
        if isinstance(ignore, Iterator):
            ignore = tuple(ignore)
        check_keys(typed=typed, ignore=ignore, key=key)
        if name is not None and (name == "" or not isinstance(name, str)):
            raise TypeError(f"name={shown(name)}: takes a str that is not empty")

        def decorate(func: Any) -> Any:
            _check_decoratable(func)
            site = Site(
                func, options, key=key, ignore=ignore, typed=typed, name=name, version=version
            )
            kind: Any = AsyncCachedFunction if site.is_async else CachedFunction
            return (binding(kind, site) if site.binds_instances else kind)(site)

        return decorate if func is None else decorate(func)

    @overload
    def many(
        self,
        func: Callable[Concatenate[Any, P], Coroutine[Any, Any, Mapping[K, V]]],
        /,
        **options: Unpack[_Options],
    ) -> AsyncCachedMany[K, P, V]: ...
    @overload
    def many(
        self, func: Callable[Concatenate[Any, P], Mapping[K, V]], /, **options: Unpack[_Options]
    ) -> CachedMany[K, P, V]: ...
    @overload
    def many(self, func: None = None, /, **options: Unpack[_Options]) -> _ManyDecorator: ...
    def many(self, func: Any = None, /, **options: Any) -> Any:
        """Memoize a function of many ids, id by id: only those that are missing are loaded.

        The function takes an iterable of ids first (after `self`), and returns a mapping from ids
        to values. A call returns a dict of those ids that have a value, in the order in which they
        were asked for; the function is called once for all that are not cached and not being
        loaded by others. An id without a value is not remembered.

        Args:
            func: the function; without it, a decorator with these options is returned.
            options: as `cached` has them, but for `soft_timeout`, `hard_timeout` and `typed`; each
                id is an entry.

        Raises:
            TypeError, ValueError: an option that cannot be; the message names it.
        """
        for name, why in _NOT_FOR_MANY.items():
            if name in options:
                raise TypeError(f"cached.many: takes no {name}: {why}")
        from .many import many_of  # most programs have no such function

        decorate = self(**options)
        if func is None:
            return lambda func: many_of(func, decorate)
        return many_of(func, decorate)

    def __repr__(self) -> str:
        return "<memo.cached>"

    def __reduce__(self) -> str:
        return "cached"


_NOT_FOR_MANY: Final = {
    "soft_timeout": "one call loads many ids, some of them for others who wait",
    "hard_timeout": "one call loads many ids, some of them for others who wait",
    "typed": "in the mapping that the function returns equal ids are one",
}

_Cached.__call__.__qualname__ = "cached"  # what Python calls it in messages
cached: Final = _Cached()
Cache.decorate = AsyncCache.decorate = staticmethod(cached)


def _check_decoratable(func: Any) -> None:
    if isinstance(func, classmethod | staticmethod):
        func = func.__func__
    if isinstance(func, property):
        raise TypeError("cached: takes a function; write @property above @cached, not below it")
    if isinstance(func, type):
        raise TypeError(
            f"cached: takes a function, not the class {func.__name__}; cache a function that makes"
            " its instances"
        )
    if isinstance(func, MutableMapping) or hasattr(func, "read"):
        raise TypeError(
            f"cached({shown(func)}): takes a function; options are keyword-only: a store is handed "
            "in as cached(backend=...)"
        )
    if not callable(func):
        raise TypeError(
            f"cached({shown(func)}): takes a function; options are keyword-only, as in "
            "cached(ttl=60)"
        )
