"""Backends that keep bytes under text keys, in a place that other processes see too.

A subclass says how bytes are read, written and dropped; what makes them a backend is here: the
stable text of a key, the codec, and what is dropped because its times cannot be.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, Self

from ..canonical import key_text, namespace_text, scope_text
from ..entry import FOREVER, Entry
from ..errors import Full, OperationFailed, shown
from ..serializers import Codec

__all__ = ["AsyncBytesBackend", "BytesBackend", "lifetime"]

#: Seconds that an entry is kept past its expiry where it may be served stale for ever.
DAY: Final = 86_400.0

#: Seconds that the clocks of two machines may be apart. An entry from further in the future was
#: written by a clock that has been set back since: how long it is good for cannot be known.
SKEW: Final = 60.0


def lifetime(entry: Entry, now: float) -> float | None:
    """Seconds from `now` for which a server should keep `entry`; None: for ever.

    Zero or less: it is of no use any more.
    """
    if entry.kept_until != FOREVER:
        return entry.kept_until - now
    return None if entry.expires == FOREVER else entry.expires + DAY - now


class _Encoded:
    """What backends of bytes have in common, whatever their colour."""

    name: ClassVar[str]
    shared: ClassVar[bool] = True
    timer: Any = staticmethod(time.time)

    def __init__(self, *, namespace: str = "memo", codec: Codec | None = None) -> None:
        """Keep entries under keys that begin with `namespace`.

        Raises:
            TypeError: `namespace` is no text.
        """
        if not isinstance(namespace, str):
            raise TypeError(f"namespace={shown(namespace)}: takes a str")
        self.namespace = namespace
        self.codec = Codec() if codec is None else codec
        #: The backend that this is a view of, or itself.
        self.origin: Any = self

    def using(self, codec: Codec, timer: Callable[[], float] | None = None) -> Self:
        """The same backend, by which values are encoded with `codec`, and time is `timer`'s."""
        view = copy.copy(self)
        view.codec = codec
        view.origin = self.origin
        if timer is not None:
            view.timer = timer
        return view

    def _name(self, key: Any) -> str:
        return key_text(self.namespace, key)

    def _entries(self, names: Mapping[str, Any], found: Mapping[str, bytes]) -> dict[Any, Entry]:
        """What of `found` can be decoded; the rest is a miss, to be loaded and replaced."""
        entries = {}
        latest = self.timer() + SKEW
        for name, data in found.items():
            try:
                entry = self.codec.decode(name, data)
            except OperationFailed as error:
                if not error.codec:
                    raise
                continue
            if entry.created <= latest:
                entries[names[name]] = entry
        return entries


class BytesBackend(_Encoded):
    """Base of blocking backends that keep bytes.

    A subclass writes `read_bytes`, `write_bytes`, `delete_bytes` and `clear_prefix`, and may write
    `read_many_bytes` and `write_many_bytes`. Of each, `deadline` is the moment of
    `time.monotonic()` at which it is to raise `TimeoutError`; None: no bound.

    Args:
        namespace: what all keys begin with, so that programs on one server do not meet.
        codec: how entries become bytes, where a cache does not say.
    """

    blocking: ClassVar[bool] = True

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        """What is stored under `name`, or None."""
        raise NotImplementedError

    def write_bytes(
        self, name: str, data: bytes, entry: Entry, deadline: float | None
    ) -> int | None:
        """Store `data` under `name`; `entry` has its times (see `lifetime`).

        Returns how many entries were evicted for it, as far as is known.

        Raises:
            Full: there is no room for it.
        """
        raise NotImplementedError

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        """Drop what is under `name`; whether there was anything."""
        raise NotImplementedError

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        """Drop all that is stored under names beginning with `prefix`."""
        raise NotImplementedError

    def read_many_bytes(self, names: Iterable[str], deadline: float | None) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything."""
        found = ((name, self.read_bytes(name, deadline)) for name in names)
        return {name: data for name, data in found if data is not None}

    def write_many_bytes(
        self, items: Mapping[str, tuple[bytes, Entry]], deadline: float | None
    ) -> int | None:
        """Store each of `items`; returns how many entries were evicted for them.

        Raises:
            Full: there is no room for one of them.
        """
        return sum(
            self.write_bytes(name, data, entry, deadline) or 0
            for name, (data, entry) in items.items()
        )

    def read(self, key: Any, /, *, deadline: float | None = None) -> Entry | None:
        """The entry under `key`, expired or not, or None."""
        name = key_text(self.namespace, key)
        data = self.read_bytes(name, deadline)
        if data is None:
            return None
        entry = self.codec.decode(name, data)
        return None if entry.created > self.timer() + SKEW else entry

    def write(self, key: Any, entry: Entry, /, *, deadline: float | None = None) -> int | None:
        """Store `entry` under `key`, in place of what was there."""
        name = self._name(key)
        try:
            return self.write_bytes(name, self.codec.encode(name, entry), entry, deadline)
        except Full as full:
            full.key = key
            raise

    def delete(self, key: Any, /, *, deadline: float | None = None) -> bool:
        """Drop what is under `key`; returns whether there was anything."""
        return self.delete_bytes(self._name(key), deadline)

    def clear(self, *, deadline: float | None = None) -> None:
        """Drop everything in the namespace, and nothing else."""
        self.clear_prefix(namespace_text(self.namespace), deadline)

    def clear_scope(self, scope: str, *, deadline: float | None = None) -> None:
        """Drop the entries whose key is a tuple that begins with `scope`."""
        self.clear_prefix(scope_text(self.namespace, scope), deadline)

    def read_many(
        self, keys: Iterable[Any], /, *, deadline: float | None = None
    ) -> dict[Any, Entry]:
        """The entries of those of `keys` that have one."""
        names = {self._name(key): key for key in keys}
        return self._entries(names, self.read_many_bytes(names, deadline))

    def write_many(
        self, entries: Mapping[Any, Entry], /, *, deadline: float | None = None
    ) -> int | None:
        """Store all of `entries`."""
        items = {}
        for key, entry in entries.items():
            name = self._name(key)
            items[name] = self.codec.encode(name, entry), entry
        return self.write_many_bytes(items, deadline)


class AsyncBytesBackend(_Encoded):
    """Base of async backends that keep bytes: the twin of `BytesBackend`.

    There are no deadlines: who waits cancels what takes too long, and a backend that has been
    cancelled anywhere is to be as good as before.
    """

    def read_bytes(self, name: str) -> Awaitable[bytes | None]:
        """What is stored under `name`, or None; a coroutine, or whatever else can be awaited."""
        raise NotImplementedError

    async def write_bytes(self, name: str, data: bytes, entry: Entry) -> int | None:
        """Store `data` under `name`; `entry` has its times (see `lifetime`).

        Returns how many entries were evicted for it, as far as is known.

        Raises:
            Full: there is no room for it.
        """
        raise NotImplementedError

    async def delete_bytes(self, name: str) -> bool:
        """Drop what is under `name`; whether there was anything."""
        raise NotImplementedError

    async def clear_prefix(self, prefix: str) -> None:
        """Drop all that is stored under names beginning with `prefix`."""
        raise NotImplementedError

    async def read_many_bytes(self, names: Iterable[str]) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything."""
        found = [(name, await self.read_bytes(name)) for name in names]
        return {name: data for name, data in found if data is not None}

    async def write_many_bytes(self, items: Mapping[str, tuple[bytes, Entry]]) -> int | None:
        """Store each of `items`; returns how many entries were evicted for them.

        Raises:
            Full: there is no room for one of them.
        """
        evicted = 0
        for name, (data, entry) in items.items():
            evicted += await self.write_bytes(name, data, entry) or 0
        return evicted

    async def read(self, key: Any, /) -> Entry | None:
        """The entry under `key`, expired or not, or None."""
        name = key_text(self.namespace, key)
        data = await self.read_bytes(name)
        if data is None:
            return None
        entry = self.codec.decode(name, data)
        return None if entry.created > self.timer() + SKEW else entry

    async def write(self, key: Any, entry: Entry, /) -> int | None:
        """Store `entry` under `key`, in place of what was there."""
        name = self._name(key)
        try:
            return await self.write_bytes(name, self.codec.encode(name, entry), entry)
        except Full as full:
            full.key = key
            raise

    async def delete(self, key: Any, /) -> bool:
        """Drop what is under `key`; returns whether there was anything."""
        return await self.delete_bytes(self._name(key))

    async def clear(self) -> None:
        """Drop everything in the namespace, and nothing else."""
        await self.clear_prefix(namespace_text(self.namespace))

    async def clear_scope(self, scope: str) -> None:
        """Drop the entries whose key is a tuple that begins with `scope`."""
        await self.clear_prefix(scope_text(self.namespace, scope))

    async def read_many(self, keys: Iterable[Any], /) -> dict[Any, Entry]:
        """The entries of those of `keys` that have one."""
        names = {self._name(key): key for key in keys}
        return self._entries(names, await self.read_many_bytes(names))

    async def write_many(self, entries: Mapping[Any, Entry], /) -> int | None:
        """Store all of `entries`."""
        items = {}
        for key, entry in entries.items():
            name = self._name(key)
            items[name] = self.codec.encode(name, entry), entry
        return await self.write_many_bytes(items)
