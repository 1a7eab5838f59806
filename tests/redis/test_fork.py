"""A forked child has connections of its own, whatever its parent was about."""

import asyncio
import contextlib
import os
import threading
import traceback
from pathlib import Path

import pytest
from servers.using_redis import PATIENCE, entry, namespaces
from servers.valkey import Valkey, shared_cluster

from memo.backends.redis import Redis

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    # From 3.12 on Python warns of forks in programs with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

#: MEMO_FORKS=200 for the full count.
FORKS = int(os.environ.get("MEMO_FORKS", "10"))

#: What this process has open.
OPEN = Path("/proc/self/fd")


def in_child(work):
    """Run `work` in a forked child, and see that it succeeds there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


class Users:
    """Who writes and reads values of their own, and notes any that is not."""

    def __init__(self, backend):
        self.backend = backend
        self.wrong = []
        self.over = threading.Event()
        works = [lambda number=number: self.use(number) for number in range(3)]
        works.append(lambda: asyncio.run(self.use_async("loop")))
        self.threads = [threading.Thread(target=self.go_on, args=(work,)) for work in works]

    def use(self, who):
        for turn in range(5):
            self.backend.write(who, entry((who, turn)))
            if self.backend.read(who).value != (who, turn):
                self.wrong.append(who)

    async def use_async(self, who):
        backend = self.backend.twin
        for turn in range(5):
            await backend.write(who, entry((who, turn)))
            if (await backend.read(who)).value != (who, turn):
                self.wrong.append(who)

    def go_on(self, work):
        while not self.over.is_set():
            work()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_forks_under_load_share_no_socket():
    """While threads and a loop use the backend, so do children; nobody gets another's value."""
    with Valkey() as server:
        backend = Redis(server.url, namespace=namespaces(), socket_timeout=PATIENCE)
        with Users(backend) as users:

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
