"""`Cache` and `AsyncCache`: the machine behind `@cached`, with keys of the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from . import flow as flows
from . import guard
from .backends.base import is_async
from .backends.memory import Memory
from .background import background
from .breaker import Health
from .configuration import bypassed, default_backend, warn_once
from .core import AsyncCore, Core, SyncCore, settled
from .entry import ABSENT, Raised
from .errors import NoValue, OperationFailed, shown, text_of
from .flow import Rules
from .freshness import Duration, seconds
from .options import DEFAULT_MAXSIZE, InForce, Options
from .policy import Policy
from .records import replaced
from .stats import CacheInfo
from .steps import Refusal
from .turns import AsyncTurn, Turn

if TYPE_CHECKING:
    from .decorator import _Cached

__all__ = ["AsyncCache", "Cache", "build"]

C = TypeVar("C", bound=Core)
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


def build(
    kind: type[C],
    options: Options,
    in_force: InForce,
    *,
    name: str,
    scope: Any,
    annotation: Any = ABSENT,
    identity: Callable[[], str] | None = None,
) -> C:
    """The parts of a cache that `options` describe, as they are in force.

    Args:
        scope: what its keys begin with on a store that is not its alone.
        annotation: the type of its values, where that is known.
        identity: gives what its keys begin with on a fallback that other processes use too.

    Raises:
        TypeError: a cache of blocking calls over an async backend.
    """
    store, timer = in_force.store, in_force.timer
    held = None
    if store is None:
        scope = None
        store = Memory(
            options.maxsize,
            eviction=options.eviction,
            getsizeof=options.getsizeof,
            timer=timer,
        )
    else:
        if kind is SyncCore:
            refuse_async(store, name)
        else:
            store = getattr(store, "twin", store)
        if hasattr(store, "using"):
            store = store.using(_codec(options, annotation, store), timer)
        if in_force.policy.may_serve_stale("failed"):
            held = Memory(DEFAULT_MAXSIZE, timer=timer)
    rules = Rules(
        policy=in_force.policy,
        freshness=in_force.freshness,
        timer=timer,
        should_cache=options.should_cache,
        stores=options.maxsize != 0,
    )
    return kind(
        name=name,
        store=store,
        scope=scope,
        rules=rules,
        held=held,
        copy=options.copy,
        single_flight=options.single_flight,
        identity=identity,
        codec=lambda store: _codec(options, annotation, store),
    )


def _codec(options: Options, annotation: Any, store: Any) -> Any:
    """How values become bytes on `store`: as the options say, or else as it does by itself."""
    from .serializers import codec_of

    own = getattr(store, "codec", None)
    return codec_of(own if options.serializer is None else options.serializer, annotation)


def refuse_async(backend: Any, name: str) -> None:
    """Raise the `TypeError` that a blocking cache over an async backend is."""
    if is_async(backend):
        raise TypeError(
            f"backend={shown(backend)}: an async backend cannot serve {name}, which is not async"
        )


class _Decorating:
    """`memo.cached`, with the options of a cache where none are written."""

    def __init__(self, decorate: Any, defaults: dict[str, Any]) -> None:
        self._decorate = decorate
        self._defaults = defaults

    def __call__(self, func: Any = None, /, **options: Any) -> Any:
        return self._decorate(func, **(self._defaults | options))

    def many(self, func: Any = None, /, **options: Any) -> Any:
        """`memo.cached.many`, likewise."""
        defaults = {name: value for name, value in self._defaults.items() if value is not None}
        return self._decorate.many(func, **(defaults | options))


class _Face:
    """What `Cache` and `AsyncCache` have in common."""

    _core: Any
    _namespace: str | None
    _kind: ClassVar[type[Core]]
    #: Set by the decorator's room, which stands above this one.
    decorate: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        backend: Any = None,
        *,
        namespace: str | None = None,
        ttl: Duration | Callable[[Any], Duration | None] | None = None,
        maxsize: float | None = ABSENT,
        policy: Policy | None = None,
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
    ) -> None:
        if namespace is not None and not isinstance(namespace, str):
            raise TypeError(f"namespace={shown(namespace)}: takes a str")
        from . import batch  # noqa: F401 - so that no call has to wait for an import

        self._options = Options.of(
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
        self._namespace = namespace
        name = namespace or type(self).__name__
        # Keys as they are would meet those of others there.
        alone = backend is None and namespace is None
        if alone and default_backend() is not None:
            warn_once(f"{name}: is kept in memory, not on the configured backend: no namespace")
        in_force = self._options.in_force(name, private=alone)
        self._core = build(self._kind, self._options, in_force, name=name, scope=namespace)

    if TYPE_CHECKING:
        cached: ClassVar[_Cached]
    else:

        @property
        def cached(self) -> _Decorating:
            """`memo.cached` with this cache's store, policy, timer and lifetime as the defaults."""
            own = self._options
            core = self._core
            defaults: dict[str, Any] = {"backend": core.store, "policy": core.rules.policy}
            if own.timer is not None:
                defaults["timer"] = own.timer
            return _Decorating(type(self).decorate, defaults | own.lifetime)

    def info(self) -> CacheInfo:
        """The counters, and what is held."""
        return info(self._core)

    def health(self) -> Health:
        """How the backend is, as far as this process has seen; see `memo.Health`."""
        return self._core.health()  # type: ignore[no-any-return]

    @property
    def breaker(self) -> guard.Circuit | None:
        """The circuit breaker of the backend, for drills; None where it has none.

        It is that of all caches on the same backend whose policy has the same `Breaker`.
        """
        return self._core.guard.circuit  # type: ignore[no-any-return]

    def _key(self, key: Hashable) -> Any:
        """`key` as the store has it.

        Raises:
            OperationFailed: it cannot be hashed.
        """
        try:
            hash(key)
        except Exception as error:
            raise unusable_key(error) from error
        return key if self._core.scope is None else (self._core.scope, key)

    def _keys(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Each of `keys`, by the key as the store has it."""
        if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
            raise TypeError(f"keys={shown(keys)}: takes an iterable of keys")
        return {self._key(key): key for key in keys}

    def __repr__(self) -> str:
        name = f" {self._namespace!r}" if self._namespace is not None else ""
        return f"<{type(self).__name__}{name} on {self._core.store!r}>"


def info(core: Core) -> CacheInfo:
    """The counters of `core`, and what its store holds."""
    return core.stats.info(
        getattr(core.store, "maxsize", None), getattr(core.store, "currsize", None)
    )


def unusable_key(error: Exception) -> OperationFailed:
    """What an argument that cannot be part of a key is to memo; raise it `from error`."""
    reason = f"key cannot be made: {type(error).__name__}: {text_of(error)}"
    return OperationFailed(reason, operation="key")


class Cache(_Face):
    """A cache with explicit keys.

    Args:
        backend: a backend, a `cachetools.Cache`, a mutable mapping; None: a memory of its own.
        namespace: tells its keys from others' on the same backend; None: keys are used as they are,
            and without a `backend` it is a memory of its own, whatever is configured.
        ttl, maxsize, policy, ...: as `memo.cached` has them.

    Raises:
        TypeError, ValueError: an option that cannot be; the message names it.
    """

    _kind = SyncCore
    _core: SyncCore

    def get(self, key: Hashable, default: Any = ABSENT) -> Any:
        """The value under `key`; without one, `default`.

        Raises:
            Miss, Expired, OperationFailed: there is none to be had, and no `default`.
        """
        core = self._core
        try:
            found = core.settle(flows.get(self._key(key), core.rules, core.stats))
        except OperationFailed as error:  # the key itself
            found = Refusal(error)
        if default is ABSENT:
            return core.handed_out(settled(found))
        try:
            return default if type(found) is Refusal else core.handed_out(settled(found))
        except OperationFailed:  # the user's copy raised
            return default

    def set(self, key: Hashable, value: Any, *, ttl: Duration | None = None) -> bool:
        """Store `value`, for `ttl` instead of the cache's own; whether it was stored.

        A `ttl` of 0 stores nothing, and drops what was stored.

        Raises:
            OperationFailed: the key cannot be hashed; or what the policy raises.
        """
        core = self._core
        freshness = _with_ttl(core, ttl)
        full = self._key(key)
        core.flights.supersede(full)
        return bool(core.run(flows.store(full, value, core.rules, core.stats, freshness)))

    def get_or_load(self, key: Hashable, load: Callable[[], R]) -> R:
        """The value under `key`, or else what `load()` gives, which is stored.

        One load per key runs at a time; who comes meanwhile waits for its result.
        """
        core = self._core
        if bypassed():
            return load()
        try:
            full = self._key(key)
        except OperationFailed as error:
            flow = flows.unkeyed(error, core.rules, core.stats)
            return Turn(core, None, flow, load).run()  # type: ignore[no-any-return]
        return Turn(core, full, flows.call(full, core.rules, core.stats), load).run()  # type: ignore[no-any-return]

    def get_many(self, keys: Iterable[K]) -> dict[K, Any]:
        """The values of those of `keys` that have one, in the order of `keys`.

        Raises:
            TypeError: `keys` is text, or nothing to iterate over.
            OperationFailed: a read failed, or a key cannot be hashed.
        """
        from .batch import Batch

        core = self._core
        wanted = self._keys(keys)
        looks = {full: flows.get(full, core.rules, core.stats) for full in wanted}
        values = Batch(core, looks).values(without_absences=True)
        return {wanted[full]: value for full, value in values.items()}

    def set_many(self, values: Mapping[Any, Any], *, ttl: Duration | None = None) -> int:
        """Store all of `values` under their keys, as `set` does; how many were stored.

        Raises:
            OperationFailed: a key cannot be hashed; or what the policy raises.
        """
        from .batch import Batch

        core = self._core
        if not isinstance(values, Mapping):
            raise TypeError(f"values={shown(values)}: takes a mapping from keys to values")
        freshness = _with_ttl(core, ttl)
        stores = {}
        for key, value in values.items():
            full = self._key(key)
            core.flights.supersede(full)
            stores[full] = flows.store(full, value, core.rules, core.stats, freshness)
        return sum(Batch(core, stores).settled().values())

    def get_or_load_many(
        self, keys: Iterable[K], load: Callable[[list[K]], Mapping[K, R]]
    ) -> dict[K, R]:
        """The values of `keys`, of which only the missing ones are loaded: by one `load(missing)`.

        `load` returns a mapping from keys to values; keys without a value are left out, and are
        not remembered. One load per key runs at a time, as by `get_or_load`. `soft_timeout` and
        `hard_timeout` do not apply.

        Raises:
            TypeError: `keys` is text, or nothing to iterate over; `load` returned no mapping.
            OperationFailed: a key cannot be hashed; or what the policy raises.
        """
        from .batch import Batch, refresh_many_behind

        core = self._core
        wanted = self._keys(keys)

        def load_full(missing: list[Any]) -> dict[Any, Any]:
            return _by_full(load([wanted[full] for full in missing]), missing, wanted)

        if bypassed():
            values = _present(load_full(list(wanted)))
        else:
            calls = {full: flows.call(full, core.rules, core.stats) for full in wanted}

            def refresh(stale: list[Any]) -> None:
                refresh_many_behind(core, stale, load_full)

            values = Batch(core, calls, load_full, refresh).values()
        return {wanted[full]: value for full, value in values.items()}

    def delete(self, key: Hashable) -> bool:
        """Drop what is under `key`, and what is being loaded for it; whether there was anything."""
        core = self._core
        full = self._key(key)
        core.flights.supersede(full)
        return bool(core.run(flows.delete(full, core.rules, core.stats)))

    def clear(self) -> bool:
        """Drop all of this cache's entries and set the counters to zero; whether it was done."""
        core = self._core
        core.flights.supersede_all()
        done = bool(core.run(flows.clear(core.rules, core.stats)))
        core.stats.reset()
        return done

    def close(self) -> None:
        """Drop refreshes that wait, wait a moment for those that run, and close the backend."""
        background.cancel(self._core)
        self._core.guard.forget()
        close = getattr(self._core.store, "close", None)
        if callable(close):
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncCache(_Face):
    """The async twin of `Cache`: the same, to be awaited. `load` is a coroutine function."""

    _kind = AsyncCore
    _core: AsyncCore

    async def get(self, key: Hashable, default: Any = ABSENT) -> Any:
        """The value under `key`; without one, `default`.

        Raises:
            Miss, Expired, OperationFailed: there is none to be had, and no `default`.
        """
        core = self._core
        try:
            found = await core.settle(flows.get(self._key(key), core.rules, core.stats))
        except OperationFailed as error:  # the key itself
            found = Refusal(error)
        if default is ABSENT:
            return core.handed_out(settled(found))
        try:
            return default if type(found) is Refusal else core.handed_out(settled(found))
        except OperationFailed:  # the user's copy raised
            return default

    async def set(self, key: Hashable, value: Any, *, ttl: Duration | None = None) -> bool:
        """Store `value`, for `ttl` instead of the cache's own; whether it was stored.

        A `ttl` of 0 stores nothing, and drops what was stored.

        Raises:
            OperationFailed: the key cannot be hashed; or what the policy raises.
        """
        core = self._core
        freshness = _with_ttl(core, ttl)
        full = self._key(key)
        core.flights.supersede(full)
        return bool(await core.run(flows.store(full, value, core.rules, core.stats, freshness)))

    async def get_or_load(self, key: Hashable, load: Callable[[], Awaitable[R]]) -> R:
        """The value under `key`, or else what `await load()` gives, which is stored.

        One load per key runs at a time; who comes meanwhile waits for its result.
        """
        core = self._core
        if bypassed():
            return await load()
        try:
            full = self._key(key)
        except OperationFailed as error:
            turn = AsyncTurn(core, None, flows.unkeyed(error, core.rules, core.stats), load)
            turn.alone = True
        else:
            turn = AsyncTurn(core, full, flows.call(full, core.rules, core.stats), load)
        answer = await turn.run()
        if type(answer) is Raised:
            raise answer.error
        return answer  # type: ignore[no-any-return]

    async def get_many(self, keys: Iterable[K]) -> dict[K, Any]:
        """The values of those of `keys` that have one, in the order of `keys`.

        Raises:
            TypeError: `keys` is text, or nothing to iterate over.
            OperationFailed: a read failed, or a key cannot be hashed.
        """
        from .batch import AsyncBatch

        core = self._core
        wanted = self._keys(keys)
        looks = {full: flows.get(full, core.rules, core.stats) for full in wanted}
        values = await AsyncBatch(core, looks).values(without_absences=True)
        return {wanted[full]: value for full, value in values.items()}

    async def set_many(self, values: Mapping[Any, Any], *, ttl: Duration | None = None) -> int:
        """Store all of `values` under their keys, as `set` does; how many were stored.

        Raises:
            OperationFailed: a key cannot be hashed; or what the policy raises.
        """
        from .batch import AsyncBatch

        core = self._core
        if not isinstance(values, Mapping):
            raise TypeError(f"values={shown(values)}: takes a mapping from keys to values")
        freshness = _with_ttl(core, ttl)
        stores = {}
        for key, value in values.items():
            full = self._key(key)
            core.flights.supersede(full)
            stores[full] = flows.store(full, value, core.rules, core.stats, freshness)
        return sum((await AsyncBatch(core, stores).settled()).values())

    async def get_or_load_many(
        self, keys: Iterable[K], load: Callable[[list[K]], Awaitable[Mapping[K, R]]]
    ) -> dict[K, R]:
        """The values of `keys`; only the missing ones are loaded: by one `await load(missing)`.

        `load` gives a mapping from keys to values; keys without a value are left out, and are not
        remembered. One load per key runs at a time, as by `get_or_load`. `soft_timeout` and
        `hard_timeout` do not apply.

        Raises:
            TypeError: `keys` is text, or nothing to iterate over; `load` gave no mapping.
            OperationFailed: a key cannot be hashed; or what the policy raises.
        """
        from .batch import AsyncBatch, refresh_many_in_task

        core = self._core
        wanted = self._keys(keys)

        async def load_full(missing: list[Any]) -> dict[Any, Any]:
            return _by_full(await load([wanted[full] for full in missing]), missing, wanted)

        if bypassed():
            values = _present(await load_full(list(wanted)))
        else:
            calls = {full: flows.call(full, core.rules, core.stats) for full in wanted}

            def refresh(stale: list[Any]) -> None:
                refresh_many_in_task(core, stale, load_full)

            values = await AsyncBatch(core, calls, load_full, refresh).values()
        return {wanted[full]: value for full, value in values.items()}

    async def delete(self, key: Hashable) -> bool:
        """Drop what is under `key`, and what is being loaded for it; whether there was anything."""
        core = self._core
        full = self._key(key)
        core.flights.supersede(full)
        return bool(await core.run(flows.delete(full, core.rules, core.stats)))

    async def clear(self) -> bool:
        """Drop all of this cache's entries and set the counters to zero; whether it was done."""
        core = self._core
        core.flights.supersede_all()
        done = bool(await core.run(flows.clear(core.rules, core.stats)))
        core.stats.reset()
        return done

    async def close(self) -> None:
        """Cancel the refreshes of this loop, and close the backend."""
        loop = asyncio.get_running_loop()
        refreshes = [task for task in self._core.refreshes if task.get_loop() is loop]
        for task in refreshes:
            task.cancel()
        await asyncio.gather(*refreshes, return_exceptions=True)
        self._core.guard.forget()
        close = getattr(self._core.store, "close", None)
        if callable(close):
            closed = close()
            if isinstance(closed, Coroutine):
                await closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _by_full(loaded: Any, missing: list[Any], wanted: Mapping[Any, Any]) -> dict[Any, Any]:
    """What a load of many gave, by the keys as the store has them."""
    if not isinstance(loaded, Mapping):
        raise TypeError(f"load: must return a mapping, and returned {shown(loaded)}")
    keys = ((full, wanted[full]) for full in missing)
    return {full: loaded[key] if key in loaded else Raised(NoValue(key)) for full, key in keys}


def _present(loaded: Mapping[Any, Any]) -> dict[Any, Any]:
    return {full: value for full, value in loaded.items() if type(value) is not Raised}


def _with_ttl(core: Core, ttl: Duration | None) -> Any:
    if ttl is None:
        return None
    return replaced(core.rules.freshness, ttl=seconds("ttl", ttl))
