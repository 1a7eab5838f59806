"""The contract of a backend.

Four methods are all that is needed. What else a backend may have is optional and looked for once:

| attribute | meaning | when it is missing |
|---|---|---|
| `evict(n) -> int` | drop `n` entries, expired first; how many were dropped | nothing is evicted |
| `clear_scope(scope)` | drop the entries whose key is a tuple beginning with `scope` | `clear()` |
| `close()` | let go of files and connections | nothing to let go of |
| `blocking` | False: so quick that an event loop may call it directly | True |
| `maxsize`, `currsize` | what `cache_info()` shows | None |
| `timer` | the clock of its entries | monotonic time |
| `name` | what messages and metrics call it | the name of its type |

`write` may return how many entries it evicted. A failure is any exception; `Full` and
`OperationFailed` are passed on as they are, all others become `OperationFailed` with the foreign
error as their cause.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol, runtime_checkable

from ..entry import Entry
from ..errors import shown

__all__ = ["AsyncBackend", "Backend", "in_scope", "is_async", "name_of"]

_METHODS = ("read", "write", "delete", "clear")


@runtime_checkable
class Backend(Protocol):
    """A backend that answers in the caller's thread."""

    def read(self, key: Any, /) -> Entry | None:
        """The entry under `key`, expired or not, or None."""

    def write(self, key: Any, entry: Entry, /) -> int | None:
        """Store `entry` under `key`, in place of what was there.

        Raises:
            Full: there is no room for it.
        """

    def delete(self, key: Any, /) -> bool:
        """Drop what is under `key`; returns whether there was anything."""
        ...

    def clear(self) -> None:
        """Drop everything."""


@runtime_checkable
class AsyncBackend(Protocol):
    """A backend whose methods are coroutine functions."""

    async def read(self, key: Any, /) -> Entry | None:
        """The entry under `key`, expired or not, or None."""

    async def write(self, key: Any, entry: Entry, /) -> int | None:
        """Store `entry` under `key`, in place of what was there.

        Raises:
            Full: there is no room for it.
        """

    async def delete(self, key: Any, /) -> bool:
        """Drop what is under `key`; returns whether there was anything."""
        ...

    async def clear(self) -> None:
        """Drop everything."""


def is_async(backend: Any) -> bool:
    """Whether `backend` is an async one.

    Raises:
        TypeError: it lacks a method of the contract, or mixes both colours.
    """
    if isinstance(backend, type):
        raise TypeError(f"backend={backend.__name__}: takes a backend, not its class")
    missing = [name for name in _METHODS if not callable(getattr(backend, name, None))]
    if missing:
        raise TypeError(
            f"backend={shown(backend)}: takes a backend (an object with read, write, delete and "
            f"clear), a cachetools.Cache or a MutableMapping; it has no {', '.join(missing)}"
        )
    colours = {inspect.iscoroutinefunction(getattr(backend, name)) for name in _METHODS}
    if len(colours) > 1:
        raise TypeError(
            f"backend={shown(backend)}: read, write, delete and clear must be all plain methods "
            "or all coroutine functions"
        )
    return colours.pop()


def name_of(backend: Any) -> str:
    """What messages and metrics call `backend`."""
    name = getattr(backend, "name", None)
    return name if isinstance(name, str) else type(backend).__name__


def in_scope(key: Any, scope: Any) -> bool:
    """Whether `key` is a tuple that begins with `scope`; runs no code of the user's."""
    if type(key) is not tuple or not key:
        return False
    first = key[0]
    return first is scope or (type(first) is str and type(scope) is str and first == scope)
