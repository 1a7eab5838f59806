"""What the policy tests share: a backend that fails to order, and functions of both colours."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from memo import Policy, cached
from memo.entry import Entry


class Down(ConnectionError):
    """What a scripted backend raises."""


class Scripted:
    """A dict that fails in the operations named in `fails`."""

    name = "scripted"
    blocking = False

    def __init__(self) -> None:
        self.held: dict[Any, Entry] = {}
        self.fails: set[str] = set()
        self.error: Callable[[str], BaseException] = Down
        self.seen: Counter[str] = Counter()

    def _enter(self, operation: str) -> None:
        self.seen[operation] += 1
        if operation in self.fails:
            raise self.error(operation)

    def read(self, key: Any) -> Entry | None:
        self._enter("read")
        return self.held.get(key)

    def write(self, key: Any, entry: Entry) -> None:
        self._enter("write")
        self.held[key] = entry

    def delete(self, key: Any) -> bool:
        self._enter("delete")
        return self.held.pop(key, None) is not None

    def clear(self) -> None:
        self._enter("clear")
        self.held.clear()

    def values(self) -> list[Any]:
        """What is held."""
        return [entry.value for entry in self.held.values()]


class AsyncScripted(Scripted):
    """The same, for loops."""

    async def read(self, key: Any) -> Entry | None:  # type: ignore[override]
        return super().read(key)

    async def write(self, key: Any, entry: Entry) -> None:  # type: ignore[override]
        return super().write(key, entry)

    async def delete(self, key: Any) -> bool:  # type: ignore[override]
        return super().delete(key)

    async def clear(self) -> None:  # type: ignore[override]
        return super().clear()


class Colour:
    """Makes functions and backends of one colour; `run` gives what either colour answers."""

    def __init__(self, name: str, backend: type[Scripted], asynchronous: bool) -> None:
        self.name = name
        self.backend = backend
        self.asynchronous = asynchronous
        #: Whether what could not be written is owed to the backend, and answers until it is there:
        #: a store that says that it never waits gets no such care.
        self.owes = asynchronous

    def cached(self, body: Callable[..., Any], **options: Any) -> Any:
        """`body`, as a decorated function of this colour; how long a backend takes is no matter."""
        options["policy"] = dataclasses.replace(options.get("policy", Policy()), timeout=60)
        if not self.asynchronous:

            def load(*args: Any, **kwargs: Any) -> Any:
                return body(*args, **kwargs)

            return cached(**options)(load)

        async def load_async(*args: Any, **kwargs: Any) -> Any:
            return body(*args, **kwargs)

        return cached(**options)(load_async)

    @staticmethod
    def run(answer: Any) -> Any:
        """`answer`, awaited where it is to be."""
        if not inspect.isawaitable(answer):
            return answer

        async def limited() -> Any:
            return await asyncio.wait_for(answer, 20)

        return asyncio.run(limited())

    def __repr__(self) -> str:
        return self.name


class Threaded(Scripted):
    """A backend that an async function goes through a thread for."""

    blocking = True


#: A plain function, a coroutine function over an async backend, and one over a blocking backend.
COLOURS = [
    Colour("sync", Scripted, asynchronous=False),
    Colour("async", AsyncScripted, asynchronous=True),
    Colour("async over blocking", Threaded, asynchronous=True),
]
colours = pytest.mark.parametrize("colour", COLOURS, ids=repr)
