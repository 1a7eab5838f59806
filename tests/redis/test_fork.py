"""A forked child has connections of its own, whatever its parent was about."""

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest
from servers.forks import FORKS, NEEDS_FORK, Users, in_child
from servers.using_redis import PATIENCE, entry, namespaces
from servers.valkey import Valkey, shared_cluster

from memo.backends.redis import Redis

pytestmark = NEEDS_FORK

#: What this process has open.
OPEN = Path("/proc/self/fd")


def test_forks_under_load_share_no_socket():
    """While threads and a loop use the backend, so do children; nobody gets another's value."""
    with Valkey() as server:
        backend = Redis(server.url, namespace=namespaces(), socket_timeout=PATIENCE)
        with Users(backend, entry) as users:

            def child():
                users.use(("child", os.getpid()))
                asyncio.run(users.use_async(("child's loop", os.getpid())))
                assert not users.wrong

            for _ in range(FORKS):
                in_child(child)
        assert not users.wrong
        backend.close()


def sockets():
    """The sockets this process has open, by their number in the kernel."""
    found = set()
    for link in OPEN.iterdir():
        with contextlib.suppress(OSError):
            found.add(str(link.readlink()))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.skipif(not OPEN.is_dir(), reason="this system does not tell")
def test_a_child_keeps_no_connection_of_its_parent(server):
    """What the parent has open is closed in the child, and goes on in the parent."""
    backend = Redis(server.url, namespace=namespaces(), socket_timeout=PATIENCE)
    before = sockets()

    async def use():
        backend.write("k", entry("value"))
        await backend.twin.write("k2", entry("value"))
        ours = sockets() - before
        assert len(ours) >= 3  # and the loop's own

        def child():
            left = sockets() & ours
            assert len(left) <= 2, left  # only the loop's own pair
            assert backend.read("k").value == "value"

        in_child(child)
        assert backend.read("k").value == "value"
        assert (await backend.twin.read("k2")).value == "value"

    asyncio.run(use())
    backend.close()


def test_a_child_works_from_within_a_call_of_the_parents_loop(server):
    """A fork in the middle of a coroutine: the child's own loop goes on, and so does the parent."""
    backend = Redis(server.url, namespace=namespaces(), socket_timeout=PATIENCE).twin

    async def use():
        await backend.write("k", entry("value"))

        def child():
            found = []
            thread = threading.Thread(target=lambda: found.append(asyncio.run(backend.read("k"))))
            thread.start()
            thread.join()
            assert found[0].value == "value"

        for _ in range(3):
            in_child(child)
            assert (await backend.read("k")).value == "value"
        await backend.close()

    asyncio.run(use())


def test_a_child_of_who_uses_a_cluster():
    """What is known of a cluster is found out anew in a child."""
    backend = Redis(shared_cluster().url, namespace=namespaces(), socket_timeout=PATIENCE)
    backend.write("k", entry("value"))

    def child():
        assert backend.read("k").value == "value"

    for _ in range(3):
        in_child(child)
        assert backend.read("k").value == "value"
    backend.clear()
    backend.close()
