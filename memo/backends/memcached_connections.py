"""Connections to memcached servers, kept for the next call.

pymemcache speaks the protocol; the sockets it speaks through are ours. Each waits no longer than
the limit of the call at hand allows, however slowly a server drips. A connection on which anything
went wrong is closed, so that nobody ever meets the answer to another one's question.
"""

from __future__ import annotations

import contextlib
import socket
import weakref
from collections import deque
from functools import partial
from typing import Any, Final

from pymemcache.client.base import Client  # type: ignore[import-untyped]

from ..forking import mend_after_fork
from .memcached_rules import Server
from .memcached_sockets import Limit, connected, waiting

__all__ = ["Connections"]

#: How many idle connections to a server are kept for threads to come.
_IDLE: Final = 64

#: Bytes to receive at once when there is more than pymemcache asks for (4096); it takes them all.
#: Not from the start, since it takes time to set aside so many.
_MORE: Final = 262_144


class _Socket:
    """What pymemcache needs of a socket, with one limit for all of a call."""

    __slots__ = ("_heard", "_piece", "_socket", "_wake", "limit")

    def __init__(self, made: socket.socket, limit: Limit) -> None:
        self._socket = made
        self._heard = waiting(made)
        self._wake = partial(made.shutdown, socket.SHUT_RDWR)
        self.use(limit)

    def use(self, limit: Limit) -> None:
        self._piece = 0
        self.limit = limit
        limit.hold(self._wake)

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

    def leave(self) -> None:
        """Close it where nobody uses it, and locks may be held for ever: in a forked child."""
        self._socket.close()

    @property
    def silent(self) -> bool:
        """Whether the server has neither said anything that was not read, nor hung up."""
        return not self._heard(0)


class _Client(Client):  # type: ignore[misc] # it is untyped
    """pymemcache's client of one server; it talks through a socket of ours."""

    sock: Any

    def check_key(self, key: Any, key_prefix: Any) -> Any:
        """Leave it as it is: the texts of our keys are made such that they can be."""
        del key_prefix
        return key


class Connections:
    """The connections to all servers of a backend, for any number of threads."""

    def __init__(self) -> None:
        self._idle: dict[Server, deque[_Client]] = {}
        #: All there are, so that a forked child can close its copies.
        self._open: set[_Client] = set()
        mend_after_fork(self)
        weakref.finalize(self, _leave, self._open)  # where nobody says `close`

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
        _leave(self._open)
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
        made = connected(server, limit)
        client = _Client((server.host, server.port), default_noreply=False)
        client.sock = _Socket(made, limit)
        self._open.add(client)
        return client

    def _drop(self, client: _Client) -> None:
        client.close()
        self._open.discard(client)


def _leave(clients: set[_Client]) -> None:
    while clients:
        used = clients.pop().sock
        if used is not None:
            used.leave()
