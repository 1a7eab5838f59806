"""The backend that docs/backends.md writes, in both colours: bytes in a dict."""

from collections.abc import MutableMapping
from typing import Any

from memo import Entry
from memo.backends import AsyncBytesBackend, BytesBackend, lifetime

__all__ = ["AsyncKept", "Kept"]


class Kept(BytesBackend):
    """Keeps bytes in a mapping, which stands for a server."""

    def __init__(self, held: MutableMapping[str, bytes] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.held: MutableMapping[str, bytes] = {} if held is None else held

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        return self.held.get(name)

    def write_bytes(self, name: str, data: bytes, entry: Entry, deadline: float | None) -> None:
        seconds = lifetime(entry, self.timer())
        if seconds is not None and seconds <= 0:
            self.held.pop(name, None)
        else:
            self.held[name] = data

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        return self.held.pop(name, None) is not None

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        for name in list(self.held):
            if name.startswith(prefix):
                self.held.pop(name, None)


class AsyncKept(AsyncBytesBackend):
    """The same, to be awaited."""

    prompt = True

    def __init__(self, held: MutableMapping[str, bytes] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.held: MutableMapping[str, bytes] = {} if held is None else held

    async def read_bytes(self, name: str) -> bytes | None:
        return self.held.get(name)

    async def write_bytes(self, name: str, data: bytes, entry: Entry) -> None:
        seconds = lifetime(entry, self.timer())
        if seconds is not None and seconds <= 0:
            self.held.pop(name, None)
        else:
            self.held[name] = data

    async def delete_bytes(self, name: str) -> bool:
        return self.held.pop(name, None) is not None

    async def clear_prefix(self, prefix: str) -> None:
        for name in list(self.held):
            if name.startswith(prefix):
                self.held.pop(name, None)
