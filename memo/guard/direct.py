"""Guards of stores in this process: they answer at once, and are simply called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.base import name_of
from ..breaker import Health
from ..entry import Entry
from .answers import cause_of, counted, entry_of, translated
from .budget import Budget

if TYPE_CHECKING:
    from .circuit import Circuit

__all__ = ["AsyncGuard", "Guard", "Guarded"]


class Guarded:
    """What all guards have in common: a backend, and whose keys it is asked for.

    Args:
        backend: an object with the methods of `memo.backends.Backend`.
        scope: what every key of this cache's begins with, where the backend is not its alone.
    """

    #: The breaker of the backend, where it has one.
    circuit: Circuit | None = None
    #: Whether many entries are read or written in one operation.
    reads_many = writes_many = False

    def __init__(self, backend: Any, scope: Any) -> None:
        self.backend = backend
        self.scope = scope
        self.name = name_of(backend)
        self.evicts = callable(getattr(backend, "evict", None))
        clears = callable(getattr(backend, "clear_scope", None))
        self.clears_scope = scope is not None and clears

    def health(self) -> Health:
        """How the backend is, as far as is known."""
        return Health(backend=self.name)

    def away(self, key: Any) -> bool:  # noqa: ARG002 - a store in this process always answers
        """Whether a read of `key` is not answered by the backend itself."""
        return False

    def forget(self) -> None:
        """Let go of what is owed to the backend, which will not be used any more."""


class Guard(Guarded):
    """A store whose operations give a result or raise a `CacheError`, in the caller's thread.

    Nothing bounds the time they take: a budget is taken, and left as it is.
    """

    def read(self, key: Any, _budget: Budget | None = None) -> Entry | None:
        """The entry under `key`."""
        try:
            return entry_of(self.backend.read(key), key, self.name)
        except Exception as error:
            raise translated("read", key, self.name, error) from cause_of(error)

    def write(self, key: Any, entry: Entry, _budget: Budget | None = None, **more: Any) -> int:
        """Store `entry`; returns how many entries were evicted for it, as far as is known."""
        try:
            return counted(self.backend.write(key, entry, **more))
        except Exception as error:
            raise translated("write", key, self.name, error) from cause_of(error)

    def delete(self, key: Any, _budget: Budget | None = None) -> bool:
        """Drop what is under `key`; whether there was anything."""
        try:
            return bool(self.backend.delete(key))
        except Exception as error:
            raise translated("delete", key, self.name, error) from cause_of(error)

    def clear(self, _budget: Budget | None = None) -> bool:
        """Drop this cache's entries, or all where the backend cannot tell them apart."""
        try:
            if self.clears_scope:
                self.backend.clear_scope(self.scope)
            else:
                self.backend.clear()
        except Exception as error:
            raise translated("clear", None, self.name, error) from cause_of(error)
        return True

    def evict(self, n: int, _budget: Budget | None = None) -> int:
        """Make room for `n` entries; how many were dropped."""
        if not self.evicts:
            return 0
        try:
            return int(self.backend.evict(n))
        except Exception as error:
            raise translated("write", None, self.name, error) from cause_of(error)


class AsyncGuard(Guarded):
    """The same for async functions: what answers at once does not hold a loop up."""

    def __init__(self, backend: Any, scope: Any) -> None:
        super().__init__(backend, scope)
        self._guard = Guard(backend, scope)

    async def read(self, key: Any, _budget: Budget | None = None) -> Entry | None:
        """The entry under `key`."""
        return self._guard.read(key)

    async def write(
        self, key: Any, entry: Entry, _budget: Budget | None = None, **more: Any
    ) -> int:
        """Store `entry`; returns how many entries were evicted for it, as far as is known."""
        return self._guard.write(key, entry, **more)

    async def delete(self, key: Any, _budget: Budget | None = None) -> bool:
        """Drop what is under `key`; whether there was anything."""
        return self._guard.delete(key)

    async def clear(self, _budget: Budget | None = None) -> bool:
        """Drop this cache's entries, or all where the backend cannot tell them apart."""
        return self._guard.clear()

    async def evict(self, n: int, _budget: Budget | None = None) -> int:
        """Make room for `n` entries; how many were dropped."""
        return self._guard.evict(n)
