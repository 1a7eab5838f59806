"""A forked child has connections and threads of its own, whatever its parent was about."""

import asyncio
import os
import threading

import pytest
from memcached.colours import entry, namespaces
from servers.forks import FORKS, NEEDS_FORK, Users, in_child
from servers.memcached import Memcached as Server

from memo.backends.memcached import Memcached

pytestmark = NEEDS_FORK


def test_forks_under_load_share_no_connection():
    """While threads and a loop use the backend, so do children; nobody gets another's value."""
    with Server() as server:
        backend = Memcached(server.where, namespace=namespaces())
        with Users(backend, entry) as users:

            def child():
                assert not backend._store._connections._open
                users.use(("child", os.getpid()))
                asyncio.run(users.use_async(("child's loop", os.getpid())))
                assert not users.wrong

            for _ in range(FORKS):
                in_child(child)
        assert not users.wrong
        backend.close()
        asyncio.run(backend.twin.close())


def test_a_child_closes_what_it_inherits(server):
    """The parent's connections are the parent's alone, and go on there."""
    backend = Memcached(server.where, namespace=namespaces())
    backend.write("k", entry("value"))
    asyncio.run(backend.twin.write("k2", entry("value")))
    opened = [
        client.sock._socket.fileno()
        for store in (backend._store, backend.twin._store)
        for client in store._connections._open
    ]
    assert len(opened) == 2

    def child():
        for number in opened:
            with pytest.raises(OSError, match="descriptor"):
                os.fstat(number)
        assert backend.read("k").value == "value"

    in_child(child)
    assert backend.read("k2").value == "value"
    backend.close()
    asyncio.run(backend.twin.close())


def test_a_child_works_from_within_a_call_of_the_parents_loop(server):
    """A fork in the middle of a coroutine: the child's own loop goes on from there."""
    backend = Memcached(server.where, namespace=namespaces()).twin

    async def use():
        await backend.write("k", entry("value"))
        in_child(lambda: threading.Thread(target=other).start() or None)
        assert (await backend.read("k")).value == "value"
        await backend.close()

    def other():
        assert asyncio.run(backend.read("k")).value == "value"

    asyncio.run(use())
