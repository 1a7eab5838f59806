"""Redis and Valkey, from async code: the twin of `redis`."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, ClassVar

from ..entry import Entry
from ..serializers import Codec
from . import redis_commands as commands
from .encoded import AsyncBytesBackend
from .redis_async_cluster import AsyncCluster
from .redis_loops import Loops
from .redis_settings import options_of, settings_from
from .redis_tasks import AsyncServers

__all__ = ["AsyncRedis", "from_url"]


def from_url(url: str) -> AsyncRedis:
    """The async backend that `url` names.

    Raises:
        ValueError: a part of the URL that cannot be.
    """
    return AsyncRedis(url)


class AsyncRedis(AsyncBytesBackend):
    """Keeps entries on Redis or Valkey: one server, a cluster, or a primary under sentinels.

    Reads that are asked for in the same turn of the event loop leave in one request. Each loop has
    connections of its own, a few, which are closed when it ends (by `asyncio.run`, or whatever
    calls `loop.shutdown_asyncgens()`). Nobody ever waits for more than these to be free, and
    whoever is cancelled leaves at once. Nothing is sent a second time, but to whom a cluster says
    that the key has moved.

    Args:
        url_or_client: as for `Redis`.
        namespace: what all keys begin with.
        codec: how entries become bytes, where a cache does not say.
        socket_timeout: seconds that one exchange with a server may take, after which its connection
            is closed; by default what the URL says, or 1. A policy's `timeout` that is longer than
            this is of no use.

    Raises:
        TypeError, ValueError: an argument, or a part of the URL, that cannot be.
    """

    name: ClassVar[str] = "redis"
    #: A coroutine that is cancelled ends at once: what it asked for goes on without it.
    prompt: ClassVar[bool] = True

    def __init__(
        self,
        url_or_client: Any,
        *,
        namespace: str | None = None,
        codec: Codec | None = None,
        socket_timeout: float | None = None,
    ) -> None:
        settings, given = settings_from(url_or_client)
        options = options_of(given, namespace=namespace, socket_timeout=socket_timeout)
        super().__init__(namespace=options["namespace"], codec=codec)
        self.settings = settings
        self.socket_timeout: float = options["socket_timeout"]
        self._cluster = settings.kind == "cluster"
        kind = AsyncCluster if self._cluster else AsyncServers
        self._loops: Loops[AsyncServers] = Loops(
            lambda: kind(settings, self.socket_timeout, self._loops)
        )

    def read_bytes(self, name: str) -> Awaitable[bytes | None]:
        """What is stored under `name`, or None."""
        return self._loops.here().read(name)

    async def write_bytes(self, name: str, data: bytes, entry: Entry) -> None:
        """Store `data` under `name`, for as long as `entry` may be of use.

        Raises:
            Full: the server is out of memory and evicts nothing.
        """
        writing = commands.put(name, data, entry, self.timer(), cluster=self._cluster)
        await self._loops.here().run(writing)

    async def delete_bytes(self, name: str) -> bool:
        """Drop what is under `name`; whether there was anything."""
        return await self._loops.here().run(commands.delete(name))

    async def clear_prefix(self, prefix: str) -> None:
        """Drop all that is stored under names beginning with `prefix`, a few at a time."""
        await self._loops.here().run(commands.clear(prefix, cluster=self._cluster))

    async def read_many_bytes(self, names: Iterable[str]) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything."""
        return await self._loops.here().run(commands.get_many(names, cluster=self._cluster))

    async def write_many_bytes(self, items: Mapping[str, tuple[bytes, Entry]]) -> None:
        """Store each of `items`.

        Raises:
            Full: the server is out of memory and evicts nothing; what fitted is stored.
        """
        writing = commands.put_many(items, self.timer(), cluster=self._cluster)
        await self._loops.here().run(writing)

    async def ping(self) -> None:
        """Return when all servers have given a sign of life, or raise."""
        await self._loops.here().run(commands.ping())

    async def close(self) -> None:
        """Close the connections of the running loop, and have other loops close theirs."""
        await self._loops.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.settings}>"
