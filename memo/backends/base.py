"""The contract of a backend.

Four methods are all that is needed. What else a backend may have is optional and looked for once:

| attribute | meaning | when it is missing |
|---|---|---|
| `evict(n) -> int` | drop `n` entries, expired first; how many were dropped | nothing is evicted |
| `clear_scope(scope)` | drop the entries whose key is a tuple beginning with `scope` | `clear()` |
| `read_many(keys) -> dict` | the entries of those of `keys` that have one | one by one |
| `write_many(entries)` | store a mapping from keys to entries | one by one |
| `ping()` | raise where the backend does not answer | never asked |
| `close()` | let go of files and connections | nothing to let go of |
| `blocking` | False: so quick that an event loop may call it directly | True |
| `shared` | True: other processes see its entries | False |
| `exact` | `write` takes `unless`, a `Watch`, and stores nothing once it is superseded | False |
| `maxsize`, `currsize` | what `cache_info()` shows | None |
| `timer` | the clock of its entries; of a `shared` one Unix time | monotonic time |
| `name` | what messages and metrics call it | the name of its type |
| `using(codec, timer)` | a view of it that encodes by another codec | it keeps values themselves |
| `origin` | the backend that this is a view or the twin of | itself |
| `twin` | of a blocking one: the async one before the same server | async callers use a thread |
| `prompt` | True: of an async one: see below | False |

`write` and `write_many` may return how many entries they evicted. A failure is any exception;
`Full` and `OperationFailed` are passed on as they are, all others become `OperationFailed` with the
foreign error as their cause. Each operation may be repeated: one that failed, or that nobody knows
the outcome of, is carried out again later (see `memo.recovery`).

**Time.** All backend work of one call has one deadline (`Policy.timeout`).

- A method of a blocking backend that has a keyword parameter `deadline` (a moment of
  `time.monotonic()`, or None for no bound) is given it, and must raise `TimeoutError` by then, in
  truth: a server that sends a byte every 50 ms does not stretch it. A method without one cannot be
  bounded in a plain function, which calls it in its own thread. Under an async function it is
  called in a thread, and is not waited for past the deadline; the thread goes on.
- A coroutine of an async backend is cancelled when its time is up, at whatever `await` it stands,
  and is waited for no longer. The backend must be as good as before: no later caller may ever get
  the answer meant for the cancelled one, and no connection may leak. Each operation runs in a task
  of its own, since one that swallows its cancellation must not hold the caller up; `prompt = True`
  promises that a cancelled coroutine ends at once, by that very `CancelledError` and without
  awaiting anything more, and saves that task.
- What says that it is not `blocking`, and is not async, is in this process: it has neither deadline
  nor breaker.

**One backend, several objects.** Breaker, health, and what is owed after an outage are kept for
each `origin`: a view (`using`) has the `origin` of what it was made from, and a `twin` that of the
blocking backend. Keys mean the same in all of them.

**Shared backends.** Keys are any hashable in a process of its own. On a `shared` backend they are
`(scope, key)` with a text for `scope`, which says which function, or whatever a user takes for keys
of a `Cache`; see `memo.canonical` for the text they become.
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
    if colours == {True, False}:  # not by `len`, which may itself be the cached function
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
