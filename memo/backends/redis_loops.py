"""What async clients of redis-py leave behind when their event loop ends, or the process forks.

A connection belongs to the loop it was made in. When a loop is run by `asyncio.run`, what is open
is closed in the end, while the loop still runs: an asynchronous generator is told to finish by
`loop.shutdown_asyncgens()`. When a loop was closed without that, its connections are let go of at
the next use of another loop, or of the backend's `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import select
import threading
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import redis.asyncio.connection

from ..forking import mend_after_fork

if TYPE_CHECKING:
    _Base = redis.asyncio.connection.Connection
else:
    _Base = object

__all__ = ["Loops", "connection_class"]


class Here(Protocol):
    """What a backend has in one event loop."""

    async def close(self) -> None:
        """Close all connections; the loop runs."""

    def abandon(self) -> None:
        """Let go of all connections; the loop is closed."""

    def after_fork_in_child(self) -> None:
        """Let go of all connections, which are the parent's."""


_H = TypeVar("_H", bound=Here)

#: What a parent process has open, and its child must neither use nor close.
_of_the_parent: Final[list[Any]] = []


class Loops(Generic[_H]):
    """What a backend has in each event loop that uses it.

    Args:
        make: what to begin a loop with.
    """

    def __init__(self, make: Callable[[], _H]) -> None:
        self._make = make
        self._by_loop: dict[asyncio.AbstractEventLoop, _H] = {}
        self._lock = threading.Lock()
        mend_after_fork(self)

    def here(self) -> _H:
        """What there is in the running loop."""
        loop = asyncio.get_running_loop()
        here = self._by_loop.get(loop)
        return self._begin(loop) if here is None else here

    async def until_the_end(self, here: _H) -> AsyncGenerator[None]:
        """Close `here` when the running loop ends; to be begun, and kept, in that loop."""
        loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            await here.close()
            await asyncio.sleep(0)  # the loop closes what was dropped in its next turn

    async def close(self) -> None:
        """Close what there is in the running loop, and let go of what loops that are closed left.

        Other loops close theirs soon, if they run.
        """
        for loop, here in list(self._by_loop.items()):
            if loop is asyncio.get_running_loop():
                self._by_loop.pop(loop, None)
                await here.close()
            elif not loop.is_closed():
                with contextlib.suppress(RuntimeError):
                    asyncio.run_coroutine_threadsafe(here.close(), loop)
        self._let_go()

    def after_fork_in_child(self) -> None:
        """The child's loops are others than the parent's."""
        for here in self._by_loop.values():
            here.after_fork_in_child()
        _of_the_parent.append(self._by_loop)
        self._by_loop = {}
        self._lock = threading.Lock()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> _H:
        self._let_go()
        with self._lock:
            here = self._by_loop.get(loop)
            if here is None:
                here = self._by_loop[loop] = self._make()
            return here

    def _let_go(self) -> None:
        """Let go of what loops that are closed have left."""
        with self._lock:
            closed = [loop for loop in self._by_loop if loop.is_closed()]
            left = [self._by_loop.pop(loop) for loop in closed]
        for here in left:
            here.abandon()


class _Tidy(_Base):
    """What makes a connection of redis-py's fit to be kept from one operation to the next."""

    async def quiet(self) -> bool:
        """Whether the connection is open, and has nothing to be read: nothing is under way."""
        return self.is_connected and not self._poll(0) and not await self.can_read()

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Connect and log in, or be closed: what is half logged in must not be used again."""
        try:
            await super().connect_check_health(*args, **options)
        except BaseException:
            await self.drop()
            raise
        self._poll = _poller(self._socket())

    async def drop(self) -> None:
        """Close the connection now, without a word to the server, and without waiting for one."""
        transport = None if self._writer is None else self._writer.transport
        await self.disconnect(nowait=True)
        if transport is not None:
            transport.abort()  # TLS would wait for the server to say goodbye

    def abandon(self) -> None:
        """Close the connection though its loop is closed, which asyncio does not provide for."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is None:
            return
        transport: Any = writer.transport
        with contextlib.suppress(RuntimeError):  # the loop is closed
            transport.abort()
        # TLS has a transport of its own upon that of the socket.
        transport = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
        with contextlib.suppress(Exception):
            # What the loop would have called next. Where there is no such thing (another event
            # loop's transport), the socket is closed with a ResourceWarning.
            transport._call_connection_lost(None)  # noqa: SLF001

    def forget(self) -> None:
        """In a forked child: keep the socket, which is the parent's, from being open here as well.

        Whatever asyncio might do about it would be done to the parent's loop, of which the child
        has a copy that shares its file descriptors.
        """
        if self._writer is not None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            with contextlib.suppress(OSError):
                os.dup2(nowhere, self._socket().fileno())
            os.close(nowhere)

    def _socket(self) -> Any:
        return None if self._writer is None else self._writer.get_extra_info("socket")


def _poller(sock: Any) -> Callable[[int], Any]:
    """A function that tells whether there is anything to be read, waiting so many milliseconds."""
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN)
        return poller.poll
    return lambda milliseconds: select.select([sock.fileno()], [], [], milliseconds / 1000)[0]


@functools.cache
def connection_class(kind: type[Any]) -> Any:
    """The connections of the class `kind`, which is one of redis-py's, as they are needed here."""
    return type(kind.__name__, (_Tidy, kind), {})
