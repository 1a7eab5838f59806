"""Redis servers as blocking code asks them: with the connections and clients of redis-py."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import redis
import redis.connection
import redis.sentinel
from redis import exceptions

from ..forking import mend_after_fork
from .redis_commands import Operation, Request
from .redis_deadlines import connection_class, this
from .redis_pool import Exchange, Idle, Permits
from .redis_settings import Settings

__all__ = ["UNCERTAIN", "Servers", "tcp"]

_T = TypeVar("_T")

#: After these it is not certain any more who is in charge, or that anybody is.
UNCERTAIN: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.RedisClusterException,
)


class Servers:
    """One server, or a primary under sentinels.

    Any number of threads share it. A forked child begins with connections of its own.
    """

    def __init__(self, settings: Settings, timeout: float, most: int) -> None:
        self.settings = settings
        self.timeout = timeout
        self.most = most
        self._permits = Permits(most)
        self._begin()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Begin anew; redis-py closes the parent's connections without a word to the server."""
        self.close()
        self._permits = Permits(self.most)
        self._begin()

    def run(self, operation: Operation[_T], deadline: float | None) -> _T:
        """What comes of `operation`, until `deadline`.

        Raises:
            TimeoutError: not until then.
            redis.exceptions.RedisError, OSError: a server cannot be asked, or refuses.
        """
        before, this.deadline = this.deadline, deadline
        try:
            self._permits.acquire(self.timeout)
            try:
                step = next(operation)
                while True:
                    if isinstance(step, Sequence):
                        step = operation.send(self.ask(step))
                    else:
                        step = operation.send(self.nodes())
            except StopIteration as stop:
                value: _T = stop.value
                return value
            finally:
                self._permits.release()
        except UNCERTAIN as error:
            self.suspect()
            late = deadline is not None and time.monotonic() >= deadline
            if late or isinstance(error, exceptions.TimeoutError):
                raise TimeoutError(f"{self.settings} did not answer in time") from error
            raise
        finally:
            this.deadline = before

    def ask(self, requests: Sequence[Request]) -> list[Any]:
        """The replies to `requests`; each may be an error of the server's."""
        exchange = Exchange(self._idle, requests)
        try:
            exchange.send()
            return exchange.receive()
        except BaseException:
            exchange.close()
            raise

    def nodes(self) -> Sequence[Any]:
        """The servers that share the keys."""
        return (self.settings,)

    def suspect(self) -> None:
        """Something went wrong: begin with fresh connections, and ask another sentinel first."""
        self._idle.close()
        if self._manager is not None:
            first = self._sentinels.index(self._manager.sentinels[0]) + 1
            self._manager.sentinels = self._sentinels[first:] + self._sentinels[:first]

    def close(self) -> None:
        """Close the connections that nobody is using."""
        self._idle.close()
        for sentinel in self._sentinels:
            sentinel.connection_pool.disconnect(inuse_connections=False)

    def _begin(self) -> None:
        settings = self.settings
        options = settings.connection_options(self.timeout)
        self._manager: Any = None
        self._sentinels: list[Any] = []
        if settings.kind == "sentinel":
            kind: Any = redis.sentinel.SentinelManagedConnection
            if settings.tls:
                kind = redis.sentinel.SentinelManagedSSLConnection
            self._sentinels = [
                redis.Redis(connection_pool=self.pool(host, port, sentinel=True))
                for host, port in settings.hosts
            ]
            sentinel: Any = redis.sentinel
            self._manager = sentinel.Sentinel([])
            self._manager.sentinels = [*self._sentinels]
            pool = sentinel.SentinelConnectionPool(
                settings.service, self._manager, connection_class=connection_class(kind), **options
            )
            options = pool.connection_kwargs
            self._keep = pool  # which the connections know weakly
        elif "path" in options:
            kind = redis.connection.UnixDomainSocketConnection
        else:
            kind = tcp(settings)
            options["host"], options["port"] = settings.hosts[0]
        self._idle = Idle(functools.partial(connection_class(kind), **options))

    def pool(self, host: str, port: int, *, sentinel: bool = False) -> redis.ConnectionPool:
        """A pool for redis-py's own questions about who is in charge."""
        return redis.ConnectionPool(
            connection_class=connection_class(tcp(self.settings)),
            max_connections=self.most,
            host=host,
            port=port,
            **self.settings.connection_options(self.timeout, sentinel=sentinel),
        )


def tcp(settings: Settings) -> Any:
    """The class of connections to a port."""
    if settings.tls:
        return redis.connection.SSLConnection
    return redis.connection.Connection
