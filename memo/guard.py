"""One backend operation, made safe: whatever goes wrong in it becomes a `CacheError`."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from typing import Any

from .backends.base import name_of
from .entry import Entry
from .errors import CacheError, Full, OperationFailed, shown, text_of

__all__ = ["AsyncGuard", "Budget", "Guard"]


class Budget:
    """The time that one call may spend on its backend.

    Attributes:
        seconds: what there was to begin with.
        left: seconds that are left.
    """

    __slots__ = ("left", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = seconds


def _failed(operation: str, key: Any, backend: str, error: Exception) -> CacheError:
    """What `error`, met in `operation`, is to memo; raise it `from error`."""
    if isinstance(error, OperationFailed):
        error.operation = error.operation or operation
        error.backend = error.backend or backend
        error.key = key if error.key is None else error.key
        return error
    if isinstance(error, Full) and operation == "write":
        return error
    return OperationFailed(
        f"{type(error).__name__}: {text_of(error)}", operation=operation, key=key, backend=backend
    )


def _entry(found: Any, key: Any, backend: str) -> Entry | None:
    """`found` if it is what a read may give; a corrupt answer must not get further than here."""
    if found is None:
        return None
    if type(found) is Entry:
        times = (found.created, found.expires, found.kept_until)
        if all(type(time) in {float, int} and not math.isnan(time) for time in times) and (
            math.isfinite(found.created)
        ):
            return found
    raise OperationFailed(
        f"it gave {shown(found)}, which is no entry", operation="read", key=key, backend=backend
    )


class _Named:
    def __init__(self, backend: Any, scope: Any) -> None:
        self.backend = backend
        self.name = name_of(backend)
        self.evicts = callable(getattr(backend, "evict", None))
        clear_scope = getattr(backend, "clear_scope", None)
        self._scope = scope
        self._clear_scope = clear_scope if scope is not None and callable(clear_scope) else None


class Guard(_Named):
    """A blocking backend, each of whose operations gives a result or raises a `CacheError`.

    Args:
        backend: an object with the methods of `memo.backends.Backend`.
        scope: what every key of this cache's begins with, where the backend is not its alone.
    """

    def read(self, key: Any, _budget: Budget | None = None) -> Entry | None:
        """The entry under `key`."""
        try:
            return _entry(self.backend.read(key), key, self.name)
        except Exception as error:
            raise self._translated("read", key, error) from _cause(error)

    def write(self, key: Any, entry: Entry, _budget: Budget | None = None, **more: Any) -> int:
        """Store `entry`; returns how many entries were evicted for it, as far as is known."""
        try:
            evicted = self.backend.write(key, entry, **more)
        except Exception as error:
            raise self._translated("write", key, error) from _cause(error)
        return evicted if type(evicted) is int else 0

    def delete(self, key: Any, _budget: Budget | None = None) -> bool:
        """Drop what is under `key`; whether there was anything."""
        try:
            return bool(self.backend.delete(key))
        except Exception as error:
            raise self._translated("delete", key, error) from _cause(error)

    def clear(self, _budget: Budget | None = None) -> bool:
        """Drop this cache's entries, or all where the backend cannot tell them apart."""
        try:
            if self._clear_scope is not None:
                self._clear_scope(self._scope)
            else:
                self.backend.clear()
        except Exception as error:
            raise self._translated("clear", None, error) from _cause(error)
        return True

    def evict(self, n: int, _budget: Budget | None = None) -> int:
        """Make room for `n` entries; how many were dropped."""
        if not self.evicts:
            return 0
        try:
            return int(self.backend.evict(n))
        except Exception as error:
            raise self._translated("write", None, error) from _cause(error)

    def _translated(self, operation: str, key: Any, error: Exception) -> CacheError:
        return _failed(operation, key, self.name, error)


def _cause(error: Exception) -> BaseException | None:
    """The cause of what is raised in the place of `error`."""
    return error.__cause__ if isinstance(error, OperationFailed | Full) else error


class AsyncGuard(_Named):
    """A backend of either colour, for async functions; a blocking one is run in a thread."""

    def __init__(self, backend: Any, scope: Any) -> None:
        super().__init__(backend, scope)
        self._run: Callable[..., Awaitable[Any]]
        if inspect.iscoroutinefunction(backend.read):
            self._run = _awaited
        elif getattr(backend, "blocking", True):
            self._run = _called_in_thread
        else:
            self._run = _called

    async def read(self, key: Any, _budget: Budget | None = None) -> Entry | None:
        """The entry under `key`."""
        try:
            return _entry(await self._run(self.backend.read, key), key, self.name)
        except Exception as error:
            raise self._translated("read", key, error) from _cause(error)

    async def write(
        self, key: Any, entry: Entry, _budget: Budget | None = None, **more: Any
    ) -> int:
        """Store `entry`; returns how many entries were evicted for it, as far as is known."""
        try:
            evicted = await self._run(self.backend.write, key, entry, **more)
        except Exception as error:
            raise self._translated("write", key, error) from _cause(error)
        return evicted if type(evicted) is int else 0

    async def delete(self, key: Any, _budget: Budget | None = None) -> bool:
        """Drop what is under `key`; whether there was anything."""
        try:
            return bool(await self._run(self.backend.delete, key))
        except Exception as error:
            raise self._translated("delete", key, error) from _cause(error)

    async def clear(self, _budget: Budget | None = None) -> bool:
        """Drop this cache's entries, or all where the backend cannot tell them apart."""
        try:
            if self._clear_scope is not None:
                await self._run(self._clear_scope, self._scope)
            else:
                await self._run(self.backend.clear)
        except Exception as error:
            raise self._translated("clear", None, error) from _cause(error)
        return True

    async def evict(self, n: int, _budget: Budget | None = None) -> int:
        """Make room for `n` entries; how many were dropped."""
        if not self.evicts:
            return 0
        try:
            return int(await self._run(self.backend.evict, n))
        except Exception as error:
            raise self._translated("write", None, error) from _cause(error)

    def _translated(self, operation: str, key: Any, error: Exception) -> CacheError:
        return _failed(operation, key, self.name, error)


async def _awaited(method: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
    return await method(*args, **more)


async def _called_in_thread(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
    result, stop = await asyncio.to_thread(_caught, method, args, more)
    if stop is not None:
        raise stop
    return result


def _caught(
    method: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """The result, or a StopIteration as a value: a future would not take it as an exception."""
    try:
        return method(*args, **more), None
    except StopIteration as stop:
        error = RuntimeError(f"the backend raised {shown(stop)}")
        error.__cause__ = stop
        return None, error


async def _called(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return method(*args, **more)
