"""Threads in which an async backend asks memcached servers: a lane of a few for each server.

A hung server keeps its own lane busy and nobody else's, nor the event loop's default threads. A
call that nobody waits for any more has its socket shut down, which frees its thread at once. Reads
that come while a lane has not begun with those before go together, as one question; under load
that makes few questions out of many reads.

Nothing here belongs to an event loop: a loop is told what became of its calls, and may be gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from ..errors import twin
from .memcached_rules import Server
from .memcached_sockets import Limit
from .memcached_store import Store

__all__ = ["Lane"]

_THREADS: Final = 4

#: Seconds that a call takes at most, whoever waits for it: it is cut off when nobody does.
_LONGEST: Final = 10.0

_Future = asyncio.Future[Any]


class _Asked:
    """A caller in an event loop, who waits at `future` for what a thread finds."""

    __slots__ = ("call", "future", "loop", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.future: _Future = self.loop.create_future()
        self.future.add_done_callback(self._done)
        self.call: _Call | None = None

    def _done(self, future: _Future) -> None:
        if not future.cancelled():
            future.exception()  # seen, also where the caller was cancelled in the same moment
        elif self.call is not None:
            self.call.given_up()


class _Call:
    """What a thread does for one caller or several."""

    def __init__(self, asked: Sequence[_Asked]) -> None:
        self.limit = Limit(time.monotonic() + _LONGEST)
        for one in asked:
            one.call = self
        #: Who was cancelled before that is noticed here; who is after it, notices the call.
        self._asked = [one for one in asked if not one.future.cancelled()]

    @property
    def names(self) -> list[str]:
        """What is asked for, each name once."""
        return [*dict.fromkeys(one.name for one in self._asked)]

    def given_up(self) -> None:
        """One of the callers was cancelled."""
        if all(one.future.done() for one in self._asked):
            self.limit.cut()

    def run(self, work: Callable[[Limit], Any]) -> None:
        """Do the work, and tell the callers what came of it."""
        if not self._asked:
            return
        answer, error = None, None
        try:
            answer = work(self.limit)
        except Exception as caught:
            error = caught
        loops: dict[asyncio.AbstractEventLoop, list[_Asked]] = {}
        for one in self._asked:
            loops.setdefault(one.loop, []).append(one)
        for loop, its in loops.items():
            with contextlib.suppress(RuntimeError):  # it was closed
                loop.call_soon_threadsafe(_tell, its, answer, error)


def _tell(asked: Iterable[_Asked], answer: Any, error: BaseException | None) -> None:
    for one in asked:
        if one.future.done():
            continue
        if error is None:
            one.future.set_result(answer)
        else:
            one.future.set_exception(twin(error))


class Lane:
    """The threads for one server."""

    def __init__(self, server: Server, store: Store) -> None:
        self._server = server
        self._store = store
        self._threads = ThreadPoolExecutor(_THREADS, f"memo-memcached-{server}")
        self._lock = threading.Lock()
        self._reads: list[_Asked] = []

    def read(self, name: str) -> _Future:
        """A future of what is stored under `name` and maybe others, by name."""
        asked = _Asked(name)
        with self._lock:
            if not self._reads:
                self._threads.submit(self._read)
            self._reads.append(asked)
        return asked.future

    def run(self, work: Callable[..., Any], *args: Any) -> _Future:
        """A future of `work(server, *args, limit)`."""
        asked = _Asked("")
        self._threads.submit(self._run, asked, work, args)
        return asked.future

    def close(self) -> None:
        """Let the threads end, when they have done what was asked so far."""
        self._threads.shutdown(wait=False)

    def _read(self) -> None:
        with self._lock:
            reads, self._reads = self._reads, []
        call = _Call(reads)
        call.run(lambda limit: self._store.read(self._server, call.names, limit))

    def _run(self, asked: _Asked, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        _Call([asked]).run(lambda limit: work(self._server, *args, limit))
