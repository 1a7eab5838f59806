"""Decorated functions and methods of both colours, with their handles.

A decorated function is a wrapt proxy. What it forwards calls to is not the user's function but a
path (`memo.paths`) that looks into the cache first; the proxy carries identity, introspection and
the handle (`f.invalidate(...)` and the like) and is no Python frame.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Coroutine, Iterable, Sized
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    TypeVar,
    cast,
    overload,
)

import wrapt

from . import flow as flows
from .breaker import Health
from .cache import info
from .entry import ABSENT, Outcome, Raised
from .errors import shown
from .flow import Flow
from .site import KeylessError, Site
from .stats import CacheInfo, Prewarmed, Stats
from .turns import AsyncTurn, Turn

__all__ = ["AsyncCachedFunction", "CachedFunction", "binding"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")

if TYPE_CHECKING:

    class _Base:
        __name__: str
        __qualname__: str

else:
    _Base = wrapt.CallableObjectProxy

#: wrapt's C implementation calls what it wraps without looking `__wrapped__` up, which is therefore
#: free to be the user's function. Its Python implementation looks it up, and needs `__call__` here.
_IN_C: Final = not isinstance(wrapt.CallableObjectProxy.__call__, types.FunctionType)


class _Proxy(_Base):
    """What decorated functions of both colours have in common."""

    # No annotations in the bodies of these classes: they would hide the function's own.

    def __init__(self, site: Site) -> None:
        self._self_site = site
        super().__init__(site.first_path())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        site.attach(self)

    if _IN_C:

        def _self_forward(self, path: Callable[..., Any]) -> None:
            _INNER.__set__(self, path)

    else:

        def _self_forward(self, path: Callable[..., Any]) -> None:
            self._self_path = path

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self._self_path(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        return self._self_site.function

    @__wrapped__.setter
    def __wrapped__(self, path: Callable[..., Any]) -> None:
        self._self_forward(path)

    # What a function is made of is the user's function's, not the path's.
    @property
    def __code__(self) -> Any:
        own = getattr(self._self_site.function, "__code__", None)
        return own or self._self_site.path.__code__

    @property
    def __defaults__(self) -> Any:
        return self._self_site.function.__defaults__

    @property
    def __kwdefaults__(self) -> Any:
        return self._self_site.function.__kwdefaults__

    @property
    def __globals__(self) -> Any:
        return self._self_site.function.__globals__

    @property
    def __closure__(self) -> Any:
        return self._self_site.function.__closure__

    # Identity: a decorated function is itself alone, whatever stands behind it at present.
    __hash__ = object.__hash__
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    def __repr__(self) -> str:
        return f"<cached {self._self_site.function!r}>"

    __str__ = __repr__

    def __dir__(self) -> list[str]:
        own = (name for name in dir(type(self)) if not name.startswith("_self_"))
        return sorted({*dir(self._self_site.function), *own})

    def __reduce__(self) -> str:
        return self._self_site.function.__qualname__  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> str:
        return self.__reduce__()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __set_name__(self, owner: type, name: str) -> None:
        self._self_site.becomes_method(owner)

    def _self_get(self, instance: Any, owner: type | None) -> Any:
        """What attribute access gives; `instance` None: access through the class."""
        site = self._self_site
        if site.binding == "static":
            return self
        if site.binding == "class":
            instance = owner if owner is not None else type(instance)
        if instance is None:
            return self
        if not site.has_receivers:
            site.becomes_method(type(instance))
        return _bind(self, instance)

    # The plain part of the handle.

    def cache_key(self, /, *args: Any, **kwargs: Any) -> Any:
        """The key of the call `f(...)`, as the store has it.

        Raises:
            TypeError: the arguments do not fit the signature.
            OperationFailed: they cannot be a key.
        """
        try:
            return self._self_site.locate(args, kwargs, "cache_key")[1]
        except KeylessError as keyless:
            raise keyless.error from keyless.error.__cause__

    def cache_info(self) -> CacheInfo:
        """The counters, and what is held; of a method, in sum over all instances."""
        return self._self_info(ABSENT)

    def _self_info(self, receiver: Any) -> CacheInfo:
        site = self._self_site
        if receiver is not ABSENT and site.has_receivers:
            return info(site.receivers.cache_of(receiver))
        if not site.has_receivers:
            return info(site.core)
        total = Stats()
        held: float | None = 0
        cores = site.cores()
        total.add(site.receivers.past)
        for core in cores:
            total.add(core.stats)
            size = getattr(core.store, "currsize", None)
            held = None if held is None or size is None else held + size
        return total.info(info(site.core).maxsize, held)

    def cache_health(self) -> Health:
        """How the backend is, as far as this process has seen; see `memo.Health`."""
        return self._self_site.core.health()  # type: ignore[no-any-return]

    def cache_parameters(self) -> dict[str, Any]:
        """The options `maxsize` and `typed`, as functools has them."""
        site = self._self_site
        return {"maxsize": info(site.core).maxsize, "typed": site.keys.typed}


_INNER: Any = (
    next(
        vars(base)["__wrapped__"]
        for base in wrapt.CallableObjectProxy.__mro__
        if "__wrapped__" in vars(base) or base is object
    )
    if _IN_C
    else None
)


class _Bound(functools.partial):  # type: ignore[type-arg]
    """A decorated function bound to a receiver, which it keeps alive.

    A `functools.partial`, since calling one is C: `partial(path, receiver)`. It forwards to the
    path in place when it is made, one call less than by way of the proxy; see
    `Receivers.set_quick` for what becomes of it when caching is switched off.
    """

    __slots__ = ("decorated",)

    if TYPE_CHECKING:
        decorated: Any

    @property
    def __self__(self) -> Any:
        return self.args[0]

    @property
    def __func__(self) -> Any:
        return self.decorated

    @property
    def __wrapped__(self) -> Any:
        return types.MethodType(self.decorated.__wrapped__, self.args[0])

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__wrapped__)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        docs: str | None = self.decorated.__doc__
        return docs

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.decorated, name)
        if name in _HANDLE:
            return functools.partial(found, self.args[0])
        if isinstance(found, _Proxy):
            receiver = self.args[0]
            of_class = found._self_site.binding == "class"  # noqa: SLF001 - then it is the class
            return cast("Any", found).__get__(*((None, receiver) if of_class else (receiver,)))
        return found

    def set(self, value: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self.decorated.set(value, self.args[0], *args, **kwargs)

    def prewarm(self, calls: Iterable[tuple[Any, ...]], **options: Any) -> Any:
        receiver = self.args[0]
        bound: Iterable[Any] = ((receiver, *call) for call in calls)
        return self.decorated.prewarm(list(bound) if isinstance(calls, Sized) else bound, **options)

    def cache_info(self) -> CacheInfo:
        return self.decorated._self_info(self.args[0])  # type: ignore[no-any-return]  # noqa: SLF001

    def cache_clear(self) -> Any:
        return self.decorated._self_clear(self.args[0])  # noqa: SLF001

    def __eq__(self, other: object) -> bool:
        if type(other) is not _Bound:
            return NotImplemented
        return self.decorated is other.decorated and self.args[0] is other.args[0]

    def __hash__(self) -> int:
        return hash((self.decorated, id(self.args[0])))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_HANDLE, "cache_parameters"})

    def __repr__(self) -> str:
        return f"<bound {self.decorated!r} of {shown(self.args[0])}>"

    def __reduce__(self) -> Any:
        return getattr, (self.args[0], self.decorated._self_site.function.__name__)  # noqa: SLF001

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


# After the class statement, which would overwrite it.
_Bound.__module__ = property(lambda self: self.decorated.__module__)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
_Bound.__annotations__ = property(lambda self: self.decorated.__annotations__)  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def _bind(decorated: Any, receiver: Any) -> _Bound:
    bound = _Bound(decorated._self_site.path, receiver)  # noqa: SLF001
    bound.decorated = decorated
    return bound


#: Parts of the handle that take the arguments of a call, receiver first.
_HANDLE: Final = {"get", "lookup", "invalidate", "refresh", "cache_key"}


class CachedFunction(_Proxy, Generic[P, R_co]):
    """A decorated function or method, with its handle."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
            """Answer from the cache, or call the function and store what it returns."""
            raise NotImplementedError

    # What takes the class is a classmethod; what takes neither class nor instance, a staticmethod.
    # `self` is a `Callable`, since mypy solves for a `CachedFunction` there too loosely; `owner` is
    # anything, since pyright takes the class of an enum's member for no `type`.
    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[S], Q], R], instance: None, owner: type[S], /
    ) -> CachedFunction[Q, R]: ...
    @overload
    def __get__(self, instance: None, owner: type, /) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], R], instance: S, owner: Any = None, /
    ) -> CachedFunction[Q, R]: ...
    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[S], Q], R], instance: S, owner: Any = None, /
    ) -> CachedFunction[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None, /) -> CachedFunction[P, R_co]: ...
    def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
        """The function bound to `instance`; through the class, itself."""
        site = self._self_site
        if instance is None or not site.binds_instances:
            return self._self_get(instance, owner)
        bound = _Bound(site.path, instance)
        bound.decorated = self
        return bound

    def get(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The cached value; never calls the function.

        Raises:
            Miss, Expired, OperationFailed: there is none to be had, unless the policy serves stale
                values or has an exception of its own (`raise_as`) for it.
        """
        core, key, flow = self._self_flow(flows.get, args, kwargs, "get")
        found = core.run(flow or flows.get(key, core.rules, core.stats))
        return core.handed_out(found)  # type: ignore[no-any-return]

    def lookup(self, /, *args: P.args, **kwargs: P.kwargs) -> Outcome:
        """What is cached, as an `Outcome`; raises nothing about the cache and counts nothing."""
        try:
            core, key = self._self_site.locate(args, kwargs, "lookup")
        except KeylessError as keyless:
            return Outcome(status="failed", error=keyless.error)
        return core.shown_outcome(core.run(flows.look(key, core.rules)))  # type: ignore[no-any-return]

    def set(self, value: Any, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Store `value` as the result of `f(...)`; returns whether it was stored."""
        core, key, flow = self._self_flow(flows.store, args, kwargs, "set")
        if flow is None:
            core.flights.supersede(key)
            flow = flows.store(key, value, core.rules, core.stats)
        return bool(core.run(flow))

    def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop what is cached for `f(...)`; returns whether there was anything.

        A load that is under way is not stored, and later calls do not wait for it.
        """
        core, key, flow = self._self_flow(flows.delete, args, kwargs, "invalidate")
        if flow is None:
            core.flights.supersede(key)
            flow = flows.delete(key, core.rules, core.stats)
        return bool(core.run(flow))

    def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function now, store its result and return it.

        Where a load of the same key is under way, it is waited for instead.
        """
        return self._self_refresh(args, kwargs).run()  # type: ignore[no-any-return]

    def prewarm(
        self,
        calls: Iterable[tuple[Any, ...]],
        *,
        workers: int = 4,
        progress: bool | Callable[[int, int | None], object] = False,
    ) -> Prewarmed:
        """Fill the cache ahead of traffic.

        Args:
            calls: the positional arguments of each call, as tuples. What is fresh is left alone.
            workers: how many threads call the function at once.
            progress: True for a progress bar (rich, from the extra `cli`), or plain lines where
                there is no terminal; or a callable of (done, total or None).

        Returns:
            How many were loaded, were fresh already, and failed.
        """
        from .prewarm import prewarm

        return prewarm(self, calls, workers=workers, progress=progress)

    def cache_clear(self) -> None:
        """Drop all entries and set the counters to zero; of a method, those of all instances."""
        self._self_clear(ABSENT)

    def _self_clear(self, receiver: Any) -> None:
        cores = _cleared(self._self_site, receiver)
        for core in cores:
            core.flights.supersede_all()
        for core in _stores_of(self._self_site, cores):
            core.run(flows.clear(core.rules, core.stats))
        for core in cores:
            core.stats.reset()

    def _self_flow(
        self, make: Any, args: tuple[Any, ...], kwargs: dict[str, Any], handle: str
    ) -> tuple[Any, Any, Flow | None]:
        return _located(self._self_site, make, args, kwargs, handle)

    def _self_refresh(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Turn:
        core, key, flow = _located(self._self_site, flows.renew, args, kwargs, "refresh")
        flow = flow or flows.renew(key, core.rules, core.stats)
        return Turn(core, key, flow, self._self_site.function, args, kwargs)


class AsyncCachedFunction(_Proxy, Generic[P, R_co]):
    """A decorated coroutine function or method, with its handle, which is to be awaited."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
            """Answer from the cache, or call the function and store what it returns."""
            raise NotImplementedError

    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[S], Q], Coroutine[Any, Any, R]],
        instance: None,
        owner: type[S],
        /,
    ) -> AsyncCachedFunction[Q, R]: ...
    @overload
    def __get__(self, instance: None, owner: type, /) -> AsyncCachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], Coroutine[Any, Any, R]],
        instance: S,
        owner: Any = None,
        /,
    ) -> AsyncCachedFunction[Q, R]: ...
    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[S], Q], Coroutine[Any, Any, R]],
        instance: S,
        owner: Any = None,
        /,
    ) -> AsyncCachedFunction[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: Any = None, /) -> AsyncCachedFunction[P, R_co]: ...
    def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
        """The function bound to `instance`; through the class, itself."""
        site = self._self_site
        if instance is None or not site.binds_instances:
            return self._self_get(instance, owner)
        bound = _Bound(site.path, instance)
        bound.decorated = self
        return bound

    async def get(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The cached value; never calls the function.

        Raises:
            Miss, Expired, OperationFailed: there is none to be had, unless the policy serves stale
                values or has an exception of its own (`raise_as`) for it.
        """
        core, key, flow = _located(self._self_site, flows.get, args, kwargs, "get")
        found = await core.run(flow or flows.get(key, core.rules, core.stats))
        return core.handed_out(found)  # type: ignore[no-any-return]

    async def lookup(self, /, *args: P.args, **kwargs: P.kwargs) -> Outcome:
        """What is cached, as an `Outcome`; raises nothing about the cache and counts nothing."""
        try:
            core, key = self._self_site.locate(args, kwargs, "lookup")
        except KeylessError as keyless:
            return Outcome(status="failed", error=keyless.error)
        outcome = await core.run(flows.look(key, core.rules))
        return core.shown_outcome(outcome)  # type: ignore[no-any-return]

    async def set(self, value: Any, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Store `value` as the result of `f(...)`; returns whether it was stored."""
        core, key, flow = _located(self._self_site, flows.store, args, kwargs, "set")
        if flow is None:
            core.flights.supersede(key)
            flow = flows.store(key, value, core.rules, core.stats)
        return bool(await core.run(flow))

    async def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop what is cached for `f(...)`; returns whether there was anything.

        A load that is under way is not stored, and later calls do not wait for it.
        """
        core, key, flow = _located(self._self_site, flows.delete, args, kwargs, "invalidate")
        if flow is None:
            core.flights.supersede(key)
            flow = flows.delete(key, core.rules, core.stats)
        return bool(await core.run(flow))

    async def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function now, store its result and return it.

        Where a load of the same key is under way, it is waited for instead.
        """
        core, key, flow = _located(self._self_site, flows.renew, args, kwargs, "refresh")
        flow = flow or flows.renew(key, core.rules, core.stats)
        turn: Any = AsyncTurn(core, key, flow, self._self_site.function, args, kwargs)
        turn.alone = key is None
        answer = await turn.run()
        if type(answer) is Raised:
            try:
                raise answer.error
            finally:
                answer = turn = None  # this frame is in the traceback: no cycle through them
        return answer  # type: ignore[no-any-return]

    async def prewarm(
        self,
        calls: Iterable[tuple[Any, ...]],
        *,
        workers: int = 4,
        progress: bool | Callable[[int, int | None], object] = False,
    ) -> Prewarmed:
        """Fill the cache ahead of traffic; see `CachedFunction.prewarm`. `workers` are tasks."""
        from .prewarm import prewarm_async

        return await prewarm_async(self, calls, workers=workers, progress=progress)

    async def cache_clear(self) -> None:
        """Drop all entries and set the counters to zero; of a method, those of all instances."""
        await self._self_clear(ABSENT)

    async def _self_clear(self, receiver: Any) -> None:
        cores = _cleared(self._self_site, receiver)
        for core in cores:
            core.flights.supersede_all()
        for core in _stores_of(self._self_site, cores):
            await core.run(flows.clear(core.rules, core.stats))
        for core in cores:
            core.stats.reset()


def _located(
    site: Site, make: Any, args: tuple[Any, ...], kwargs: dict[str, Any], handle: str
) -> tuple[Any, Any, Flow | None]:
    """Cache and key of a call; where it can have no key, the flow that answers in its place."""
    try:
        core, key = site.locate(args, kwargs, handle)
    except KeylessError as keyless:
        core, error = keyless.core, keyless.error
        if make is flows.get:
            return core, None, flows.refused(error, core.rules, core.stats)
        instead = flows.unkeyed if make is flows.renew else flows.untouched
        return core, None, instead(error, core.rules, core.stats)
    return core, key, None


def _cleared(site: Site, receiver: Any) -> list[Any]:
    """The caches that are to be cleared.

    Raises:
        TypeError: `receiver` has no entries of its own that could be told from others'.
    """
    if receiver is not ABSENT and site.has_receivers:
        cache = site.receivers.cache_of(receiver)
        if site.is_shared:
            raise TypeError(
                f"{site.name}.cache_clear: on a shared backend it clears the entries of all "
                "instances, so call it on the class; invalidate(...) drops single ones"
            )
        return [cache]
    site.receivers.past.reset()
    return site.cores()


def _stores_of(site: Site, cores: list[Any]) -> list[Any]:
    """Those of `cores` that are to be cleared; on a shared store one has the entries of all."""
    return cores[:1] if site.is_shared else cores


def binding(kind: Any, site: Site) -> Any:
    """`kind` for one method, with a `__get__` that has the site at hand.

    Asking a wrapt proxy for an attribute takes a third of the time that binding does.
    """

    def bind(self: Any, instance: Any, _owner: type | None = None, /) -> Any:
        if instance is None:
            return self
        bound = _Bound(site.path, instance)
        bound.decorated = self
        return bound

    names = {"__get__": bind, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), names)
