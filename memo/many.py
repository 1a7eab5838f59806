"""`cached.many`: functions of many ids, of which only the missing ones are loaded."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from . import flow as flows
from .batch import AsyncBatch, Batch, distinct, refresh_many_behind, refresh_many_in_task
from .configuration import bypassed
from .entry import Outcome, Raised
from .errors import NoValue, shown
from .functions import AsyncCachedFunction, CachedFunction, _Bound, _Proxy
from .scopes import name_of_function
from .site import KeylessError, Site, is_coroutine_function

__all__ = ["AsyncCachedMany", "CachedMany", "many_of"]

P = ParamSpec("P")
Q = ParamSpec("Q")
K = TypeVar("K")
V = TypeVar("V")


class _Asked:
    """One call for many ids: whose they are, and what key each has.

    Raises:
        TypeError: the ids are missing, or nothing to iterate over.
    """

    def __init__(self, site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.site = site
        ids, self.before, self.after, self.kwargs = _split(site, args, kwargs)
        try:
            self.ids = distinct(ids)
        except TypeError as error:
            raise TypeError(f"{site.name}: {error}") from None

    def args_of(self, ids: Any) -> tuple[Any, ...]:
        """The positional arguments of a call for `ids`."""
        return (*self.before, ids, *self.after)

    def at_hand(self) -> dict[Any, Any]:
        """The values that are hits and no more, as the fast path of a function of one answers."""
        values: dict[Any, Any] = {}
        if self.site.by_key:
            return values
        core = self.site.core if not self.before else self.site.core_of(self.before[0])
        after, kwargs = self.after, self.kwargs
        if core.memory is None:
            return values
        for one in self.ids:
            args = (one, *after)
            try:
                node = core.find(args, kwargs) if kwargs else core.peek(args)
                if node is not None and core.clock() < node.answers_until:
                    core.stats.hits += 1
                    node.used = True
                    values[one] = node.value
            except Exception:  # noqa: S110 - it is found again below, where it is told what is wrong
                pass
        return values

    def locate(self, ids: Iterable[Any]) -> None:
        """Find the cache, and the key of each of `ids`.

        Raises:
            KeylessError: an id can have no key.
        """
        #: The cache, and the ids that have each key, which is more than one where `key=` says so.
        self.core: Any = self.site.core
        self.keys: dict[Any, list[Any]] = {}
        for one in ids:
            self.core, key = self.site.locate(self.args_of(one), self.kwargs, None)
            self.keys.setdefault(key, []).append(one)

    def flows(self) -> dict[Any, Any]:
        """The flow of each key."""
        core = self.core
        return {key: flows.call(key, core.rules, core.stats) for key in self.keys}

    def first(self, keys: Iterable[Any]) -> list[Any]:
        """One id of each of `keys`."""
        return [self.keys[key][0] for key in keys]

    def by_key(self, loaded: Any, keys: Iterable[Any]) -> dict[Any, Any]:
        """What the function gave for the first id of each key."""
        values = _mapping(self.site, loaded)
        wanted = ((key, self.keys[key][0]) for key in keys)
        return {key: values[one] if one in values else Raised(NoValue(one)) for key, one in wanted}

    def by_id(self, at_hand: dict[Any, Any], values: Mapping[Any, Any]) -> dict[Any, Any]:
        """Values of ids and of keys, by id, in the order in which those were asked for."""
        of_ids = {
            one: values[key] for key, ids in self.keys.items() if key in values for one in ids
        }
        of_ids |= at_hand
        return {one: of_ids[one] for one in self.ids if one in of_ids}

    def only_asked(self, loaded: Any) -> dict[Any, Any]:
        """What the function gave, as a caller gets it who goes past the cache."""
        values = _mapping(self.site, loaded)
        return {one: values[one] for one in self.ids if one in values}


def _split(
    site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...], dict[str, Any]]:
    """The ids (or the one id) of a call, what comes before and after them, and the keywords."""
    is_method = _is_method(site)
    place = int(is_method and bool(args) and args[0] in site.receivers)
    if len(args) > place:
        return args[place], args[:place], args[place + 1 :], kwargs
    names = list(inspect.signature(site.function).parameters)
    if is_method and not place:
        place = 1  # called without its instance; the function says so
    name = names[place] if place < len(names) else None
    if name not in kwargs:
        raise TypeError(f"{site.name}() misses its argument {name or names[0]!r}, the ids")
    rest = dict(kwargs)
    return rest.pop(name), args, (), rest


def _is_method(site: Site) -> bool:
    """Whether a receiver comes before the ids; with `key=` it has no cache of its own."""
    if not site.by_key:
        return site.has_receivers
    method = site.receivers.defined_in_class and not inspect.ismethod(site.function)
    return site.binding == "class" or (site.binding == "plain" and method)


def _mapping(site: Site, found: Any) -> Mapping[Any, Any]:
    if not isinstance(found, Mapping):
        raise TypeError(f"{site.name}: must return a mapping, and returned {shown(found)}")
    return found


class _ManySite:
    """What a proxy needs to know of a function of many ids."""

    def __init__(self, function: Any, path: Any, one: Any) -> None:
        self.function = function
        self.path = functools.update_wrapper(path, function)
        self._one: Site = one._self_site  # noqa: SLF001

    @property
    def binding(self) -> str:
        return self._one.binding

    @property
    def has_receivers(self) -> bool:
        return self._one.has_receivers

    @property
    def binds_instances(self) -> bool:
        return self._one.binds_instances

    def first_path(self) -> Any:
        return self.path

    def attach(self, proxy: Any) -> None:
        """The proxy is the decorated function from now on."""

    def becomes_method(self, owner: type) -> None:
        self._one.becomes_method(owner)


class _Many(_Proxy):
    """What functions of many ids of both colours have in common."""

    def __init__(self, function: Any, path: Any, one: Any) -> None:
        self._self_one = one
        super().__init__(_ManySite(function, path, one))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

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
        site = self._self_site
        if instance is None or not site.binds_instances:
            return self._self_get(instance, owner)
        bound = _Bound(site.path, instance)
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
            owner: Any = None,
            /,
        ) -> CachedMany[K, Q, V]: ...
        def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
            """The function bound to `instance`; through the class, itself."""

    @property
    def one(self) -> CachedFunction[Concatenate[K, P], V]:
        """The same function for one id: `f.one(id)`.

        Raises (when it is called):
            KeyError: the function has no value for it.
        """
        return self._self_one  # type: ignore[no-any-return]

    def get(self, /, *args: Any, **kwargs: Any) -> V:
        """The cached value of one id; see `CachedFunction.get`."""
        return self._self_one.get(*args, **kwargs)  # type: ignore[no-any-return]

    def lookup(self, /, *args: Any, **kwargs: Any) -> Outcome:
        """What is cached of one id; see `CachedFunction.lookup`."""
        return self._self_one.lookup(*args, **kwargs)  # type: ignore[no-any-return]

    def set(self, value: V, /, *args: Any, **kwargs: Any) -> bool:
        """Store `value` for one id; returns whether it was stored."""
        return self._self_one.set(value, *args, **kwargs)  # type: ignore[no-any-return]

    def invalidate(self, /, *args: Any, **kwargs: Any) -> bool:
        """Drop what is cached of one id; returns whether there was anything."""
        return self._self_one.invalidate(*args, **kwargs)  # type: ignore[no-any-return]

    def refresh(self, /, *args: Any, **kwargs: Any) -> V:
        """Load one id now, store its value and return it.

        Raises:
            KeyError: the function has no value for it.
        """
        return self._self_one.refresh(*args, **kwargs)  # type: ignore[no-any-return]

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
            owner: Any = None,
            /,
        ) -> AsyncCachedMany[K, Q, V]: ...
        def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
            """The function bound to `instance`; through the class, itself."""

    @property
    def one(self) -> AsyncCachedFunction[Concatenate[K, P], V]:
        """The same function for one id: `await f.one(id)`; see `CachedMany.one`."""
        return self._self_one  # type: ignore[no-any-return]

    async def get(self, /, *args: Any, **kwargs: Any) -> V:
        """The cached value of one id; see `CachedFunction.get`."""
        return await self._self_one.get(*args, **kwargs)  # type: ignore[no-any-return]

    async def lookup(self, /, *args: Any, **kwargs: Any) -> Outcome:
        """What is cached of one id; see `CachedFunction.lookup`."""
        return await self._self_one.lookup(*args, **kwargs)  # type: ignore[no-any-return]

    async def set(self, value: V, /, *args: Any, **kwargs: Any) -> bool:
        """Store `value` for one id; returns whether it was stored."""
        return await self._self_one.set(value, *args, **kwargs)  # type: ignore[no-any-return]

    async def invalidate(self, /, *args: Any, **kwargs: Any) -> bool:
        """Drop what is cached of one id; returns whether there was anything."""
        return await self._self_one.invalidate(*args, **kwargs)  # type: ignore[no-any-return]

    async def refresh(self, /, *args: Any, **kwargs: Any) -> V:
        """Load one id now, store its value and return it.

        Raises:
            KeyError: the function has no value for it.
        """
        return await self._self_one.refresh(*args, **kwargs)  # type: ignore[no-any-return]

    async def cache_clear(self) -> None:
        """Drop all entries and set the counters to zero."""
        await self._self_one.cache_clear()


def many_of(function: Any, decorate: Callable[[Any], Any]) -> Any:
    """`function`, of many ids, decorated; `decorate` is `cached(...)` for the function of one.

    Raises:
        TypeError: it is no function, or takes no argument that could be the ids.
    """
    kind = type(function) if isinstance(function, classmethod | staticmethod) else None
    plain = function.__func__ if kind is not None else function
    _check_many(plain)
    if is_coroutine_function(plain, name_of_function(plain)):
        return _async_many_of(plain, kind, decorate)
    return _many_of(plain, kind, decorate)


def _many_of(plain: Any, kind: Any, decorate: Callable[[Any], Any]) -> Any:
    def one(*args: Any, **kwargs: Any) -> Any:
        site = single._self_site  # noqa: SLF001
        alone, before, after, rest = _split(site, args, kwargs)
        values = _mapping(site, plain(*before, [alone], *after, **rest))
        if alone not in values:
            raise NoValue(alone)
        return values[alone]

    single: Any = _decorated(one, plain, kind, decorate)

    def call(*args: Any, **kwargs: Any) -> Any:
        asked = _Asked(single._self_site, args, kwargs)  # noqa: SLF001

        def load(ids: list[Any]) -> Any:
            return plain(*asked.args_of(ids), **asked.kwargs)

        if bypassed():
            return asked.only_asked(load(asked.ids))
        at_hand = asked.at_hand()
        if len(at_hand) == len(asked.ids):
            return at_hand
        try:
            asked.locate(one for one in asked.ids if one not in at_hand)
        except KeylessError as keyless:
            core = keyless.core
            core.stats.misses += len(asked.ids) - len(at_hand)
            core.run(flows.untouched(keyless.error, core.rules, core.stats))
            return asked.only_asked(load(asked.ids))

        def load_keys(keys: list[Any]) -> Any:
            return asked.by_key(load(asked.first(keys)), keys)

        def refresh(keys: list[Any]) -> None:
            refresh_many_behind(asked.core, keys, load_keys)

        batch = Batch(asked.core, asked.flows(), load_keys, refresh)
        return asked.by_id(at_hand, batch.values())

    return CachedMany(plain, call, single)


def _async_many_of(plain: Any, kind: Any, decorate: Callable[[Any], Any]) -> Any:
    async def one(*args: Any, **kwargs: Any) -> Any:
        site = single._self_site  # noqa: SLF001
        alone, before, after, rest = _split(site, args, kwargs)
        values = _mapping(site, await plain(*before, [alone], *after, **rest))
        if alone not in values:
            raise NoValue(alone)
        return values[alone]

    single: Any = _decorated(one, plain, kind, decorate)

    async def call(*args: Any, **kwargs: Any) -> Any:
        asked = _Asked(single._self_site, args, kwargs)  # noqa: SLF001

        async def load(ids: list[Any]) -> Any:
            return await plain(*asked.args_of(ids), **asked.kwargs)

        if bypassed():
            return asked.only_asked(await load(asked.ids))
        at_hand = asked.at_hand()
        if len(at_hand) == len(asked.ids):
            return at_hand
        try:
            asked.locate(one for one in asked.ids if one not in at_hand)
        except KeylessError as keyless:
            core = keyless.core
            core.stats.misses += len(asked.ids) - len(at_hand)
            await core.run(flows.untouched(keyless.error, core.rules, core.stats))
            return asked.only_asked(await load(asked.ids))

        async def load_keys(keys: list[Any]) -> Any:
            return asked.by_key(await load(asked.first(keys)), keys)

        def refresh(keys: list[Any]) -> None:
            refresh_many_in_task(asked.core, keys, load_keys)

        batch = AsyncBatch(asked.core, asked.flows(), load_keys, refresh)
        return asked.by_id(at_hand, await batch.values())

    return AsyncCachedMany(plain, call, single)


def _check_many(function: Any) -> None:
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"cached.many: takes a function of many ids, not {shown(function)}")
    parameters = list(inspect.signature(function).parameters.values())
    kinds = inspect.Parameter
    if not parameters or parameters[0].kind in {kinds.KEYWORD_ONLY, kinds.VAR_KEYWORD}:
        raise TypeError(f"cached.many: {shown(function)} takes no ids as its first argument")


def _decorated(one: Any, function: Any, kind: Any, decorate: Callable[[Any], Any]) -> Any:
    """`one`, decorated, and known to return what `function` returns a mapping of."""
    functools.update_wrapper(one, function)
    if not (inspect.isroutine(function) or hasattr(function, "__qualname__")):
        # Brackets, as of a lambda: it is no name by which other processes could know it.
        one.__qualname__ = one.__name__ = f"<{type(function).__qualname__}>"
    try:
        returned = typing.get_type_hints(function).get("return")
    except Exception:
        returned = None  # names that only a type checker sees
    origin, values = typing.get_origin(returned), typing.get_args(returned)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    known = is_mapping and len(values) == 2  # noqa: PLR2004 - of a key and of a value
    one.__annotations__ = {"return": values[1]} if known else {}
    if inspect.ismethod(function):
        single = decorate(types.MethodType(_without_receiver(one), function.__self__))
    else:
        single = decorate(one if kind is None else kind(one))
    site = single._self_site  # noqa: SLF001
    ids = list(inspect.signature(site.function).parameters)[int(_is_method(site)) :][:1]
    if site.keys.ignored.intersection(ids):
        raise ValueError(f"cached.many: takes no ignore={ids[0]!r}: the ids tell values apart")
    return single


def _without_receiver(one: Any) -> Any:
    """`one` as the function of a bound method, whose receiver it has no need of."""

    @functools.wraps(one.__wrapped__.__func__)
    def unbound(_receiver: Any, /, *args: Any, **kwargs: Any) -> Any:
        return one(*args, **kwargs)

    @functools.wraps(one.__wrapped__.__func__)
    async def unbound_async(_receiver: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await one(*args, **kwargs)

    made: Any = unbound_async if inspect.iscoroutinefunction(one) else unbound
    made.__annotations__ = one.__annotations__
    return made
