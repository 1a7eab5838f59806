"""Both colours of the Redis backend, called plainly, and Unix time in their entries."""

import asyncio
import contextlib
import inspect
import itertools
import time

import pytest

from memo.backends.redis import Redis
from memo.backends.redis_async import AsyncRedis
from memo.entry import Entry

__all__ = ["PATIENCE", "Plain", "both", "entry", "namespaces", "opened"]

#: Seconds for an exchange with a server that works, on however busy a machine.
PATIENCE = 30.0

_numbers = itertools.count()

both = pytest.mark.parametrize("colour", [Redis, AsyncRedis], ids=["sync", "async"])


def namespaces():
    """A namespace that no other test of this run has."""
    return f"test{next(_numbers)}"


def entry(value, ttl=60.0, *, window=0.0, age=0.0):
    """An entry with that lifetime in seconds, made `age` seconds ago; ttl None: for ever."""
    created = time.time() - age
    if ttl is None:
        return Entry(value, created)
    return Entry(value, created, created + ttl, created + ttl + window)


class Plain:
    """A backend of either colour; the methods of an async one are run to their end.

    Each call gives up after `within` seconds, by a deadline or by being cancelled.
    """

    def __init__(self, backend, run, within=PATIENCE):
        self.backend = backend
        self.within = within
        self._run = run

    def __getattr__(self, name):
        method = getattr(self.backend, name)
        is_read = isinstance(self.backend, AsyncRedis) and name == "read_bytes"  # gives a future
        if asyncio.iscoroutinefunction(method) or is_read:
            return lambda *args: self._run(self._until_then(method, *args))
        if callable(method) and "deadline" in inspect.signature(method).parameters:
            return lambda *args: method(*args, deadline=time.monotonic() + self.within)
        return method

    async def _until_then(self, method, *args):
        async with asyncio.timeout(self.within):
            return await method(*args)

    def name(self, key):
        """What the server knows `key` as."""
        return self.backend._name(key)


@contextlib.contextmanager
def opened(colour, where, *, within=PATIENCE, **more):
    """A backend of that colour at that URL or client, in a namespace of its own."""
    more.setdefault("namespace", namespaces())
    if not (isinstance(where, str) and "socket_timeout" in where):
        more.setdefault("socket_timeout", PATIENCE)
    with asyncio.Runner() as runner:
        plain = Plain(colour(where, **more), runner.run, within)
        try:
            yield plain
        finally:
            plain.within = PATIENCE
            plain.close()
