"""Redis and Valkey, from blocking code.

What is said is in `redis_commands`, for this backend and its async twin alike; who is asked, over
which of redis-py's connections and clients, in `redis_servers`; and how a deadline is kept in
`redis_deadlines`. A request goes straight to a connection: `execute_command` of redis-py costs a
third more, and tries again in secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..entry import Entry
from ..serializers import Codec
from . import redis_commands as commands
from .encoded import BytesBackend
from .redis_cluster import Cluster
from .redis_servers import Servers
from .redis_settings import options_of, settings_from

if TYPE_CHECKING:
    from .redis_async import AsyncRedis

__all__ = ["Redis", "from_url"]


def from_url(url: str) -> Redis:
    """The backend that `url` names; its `twin` serves async functions.

    Raises:
        ValueError: a part of the URL that cannot be.
    """
    return Redis(url)


class Redis(BytesBackend):
    """Keeps entries on Redis or Valkey: one server, a cluster, or a primary under sentinels.

    No request is sent a second time, but to whom a cluster says that the key has moved. After a
    failure the next request finds out anew who is in charge, so recovery needs no restart. Safe
    between threads, and after a fork.

    Args:
        url_or_client: a URL (`redis://`, `rediss://`, `redis+unix://`, `redis+cluster://`,
            `redis+sentinel://`), or a client of redis-py, of which the addresses, the login and
            TLS are taken over, and nothing else.
        namespace: what all keys begin with.
        codec: how entries become bytes, where a cache does not say.
        socket_timeout: seconds that one request may take where the caller sets no deadline; by
            default what the URL says, or 1.
        max_connections: the most connections to one server, in this process; by default what the
            URL says, or 64. A thread that finds all of them in use waits for one.

    Raises:
        TypeError, ValueError: an argument, or a part of the URL, that cannot be.
    """

    name: ClassVar[str] = "redis"

    def __init__(
        self,
        url_or_client: Any,
        *,
        namespace: str | None = None,
        codec: Codec | None = None,
        socket_timeout: float | None = None,
        max_connections: int | None = None,
    ) -> None:
        settings, given = settings_from(url_or_client)
        options = options_of(
            given,
            namespace=namespace,
            socket_timeout=socket_timeout,
            max_connections=max_connections,
        )
        super().__init__(namespace=options["namespace"], codec=codec)
        self.settings = settings
        self.socket_timeout: float = options["socket_timeout"]
        self._cluster = settings.kind == "cluster"
        kind = Cluster if self._cluster else Servers
        self._servers: Servers = kind(settings, self.socket_timeout, options["max_connections"])
        self._twins: list[AsyncRedis] = []

    @property
    def twin(self) -> AsyncRedis:
        """The async backend on the same servers, with the same settings."""
        if not self._twins:
            from .redis_async import AsyncRedis

            twin = AsyncRedis(
                self.settings,
                namespace=self.namespace,
                codec=self.origin.codec,
                socket_timeout=self.socket_timeout,
            )
            twin.origin = self.origin
            self._twins.append(twin)
        return self._twins[0].using(self.codec, self.timer)

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        """What is stored under `name`, or None."""
        return self._servers.run(commands.get(name), deadline)

    def write_bytes(self, name: str, data: bytes, entry: Entry, deadline: float | None) -> None:
        """Store `data` under `name`, for as long as `entry` may be of use.

        Raises:
            Full: the server is out of memory and evicts nothing.
        """
        writing = commands.put(name, data, entry, self.timer(), cluster=self._cluster)
        self._servers.run(writing, deadline)

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        """Drop what is under `name`; whether there was anything."""
        return self._servers.run(commands.delete(name), deadline)

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        """Drop all that is stored under names beginning with `prefix`, a few at a time."""
        self._servers.run(commands.clear(prefix, cluster=self._cluster), deadline)

    def read_many_bytes(self, names: Iterable[str], deadline: float | None) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything."""
        return self._servers.run(commands.get_many(names, cluster=self._cluster), deadline)

    def write_many_bytes(
        self, items: Mapping[str, tuple[bytes, Entry]], deadline: float | None
    ) -> None:
        """Store each of `items`.

        Raises:
            Full: the server is out of memory and evicts nothing; what fitted is stored.
        """
        writing = commands.put_many(items, self.timer(), cluster=self._cluster)
        self._servers.run(writing, deadline)

    def ping(self, *, deadline: float | None = None) -> None:
        """Return when all servers have given a sign of life, or raise."""
        self._servers.run(commands.ping(), deadline)

    def close(self) -> None:
        """Close the connections that nobody is using; what is asked afterwards opens new ones."""
        self._servers.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.settings}>"
