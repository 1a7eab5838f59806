"""memcached, for sync functions; async functions use the `twin`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..entry import Entry
from ..serializers import Codec
from .encoded import BytesBackend, lifetime
from .memcached_rules import Server, Servers, of_url
from .memcached_sockets import Limit
from .memcached_store import Store
from .urls import parts

if TYPE_CHECKING:
    from .memcached_async import AsyncMemcached

__all__ = ["Memcached", "from_url"]


class Memcached(BytesBackend):
    """Keeps entries on one memcached server or several, through pymemcache.

    Safe between threads and across forks: a call has a connection to itself.

    Args:
        servers: "host:port,host", the same as a URL, or an iterable of "host:port" or
            `(host, port)`; a text that begins with "/" is the path of a unix socket. All who share
            what is stored must name the same servers, in the same words.
        namespace: what all keys begin with, so that programs on one server do not meet.
        codec: how entries become bytes, where a cache does not say.

    Raises:
        TypeError, ValueError: what names no server; the message says which.
    """

    name = "memcached"

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
        self._twins: list[AsyncMemcached] = []  # one at most, also that of the views of this

    @property
    def twin(self) -> AsyncMemcached:
        """The async backend on the same servers, with the same settings."""
        if not self._twins:
            from .memcached_async import AsyncMemcached

            made = AsyncMemcached(self.servers.all, namespace=self.namespace, codec=self.codec)
            made.origin = self.origin
            self._twins.append(made)
        return self._twins[0].using(self.codec, self.timer)

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        """What is stored under `name` and was not cleared since, or None."""
        return self._store.read(self.servers.of(name), (name,), Limit(deadline)).get(name)

    def read_many_bytes(self, names: Iterable[str], deadline: float | None) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything.

        One question to each server that has some of them; one that fails, fails them all.
        """
        limit = Limit(deadline)
        found: dict[str, bytes] = {}
        for server, its in self.servers.split(names).items():
            found |= self._store.read(server, its, limit)
        return found

    def write_bytes(
        self, name: str, data: bytes, entry: Entry, deadline: float | None
    ) -> int | None:
        """Store `data` under `name`; what is evicted for it, the server does not say.

        Raises:
            Full: there is no room for it, or it is over the server's limit (1 MiB by default).
        """
        return self.write_many_bytes({name: (data, entry)}, deadline)

    def write_many_bytes(
        self, items: Mapping[str, tuple[bytes, Entry]], deadline: float | None
    ) -> int | None:
        """Store each of `items`: where one fails, the others are stored all the same.

        Raises:
            Full: there is no room for one of them, or it is over the server's limit.
        """
        now = self.timer()
        parts = self.servers.split(items)

        def write(server: Server, limit: Limit) -> None:
            given = {
                name: (items[name][0], lifetime(items[name][1], now)) for name in parts[server]
            }
            self._store.write(server, given, limit)

        _each(parts, write, deadline)
        return None

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        """Drop what is under `name`; whether there was anything that was not cleared."""
        return self._store.delete(self.servers.of(name), name, Limit(deadline))

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        """Forget all that is stored under names beginning with `prefix`, on every server.

        It takes one question to each, however much that holds; the memory is used again as the
        server evicts. A server that fails does not keep the others from being cleared.
        """
        _each(
            self.servers.all,
            lambda server, limit: self._store.forget(server, prefix, limit),
            deadline,
        )

    def ping(self, *, deadline: float | None = None) -> None:
        """Do nothing if all servers answer; else raise what is wrong with the first that fails."""
        _each(self.servers.all, self._store.ping, deadline)

    def close(self) -> None:
        """Close all connections; another call makes new ones."""
        self._store.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.servers}>"


def from_url(url: str) -> Memcached:
    """The backend that `memcached://host:port,host` or `memcached:///path/of/socket` names.

    The one option in the query is `namespace`.

    Raises:
        ValueError: a part of the URL that cannot be.
    """
    found = parts(url, {"namespace": str})
    return Memcached([*of_url(found)], **found.options)


def _each(
    servers: Iterable[Server], work: Callable[[Server, Limit], Any], deadline: float | None
) -> None:
    """Do the work on every server, each within its share of the time; raises the first failure."""
    failures: list[Exception] = []
    left = [*servers]
    while left:
        limit = Limit(deadline).part(len(left))
        try:
            work(left.pop(0), limit)
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
