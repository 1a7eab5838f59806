"""`cached.many`: functions of many ids, of which only the missing ones are loaded."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from . import flow as flows
from .batch import AsyncBatch, Batch
from .configuration import bypassed
from .entry import Outcome
from .errors import shown
from .functions import AsyncCachedFunction, CachedFunction, _Bound, _Proxy
from .site import KeylessError, Site
from .turns import refresh_behind, refresh_in_task

__all__ = ["AsyncCachedMany", "CachedMany", "many_of"]

P = ParamSpec("P")
Q = ParamSpec("Q")
K = TypeVar("K")
V = TypeVar("V")


class _Asked:
    """One call for many ids: whose they are, and what key each has."""

    __slots__ = ("after", "before", "core", "error", "ids", "keys", "kwargs", "site")

    def __init__(self, site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.site = site
        head = place_of_ids(site, args)
        self.before = args[:head]
        kwargs = dict(kwargs)
        if len(args) > head:
            ids: Any = args[head]
            self.after = args[head + 1 :]
        else:
            name = _name_of_ids(site, head)
            if name not in kwargs:
                raise TypeError(f"{site.name}() needs its first argument, the ids")
            ids = kwargs.pop(name)
            self.after = ()
        self.kwargs = kwargs
        if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
            raise TypeError(f"{site.name}: takes an iterable of ids first, not {shown(ids)}")
        #: Each id that was asked for, by its key; of equal ones the first.
        self.keys: dict[Any, Any] = {}
        self.ids = list(ids)
        self.core: Any = site.core
        #: Why an id can have no key.
        self.error: Any = None
        for one in self.ids:
            try:
                self.core, key = site.locate(self.args_of(one), kwargs, "many")
            except KeylessError as keyless:
                self.core, self.error = keyless.core, keyless.error
                return
            self.keys.setdefault(key, one)

    def args_of(self, one: Any) -> tuple[Any, ...]:
        """The positional arguments of a call for `one` id."""
        return (*self.before, one, *self.after)

    def flows(self) -> dict[Any, Any]:
        core = self.core
        return {key: flows.call(key, core.rules, core.stats) for key in self.keys}

    def by_key(self, values: Mapping[Any, Any], keys: Iterable[Any]) -> dict[Any, Any]:
        """Values of ids, as values of their keys."""
        wanted = ((key, self.keys[key]) for key in keys)
        return {key: values[one] for key, one in wanted if one in values}

    def by_id(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """Values of keys, as values of their ids, in the order in which those were asked for."""
        return {one: values[key] for key, one in self.keys.items() if key in values}


def place_of_ids(site: Site, args: tuple[Any, ...]) -> int:
    """Which of the positional arguments is the ids: the first, but for a method's receiver."""
    return int(site.has_receivers and bool(args) and args[0] in site.receivers)


def _name_of_ids(site: Site, place: int) -> str:
    return list(inspect.signature(site.function).parameters)[place]


class _ManySite:
    """What a proxy needs to know of a function of many ids."""

    binds_instances = True
    binding = "plain"
    has_receivers = True

    def __init__(self, function: Any, path: Any, one: Any) -> None:
        self.function = function
        self.path = functools.update_wrapper(path, function)
        self._one = one

    def first_path(self) -> Any:
        return self.path

    def attach(self, proxy: Any) -> None:
        """The proxy is the decorated function from now on."""

    def becomes_method(self, owner: type) -> None:
        self._one.__set_name__(owner, "")


class _Many(_Proxy):
    """What functions of many ids of both colours have in common."""

    def __init__(self, function: Any, path: Any, one: Any) -> None:
        self._self_one = one
        super().__init__(_ManySite(function, path, one))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    @property
    def one(self) -> Any:
        """The same function for one id: `f.one(id)`."""
        return self._self_one

    def cache_key(self, /, *args: Any, **kwargs: Any) -> Any:
        """The key of one id, given with the other arguments of a call."""
        return self._self_one.cache_key(*args, **kwargs)

    def cache_info(self) -> Any:
        """The counters, where each id of a call counts, and what is held."""
        return self._self_one.cache_info()

    def cache_parameters(self) -> dict[str, Any]:
        """The options `maxsize` and `typed`, as functools has them."""
        return self._self_one.cache_parameters()  # type: ignore[no-any-return]

    def _self_info(self, receiver: Any) -> Any:
        return self._self_one._self_info(receiver)  # noqa: SLF001

    def _self_clear(self, receiver: Any) -> Any:
        return self._self_one._self_clear(receiver)  # noqa: SLF001

    def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
        """The function bound to `instance`; through the class, itself."""
        if instance is None:
            return self
        bound = _Bound(self._self_site.path, instance)
        bound.decorated = self
        return bound


class CachedMany(_Many, Generic[K, P, V]):
    """A decorated function of many ids; its handle takes one id in the place of the ids."""

    if TYPE_CHECKING:

        def __call__(self, ids: Iterable[K], /, *args: P.args, **kwargs: P.kwargs) -> dict[K, V]:
            """The values of `ids`: cached ones, and all others by one call of the function."""
            raise NotImplementedError

        @overload
        def __get__(self, instance: None, owner: type, /) -> CachedMany[K, P, V]: ...
        @overload
        def __get__(
            self: CachedMany[K, Concatenate[Any, Q], V],
            instance: object,
            owner: type | None = None,
            /,
        ) -> CachedMany[K, Q, V]: ...
        def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
            """The function bound to `instance`; through the class, itself."""

    def get(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """The cached value of one id; see `CachedFunction.get`."""
        return self._self_one.get(one, *args, **kwargs)  # type: ignore[no-any-return]

    def lookup(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> Outcome:
        """What is cached of one id; see `CachedFunction.lookup`."""
        return self._self_one.lookup(one, *args, **kwargs)  # type: ignore[no-any-return]

    def set(self, value: V, one: K, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Store `value` for one id; returns whether it was stored."""
        return self._self_one.set(value, one, *args, **kwargs)  # type: ignore[no-any-return]

    def invalidate(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop what is cached of one id; returns whether there was anything."""
        return self._self_one.invalidate(one, *args, **kwargs)  # type: ignore[no-any-return]

    def refresh(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """Load one id now, store its value and return it.

        Raises:
            KeyError: the function has no value for it.
        """
        return self._self_one.refresh(one, *args, **kwargs)  # type: ignore[no-any-return]

    def cache_clear(self) -> None:
        """Drop all entries and set the counters to zero."""
        self._self_one.cache_clear()


class AsyncCachedMany(_Many, Generic[K, P, V]):
    """A decorated coroutine function of many ids; see `CachedMany`."""

    if TYPE_CHECKING:

        def __call__(
            self, ids: Iterable[K], /, *args: P.args, **kwargs: P.kwargs
        ) -> Coroutine[Any, Any, dict[K, V]]:
            """The values of `ids`: cached ones, and all others by one call of the function."""
            raise NotImplementedError

        @overload
        def __get__(self, instance: None, owner: type, /) -> AsyncCachedMany[K, P, V]: ...
        @overload
        def __get__(
            self: AsyncCachedMany[K, Concatenate[Any, Q], V],
            instance: object,
            owner: type | None = None,
            /,
        ) -> AsyncCachedMany[K, Q, V]: ...
        def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
            """The function bound to `instance`; through the class, itself."""

    async def get(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """The cached value of one id; see `CachedFunction.get`."""
        return await self._self_one.get(one, *args, **kwargs)  # type: ignore[no-any-return]

    async def lookup(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> Outcome:
        """What is cached of one id; see `CachedFunction.lookup`."""
        return await self._self_one.lookup(one, *args, **kwargs)  # type: ignore[no-any-return]

    async def set(self, value: V, one: K, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Store `value` for one id; returns whether it was stored."""
        return await self._self_one.set(value, one, *args, **kwargs)  # type: ignore[no-any-return]

    async def invalidate(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop what is cached of one id; returns whether there was anything."""
        return await self._self_one.invalidate(one, *args, **kwargs)  # type: ignore[no-any-return]

    async def refresh(self, one: K, /, *args: P.args, **kwargs: P.kwargs) -> V:
        """Load one id now, store its value and return it.

        Raises:
            KeyError: the function has no value for it.
        """
        return await self._self_one.refresh(one, *args, **kwargs)  # type: ignore[no-any-return]

    async def cache_clear(self) -> None:
        """Drop all entries and set the counters to zero."""
        await self._self_one.cache_clear()


def many_of(function: Any, decorate: Callable[[Any], Any]) -> Any:
    """`function`, of many ids, decorated; `decorate` is `cached(...)` for the function of one.

    Raises:
        TypeError: it takes no argument that could be the ids.
    """
    if not callable(function):
        raise TypeError(f"cached.many: takes a function of many ids, not {shown(function)}")
    if not inspect.signature(function).parameters:
        raise TypeError(f"cached.many: {shown(function)} takes no ids")
    if inspect.iscoroutinefunction(function):
        return _async_many_of(function, decorate)

    @functools.wraps(function)
    def one(*args: Any, **kwargs: Any) -> Any:
        alone, before, after = _split(single, args)
        values: Any = function(*before, [alone], *after, **kwargs)
        return values[alone]

    single: CachedFunction[..., Any] = _decorated(one, function, decorate)

    def call(*args: Any, **kwargs: Any) -> Any:
        site = single._self_site  # noqa: SLF001
        if bypassed():
            return function(*args, **kwargs)
        asked = _Asked(site, args, kwargs)
        core = asked.core
        if asked.error is not None:
            core.run(flows.untouched(asked.error, core.rules, core.stats))
            return function(*args, **kwargs)

        def load(keys: list[Any]) -> Any:
            ids = [asked.keys[key] for key in keys]
            return asked.by_key(
                _mapping(site, function(*asked.before, ids, *asked.after, **asked.kwargs)), keys
            )

        def refresh(key: Any) -> None:
            refresh_behind(core, key, one, asked.args_of(asked.keys[key]), asked.kwargs)

        batch = Batch(core, asked.flows(), load, refresh)
        return asked.by_id(batch.values(batch.run()))

    return CachedMany(function, call, single)


def _async_many_of(function: Any, decorate: Callable[[Any], Any]) -> Any:
    @functools.wraps(function)
    async def one(*args: Any, **kwargs: Any) -> Any:
        alone, before, after = _split(single, args)
        return (await function(*before, [alone], *after, **kwargs))[alone]

    single: AsyncCachedFunction[..., Any] = _decorated(one, function, decorate)

    async def call(*args: Any, **kwargs: Any) -> Any:
        site = single._self_site  # noqa: SLF001
        if bypassed():
            return await function(*args, **kwargs)
        asked = _Asked(site, args, kwargs)
        core = asked.core
        if asked.error is not None:
            await core.run(flows.untouched(asked.error, core.rules, core.stats))
            return await function(*args, **kwargs)

        async def load(keys: list[Any]) -> Any:
            ids = [asked.keys[key] for key in keys]
            found = await function(*asked.before, ids, *asked.after, **asked.kwargs)
            return asked.by_key(_mapping(site, found), keys)

        def refresh(key: Any) -> None:
            refresh_in_task(core, key, one, asked.args_of(asked.keys[key]), asked.kwargs)

        batch = AsyncBatch(core, asked.flows(), load, refresh)
        return asked.by_id(batch.values(await batch.run()))

    return AsyncCachedMany(function, call, single)


def _split(single: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """The one id among `args`, and what comes before and after it."""
    place = place_of_ids(single._self_site, args)  # noqa: SLF001
    return args[place], args[:place], args[place + 1 :]


def _decorated(one: Any, function: Any, decorate: Callable[[Any], Any]) -> Any:
    """`one`, decorated, and known to return what `function` returns a mapping of."""
    try:
        values = typing.get_args(typing.get_type_hints(function).get("return"))
    except Exception:
        values = ()  # names that only a type checker sees
    one.__annotations__ = {"return": values[1]} if len(values) == 2 else {}  # noqa: PLR2004
    return decorate(one)


def _mapping(site: Site, found: Any) -> Mapping[Any, Any]:
    if not isinstance(found, Mapping):
        raise TypeError(f"{site.name}: must return a mapping, and returned {shown(found)}")
    return found
