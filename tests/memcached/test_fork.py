"""A forked child has connections and threads of its own, whatever its parent was about."""

import asyncio
import os
import threading
import traceback

import pytest
from memcached.colours import entry, namespaces
from servers.memcached import Memcached as Server

from memo.backends.memcached import Memcached

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    # From 3.12 on Python warns of forks in programs with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

#: MEMO_FORKS=200 for the full count.
FORKS = int(os.environ.get("MEMO_FORKS", "10"))


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
        works.append(lambda: self.use_async("loop"))
        self.threads = [threading.Thread(target=self.go_on, args=(work,)) for work in works]

    def use(self, who):
        for turn in range(5):
            self.backend.write(who, entry((who, turn)))
            if self.backend.read(who).value != (who, turn):
                self.wrong.append(who)

    def use_async(self, who):
        asyncio.run(self._use_async(who))

    async def _use_async(self, who):
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


def test_forks_under_load_share_no_connection():
    """While threads and a loop use the backend, so do children; nobody gets another's value."""
    with Server() as server:
        backend = Memcached(server.where, namespace=namespaces())
        with Users(backend) as users:

            def child():
                assert not backend._store._connections._open
                users.use(("child", os.getpid()))
                users.use_async(("child's loop", os.getpid()))
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
