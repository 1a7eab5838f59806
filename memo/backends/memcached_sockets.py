"""Blocking connections to memcached servers: kept for the next call, and bounded by a limit.

pymemcache speaks the protocol; the sockets it speaks through are made here. Each waits no longer
than the limit of the call at hand allows, however slowly a server drips; connecting, and looking up
the host, are bounded by it too. A connection on which anything went wrong is closed, so that nobody
ever meets the answer to another one's question.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pymemcache.client.base import Client  # type: ignore[import-untyped]

from ..forking import mend_after_fork
from .memcached_rules import Server

__all__ = ["Connections", "Limit"]

#: How many idle connections to a server are kept for threads to come.
_IDLE: Final = 64

#: Bytes to receive at once when there is more than pymemcache asks for (4096); it takes them all.
#: Not from the start, since it takes time to set aside so many.
_MORE: Final = 262_144

_TWO: Final = 2


class Limit:
    """Until when a call may wait; it can be ended sooner from another thread.

    Args:
        deadline: a moment of `time.monotonic()`; None: no bound.
    """

    __slots__ = ("_cut", "_lock", "_socket", "deadline")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self._cut = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def left(self) -> float | None:
        """Seconds that are left; None: no bound.

        Raises:
            TimeoutError: there are none.
        """
        if self._cut:
            raise TimeoutError("the call was given up")
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("memcached did not answer in time")
        return left

    def part(self, parts: int) -> Limit:
        """The limit of the first of `parts` things that have to be done within this one."""
        if self.deadline is None or parts < _TWO:
            return self
        now = time.monotonic()
        return Limit(now + (self.deadline - now) / parts)

    def hold(self, used: socket.socket | None) -> None:
        """From now on the call waits at this socket; None: at none."""
        with self._lock:
            self._socket = used

    def cut(self) -> None:
        """Nobody waits for the call any more: end it."""
        with self._lock:  # the socket is not closed, and its number not another's, meanwhile
            self._cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


class _Socket:
    """What pymemcache needs of a socket, with one limit for all of a call."""

    __slots__ = ("_heard", "_piece", "_socket", "limit")

    def __init__(self, connected: socket.socket, limit: Limit) -> None:
        connected.setblocking(False)  # noqa: FBT003 - the name says what is meant
        self._socket = connected
        self._heard = _heard(connected)
        self._piece = 0
        self.limit = limit

    def use(self, limit: Limit) -> None:
        self._piece = 0
        self.limit = limit
        limit.hold(self._socket)

    def sendall(self, data: bytes) -> None:
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self._socket.send(data)
        if sent < len(data):
            self._socket.settimeout(self.limit.left())  # of all of it, as the library has it
            self._socket.sendall(memoryview(data)[sent:])
            self._socket.settimeout(0)

    def recv(self, size: int) -> bytes:
        while not self._heard(self.limit.left()):
            pass
        data = self._socket.recv(max(size, self._piece))
        if len(data) == size:
            self._piece = _MORE
        return data

    def close(self) -> None:
        self.limit.hold(None)
        self._socket.close()

    @property
    def silent(self) -> bool:
        """Whether the server has neither said anything that was not read, nor hung up."""
        return not self._heard(0)


def _heard(connected: socket.socket) -> Callable[[float | None], object]:
    """A function that waits so many seconds (None: no bound) for something to receive."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connected, select.POLLIN)
        return lambda left: poll.poll(None if left is None else left * 1000)
    return lambda left: select.select([connected], [], [], left)[0]


class _Client(Client):  # type: ignore[misc] # it is untyped
    """pymemcache's client of one server; it talks through a socket of ours."""

    sock: Any


class Connections:
    """The connections to all servers of a backend, for any number of threads."""

    def __init__(self) -> None:
        self._idle: dict[Server, deque[_Client]] = {}
        #: All there are, so that a forked child can close its copies.
        self._open: set[_Client] = set()
        mend_after_fork(self)
        weakref.finalize(self, _close, self._open)  # where nobody says `close`

    def ask(self, server: Server, limit: Limit, command: str, *args: Any) -> Any:
        """What the method `command` of pymemcache's client of `server` gives.

        Raises:
            TimeoutError: it took longer than `limit` allows.
            OSError, pymemcache.exceptions.MemcacheError: as pymemcache has them.
        """
        client = self._take(server, limit)
        try:
            answer = getattr(client, command)(*args)
            limit.hold(None)
        except BaseException:  # an interrupt too leaves an answer unread
            self._drop(client)
            raise
        idle = self._idle.get(server)
        if idle is not None and len(idle) < _IDLE and client in self._open:
            idle.append(client)
        else:
            self._drop(client)
        return answer

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is not used any more."""
        self._open.clear()
        for idle in list(self._idle.values()):
            while idle:
                with contextlib.suppress(IndexError):
                    idle.pop().close()

    def after_fork_in_child(self) -> None:
        """The connections are the parent's: close this process's copies of them."""
        _close(self._open)
        self._idle = {}

    def _take(self, server: Server, limit: Limit) -> _Client:
        idle = self._idle.setdefault(server, deque())
        while idle:
            try:
                client = idle.pop()  # the last one used is the most likely to be good
            except IndexError:
                break
            if client.sock.silent:
                client.sock.use(limit)
                return client
            self._drop(client)
        connected = _connected(server, limit)
        client = _Client((server.host, server.port), default_noreply=False)
        client.sock = _Socket(connected, limit)
        self._open.add(client)
        return client

    def _drop(self, client: _Client) -> None:
        client.close()
        self._open.discard(client)


def _close(clients: set[_Client]) -> None:
    while clients:
        clients.pop().close()


def _connected(server: Server, limit: Limit) -> socket.socket:
    """A socket connected to `server`, which `limit` holds."""
    if not server.port:
        return _connect(socket.AF_UNIX, server.host, limit, limit.left())
    addresses = _addresses(server, limit)
    for number, (family, _, _, _, address) in enumerate(addresses, 1):
        left = limit.left()
        within = left and left / (len(addresses) - number + 1)
        try:
            return _connect(family, address, limit, within)
        except OSError:
            if number == len(addresses):
                raise
    raise OSError(f"{server} has no address")


def _connect(family: int, address: Any, limit: Limit, within: float | None) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit.hold(made)
        made.settimeout(within)
        made.connect(address)
    except BaseException:
        limit.hold(None)
        made.close()
        raise
    return made


def _addresses(server: Server, limit: Limit) -> list[Any]:
    """The addresses of `server`; a name server that keeps silent is not waited for."""
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(*server, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    left = limit.left()
    if left is None:
        return socket.getaddrinfo(*server, type=socket.SOCK_STREAM)
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(*server, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)

    # The system's look-up takes no timeout; the thread ends when that does.
    threading.Thread(target=look_up, name="memo-look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=left)
    except queue.Empty:
        raise TimeoutError(f"looking up {server.host} took too long") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
