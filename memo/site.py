"""All there is to know about one decorated function, and what stands behind it at present."""

from __future__ import annotations

import functools
import inspect
import typing
import weakref
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Protocol

from . import flow as flows
from . import paths
from .backends.resolve import adopt
from .cache import build, refuse_async, unusable_key
from .configuration import bypassed, enter_fast_path, warn_once
from .core import AsyncCore, SyncCore
from .entry import ABSENT
from .errors import OperationFailed, shown
from .flow import Flow
from .forking import ForkableLock
from .keys import Keys, NotAccepted
from .options import InForce, Options
from .receivers import Receivers
from .scopes import Scope, name_of_function, scope_of, shared_scope
from .turns import AsyncLook, AsyncTurn, Turn, look, take_off

__all__ = ["KeylessError", "Site", "is_coroutine_function", "reset"]


class Proxy(Protocol):
    """What a site needs of the decorated function it stands behind."""

    def _self_forward(self, path: Callable[..., Any]) -> None:
        """Forward calls to `path` from now on."""


class _Unstarted:
    """Stands in for the core of a function that has not been used."""

    stats = None

    def __init__(self, site: Site) -> None:
        self._site = site

    @staticmethod
    def peek(args: tuple[Any, ...]) -> None:
        """Nothing is found yet."""

    @staticmethod
    def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Nothing is found yet."""

    def clock(self) -> float:
        """The clock that will be."""
        seconds: float = self._site.core.clock()
        return seconds


#: By whether it is a coroutine function, and a method: the paths for any arguments and for one.
_PATHS: Final[dict[tuple[bool, bool], tuple[Callable[..., Any], Callable[..., Any]]]] = {
    (False, False): (paths.of_function, paths.of_function_of_one),
    (False, True): (paths.of_method, paths.of_method_of_one),
    (True, False): (paths.of_async_function, paths.of_async_function_of_one),
    (True, True): (paths.of_async_method, paths.of_async_method_of_one),
}


class Site:
    """All there is to know about one decorated function.

    Parts that depend on what is configured (backend, policy) are made at its first use.
    """

    def __init__(
        self,
        func: Any,
        options: Options,
        *,
        key: Callable[..., Hashable] | None,
        ignore: str | Iterable[str],
        typed: bool,
        name: str | None,
        version: Any,
    ) -> None:
        #: How the first argument is bound: "class" and "static" for the descriptors of that name,
        #: which stand around `function`.
        self.binding = {classmethod: "class", staticmethod: "static"}.get(type(func), "plain")
        self.function = func.__func__ if self.binding != "plain" else func
        self.name = name or name_of_function(self.function)
        self.is_async = is_coroutine_function(self.function, self.name)
        self.options = options
        signature = _signature(self.function)
        self.keys = Keys(signature, typed=typed, ignore=ignore, key=key)
        self.method_keys = self.keys
        self.scope = scope_of(self.function, self.name, version)
        #: What the keys begin with on a store that other processes use too: raises where there is
        #: nothing that would do.
        self._shared_scope = functools.partial(shared_scope, self.function, name, version)
        if is_shared(options.backend):
            self._shared_scope()
        self.receivers = self._receivers()
        self.quick = self.receivers.quick
        #: Whether a first argument may be a receiver with a cache of its own. With `key=` the
        #: user's key says what tells calls apart, receivers included.
        self.has_receivers = key is None and (
            self.binding == "class"
            or (
                self.binding == "plain"
                and self.receivers.defined_in_class
                and not inspect.ismethod(self.function)
            )
        )
        self.by_key = key is not None
        #: Whether attribute access binds the instance, and does so at once.
        self.binds_instances = self.has_receivers and self.binding == "plain"
        #: What a receiver can be given by, beside its place.
        self.receiver_name: str | None = None
        if signature is not None and signature.parameters:
            first = next(iter(signature.parameters.values()))
            if first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
                self.receiver_name = first.name
            self._method_signature = _without_first(signature)
            ignored = {ignore} if isinstance(ignore, str) else set(ignore)
            ignored.discard(first.name)
            known = set(self._method_signature.parameters)
            if not key:
                self.method_keys = Keys(
                    self._method_signature,
                    typed=typed,
                    ignore=[one for one in ignored if one in known],
                )
        if not self.is_async:
            if options.backend is not None:
                refuse_async(options.backend, self.name)
            for choice in options.policy.fallbacks() if options.policy is not None else ():
                refuse_async(adopt(choice.backend), self.name)
        self._lock = ForkableLock()
        self.is_shared = False
        self._core: Any = None
        self._in_force: InForce | None = None
        self._started = False
        #: The path in place.
        self.path: Any = None
        self._fast: Any = None
        self._asking: Any = None
        self._attributes: dict[str, Any] = {}
        self._proxy: weakref.ref[Proxy] | None = None

    # What stands behind the proxy.

    def attach(self, proxy: Proxy) -> None:
        """`proxy` is the decorated function from now on."""
        self._proxy = weakref.ref(proxy)

    def first_path(self) -> Callable[..., Any]:
        """What a new proxy forwards to: a path that finds nothing, so that `open` is asked.

        It has as few frames as the fast one, which counts where the first call is of a recursion.
        """
        path = self._path(_Unstarted(self))
        self.path = self.path or path
        return path

    def _path(self, core: Any) -> Callable[..., Any]:
        of_any, of_one = _PATHS[self.is_async, self.has_receivers]
        names = self._few_parameters()
        return self._dressed(of_any(self, core) if names is None else of_one(self, core, *names))

    def _few_parameters(self) -> tuple[str, ...] | None:
        """The names of the parameters of a function of one argument; its receiver's is the first.

        None where it has more of them, or may not take them by position and by name alike.
        """
        function = self.function
        if not (self.keys.direct and self.method_keys.direct and inspect.isfunction(function)):
            return None
        code = function.__code__
        if function.__defaults__ or code.co_posonlyargcount or code.co_kwonlyargcount:
            return None
        extra = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
        count = 2 if self.has_receivers else 1
        return code.co_varnames[:count] if code.co_argcount == count and not extra else None

    def _start(self) -> bool:
        """Make what depends on configuration, unless it is made; whether to use the cache now."""
        if not self._started:
            with self._lock.lock:
                if not self._started:
                    asking = paths.asking_async if self.is_async else paths.asking
                    self._fast = self._path(self.core)
                    self._asking = self._dressed(asking(self, self._fast))
                    self._exchange(self._asking)
                    self._started = True
            enter_fast_path(self)
        return not bypassed()

    def enter_fast_path(self) -> None:
        """From now on answer without asking whether caching is on."""
        if self._started:
            self.receivers.set_quick(True)
            self._exchange(self._fast)

    def leave_fast_path(self) -> None:
        """From now on ask before each answer."""
        if self._started:
            self.receivers.set_quick(False)
            self._exchange(self._asking)

    def forget(self) -> None:
        """Be as before the first use: without caches or counts, and open to what is configured."""
        with self._lock.lock:
            owners = self.receivers._owners  # noqa: SLF001 - the successor has the same ones
            for core in self.receivers.live():
                if core.scope is None:
                    core.store.clear()  # an instance may keep it
            self.receivers.set_quick(False)  # for those who hold a bound method
            self.receivers = self._receivers()
            self.quick = self.receivers.quick
            for owner in owners:
                self.receivers.add_owner(owner)
            self._core = self._in_force = self._fast = self._asking = None
            self._started = False
            self._exchange(self.first_path())

    def becomes_method(self, owner: type) -> None:
        """The function is an attribute of a class, which its name may not have told."""
        if self.by_key or self.binding == "static":
            return
        with self._lock.lock:
            self.receivers.add_owner(owner)
            if not self.has_receivers:
                self.has_receivers = True
                self.binds_instances = self.binding == "plain"
                self._started = False
                self._exchange(self.first_path())

    def _exchange(self, path: Callable[..., Any]) -> None:
        proxy = None if self._proxy is None else self._proxy()
        if self.path is not None:
            for name in ("__name__", "__qualname__", "__doc__", "__module__"):
                setattr(path, name, getattr(self.path, name))
        self.path = path
        if proxy is not None:
            proxy._self_forward(path)  # noqa: SLF001 - wrapt's prefix for a proxy's own attributes

    def _dressed(self, path: Callable[..., Any]) -> Callable[..., Any]:
        """`path` with the name, the docs and the one set of attributes of the user's function."""
        functools.update_wrapper(path, self.function)
        self._attributes = self._attributes or path.__dict__
        path.__dict__ = self._attributes
        if not hasattr(self.function, "__name__"):
            path.__name__ = path.__qualname__ = self.name
        return path

    # The caches.

    @property
    def core(self) -> Any:
        """The cache of the function itself: of all calls that have no receiver."""
        if self._core is None:
            with self._lock.lock:
                if self._core is None:
                    self._core = self._build()
        return self._core

    def _receivers(self) -> Receivers[Any]:
        return Receivers(
            getattr(self.function, "__qualname__", ""),
            getattr(self.function, "__module__", "") or "",
            functools.partial(self._build, own=True),
        )

    def _build(self, *, own: bool = False) -> Any:
        with _in_use_lock.lock:
            _in_use.add(self)
        kind: type[AsyncCore | SyncCore] = AsyncCore if self.is_async else SyncCore
        if self._in_force is None:
            self._in_force = self._now_in_force()
        self.is_shared = is_shared(self._in_force.store)
        if self.is_shared:
            scope: Any = self._shared_scope()
        else:
            scope = Scope(self.name) if own else self.scope
        core: Any = build(
            kind,
            self.options,
            self._in_force,
            name=self.name,
            scope=scope,
            annotation=_returned(self.function),
            identity=_no_identity if own else self._shared_scope,
        )
        if self.is_shared and own:
            core.flights = self.core.flights  # receivers that are equal elsewhere are so here
        if own:
            core.alerts.log_with(self.core.alerts)
        core.look_up(self.method_keys if own else self.keys)
        return core

    def _now_in_force(self) -> InForce:
        in_force = self.options.in_force(self.name)
        if self.options.backend is None and is_shared(in_force.store):
            try:
                self._shared_scope()
            except ValueError as error:
                warn_once(
                    f"{self.name} is cached in memory, not on the configured backend: {error}"
                )
                return self.options.in_force(self.name, private=True)
        return in_force

    def core_of(self, receiver: Any) -> Any:
        """The cache of `receiver`.

        Raises:
            TypeError: it can be neither referenced weakly nor given an attribute.
        """
        try:
            return self.receivers.cache_of(receiver)
        except TypeError:
            if not self.is_shared:
                raise
            return self.core  # there it is known by its key, and has no more of its own than counts

    def cores(self) -> list[Any]:
        """Every cache of this function's that is alive."""
        return [self.core, *self.receivers.live()]

    # Calls.

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A turn for the call; None where the function is to be called without one."""
        # Once started, what stands before this path asks whether caching is on.
        if not self._started and not self._start():
            return None
        core = self.core if self._core is None else self._core
        plain = take_off(core, self.keys, args, kwargs) if core.plain else None
        return plain or self._turn(core, self.keys, args, kwargs, args)

    def open_method(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same for a call whose first argument may be the receiver of a method."""
        if not self._start():
            return None
        args, kwargs = self._receiver_first(args, kwargs)
        core, keys, keyed, receiver = self.core, self.keys, args, ABSENT
        if args and args[0] in self.receivers:
            core, keys, keyed, receiver = self.core_of(args[0]), self.method_keys, args[1:], args[0]
        plain = take_off(core, keys, keyed, kwargs) if core.plain else None
        return plain or self._turn(core, keys, keyed, kwargs, args, receiver=receiver)

    def _receiver_first(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call; the receiver, where it is given by its name, by position."""
        if args or self.receiver_name not in kwargs:
            return args, kwargs
        others = dict(kwargs)
        return (others.pop(self.receiver_name),), others

    def _turn(
        self,
        core: Any,
        keys: Keys,
        keyed: tuple[Any, ...],
        kwargs: dict[str, Any],
        args: tuple[Any, ...],
        *,
        receiver: Any = ABSENT,
    ) -> Any:
        flow: Flow
        try:
            key = self._located(core, keys.make(keyed, kwargs), receiver)
        except _UnkeyedReceiver:
            raise
        except NotAccepted:
            core.stats.misses += 1
            return None
        except Exception as fault:
            key = None
            flow = flows.unkeyed(_keyless(fault), core.rules, core.stats)
        else:
            if core.memory is None and core.rules.standby is None:
                begin = AsyncLook if self.is_async else look
                return begin(core, key, self.function, args, kwargs)
            flow = flows.call(key, core.rules, core.stats)
        if self.is_async:
            turn = AsyncTurn(core, key, flow, self.function, args, kwargs)
            turn.alone = key is None
            return turn
        return Turn(core, key, flow, self.function, args, kwargs).begin()

    def _misfit(self, args: tuple[Any, ...], kwargs: dict[str, Any], misfit: TypeError) -> str:
        """What does not fit about these arguments, in the words of `inspect`."""
        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            return str(error)
        return str(misfit)

    def locate(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], handle: str | None
    ) -> tuple[Any, Any]:
        """The cache and the key of a call, for the handle of that name; None: for a call itself.

        Raises:
            TypeError: the arguments do not fit, or a method's receiver is missing.
            OperationFailed: they cannot be a key.
        """
        if self.has_receivers:
            args, kwargs = self._receiver_first(args, kwargs)
        core, keys, keyed, receiver = self.core, self.keys, args, ABSENT
        if self.has_receivers:
            if args and args[0] in self.receivers:
                receiver = args[0]
                core, keys, keyed = (
                    self.core_of(args[0]),
                    self.method_keys,
                    args[1:],
                )
            elif handle and (self.binding == "class" or self.receivers.defined_in_class):
                raise TypeError(
                    f"{self.name}.{handle}: the instance (of a classmethod: the class) is missing:"
                    f" call it on one, or give it first (above a staticmethod, write @cached"
                    " outermost)"
                )
        try:
            key = self._located(core, keys.make(keyed, kwargs), receiver)
        except _UnkeyedReceiver:
            raise
        except NotAccepted as misfit:
            name = f"{self.name}.{handle}" if handle else f"{self.name}()"
            raise TypeError(f"{name}: {self._misfit(args, kwargs, misfit)}") from None
        except Exception as fault:
            raise KeylessError(core, _keyless(fault)) from None
        return core, key

    def _located(self, core: Any, key: Any, receiver: Any) -> Any:
        """`key` as the store of `core` has it.

        Raises:
            TypeError: `receiver` is to be told apart from others on a shared store, and cannot be.
            OperationFailed: its own `__cache_key__` failed.
        """
        if core.scope is None:
            return key
        if receiver is not ABSENT and self.is_shared:
            from .canonical import key_text

            try:
                key = (key_text("", receiver), key)
            except OperationFailed as error:
                if error.__cause__ is not None:
                    raise
                raise _UnkeyedReceiver(
                    f"{self.name}: {shown(receiver)} cannot be told from other instances on a "
                    f"shared backend ({error.reason}); __cache_key__() of its class, or key=, says "
                    "what tells calls apart"
                ) from None
        return (core.scope, key)


#: The sites that have a cache.
_in_use: weakref.WeakSet[Site] = weakref.WeakSet()
_in_use_lock = ForkableLock()


def reset() -> None:
    """Have every function without a backend of its own be as before its first use."""
    with _in_use_lock.lock:
        sites = [site for site in _in_use if site.options.backend is None]
        _in_use.difference_update(sites)
    for site in sites:
        site.forget()


class KeylessError(Exception):
    """The arguments given to a handle cannot be a key."""

    def __init__(self, core: Any, error: OperationFailed) -> None:
        super().__init__(error)
        self.core = core
        self.error = error


class _UnkeyedReceiver(TypeError):
    """An instance that has no stable text, on a store where it needs one."""


def _keyless(fault: Exception) -> OperationFailed:
    if isinstance(fault, OperationFailed):
        return fault
    error = unusable_key(fault)
    error.__cause__ = fault
    return error


def _no_identity() -> str:
    raise ValueError("an instance has no name that other processes know")


def is_shared(backend: Any) -> bool:
    """Whether other processes see what `backend` keeps."""
    return bool(getattr(backend, "shared", False))


def _returned(function: Any) -> Any:
    """What `function` says that it returns, or ABSENT."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        return ABSENT  # names that only a type checker sees
    return hints.get("return", ABSENT)


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None  # some built-ins have none


def _without_first(signature: inspect.Signature) -> inspect.Signature:
    first, *others = signature.parameters.values()
    if first.kind is inspect.Parameter.VAR_POSITIONAL:
        others = [first, *others]
    return signature.replace(parameters=others)


def is_coroutine_function(function: Any, name: str) -> bool:
    """Whether `function` is a coroutine function.

    Raises:
        TypeError: it is a generator function of either colour.
    """
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not (inspect.isfunction(inner) or inspect.ismethod(inner) or inspect.isbuiltin(inner)):
        inner = getattr(type(inner), "__call__", inner)  # noqa: B004 - the method itself is wanted
    for candidate in (function, inner):
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise TypeError(
                f"cached: {name} is a generator function; its iterator can be used up only once "
                "and cannot be cached. Cache a function that returns a list or a tuple"
            )
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inner)
