"""Caches that people already have, as backends: a Django cache, any object that gets and sets.

They hold bytes, as servers do: keys are text, and values go through a codec.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from ..entry import Entry
from ..errors import OperationFailed, shown
from ..serializers import Codec
from .encoded import AsyncBytesBackend, BytesBackend, lifetime
from .memcached_rules import keys_of, new_token, opened, sealed

__all__ = ["AsyncObjectBackend", "DjangoBackend", "ObjectBackend"]

#: Stores bytes under a text for so many seconds; None: for ever.
Store = Callable[[str, bytes, float | None], Any]


class DjangoBackend(BytesBackend):
    """Keeps entries in a Django cache, which bounds itself. Async functions call it in threads.

    Clearing drops what memo has stored under this namespace and nothing else: what is stored
    depends on tokens, and they are dropped (see docs/memcached.md).

    Args:
        cache: the alias of one of the project's `CACHES`, or a cache object.
        namespace: what all keys begin with, behind Django's own prefix and version.
        codec: how entries become bytes, where a cache does not say.

    Raises:
        ImportError: Django is not installed.
        TypeError, ValueError: `cache` is none, or the settings have no such alias.
    """

    name = "django"

    def __init__(
        self, cache: Any = "default", *, namespace: str = "memo", codec: Codec | None = None
    ) -> None:
        super().__init__(namespace=namespace, codec=codec)
        self._given = cache
        wanted = "the alias of a Django cache, or a Django cache"
        _must_have("cache", self.cache, ("get_many", "set", "add", "delete"), wanted)

    @property
    def cache(self) -> Any:
        """The Django cache; of an alias, the one that Django has for this thread."""
        return _at_alias(self._given) if isinstance(self._given, str) else self._given

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        """What is stored under `name` and was not cleared since, or None."""
        return self.read_many_bytes((name,), deadline).get(name)

    def read_many_bytes(self, names: Iterable[str], deadline: float | None) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything."""
        del deadline
        all_keys = {name: keys_of(name) for name in names}
        found = self._get({key for keys in all_keys.values() for key in keys})
        opening = ((name, opened(keys, found)) for name, keys in all_keys.items())
        return {name: data for name, data in opening if data is not None}

    def write_bytes(
        self, name: str, data: bytes, entry: Entry, deadline: float | None
    ) -> int | None:
        """Store `data` under `name`, for its lifetime in whole seconds and one more."""
        del deadline
        seconds = lifetime(entry, self.timer())
        if seconds is not None and seconds <= 0:
            self.cache.delete(name)
            return None
        tokens = self._tokens(keys_of(name)[:2])
        timeout = None if seconds is None else math.ceil(seconds) + 1
        self.cache.set(name, sealed(tokens, data), timeout)
        return None

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        """Drop what is under `name`; whether there was anything that was not cleared."""
        there = self.read_bytes(name, deadline) is not None
        self.cache.delete(name)
        return there

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        """Forget all that is stored under names beginning with `prefix`."""
        del deadline
        self.cache.delete(prefix)

    def _get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        found = self.cache.get_many([key.decode() for key in keys])
        return {key.encode(): _bytes(value, self) for key, value in found.items()}

    def _tokens(self, keys: tuple[bytes, ...]) -> list[bytes]:
        """The tokens under `keys`; those that are missing are made."""
        found = self._get(keys)
        for key in keys:
            if key not in found:
                drawn = new_token()
                if self.cache.add(key.decode(), drawn, None):
                    found[key] = drawn
                else:
                    found |= self._get((key,))  # of who was quicker
        if len(found) < len(keys):
            raise OperationFailed("the Django cache drops what is put there at once")
        return [found[key] for key in keys]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {shown(self._given)}>"


class _Adapted:
    """What backends on objects of either colour have in common; comes before their base."""

    name = "object"
    #: What an object holds cannot be told apart.
    clear_scope: Any = None
    _is_async: ClassVar[bool]

    def __init__(
        self,
        adapted: Any,
        *,
        store: Store | None = None,
        namespace: str = "memo",
        codec: Codec | None = None,
    ) -> None:
        base: Any = super()
        base.__init__(namespace=namespace, codec=codec)
        _check(adapted, store, is_async=self._is_async)
        self.adapted = adapted
        self._store: Store = store or (lambda key, data, _ttl: adapted.set(key, data))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {shown(self.adapted)}>"


class ObjectBackend(_Adapted, BytesBackend):
    """Keeps entries in any object with `get(key)`, `set(key, data)` and `delete(key)`.

    Keys are text, what is stored is bytes. `get` gives None or raises `KeyError` for what is not
    there. `clear`, also of a single function, is passed on to the object's, which drops everything,
    what others have put there included; where it has none, clearing is an `OperationFailed`.

    Args:
        adapted: the object. It is used by any number of threads at once.
        store: `store(key, data, ttl)` stores, in the place of `adapted.set(key, data)`: for objects
            that can be told a lifetime. `ttl` is in seconds, with fractions; None: for ever.
        namespace: what all keys begin with.
        codec: how entries become bytes, where a cache does not say.

    Raises:
        TypeError: `adapted` has not those methods, or they are coroutine functions.
    """

    _is_async = False

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        """What is stored under `name`, or None."""
        del deadline
        try:
            found = self.adapted.get(name)
        except KeyError:
            return None
        return None if found is None else _bytes(found, self)

    def write_bytes(
        self, name: str, data: bytes, entry: Entry, deadline: float | None
    ) -> int | None:
        """Store `data` under `name`."""
        seconds = lifetime(entry, self.timer())
        if seconds is not None and seconds <= 0:
            self.delete_bytes(name, deadline)
        else:
            self._store(name, data, seconds)
        return None

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        """Drop what is under `name`; whether there was anything."""
        there = self.read_bytes(name, deadline) is not None
        with contextlib.suppress(KeyError):
            self.adapted.delete(name)
        return there

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        """Drop everything that the object holds, since it cannot be asked for a part.

        Raises:
            OperationFailed: it has no `clear`.
        """
        del prefix, deadline
        _clearing(self.adapted)()


class AsyncObjectBackend(_Adapted, AsyncBytesBackend):
    """The async twin of `ObjectBackend`, for objects whose methods are coroutine functions.

    Args:
        adapted: the object; a call that is cancelled must leave it as good as before.
        store: a coroutine function `store(key, data, ttl)`.
        namespace, codec: as `ObjectBackend` has them.

    Raises:
        TypeError: `adapted` has not those methods, or they are plain ones.
    """

    _is_async = True

    async def read_bytes(self, name: str) -> bytes | None:
        """What is stored under `name`, or None."""
        try:
            found = await self.adapted.get(name)
        except KeyError:
            return None
        return None if found is None else _bytes(found, self)

    async def write_bytes(self, name: str, data: bytes, entry: Entry) -> int | None:
        """Store `data` under `name`."""
        seconds = lifetime(entry, self.timer())
        if seconds is not None and seconds <= 0:
            await self.delete_bytes(name)
        else:
            await self._store(name, data, seconds)
        return None

    async def delete_bytes(self, name: str) -> bool:
        """Drop what is under `name`; whether there was anything."""
        there = await self.read_bytes(name) is not None
        with contextlib.suppress(KeyError):
            await self.adapted.delete(name)
        return there

    async def clear_prefix(self, prefix: str) -> None:
        """Drop everything that the object holds, since it cannot be asked for a part.

        Raises:
            OperationFailed: it has no `clear`.
        """
        del prefix
        await _clearing(self.adapted)()


def _check(adapted: Any, store: Any, *, is_async: bool) -> None:
    _must_have("adapted", adapted, ("get", "set", "delete"), "an object with get, set and delete")
    if inspect.iscoroutinefunction(adapted.get) is not is_async:
        how, other = ("plain", "ObjectBackend") if is_async else ("async", "AsyncObjectBackend")
        raise TypeError(f"adapted={shown(adapted)}: its methods are {how}; {other} is for these")
    if store is not None and not callable(store):
        raise TypeError(f"store={shown(store)}: takes a callable store(key, data, ttl)")


def _clearing(adapted: Any) -> Callable[[], Any]:
    clear: Callable[[], Any] | None = getattr(adapted, "clear", None)
    if not callable(clear):
        raise OperationFailed(
            f"{type(adapted).__name__} has no method clear, and cannot be asked what it holds; "
            "invalidate calls one by one, or take another namespace",
            operation="clear",
            codec=True,  # it is well, and to try again is no use
        )
    return clear


def _must_have(option: str, thing: Any, methods: Iterable[str], wanted: str) -> None:
    missing = [name for name in methods if not callable(getattr(thing, name, None))]
    if missing or isinstance(thing, type):
        has = f"; it has no {', '.join(missing)}" if missing else ", not its class"
        raise TypeError(f"{option}={shown(thing)}: takes {wanted}{has}")


def _bytes(found: Any, backend: Any) -> bytes:
    if isinstance(found, bytes | bytearray | memoryview):
        return bytes(found)
    raise OperationFailed(
        f"{backend.name} gave a {type(found).__name__} that was not stored by memo", codec=True
    )


def _at_alias(alias: str) -> Any:
    try:
        from django.core.cache import caches  # type: ignore[import-untyped]
        from django.core.exceptions import ImproperlyConfigured  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            f"cache={alias!r}: django is not installed; pip install django"
        ) from error
    try:
        return caches[alias]
    except ImproperlyConfigured as error:
        raise ValueError(f"cache={alias!r}: {error}") from error
