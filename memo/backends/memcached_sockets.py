"""Waiting for memcached servers no longer than a limit: to be found, to be connected, to answer."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from .memcached_rules import Server

__all__ = ["Limit", "connected", "waiting"]

_BEGUN: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK})
_TIMED_OUT: Final = errno.ETIMEDOUT  # which makes a TimeoutError of an OSError
_UNIX: Final = getattr(socket, "AF_UNIX", -1)


class Limit:
    """Until when a call may wait; it can be ended sooner from another thread.

    Args:
        deadline: a moment of `time.monotonic()`; None: no bound.
    """

    __slots__ = ("_cut", "_lock", "_wake", "deadline")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self._cut = False
        self._wake: Callable[[], object] | None = None
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
        if self.deadline is None:
            return self
        now = time.monotonic()
        return Limit(now + (self.deadline - now) / parts)

    def hold(self, wake: Callable[[], object] | None) -> None:
        """From now on `wake()` makes the call go on, where it waits; None: it does not wait.

        To be followed by a look at what is `left`, with the wait begun as far as `wake` needs it.
        """
        with self._lock:
            self._wake = wake

    def cut(self) -> None:
        """Nobody waits for the call any more: end it."""
        with self._lock:  # a socket is not closed, and its number not another's, meanwhile
            self._cut = True
            if self._wake is not None:
                with contextlib.suppress(OSError):
                    self._wake()


def waiting(one: socket.socket, *, to_send: bool = False) -> Callable[[float | None], object]:
    """A function that waits at most so many seconds (None: no bound) for a socket to be ready.

    It says whether it is: there is something to receive, or room to send.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(one, select.POLLOUT if to_send else select.POLLIN)
        return lambda left: poll.poll(None if left is None else left * 1000)
    ways = ([], [one], [one]) if to_send else ([one], [], [])
    return lambda left: any(select.select(*ways, left))


def connected(server: Server, limit: Limit) -> socket.socket:
    """A socket connected to `server`."""
    if not server.port:
        return _connect(_UNIX, server.host, limit, 1)
    addresses = _addresses(server, limit)
    for number, (family, _, _, _, address) in enumerate(addresses):
        try:
            return _connect(family, address, limit, len(addresses) - number)
        except OSError:
            if number == len(addresses) - 1:
                raise
    raise OSError(f"{server} has no address")


def _connect(family: int, address: Any, limit: Limit, parts: int) -> socket.socket:
    """A socket connected to `address`, in one of so many parts of what is left."""
    made = socket.socket(family, socket.SOCK_STREAM)
    failure = _TIMED_OUT
    try:
        if family != _UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(0)
        limit.hold(partial(made.shutdown, socket.SHUT_RDWR))
        failure = made.connect_ex(address)
        if failure in _BEGUN and family != _UNIX:
            left = limit.left()  # from here on a cut wakes it
            done = waiting(made, to_send=True)(left and left / parts)
            failure = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if done else _TIMED_OUT
    finally:
        if failure:
            limit.hold(None)
            made.close()
    if failure:
        raise OSError(failure, os.strerror(failure))
    return made


def _addresses(server: Server, limit: Limit) -> list[Any]:
    """The addresses of `server`; a name server that keeps silent is not waited for."""
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(*server, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    if limit.left() is None:
        return socket.getaddrinfo(*server, type=socket.SOCK_STREAM)
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(*server, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)

    # The system's look-up takes no timeout; the thread ends when that does.
    threading.Thread(target=look_up, name="memo-look-up", daemon=True).start()
    limit.hold(lambda: answers.put(TimeoutError("the call was given up")))
    try:
        answer = answers.get(timeout=limit.left())
    except queue.Empty:
        raise TimeoutError(f"looking up {server.host} took too long") from None
    finally:
        limit.hold(None)
    if isinstance(answer, OSError):
        raise answer
    return answer
