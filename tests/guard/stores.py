"""Backends that fail, hang and lie to order, of every kind that a guard knows."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from typing import Any

from memo.entry import Entry

__all__ = ["AsyncStore", "Entry", "Stubborn", "ThreadStore", "TimedStore", "entry"]


def entry(value: Any, created: float = 0.0, ttl: float = 1e9) -> Entry:
    """An entry of that value, which lives for long."""
    return Entry(value, created, created + ttl, created + ttl)


class _Store:
    """A dict that fails in the operations named in `fails`, and hangs in those in `hangs`."""

    name = "store"

    def __init__(self) -> None:
        self.held: dict[Any, Entry] = {}
        self.fails: set[str] = set()
        self.hangs: set[str] = set()
        self.error: Any = ConnectionError
        self.seen: Counter[str] = Counter()
        #: Every operation that was asked for, with its key.
        self.log: list[tuple[str, Any]] = []
        self.lock = threading.Lock()

    def down(self, *operations: str) -> None:
        """Fail from now on."""
        self.fails = set(operations or ("read", "write", "delete", "clear"))

    def up(self) -> None:
        """Work from now on."""
        self.fails = set()

    def _enter(self, operation: str, key: Any) -> None:
        with self.lock:
            self.seen[operation] += 1
            self.log.append((operation, key))
        if operation in self.fails:
            raise self.error(f"{operation} failed")

    def _do(self, operation: str, key: Any, entry: Entry | None = None) -> Any:
        with self.lock:
            if operation == "read":
                return self.held.get(key)
            if operation == "write":
                assert entry is not None
                self.held[key] = entry
                return 0
            if operation == "delete":
                return self.held.pop(key, None) is not None
            for other in [one for one in self.held if key is None or one[0] == key]:
                del self.held[other]
            return None

    def value(self, key: Any) -> Any:
        """What is held under `key`."""
        found = self.held.get(key)
        return None if found is None else found.value


class ThreadStore(_Store):
    """A blocking backend without deadlines; what hangs waits for `released`."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.hanging = threading.Semaphore(0)

    def _wait(self, operation: str) -> None:
        if operation in self.hangs:
            self.hanging.release()
            assert self.released.wait(20), "nobody has released it"

    def _all(self, operation: str, key: Any, entry: Entry | None = None) -> Any:
        self._enter(operation, key)
        self._wait(operation)
        return self._do(operation, key, entry)

    def read(self, key: Any) -> Any:
        return self._all("read", key)

    def write(self, key: Any, entry: Entry) -> Any:
        return self._all("write", key, entry)

    def delete(self, key: Any) -> Any:
        return self._all("delete", key)

    def clear(self) -> None:
        self._all("clear", None)

    def clear_scope(self, scope: Any) -> None:
        self._all("clear", scope)


class TimedStore(_Store):
    """A blocking backend whose methods take a deadline, and keep it when they hang."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: list[float | None] = []

    def _all(
        self, operation: str, key: Any, deadline: float | None, entry: Entry | None = None
    ) -> Any:
        self.deadlines.append(deadline)
        self._enter(operation, key)
        if operation in self.hangs:
            assert deadline is not None, "this would hang for ever"
            while (left := deadline - time.monotonic()) > 0:
                time.sleep(left)
            raise TimeoutError("the store is slow")
        return self._do(operation, key, entry)

    def read(self, key: Any, *, deadline: float | None = None) -> Any:
        return self._all("read", key, deadline)

    def write(self, key: Any, entry: Entry, *, deadline: float | None = None) -> Any:
        return self._all("write", key, deadline, entry)

    def delete(self, key: Any, *, deadline: float | None = None) -> Any:
        return self._all("delete", key, deadline)

    def clear(self, *, deadline: float | None = None) -> None:
        self._all("clear", None, deadline)

    def clear_scope(self, scope: Any, *, deadline: float | None = None) -> None:
        self._all("clear", scope, deadline)


class AsyncStore(_Store):
    """An async backend; what hangs waits for ever, and can be cancelled."""

    async def _wait(self, operation: str) -> None:
        if operation in self.hangs:
            await asyncio.get_running_loop().create_future()

    async def _all(self, operation: str, key: Any, entry: Entry | None = None) -> Any:
        self._enter(operation, key)
        await self._wait(operation)
        return self._do(operation, key, entry)

    async def read(self, key: Any) -> Any:
        return await self._all("read", key)

    async def write(self, key: Any, entry: Entry) -> Any:
        return await self._all("write", key, entry)

    async def delete(self, key: Any) -> Any:
        return await self._all("delete", key)

    async def clear(self) -> None:
        await self._all("clear", None)

    async def clear_scope(self, scope: Any) -> None:
        await self._all("clear", scope)


class Stubborn(AsyncStore):
    """An async backend that swallows its cancellation, and goes on once it is `released`."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()
        self.swallowed = 0

    async def _wait(self, operation: str) -> None:
        while operation in self.hangs and not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.swallowed += 1


class Prompt(AsyncStore):
    """An async backend that promises to end at once when it is cancelled."""

    prompt = True


@contextlib.contextmanager
def within(seconds: float) -> Any:
    """The block is over within so many seconds; generous, as the machine may be busy."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took < seconds, f"took {took:.3f} s"
