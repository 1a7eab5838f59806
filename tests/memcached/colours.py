"""Both colours of the backend, called plainly, and Unix time in their entries."""

import asyncio
import contextlib
import itertools
import time

import pytest

from memo.backends.memcached import Memcached
from memo.backends.memcached_async import AsyncMemcached
from memo.entry import Entry

__all__ = ["Plain", "both", "entry", "namespaces", "opened"]

_numbers = itertools.count()

both = pytest.mark.parametrize("colour", [Memcached, AsyncMemcached], ids=["sync", "async"])


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

    Each call gives up after ten seconds, as a cache's guard does after less.
    """

    def __init__(self, backend, run):
        self.backend = backend
        self._run = run

    def __getattr__(self, name):
        method = getattr(self.backend, name)
        if not callable(method):
            return method
        if not isinstance(self.backend, AsyncMemcached):
            return method

        def call(*args, within=10, **more):
            return self._run(self._within(within, method, *args, **more))

        return call

    async def _within(self, seconds, method, *args, **more):
        async with asyncio.timeout(seconds):
            return await method(*args, **more)

    def key_on(self, server, prefix="k"):
        """A key that belongs to `server`, a `servers.memcached.Memcached`."""
        for number in itertools.count():
            key = f"{prefix}{number}"
            if str(self.backend.servers.of(self.backend._name(key))) == server.where:
                return key
        raise AssertionError


@contextlib.contextmanager
def opened(colour, *servers, **more):
    """A backend of that colour on those servers, in a namespace of its own."""
    more.setdefault("namespace", namespaces())
    with asyncio.Runner() as runner:
        plain = Plain(colour([server.where for server in servers], **more), runner.run)
        try:
            yield plain
        finally:
            plain.close()
