r"""memcached, for async functions: pymemcache in threads.

Not emcache (1.3.3), whose parser of answers is not safe: it takes an answer for complete when what
has come so far happens to end in `END\r\n`, and gives as many bytes as the server said, also from
beyond its buffer. Values come back wrong, and a server's answer can crash the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from ..entry import Entry
from ..forking import ForkableLock, mend_after_fork
from ..serializers import Codec
from .encoded import AsyncBytesBackend, lifetime
from .memcached_lanes import Lane
from .memcached_rules import Server, Servers
from .memcached_store import Store

__all__ = ["AsyncMemcached"]

_T = TypeVar("_T")


class AsyncMemcached(AsyncBytesBackend):
    """Keeps entries on one memcached server or several; the async twin of `Memcached`.

    It may be used in any number of event loops, one after the other or at once. Its calls are made
    in a few threads of its own for each server, concurrent reads together.

    Args:
        servers, namespace, codec: as `Memcached` has them; each finds what the other has stored.

    Raises:
        TypeError, ValueError: what names no server; the message says which.
    """

    name = "memcached"
    #: What is cancelled here ends at once.
    prompt = True

    def __init__(
        self,
        servers: str | Iterable[str | tuple[str, int]],
        *,
        namespace: str = "memo",
        codec: Codec | None = None,
    ) -> None:
        super().__init__(namespace=namespace, codec=codec)
        self.servers = Servers(servers)
        self._store = Store()
        self._lanes = _Lanes(self._store)

    async def read_bytes(self, name: str) -> bytes | None:
        """What is stored under `name` and was not cleared since, or None."""
        found: dict[str, bytes] = await self._lanes[self.servers.of(name)].read(name)
        return found.get(name)

    async def read_many_bytes(self, names: Iterable[str]) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything.

        One question to each server that has some of them, to all at once; one that fails, fails
        them all.
        """
        parts = self.servers.split(names)
        asked = [self._lanes[server].run(self._store.read, its) for server, its in parts.items()]
        return {name: data for found in await _answers(asked) for name, data in found.items()}

    async def write_bytes(self, name: str, data: bytes, entry: Entry) -> int | None:
        """Store `data` under `name`; what is evicted for it, the server does not say.

        Raises:
            Full: there is no room for it, or it is over the server's limit (1 MiB by default).
        """
        return await self.write_many_bytes({name: (data, entry)})

    async def write_many_bytes(self, items: Mapping[str, tuple[bytes, Entry]]) -> int | None:
        """Store each of `items`: where one fails, the others are stored all the same.

        Raises:
            Full: there is no room for one of them, or it is over the server's limit.
        """
        now = self.timer()
        asked = []
        for server, names in self.servers.split(items).items():
            given = {name: (items[name][0], lifetime(items[name][1], now)) for name in names}
            asked.append(self._lanes[server].run(self._store.write, given))
        await _answers(asked)
        return None

    async def delete_bytes(self, name: str) -> bool:
        """Drop what is under `name`; whether there was anything that was not cleared."""
        dropped: bool = await self._lanes[self.servers.of(name)].run(self._store.delete, name)
        return dropped

    async def clear_prefix(self, prefix: str) -> None:
        """Forget all that is stored under names beginning with `prefix`, on every server.

        It takes one question to each, however much that holds; the memory is used again as the
        server evicts. A server that fails does not keep the others from being cleared.
        """
        lanes = [self._lanes[server] for server in self.servers.all]
        await _answers([lane.run(self._store.forget, prefix) for lane in lanes])

    async def ping(self) -> None:
        """Do nothing if all servers answer; else raise what is wrong with the first that fails."""
        lanes = [self._lanes[server] for server in self.servers.all]
        await _answers([lane.run(self._store.ping) for lane in lanes])

    async def close(self) -> None:
        """Close all connections and let the threads end; another call makes new ones."""
        self._lanes.close()
        self._store.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.servers}>"


class _Lanes:
    """The lane of each server; those of views are the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lanes: dict[Server, Lane] = {}
        self._lock = ForkableLock()
        mend_after_fork(self)

    def __getitem__(self, server: Server) -> Lane:
        lane = self._lanes.get(server)
        if lane is None:
            with self._lock.lock:
                lane = self._lanes.setdefault(server, Lane(server, self._store))
        return lane

    def close(self) -> None:
        with self._lock.lock:
            lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.close()

    def after_fork_in_child(self) -> None:
        """The threads are the parent's."""
        self._lanes = {}


async def _answers(asked: Collection[asyncio.Future[_T]]) -> list[_T]:
    """All answers, in order; raises the first failure when all have come."""
    answers: list[_T] = []
    failures: list[Exception] = []
    try:
        for one in asked:
            try:
                answers.append(await one)
            except Exception as error:
                failures.append(error)
    except asyncio.CancelledError:
        for one in asked:
            one.cancel()
        raise
    if failures:
        raise failures[0]
    return answers
