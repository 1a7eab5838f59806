"""Redis servers as async code asks them, in one event loop, with redis-py's connections.

redis-py is never cancelled by whoever waits: operations run in tasks of their own, each step within
a time limit, and callers wait for futures. A caller that is cancelled leaves at once and takes
nothing along. Reads wait for the end of the loop's turn and leave together, in one request.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.sentinel
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ..errors import twin
from .redis_commands import Operation, Request, get, get_many, packed
from .redis_limits import TimeLimit
from .redis_loops import Loops, connection_class
from .redis_servers import UNCERTAIN
from .redis_settings import Settings

__all__ = ["AsyncServers", "async_options", "tcp"]

_T = TypeVar("_T")

#: The most requests to read that are under way at once; what is wanted meanwhile leaves with the
#: next.
_READERS: Final = 4

#: The most other operations that are under way at once.
_OTHERS: Final = 8


class AsyncServers:
    """One server, or a primary under sentinels, in the running event loop.

    Args:
        settings: where they are.
        timeout: seconds that one exchange may take; then its connection is closed.
        loops: what keeps this, and closes it when the loop ends.
    """

    def __init__(self, settings: Settings, timeout: float, loops: Loops[AsyncServers]) -> None:
        self.settings = settings
        self.timeout = timeout
        self.cluster = settings.kind == "cluster"
        self._loops = loops
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._keeper: Any = None
        self._closed = False
        #: The connections there are, in use or not.
        self._connections: set[Any] = set()
        self._wanted: dict[str, list[asyncio.Future[bytes | None]]] = {}
        self._readers = 0
        self._reader_comes = False
        self._others = asyncio.Semaphore(_OTHERS)
        self._limit = TimeLimit(timeout)
        self._begin()

    # For callers: whoever is cancelled here leaves at once.

    def read(self, name: str) -> asyncio.Future[bytes | None]:
        """The value of `name`, asked for together with all that is wanted in this turn."""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        self._wanted.setdefault(name, []).append(future)
        if not self._reader_comes and self._readers < _READERS:
            self._send_reader()
        return future

    async def run(self, operation: Operation[_T]) -> _T:
        """What comes of `operation`."""
        await self._others.acquire()
        future: asyncio.Future[_T] = self._loop.create_future()
        self._start(self._drive(operation), functools.partial(self._end, future))
        return await future

    async def close(self) -> None:
        """Close the connections that nobody is using, and the others when they are given back."""
        self._closed = True
        await self._drop_idle()
        keeper, self._keeper = self._keeper, None
        if keeper is not None and not keeper.ag_running:
            await keeper.aclose()

    def abandon(self) -> None:
        """Let go of all connections; the loop is closed."""
        for connection in self._connections:
            connection.abandon()
        self._connections.clear()

    def after_fork_in_child(self) -> None:
        """Let go of all connections, which are the parent's."""
        for connection in self._connections:
            connection.forget()

    # What runs in tasks.

    def _start(
        self, work: Coroutine[Any, Any, _T], ended: Callable[[asyncio.Task[_T]], None]
    ) -> None:
        # In a context of its own: what is done here is not done for one caller alone.
        task = self._loop.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _read_all(self) -> None:
        self._reader_comes = False
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            names = [name for name, futures in wanted.items() if not all(f.done() for f in futures)]
            found: dict[str, bytes] = {}
            error: Exception | None = None
            try:
                if len(names) == 1:
                    value = await self._drive(get(names[0]))
                    found = {} if value is None else {names[0]: value}
                elif names:
                    found = await self._drive(get_many(names, cluster=self.cluster))
            except Exception as failure:
                error = failure
            except BaseException:
                _fail(wanted, _ended())
                raise
            if error is not None:
                _fail(wanted, error)
            else:
                for name, futures in wanted.items():
                    for future in futures:
                        if not future.done():
                            future.set_result(found.get(name))

    def _send_reader(self) -> None:
        self._reader_comes = True
        self._readers += 1
        self._start(self._read_all(), self._reader_ended)

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._readers -= 1
        if task.cancelled():  # since the loop ends; perhaps before it had begun
            self._reader_comes = False
            if any(not f.done() for futures in self._wanted.values() for f in futures):
                self._send_reader()

    def _end(self, future: asyncio.Future[_T], task: asyncio.Task[_T]) -> None:
        self._tasks.discard(task)
        self._others.release()
        error = _ended() if task.cancelled() else task.exception()
        if future.done():
            return
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

    async def _drive(self, operation: Operation[_T]) -> _T:
        try:
            step = next(operation)
            while True:
                with self._limit:
                    told = await (self._ask(step) if isinstance(step, Sequence) else self._nodes())
                step = operation.send(told)
        except StopIteration as stop:
            value: _T = stop.value
            return value
        except (*UNCERTAIN, TimeoutError) as error:
            await self._suspect()
            if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
                raise TimeoutError(f"{self.settings} did not answer in time") from error
            raise

    async def _exchange(
        self, idle: list[Any], make: Callable[[], Any], requests: Sequence[Request]
    ) -> list[Any]:
        """The replies to `requests`, over a connection that is closed unless all were read."""
        connection = await self._take(idle, make)
        replies: list[Any] = []
        try:
            await connection.send_packed_command(packed(requests), check_health=False)
            for _ in requests:
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except exceptions.ResponseError as error:
                    replies.append(error)
        except BaseException:
            await self._discard(connection)
            raise
        if self._closed:
            await self._discard(connection)
        else:
            idle.append(connection)
        return replies

    async def _take(self, idle: list[Any], make: Callable[[], Any]) -> Any:
        """A connection that is open and on which nothing is under way."""
        while idle:
            connection = idle.pop()
            if await connection.quiet():
                return connection
            await self._discard(connection)
        if self._keeper is None and not self._closed:
            self._keeper = self._loops.until_the_end(self)
            await anext(self._keeper)
        connection = make()
        self._connections.add(connection)
        try:
            await self._connect(connection)
        except BaseException:
            await self._discard(connection)
            raise
        return connection

    async def _discard(self, connection: Any) -> None:
        self._connections.discard(connection)
        await connection.drop()

    # What differs in a cluster.

    async def _ask(self, requests: Sequence[Request]) -> list[Any]:
        """The replies to `requests`; each may be an error of the server's."""
        return await self._exchange(self._idle, self._make, requests)

    async def _nodes(self) -> Sequence[Any]:
        """The servers that share the keys."""
        return (self.settings,)

    async def _suspect(self) -> None:
        """Something went wrong: begin with fresh connections, and ask another sentinel first."""
        await self._drop_idle()
        if self._manager is not None:
            first = self._sentinels.index(self._manager.sentinels[0]) + 1
            self._manager.sentinels = self._sentinels[first:] + self._sentinels[:first]

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._discard(self._idle.pop())

    async def _connect(self, connection: Any) -> None:
        try:
            await connection.connect()
        finally:
            for sentinel in self._sentinels:  # which are not asked again soon
                await sentinel.connection_pool.disconnect(inuse_connections=False)

    def _begin(self) -> None:
        settings = self.settings
        options = async_options(settings, self.timeout)
        self._idle: list[Any] = []
        self._manager: Any = None
        self._sentinels: list[Any] = []
        if settings.kind == "sentinel":
            self._sentinels = [self._sentinel(host, port) for host, port in settings.hosts]
            sentinel: Any = redis.asyncio.sentinel
            self._manager = sentinel.Sentinel([])
            self._manager.sentinels = [*self._sentinels]
            kind: Any = sentinel.SentinelManagedConnection
            if settings.tls:
                kind = sentinel.SentinelManagedSSLConnection
            pool = sentinel.SentinelConnectionPool(
                settings.service, self._manager, connection_class=kind, **options
            )
            options = pool.connection_kwargs
            self._keep = pool  # which the connections know weakly
        elif "path" in options:
            kind = redis.asyncio.connection.UnixDomainSocketConnection
        else:
            kind = tcp(settings)
            options["host"], options["port"] = settings.hosts[0]
        self._make = functools.partial(connection_class(kind), **options)

    def _sentinel(self, host: str, port: int) -> Any:
        pool = redis.asyncio.ConnectionPool(
            connection_class=tcp(self.settings),
            host=host,
            port=port,
            **async_options(self.settings, self.timeout, sentinel=True),
        )
        return redis.asyncio.Redis(connection_pool=pool)


def tcp(settings: Settings) -> Any:
    """The class of connections to a port."""
    if settings.tls:
        return redis.asyncio.connection.SSLConnection
    return redis.asyncio.connection.Connection


def async_options(settings: Settings, timeout: float, *, sentinel: bool = False) -> dict[str, Any]:
    """The keyword arguments of an async connection.

    A reply has no timeout of its own: each exchange as a whole has one.
    """
    options = settings.connection_options(timeout, sentinel=sentinel)
    return {**options, "retry": Retry(NoBackoff(), 0), "socket_timeout": None}


def _ended() -> Exception:
    return exceptions.ConnectionError("the event loop ends")


def _fail(wanted: dict[str, list[asyncio.Future[bytes | None]]], error: Exception) -> None:
    """Have all who want something know `error`, each by a twin of its own."""
    for futures in wanted.values():
        for future in futures:
            if not future.done():
                future.set_exception(twin(error))
