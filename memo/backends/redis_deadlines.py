"""Connections of redis-py that keep a deadline in truth.

redis-py has a timeout for each wait, which begins anew with every byte that comes. Here the socket
is told before each wait (to connect, to shake hands for TLS, to send, to receive) what is left
until the deadline of the thread's operation, whoever waits: a client that finds out about its
servers, or a connection that logs in, is bound as well.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import redis.connection
import redis.sentinel

if TYPE_CHECKING:
    _Base = redis.connection.Connection
else:
    _Base = object

__all__ = ["connection_class", "left", "this"]

#: Seconds for what has no time left but must be given some: too little for anything.
_NONE_LEFT: Final = 1e-6


class _This(threading.local):
    """What holds for the operation of this thread."""

    #: The moment of `time.monotonic()` by which it must end; None: each wait has its own timeout.
    deadline: float | None = None


this: Final = _This()


def left(timeout: float | None) -> float | None:
    """Seconds that this thread may wait: until its deadline, or `timeout` where it has none.

    Raises:
        TimeoutError: none are left.
    """
    if this.deadline is None:
        return timeout
    seconds = this.deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time is up")
    return seconds


class _Socket:
    """A socket that waits no longer than the deadline allows, as far as redis-py uses one."""

    def __init__(self, sock: Any, timeout: float | None) -> None:
        self._sock = sock
        self._timeout = timeout
        self._polling = False

    def settimeout(self, seconds: float | None) -> None:
        """Do not wait at all (0), or as the deadline allows (anything else)."""
        self._polling = seconds == 0

    def recv(self, *args: Any) -> Any:
        """Receive what there is."""
        self._sock.settimeout(0 if self._polling else left(self._timeout))
        return self._sock.recv(*args)

    def recv_into(self, *args: Any) -> int:
        """Receive what there is."""
        self._sock.settimeout(0 if self._polling else left(self._timeout))
        received: int = self._sock.recv_into(*args)
        return received

    def sendall(self, data: bytes) -> None:
        """Send all of `data`; the socket's timeout is for all of it."""
        self._sock.settimeout(left(self._timeout))
        self._sock.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Punctual(_Base):
    """What makes a connection of redis-py's keep the deadline of the thread that uses it."""

    def _connect(self) -> Any:
        # The two timeouts below are asked for at each step of this.
        connect: Callable[[], Any] = super()._connect
        host = getattr(self, "host", None)
        sock = connect() if host is None or _needs_no_lookup(host) else _within(connect)
        return _Socket(sock, self._socket_timeout)

    @property
    def socket_connect_timeout(self) -> float | None:
        """Seconds left to connect."""
        return self._left(self._socket_connect_timeout)

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, value: float | None) -> None:
        self._socket_connect_timeout = value

    @property
    def socket_timeout(self) -> float | None:
        """Seconds left for anything else."""
        return self._left(self._socket_timeout)

    @socket_timeout.setter
    def socket_timeout(self, value: float | None) -> None:
        self._socket_timeout = value

    @staticmethod
    def _left(timeout: float | None) -> float | None:
        try:
            return left(timeout)
        except TimeoutError:
            return (
                _NONE_LEFT  # redis-py expects no exception here: the wait itself will end at once
            )

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Connect and log in, or be closed: what is half logged in must not be used again."""
        try:
            super().connect_check_health(*args, **options)
        except BaseException:
            disconnect: Callable[[], None] = self.disconnect
            disconnect()
            raise


@functools.cache
def connection_class(kind: type[Any]) -> Any:
    """The connections of the class `kind`, which is one of redis-py's, that keep a deadline."""
    return type(kind.__name__, (_Punctual, kind), {})


def _needs_no_lookup(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _within(connect: Callable[[], Any]) -> Any:
    """What `connect` gives, in time.

    The system's resolver cannot be told how long it may take; so where a name is to be looked up,
    this happens in a thread, which is left alone when the time is up.
    """
    deadline = this.deadline
    if deadline is None:
        return connect()
    attempt = _Attempt(connect, deadline)
    threading.Thread(target=attempt.run, name="memo-connect", daemon=True).start()
    return attempt.result()


class _Attempt:
    """An attempt to connect in a thread of its own."""

    def __init__(self, connect: Callable[[], Any], deadline: float) -> None:
        self._connect = connect
        self._deadline = deadline
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._given_up = False
        self._sock: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Connect; nobody may be waiting for it any more."""
        this.deadline = self._deadline
        try:
            sock = self._connect()
        except BaseException as error:
            self._error = error
        else:
            with self._lock:
                if self._given_up:
                    sock.close()
                else:
                    self._sock = sock
        finally:
            self._ended.set()

    def result(self) -> socket.socket:
        """The connected socket.

        Raises:
            TimeoutError: there is none when the time is up.
            OSError: there is none, and never will be.
        """
        try:
            self._ended.wait(left(None))
        finally:
            with self._lock:
                self._given_up = self._sock is None
        if self._error is not None:
            raise self._error
        if self._sock is None:
            raise TimeoutError("the time is up")
        sock: socket.socket = self._sock
        return sock
