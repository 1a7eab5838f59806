"""Connections of redis-py that nobody is using, and an exchange over one of them.

redis-py's own pool does the same and more (it counts, tells listeners, asks whether the process is
still the same, and tries to read to see whether it can): with it a hit takes a fifth longer.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions

from .redis_commands import Request, packed
from .redis_deadlines import left

__all__ = ["Exchange", "Idle", "Permits"]


class Permits:
    """So many may be at work at once; others wait until it is their turn, or too late.

    A semaphore that costs next to nothing while there are permits left. It relies on `pop` and
    `append` of a list being atomic, as they are with the GIL and without.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = [None] * most
        self._returned = threading.Condition(threading.Lock())
        self._waiting = 0

    def acquire(self, timeout: float) -> None:
        """Take a permit.

        Raises:
            TimeoutError: there is none until the thread's deadline, or for `timeout` seconds.
        """
        try:
            self._left.pop()
        except IndexError:
            self._wait(left(timeout))

    def release(self) -> None:
        """Give a permit back."""
        self._left.append(None)
        if self._waiting:
            with self._returned:
                self._returned.notify()

    def _wait(self, seconds: float | None) -> None:
        with self._returned:
            self._waiting += 1
            try:
                # Whoever gives one back did so before this look, or sees that somebody waits.
                if not self._returned.wait_for(self._take, seconds):
                    raise TimeoutError(f"all {self.most} connections are in use")
            finally:
                self._waiting -= 1

    def _take(self) -> bool:
        try:
            self._left.pop()
        except IndexError:
            return False
        return True


class Idle:
    """Connections that nobody is using; the one that was used last is taken first."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._connections: list[Any] = []

    def take(self) -> Any:
        """A connection that is open and on which nothing is under way, for the caller alone."""
        with contextlib.suppress(IndexError):
            while True:
                connection = self._connections.pop()
                if _quiet(connection):
                    return connection
                connection.disconnect()
        connection = self._make()
        connection.connect()
        return connection

    def give(self, connection: Any) -> None:
        """Take back a connection on which nothing is under way."""
        self._connections.append(connection)

    def close(self) -> None:
        """Close them all."""
        with contextlib.suppress(IndexError):
            while True:
                self._connections.pop().disconnect()


def _quiet(connection: Any) -> bool:
    """Whether the connection is open, and there is nothing to be read: nothing is under way."""
    try:
        return not connection.can_read(0)
    except (exceptions.RedisError, OSError):
        return False


class Exchange:
    """Requests sent over a connection, whose replies are received before anybody else has it.

    The connection is closed unless all replies were read: whatever goes wrong, `close` is to be
    called, and does nothing after a `receive` that went well.
    """

    __slots__ = ("_connection", "_idle", "_requests")

    def __init__(self, idle: Idle, requests: Sequence[Request]) -> None:
        self._idle = idle
        self._requests = requests
        self._connection: Any = None

    def send(self) -> None:
        """Take a connection, and send the requests."""
        self._connection = connection = self._idle.take()
        connection.send_packed_command(packed(self._requests), check_health=False)

    def receive(self) -> list[Any]:
        """The replies; each may be an error of the server's."""
        read = self._connection.read_response
        replies: list[Any] = []
        for _ in self._requests:
            try:
                replies.append(read(disable_decoding=True, disconnect_on_error=True))
            except exceptions.ResponseError as error:
                replies.append(error)
        connection, self._connection = self._connection, None
        self._idle.give(connection)
        return replies

    def close(self) -> None:
        """Close the connection on which something may be under way."""
        if self._connection is not None:
            self._connection.disconnect()
